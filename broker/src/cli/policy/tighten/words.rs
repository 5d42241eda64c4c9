//! What is said about a tightening: a line in the patch, and the rest to whoever runs it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use time::Date;

use super::super::super::output::{self, table};
use super::super::folder::counted;
use super::Tightened;
use crate::policy::tighten::{Judged, Left, Narrowed, NarrowedPermit, Removal, Right, Stays};

/// Requests that would be refused, shown one by one; the rest is counted.
const SHOWN_BLOCKED: usize = 20;

/// Why something is taken, on one line of a file.
pub(super) fn reason(removal: &Removal, days: u32, until: Date) -> String {
    let name = removal.right.name();
    let last = removal.last_used.map_or_else(
        || "never as far as is known".to_owned(),
        |last| format!("last on {last}"),
    );
    let tokens = match removal.in_tokens {
        0 => String::new(),
        tokens => format!("; {} had it", counted_tokens(tokens)),
    };
    format!("{name} taken out: not used on any of the {days} days before {until}, {last}{tokens}")
}

fn counted_tokens(tokens: u64) -> String {
    counted(usize::try_from(tokens).unwrap_or(usize::MAX), "token")
}

/// What is said to people.
pub(super) fn text(tightened: &Tightened<'_>) -> String {
    let mut text = String::new();
    if let Some(identities) = tightened.identities {
        text.push_str(&registered(tightened, identities));
    }
    if let Some(policies) = &tightened.policies {
        text.push_str(&permitted(tightened, policies));
    }
    text.push_str(&later(tightened.judged));
    text
}

fn registered(tightened: &Tightened<'_>, identities: &[Narrowed]) -> String {
    let losing = identities.iter().filter(|one| !one.removed.is_empty());
    let rights: usize = identities.iter().map(|one| one.removed.len()).sum();
    let mut text = format!(
        "{} of {} lose {} not used on any of the {} days before {}; the files lose {}\n",
        losing.count(),
        counted(identities.len(), "identity"),
        counted(rights, "right"),
        tightened.days,
        tightened.until,
        tightened.taken,
    );
    let of = |one: &Narrowed| one.identity.clone();
    text.push_str(&stays(identities.iter().map(|one| (of(one), &one.stays))));
    let left_whole = identities
        .iter()
        .filter_map(|one| Some((of(one), one.left?)));
    text.push_str(&left(left_whole, "identity"));
    if !tightened.unheard.is_empty() {
        text.push_str(&format!(
            "  {} of the files: no request speaks of them, so nothing is taken: {}\n",
            counted(tightened.unheard.len(), "identity"),
            some(&tightened.unheard),
        ));
    }
    text
}

fn permitted(tightened: &Tightened<'_>, policies: &[&NarrowedPermit]) -> String {
    let losing = policies.iter().filter(|one| !one.removed.is_empty());
    let scopes: usize = policies.iter().map(|one| one.removed.len()).sum();
    let mut text = format!(
        "{} of {} lose {} that nobody used by them; {} come out otherwise\n",
        losing.count(),
        counted(policies.len(), "permit"),
        counted(scopes, "scope"),
        counted(tightened.cases, "case"),
    );
    let of = |one: &NarrowedPermit| one.policy.clone();
    text.push_str(&stays(policies.iter().map(|one| (of(one), &one.stays))));
    let left_whole = policies.iter().filter_map(|one| Some((of(one), one.left?)));
    text.push_str(&left(left_whole, "permit"));
    text
}

/// What was not used and stays, by reason.
fn stays<'n>(all: impl Iterator<Item = (String, &'n Vec<(Right, Stays)>)>) -> String {
    let mut by_reason: BTreeMap<Stays, Vec<String>> = BTreeMap::new();
    for (name, rights) in all {
        for (right, stays) in rights {
            let whose = format!("{} of {name}", right.name());
            by_reason.entry(*stays).or_default().push(whose);
        }
    }
    by_reason
        .iter()
        .map(|(stays, whose)| {
            let number = counted(whose.len(), "right");
            format!("  {number} left: {}: {}\n", stays.words(), some(whose))
        })
        .collect()
}

/// What nothing is taken from, by reason.
fn left(all: impl Iterator<Item = (String, Left)>, what: &str) -> String {
    let mut by_reason: BTreeMap<Left, Vec<String>> = BTreeMap::new();
    for (name, left) in all {
        by_reason.entry(left).or_default().push(name);
    }
    by_reason
        .iter()
        .map(|(left, names)| {
            let number = counted(names.len(), what);
            format!("  {number} left whole: {}: {}\n", left.words(), some(names))
        })
        .collect()
}

/// The first few, and that there are more; `--json` has all.
fn some(names: &[String]) -> String {
    const SOME: usize = 5;
    let shown: Vec<_> = names
        .iter()
        .take(SOME)
        .map(|name| output::line(name))
        .collect();
    let more = names.len().saturating_sub(SOME);
    let rest = if more > 0 {
        format!(", and {more} more")
    } else {
        String::new()
    };
    shown.join(", ") + &rest
}

fn later(judged: &Judged) -> String {
    if judged.good == 0 {
        return String::new();
    }
    let mut text = format!(
        "of {} later requests that were given, {} would be refused\n",
        judged.good, judged.blocked
    );
    let rows: Vec<Value> = judged
        .requests
        .iter()
        .take(SHOWN_BLOCKED)
        .map(|blocked| {
            let lacks: BTreeSet<_> = blocked
                .because
                .iter()
                .map(|removal| {
                    let last = removal.last_used;
                    let last = last.map_or_else(
                        || "never used before".to_owned(),
                        |last| format!("last used {last}"),
                    );
                    format!("{} ({last})", removal.right.name())
                })
                .collect();
            json!({
                "identity": blocked.recorded.identity.name,
                "count": blocked.recorded.count,
                "first": blocked.recorded.request.time.date().to_string(),
                "lacks": lacks,
            })
        })
        .collect();
    if !rows.is_empty() {
        text.push_str(&table(&rows, &["identity", "count", "first", "lacks"]));
    }
    let more = judged.requests.len().saturating_sub(SHOWN_BLOCKED);
    if more > 0 {
        text.push_str(&format!("and {more} more: `--json` has all\n"));
    }
    text
}
