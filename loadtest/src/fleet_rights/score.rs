//! What came of tightening, by what the fleet really needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::fleet::{Fleet, Need};

/// One fleet.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Score {
    seed: u64,
    /// Scopes that somebody has and never needs.
    unused: u64,
    /// Of those, how many were taken.
    removed: u64,
    /// Of those that stay, why.
    stays: BTreeMap<String, u64>,
    /// Scopes that were taken and are needed: by how often.
    wrongly: BTreeMap<&'static str, u64>,
    tokens: Tried,
    calls: Tried,
    /// Refused tokens and calls by how often what they lack is needed.
    blocked_by: BTreeMap<&'static str, u64>,
    /// Refused for something that was not taken from it.
    unexplained: u64,
}

/// Later requests.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Tried {
    good: u64,
    blocked: u64,
}

impl Tried {
    fn share(self) -> f64 {
        self.blocked as f64 / self.good.max(1) as f64
    }
}

impl Score {
    /// From what `tighten` and `diff` said, and the later requests.
    pub(super) fn of(
        seed: u64,
        fleet: &Fleet,
        (told, changed): (&Value, &Value),
        late: &[&str],
    ) -> Self {
        let taken = taken(told);
        let mut score = Self {
            seed,
            unused: 0,
            removed: 0,
            stays: BTreeMap::new(),
            wrongly: BTreeMap::new(),
            tokens: Tried::default(),
            calls: Tried::default(),
            blocked_by: BTreeMap::new(),
            unexplained: 0,
        };
        let reasons = reasons(told);
        for member in &fleet.members {
            for (scope, need) in &member.scopes {
                let key = (member.name.clone(), scope.clone());
                let is_taken = taken.contains(&key);
                match (need, is_taken) {
                    (Need::Never, true) => score.removed += 1,
                    (Need::Never, false) => {
                        let whole = (member.name.clone(), String::new());
                        let reason = reasons.get(&key).or_else(|| reasons.get(&whole));
                        let reason = reason.cloned().unwrap_or_else(|| "used".to_owned());
                        *score.stays.entry(reason).or_default() += 1;
                    }
                    (_, true) => *score.wrongly.entry(need.word()).or_default() += 1,
                    (_, false) => {}
                }
                score.unused += u64::from(*need == Need::Never);
            }
        }
        for line in late {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            let tried = score.tried(&line);
            tried.good += count(&line);
        }
        for change in list(changed, "changed") {
            score.changed(fleet, &taken, change);
        }
        score
    }

    fn tried(&mut self, recorded: &Value) -> &mut Tried {
        if recorded.get("source").is_some() {
            &mut self.calls
        } else {
            &mut self.tokens
        }
    }

    fn changed(&mut self, fleet: &Fleet, taken: &BTreeSet<(String, String)>, change: &Value) {
        let ways = list(change, "ways");
        if !ways.iter().any(|way| way == "newly_denied") {
            return;
        }
        let recorded = change.get("recorded").unwrap_or(&Value::Null);
        let count = count(recorded);
        self.tried(recorded).blocked += count;
        let name = recorded.pointer("/identity/name");
        let name = name.and_then(Value::as_str).unwrap_or_default();
        let member = fleet.members.iter().find(|member| member.name == name);
        let asked = recorded.pointer("/request/scopes");
        let asked = asked.and_then(Value::as_array).into_iter().flatten();
        let lacks: Vec<Need> = asked
            .filter_map(Value::as_str)
            .filter(|scope| taken.contains(&(name.to_owned(), (*scope).to_owned())))
            .filter_map(|scope| member.and_then(|member| member.scopes.get(scope)).copied())
            .collect();
        match lacks.first() {
            Some(need) => *self.blocked_by.entry(need.word()).or_default() += count,
            None => self.unexplained += count,
        }
    }
}

/// Identity and scope.
fn taken(told: &Value) -> BTreeSet<(String, String)> {
    let mut taken = BTreeSet::new();
    for identity in list(told, "identities") {
        let name = text(identity, "identity");
        for removal in list(identity, "removed") {
            if let Some(scope) = removal.pointer("/right/scope").and_then(Value::as_str) {
                taken.insert((name.clone(), scope.to_owned()));
            }
        }
    }
    taken
}

/// Why a scope stays; with an empty scope, why all of somebody's do.
fn reasons(told: &Value) -> BTreeMap<(String, String), String> {
    let mut reasons = BTreeMap::new();
    for identity in list(told, "identities") {
        let name = text(identity, "identity");
        for stays in list(identity, "stays") {
            let scope = stays.pointer("/0/scope").and_then(Value::as_str);
            let reason = stays.pointer("/1").and_then(Value::as_str);
            if let (Some(scope), Some(reason)) = (scope, reason) {
                reasons.insert((name.clone(), scope.to_owned()), reason.to_owned());
            }
        }
        if let Some(left) = identity.get("left").and_then(Value::as_str) {
            reasons.insert((name, String::new()), left.to_owned());
        }
    }
    for name in list(told, "unheard").iter().filter_map(Value::as_str) {
        reasons.insert((name.to_owned(), String::new()), "unheard".to_owned());
    }
    reasons
}

fn list<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    let list = value.get(member).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

fn text(value: &Value, member: &str) -> String {
    let text = value.get(member).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn count(recorded: &Value) -> u64 {
    recorded.get("count").and_then(Value::as_u64).unwrap_or(1)
}

/// All fleets, and the range over them.
pub(super) fn table(scores: &[Score]) -> String {
    let mut text = String::from(
        "seed  unused scopes  removed  later tokens  refused  per 10^5  later calls  refused  per 10^5\n",
    );
    let share = |score: &Score| 100.0 * score.removed as f64 / score.unused.max(1) as f64;
    for score in scores {
        let _ = writeln!(
            text,
            "{:>4}  {:>13}  {:>6.1}%  {:>12}  {:>7}  {:>8.2}  {:>11}  {:>7}  {:>8.2}",
            score.seed,
            score.unused,
            share(score),
            score.tokens.good,
            score.tokens.blocked,
            1e5 * score.tokens.share(),
            score.calls.good,
            score.calls.blocked,
            1e5 * score.calls.share(),
        );
    }
    let range = |of: &dyn Fn(&Score) -> f64| {
        let all = scores.iter().map(of);
        let least = all.clone().fold(f64::INFINITY, f64::min);
        format!("{least:.2} to {:.2}", all.fold(0.0, f64::max))
    };
    let _ = writeln!(
        text,
        "\nremoved {} %; refused per 10^5: tokens {}, calls {}",
        range(&share),
        range(&|score| 1e5 * score.tokens.share()),
        range(&|score| 1e5 * score.calls.share()),
    );
    let sum = |of: &dyn Fn(&Score) -> BTreeMap<String, u64>| {
        let mut all: BTreeMap<String, u64> = BTreeMap::new();
        for (word, number) in scores.iter().flat_map(of) {
            *all.entry(word).or_default() += number;
        }
        let all: Vec<_> = all
            .iter()
            .map(|(word, number)| format!("{word} {number}"))
            .collect();
        if all.is_empty() {
            "none".to_owned()
        } else {
            all.join(", ")
        }
    };
    let owned = |map: &BTreeMap<&'static str, u64>| {
        map.iter()
            .map(|(word, number)| ((*word).to_owned(), *number))
            .collect()
    };
    let _ = writeln!(
        text,
        "stays though never needed: {}",
        sum(&|score| score.stays.clone())
    );
    let _ = writeln!(
        text,
        "taken though needed: {}",
        sum(&|score| owned(&score.wrongly))
    );
    let _ = writeln!(
        text,
        "refused, by how often it is needed: {}",
        sum(&|score| owned(&score.blocked_by))
    );
    let unexplained: u64 = scores.iter().map(|score| score.unexplained).sum();
    let _ = writeln!(text, "refused for nothing that was taken: {unexplained}");
    text
}
