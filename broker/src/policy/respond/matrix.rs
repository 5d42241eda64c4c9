//! What would be done about whom: every class of identities, every kind of abuse, every rung.
//!
//! Shown as it is plain (two witnesses, two gateways, a long history, no hard rule, a Monday morning, no cap met);
//! what policies make of other circumstances it does not show, and names the policies that no row meets.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_drift::ladder::{Abuse, Response, Rung};
use lanyard_token::Audience;
use serde::Serialize;

use super::super::bundle::Bundle;
use super::super::matrix::aligned;
use super::super::rehearsal::Untried;
use super::super::trial::{Class, Classes};
use super::{Choice, Offence};

/// What is done about some classes when it looks like this.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Row {
    /// The classes; `any` when all of them.
    pub classes: Vec<String>,
    /// What it looks like.
    pub abuse: &'static str,
    /// For which identities of them: those in the share of canaries, the others, or all.
    pub who: Who,
    /// The step of each rung, mildest rung first.
    pub steps: [&'static str; 4],
    /// Which policies determine them.
    pub policies: BTreeSet<String>,
}

/// Whom a canary meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Canaries make no difference.
    All,
    /// Those whom every canary meets.
    InShare,
    /// Those whom none meets.
    Others,
}

impl Who {
    /// As the matrix has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::InShare => "in share",
            Self::Others => "others",
        }
    }
}

/// All rows, in the order of abuses.
pub fn rows(bundle: &Bundle, classes: &Classes) -> Result<Vec<Row>, Untried> {
    let catalogue: Vec<Audience> = bundle.catalogue().keys().cloned().collect();
    let mut rows = Vec::new();
    for abuse in Abuse::ALL {
        let mut alike: BTreeMap<(Who, Steps), Vec<String>> = BTreeMap::new();
        for class in &classes.classes {
            let of = |met| steps(bundle, (class, &catalogue), abuse, met);
            let (met, unmet) = (of(true)?, of(false)?);
            let kinds = if met == unmet {
                vec![(Who::All, met)]
            } else {
                vec![(Who::InShare, met), (Who::Others, unmet)]
            };
            for kind in kinds {
                alike.entry(kind).or_default().push(class.class.clone());
            }
        }
        for ((who, (steps, policies)), named) in alike {
            let everybody = named.len() == classes.classes.len();
            rows.push(Row {
                classes: if everybody {
                    vec!["any".to_owned()]
                } else {
                    named
                },
                abuse: abuse.word(),
                who,
                steps: steps.map(Response::word),
                policies,
            });
        }
    }
    Ok(rows)
}

type Steps = ([Response; 4], BTreeSet<String>);

fn steps(
    bundle: &Bundle,
    (class, catalogue): (&Class, &[Audience]),
    abuse: Abuse,
    met: bool,
) -> Result<Steps, Untried> {
    let member = class.member(catalogue);
    let mut policies = BTreeSet::new();
    let mut chosen = [Response::Observe; 4];
    for (chosen, rung) in chosen.iter_mut().zip(Rung::ALL) {
        let offence = Offence::plain(&member.name, abuse, rung);
        let choice: Choice = bundle.step_for(&offence.on(&member), &|_| false, &|_, _| met);
        if let Some(fault) = choice.faults.into_iter().next() {
            return Err(Untried::Failed(fault));
        }
        *chosen = choice.step;
        policies.extend(choice.policies);
    }
    Ok((chosen, policies))
}

/// A step that other policies would take otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Whose.
    pub class: String,
    /// For which of them.
    pub who: Who,
    /// What it looks like.
    pub abuse: &'static str,
    /// How far it has gone.
    pub rung: &'static str,
    /// The step that is asked for.
    pub before: &'static str,
    /// The one that would be.
    pub after: &'static str,
}

/// Steps that differ, class by class; a bundle without a word about responses has those of the program.
pub fn changed(
    before: &Bundle,
    after: &Bundle,
    classes: &Classes,
) -> Result<Vec<Changed>, Untried> {
    let catalogue: Vec<Audience> = after.catalogue().keys().cloned().collect();
    let mut found = Vec::new();
    for class in &classes.classes {
        for abuse in Abuse::ALL {
            let of = |met| {
                let (old, _) = steps(before, (class, &catalogue), abuse, met)?;
                let (new, _) = steps(after, (class, &catalogue), abuse, met)?;
                Ok::<_, Untried>((old, new))
            };
            let (met, unmet) = (of(true)?, of(false)?);
            let kinds = if met == unmet {
                vec![(Who::All, met)]
            } else {
                vec![(Who::InShare, met), (Who::Others, unmet)]
            };
            for (who, (old, new)) in kinds {
                let rungs = Rung::ALL.into_iter().zip(old.into_iter().zip(new));
                let differing = rungs.filter(|(_, (old, new))| old != new);
                found.extend(differing.map(|(rung, (old, new))| Changed {
                    class: class.class.clone(),
                    who,
                    abuse: abuse.word(),
                    rung: rung.word(),
                    before: old.word(),
                    after: new.word(),
                }));
            }
        }
    }
    Ok(found)
}

/// Policies that no row shows.
pub fn missing(bundle: &Bundle, rows: &[Row]) -> Vec<String> {
    let shown: BTreeSet<&String> = rows.iter().flat_map(|row| &row.policies).collect();
    let ids = bundle.response_rules().map(|rule| &rule.id);
    ids.filter(|id| !shown.contains(id)).cloned().collect()
}

/// What stands above the rows in `matrix.txt`.
const HEAD: &str = "
# What is done about whom when it drifts, as it is plain: two witnesses, two gateways, a long history, no cap met.
# The ladder makes a step milder where it rests on less.
";

/// As `matrix.txt` has it, `unmet` policies last.
pub fn text(rows: &[Row], unmet: &[String]) -> String {
    let head = [
        "ABUSE",
        "CLASSES",
        "WHO",
        "ANOMALOUS",
        "FIRST",
        "AGAIN",
        "THEN",
        "POLICIES",
    ];
    let mut cells: Vec<[String; 8]> = vec![head.map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        let [anomalous, first, again, then] = row.steps.map(str::to_owned);
        let policies: Vec<&str> = row.policies.iter().map(String::as_str).collect();
        [
            row.abuse.to_owned(),
            row.classes.join(","),
            row.who.word().to_owned(),
            anomalous,
            first,
            again,
            then,
            policies.join(","),
        ]
    }));
    let mut text = aligned(HEAD, &cells);
    for id in unmet {
        text.push_str(&format!(
            "# `{id}` changes nothing here: no class meets it as it is plain\n"
        ));
    }
    text
}
