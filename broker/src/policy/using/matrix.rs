//! Which class of gateways is given which secrets.
//!
//! A use is tried for every way in which gateway, secret and integration can share an owner, with names that nobody has,
//! and for the secrets that classes.json lists under `uses`; in ordinary circumstances, so a permit that asks for a
//! network or an hour is among those that are met by nobody. A permit for a secret that is not listed is one of them too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use super::super::bundle::{Bundle, Effect};
use super::super::matrix::aligned;
use super::super::rehearsal::{Untried, rehearse_use};
use super::super::trial::{Class, Classes, Fixtures, Kind, NamedUse, OwnedSecret, Verdict};

/// What a class is given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Row {
    /// The class.
    pub class: String,
    /// Whose secret, `own` or `others`; `any` when all; else its name.
    pub secret: String,
    /// Whose integration, `own`, `others` or `same` as the secret's; `any` when all; else its name.
    pub integration: String,
    /// Which policies permit it.
    pub policies: BTreeSet<String>,
}

/// The owner of a secret and of an integration, seen from the gateway's, as rows say it.
const OWNERS: [(&str, &str); 5] = [
    ("own", "own"),
    ("own", "others"),
    ("others", "own"),
    ("others", "same"),
    ("others", "others"),
];
/// All of them.
const ANY: &str = "any";
/// Names that no owner, secret or integration has.
const SOMEBODY: &str = "-";
const SOMEBODY_ELSE: &str = "--";

/// All rows, sorted.
pub fn rows(bundle: &Bundle, classes: &Classes) -> Result<Vec<Row>, Untried> {
    let mut rows = Vec::new();
    for class in gateways(classes) {
        let member = class.member(&[]);
        let own = member.owner.clone();
        let fixtures = Fixtures::default().with(member);
        let given = |named: &NamedUse| -> Result<Option<BTreeSet<String>>, Untried> {
            let outcome = rehearse_use(bundle, &fixtures, &named.by(&class.class))?;
            Ok((outcome.decision == Verdict::Allow).then_some(outcome.policies))
        };
        let mut of_owners = Vec::new();
        for (secret, integration) in OWNERS {
            let owned = owned(&own, secret, integration);
            if let Some(policies) = given(&owned)? {
                of_owners.push(row(class, secret, integration, policies));
            }
        }
        rows.extend(together(of_owners));
        for named in &classes.uses {
            if let Some(policies) = given(named)? {
                rows.push(row(class, &named.secret.name, &named.integration, policies));
            }
        }
    }
    rows.sort();
    Ok(rows)
}

/// A secret that other policies would give to a class, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Changed {
    /// The class.
    pub class: String,
    /// Whose secret, as in [`Row::secret`].
    pub secret: String,
    /// Whose integration, as in [`Row::integration`].
    pub integration: String,
    /// Whether it would be given; otherwise it is given now, and would not be.
    pub given: bool,
}

/// Uses that differ, sorted. Which policies permit them is no difference.
pub fn changed(
    before: &Bundle,
    after: &Bundle,
    classes: &Classes,
) -> Result<Vec<Changed>, Untried> {
    let (old, new) = (
        spread(rows(before, classes)?),
        spread(rows(after, classes)?),
    );
    let told = |given: bool, rows: Vec<Row>| {
        rows.into_iter().map(move |row| Changed {
            class: row.class,
            secret: row.secret,
            integration: row.integration,
            given,
        })
    };
    let mut found: Vec<Changed> = told(false, narrowed(&old, &new))
        .chain(told(true, narrowed(&new, &old)))
        .collect();
    found.sort();
    Ok(found)
}

/// Rows without their policies, one for each way of sharing owners.
fn spread(rows: Vec<Row>) -> BTreeSet<Row> {
    let each = rows.into_iter().flat_map(|row| {
        let ways = if row.secret == ANY && row.integration == ANY {
            OWNERS
                .map(|(secret, integration)| (secret.to_owned(), integration.to_owned()))
                .to_vec()
        } else {
            vec![(row.secret, row.integration)]
        };
        ways.into_iter().map(move |(secret, integration)| Row {
            class: row.class.clone(),
            secret,
            integration,
            policies: BTreeSet::new(),
        })
    });
    each.collect()
}

/// What is in one and not in the other; a class's in one row where it is everything.
fn narrowed(from: &BTreeSet<Row>, to: &BTreeSet<Row>) -> Vec<Row> {
    let mut of_classes: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    for row in from.difference(to) {
        of_classes.entry(&row.class).or_default().push(row.clone());
    }
    let rows = of_classes.into_values().flat_map(|rows| {
        let (of_owners, named): (Vec<Row>, Vec<Row>) = rows
            .into_iter()
            .partition(|row| OWNERS.contains(&(row.secret.as_str(), row.integration.as_str())));
        together(of_owners).into_iter().chain(named)
    });
    rows.collect()
}

/// Whether there is anything to show, or something that should be.
pub fn is_wanted(bundle: &Bundle, classes: &Classes) -> bool {
    bundle.permits_use() || gateways(classes).next().is_some()
}

/// Permits of use that no row shows.
pub fn missing(bundle: &Bundle, rows: &[Row]) -> Vec<String> {
    let shown: BTreeSet<&String> = rows.iter().flat_map(|row| &row.policies).collect();
    bundle
        .rules()
        .filter(|rule| rule.effect == Effect::Permit && bundle.is_about_use(rule))
        .map(|rule| &rule.id)
        .filter(|id| !shown.contains(id))
        .cloned()
        .collect()
}

fn gateways(classes: &Classes) -> impl Iterator<Item = &Class> {
    let classes = classes.classes.iter();
    classes.filter(|class| class.kind == Kind::Gateway)
}

/// A use of something of these owners.
fn owned(own: &str, secret: &str, integration: &str) -> NamedUse {
    let secret_owner = if secret == "own" { own } else { SOMEBODY };
    let integration_owner = match integration {
        "own" => own,
        "same" => secret_owner,
        _ => SOMEBODY_ELSE,
    };
    NamedUse {
        secret: OwnedSecret {
            name: SOMEBODY.to_owned(),
            owner: secret_owner.to_owned(),
        },
        integration: SOMEBODY.to_owned(),
        integration_owner: integration_owner.to_owned(),
    }
}

fn row(class: &Class, secret: &str, integration: &str, policies: BTreeSet<String>) -> Row {
    Row {
        class: class.class.clone(),
        secret: secret.to_owned(),
        integration: integration.to_owned(),
        policies,
    }
}

/// One row, where everything is permitted by the same policies.
fn together(rows: Vec<Row>) -> Vec<Row> {
    match rows.as_slice() {
        [first, rest @ ..]
            if rows.len() == OWNERS.len()
                && rest.iter().all(|row| row.policies == first.policies) =>
        {
            vec![Row {
                secret: ANY.to_owned(),
                integration: ANY.to_owned(),
                ..first.clone()
            }]
        }
        _ => rows,
    }
}

/// What stands above the rows.
const HEAD: &str = "
# Which gateways are given which secrets, for integrations that name them: of the gateway's `own` owner, of `others`, or
# of the `same` owner as the secret; by name where classes.json lists them under `uses`.
";

/// As `matrix.txt` has it, below who may administer what.
pub fn text(rows: &[Row], unmet: &[String]) -> String {
    let mut cells: Vec<[String; 4]> =
        vec![["CLASS", "SECRET", "INTEGRATION", "POLICIES"].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        let policies: Vec<_> = row.policies.iter().cloned().collect();
        [
            row.class.clone(),
            row.secret.clone(),
            row.integration.clone(),
            policies.join(","),
        ]
    }));
    let mut text = aligned(HEAD, &cells);
    for id in unmet {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "# `{id}` permits nothing here: no class of gateways meets it with these secrets"
        );
    }
    text
}
