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

/// The broker, what is of the administrator's own owner, what is of another's: what is no wider, and what is.
const ON: [(&str, &str); 3] = [
    ("broker", "broker+"),
    ("own", "own+"),
    ("others", "others+"),
];
/// All of them, wider as well.
const ANY: &str = "any";

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
            // No owner is called so.
            let owners = [None, Some(own.clone()), Some("-".to_owned())];
            for ((narrow, wide), owner) in ON.into_iter().zip(owners) {
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
                on: plainly(on),
                policies,
            }));
        }
    }
    rows.sort();
    Ok(rows)
}

/// An act that other policies would let a class do to others than now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Whose.
    pub class: String,
    /// What.
    pub action: Action,
    /// To whom, as in [`Row::on`]; empty: to nobody.
    pub before: Vec<&'static str>,
    /// To whom it would be.
    pub after: Vec<&'static str>,
}

/// Acts that differ, by class and in the order of actions. Which policies permit them is no difference.
pub fn changed(
    before: &Bundle,
    after: &Bundle,
    classes: &Classes,
) -> Result<Vec<Changed>, Untried> {
    let (old, new) = (whom(rows(before, classes)?), whom(rows(after, classes)?));
    let places: BTreeSet<&(String, Action)> = old.keys().chain(new.keys()).collect();
    let differing = places
        .into_iter()
        .filter(|place| old.get(*place) != new.get(*place));
    let told = |all: &Whom, place: &(String, Action)| {
        let on = all.get(place);
        let in_order = ON.into_iter().flat_map(|(narrow, wide)| [narrow, wide]);
        plainly(
            in_order
                .filter(|word| on.is_some_and(|on| on.contains(word)))
                .collect(),
        )
    };
    Ok(differing
        .map(|place| Changed {
            class: place.0.clone(),
            action: place.1,
            before: told(&old, place),
            after: told(&new, place),
        })
        .collect())
}

/// To whom each class may do something, whichever policies permit it.
type Whom = BTreeMap<(String, Action), BTreeSet<&'static str>>;

fn whom(rows: Vec<Row>) -> Whom {
    let mut whom = Whom::new();
    for row in rows {
        let on = if row.on == [ANY] {
            ON.map(|(_, wide)| wide).to_vec()
        } else {
            row.on
        };
        whom.entry((row.class, row.action)).or_default().extend(on);
    }
    whom
}

/// One word where it is everybody.
fn plainly(on: Vec<&'static str>) -> Vec<&'static str> {
    if on == ON.map(|(_, wide)| wide) {
        vec![ANY]
    } else {
        on
    }
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
