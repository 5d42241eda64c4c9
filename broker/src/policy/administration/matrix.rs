//! Which class of administrators may do what, and to whom.
//!
//! Every act is tried on the broker, on something of the administrator's own owner and on something of another's, in
//! ordinary circumstances: a permit that asks for a network or an hour is among those that are met by nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use super::super::bundle::{Bundle, Effect};
use super::super::matrix::aligned;
use super::super::rehearsal::{Untried, rehearse_act};
use super::super::trial::{Acting, Classes, Fixtures, Kind, Verdict};
use super::Action;

/// What a class may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Row {
    /// The class.
    pub class: String,
    /// What.
    pub action: Action,
    /// To whom: `broker`, `own`, `others`, with `+` when also what is wider; `any` when to all, wider as well.
    pub on: Vec<&'static str>,
    /// Which policies permit it.
    pub policies: BTreeSet<String>,
}

/// All rows, sorted by class and in the order of actions.
pub fn rows(bundle: &Bundle, classes: &Classes) -> Result<Vec<Row>, Untried> {
    let mut rows = Vec::new();
    let administrators = classes.classes.iter();
    for class in administrators.filter(|class| class.kind == Kind::Administrator) {
        let member = class.member(&[]);
        let (own, class) = (member.owner.clone(), member.name.clone());
        let fixtures = Fixtures::default().with(member);
        for action in Action::ALL {
            let mut given: BTreeMap<BTreeSet<String>, Vec<&'static str>> = BTreeMap::new();
            let whom = [
                ("broker", "broker+", None),
                ("own", "own+", Some(own.clone())),
                // No owner is called so.
                ("others", "others+", Some("-".to_owned())),
            ];
            for (narrow, wide, owner) in whom {
                let acting = Acting {
                    owner,
                    ..Acting::of(&class, *action)
                };
                let wider = Acting {
                    wider: true,
                    ..acting.clone()
                };
                let plain = rehearse_act(bundle, &fixtures, &acting)?;
                if plain.decision == Verdict::Deny {
                    continue;
                }
                let also = rehearse_act(bundle, &fixtures, &wider)?.decision == Verdict::Allow;
                let on = if also { wide } else { narrow };
                given.entry(plain.policies).or_default().push(on);
            }
            rows.extend(given.into_iter().map(|(policies, on)| Row {
                class: class.clone(),
                action: *action,
                on: if on == ["broker+", "own+", "others+"] {
                    vec!["any"]
                } else {
                    on
                },
                policies,
            }));
        }
    }
    rows.sort();
    Ok(rows)
}

/// Permits of administration that no row shows.
pub fn missing(bundle: &Bundle, rows: &[Row]) -> Vec<String> {
    let shown: BTreeSet<&String> = rows.iter().flat_map(|row| &row.policies).collect();
    bundle
        .rules()
        .filter(|rule| rule.effect == Effect::Permit && bundle.is_about_administration(rule))
        .map(|rule| &rule.id)
        .filter(|id| !shown.contains(id))
        .cloned()
        .collect()
}

/// What stands above the rows.
const HEAD: &str = "
# Which administrators may do what over the network, and to whom: the broker itself, what is their own owner's, what is
# others'; with + also what gives an identity more than any of its owner's has.
";

/// As `matrix.txt` has it, below who could have what.
pub fn text(rows: &[Row], unmet: &[String]) -> String {
    let mut cells: Vec<[String; 4]> =
        vec![["CLASS", "ACTION", "ON", "POLICIES"].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        let policies: Vec<_> = row.policies.iter().cloned().collect();
        [
            row.class.clone(),
            row.action.to_string(),
            row.on.join(","),
            policies.join(","),
        ]
    }));
    let mut text = aligned(HEAD, &cells);
    for id in unmet {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "# `{id}` permits nothing here: no class of administrators meets it"
        );
    }
    text
}
