//! Who could have what: every class of identities under every circumstance, at every scope there is.
//!
//! It shows what the policies give for the circumstances that classes.json names, and nothing about others: a
//! permit under a condition that no circumstance meets has no row. `missing` names such permits.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_token::{Audience, Scope};
use serde::Serialize;

use super::bundle::{Bundle, Effect};
use super::rehearsal::{Untried, rehearse};
use super::trial::{Asking, Classes, Fixtures, Verdict};

/// Longer than any token: every cap shows.
const LONGEST_WISH: u64 = 365 * 86_400;

/// What a class may have at a scope, for how long, and when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Row {
    /// The class.
    pub class: String,
    /// Where.
    pub audience: Audience,
    /// What.
    pub scope: Scope,
    /// Longest lifetime, in seconds.
    pub lifetime: u64,
    /// Which policies give it.
    pub policies: BTreeSet<String>,
    /// Under which circumstances; `any` when under all of them.
    pub circumstances: Vec<String>,
}

/// All rows, sorted.
pub fn rows(bundle: &Bundle, fixtures: &Fixtures, classes: &Classes) -> Result<Vec<Row>, Untried> {
    let catalogue: Vec<Audience> = bundle.catalogue().keys().cloned().collect();
    let mut rows = Vec::new();
    for class in &classes.classes {
        let member = class.member(&catalogue);
        let fixtures = fixtures.with(member.clone());
        for audience in &member.audiences {
            let known = bundle.catalogue().get(audience).into_iter().flatten();
            let scopes: BTreeSet<&Scope> = known.chain(member.scopes.iter()).collect();
            for scope in scopes {
                let mut given: BTreeMap<(u64, BTreeSet<String>), Vec<String>> = BTreeMap::new();
                for circumstance in &classes.circumstances {
                    let asking = circumstance.asking(&member.name).map_err(Untried::Failed)?;
                    let asking = asking.as_a_broker_sees_it();
                    let asking = Asking {
                        audience: Some(audience.clone()),
                        scopes: Some(std::iter::once(scope.clone()).collect()),
                        lifetime: Some(LONGEST_WISH),
                        ..asking
                    };
                    let outcome = rehearse(bundle, &fixtures, &asking)?;
                    if outcome.decision == Verdict::Allow {
                        given
                            .entry((outcome.lifetime.unwrap_or(0), outcome.policies))
                            .or_default()
                            .push(circumstance.name.clone());
                    }
                }
                for ((lifetime, policies), circumstances) in given {
                    let always = circumstances.len() == classes.circumstances.len();
                    rows.push(Row {
                        class: class.class.clone(),
                        audience: audience.clone(),
                        scope: scope.clone(),
                        lifetime,
                        policies,
                        circumstances: if always {
                            vec!["any".to_owned()]
                        } else {
                            circumstances
                        },
                    });
                }
            }
        }
    }
    rows.sort();
    Ok(rows)
}

/// Permits that no row shows: no class meets them under any circumstance.
pub fn missing(bundle: &Bundle, rows: &[Row]) -> Vec<String> {
    let shown: BTreeSet<&String> = rows.iter().flat_map(|row| &row.policies).collect();
    bundle
        .rules()
        .filter(|rule| rule.effect == Effect::Permit && bundle.is_about_issuing(rule))
        .map(|rule| &rule.id)
        .filter(|id| !shown.contains(id))
        .cloned()
        .collect()
}

/// What stands above the rows of `matrix.txt`.
const HEAD: &str = "\
# Who could have what. Written by `lanyard policy matrix`, checked by `lanyard policy matrix --check`.
# classes.json says which classes there are, and under which circumstances they are asked for.
";

/// As `matrix.txt` has it: aligned, one row a line, `unmet` permits last.
pub fn text(bundle: &Bundle, rows: &[Row], unmet: &[String]) -> String {
    let head = ["CLASS", "AUDIENCE", "SCOPE", "LIFETIME", "WHEN", "POLICIES"];
    let mut cells: Vec<[String; 6]> = vec![head.map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        [
            row.class.clone(),
            row.audience.to_string(),
            row.scope.to_string(),
            lifetime(row.lifetime),
            row.circumstances.join(","),
            row.policies.iter().cloned().collect::<Vec<_>>().join(","),
        ]
    }));
    let mut text = aligned(HEAD, &cells);
    for id in unmet {
        let rule = bundle.rule(id);
        let why = match rule.is_some_and(|rule| rule.require_binding.is_some()) {
            true => "it counts for bound tokens only, and no broker checks a binding yet",
            false => "no class meets it under any of these circumstances",
        };
        text.push_str(&format!("# `{id}` permits nothing here: {why}\n"));
    }
    text
}

/// Rows of cells below a head, each column as wide as its widest cell.
pub(super) fn aligned<const COLUMNS: usize>(head: &str, cells: &[[String; COLUMNS]]) -> String {
    let mut widths = [0_usize; COLUMNS];
    for row in cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let mut text = head.to_owned();
    for row in cells {
        let padded = row.iter().zip(widths);
        let line: Vec<_> = padded
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// In the largest unit that leaves no rest, as `@max_ttl` is written.
fn lifetime(seconds: u64) -> String {
    for (unit, length) in [("h", 3_600), ("m", 60)] {
        if seconds > 0 && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_written_as_a_cap_is() {
        assert_eq!(lifetime(3_600), "1h");
        assert_eq!(lifetime(900), "15m");
        assert_eq!(lifetime(61), "61s");
        assert_eq!(lifetime(0), "0s");
    }
}
