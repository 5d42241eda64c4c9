//! What came of tightening, by what the fleet really needs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::fleet::{Fleet, Need};

/// What tightening is meant to reach in a fleet: of the scopes that nobody needs, in percent.
const TAKEN: f64 = 90.0;
/// And of the tokens and the calls that are good, how many of 10^5 it may refuse.
const REFUSED: f64 = 1.0;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Tried {
    good: u64,
    blocked: u64,
}

impl Tried {
    fn share(self) -> f64 {
        self.blocked as f64 / self.good.max(1) as f64
    }

    fn and(self, other: Self) -> Self {
        Self {
            good: self.good + other.good,
            blocked: self.blocked + other.blocked,
        }
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

    /// In percent.
    fn share(&self) -> f64 {
        100.0 * self.removed as f64 / self.unused.max(1) as f64
    }

    fn is_as_meant(&self) -> bool {
        let refused = [self.tokens, self.calls];
        let refused = refused.iter().all(|tried| 1e5 * tried.share() <= REFUSED);
        self.share() >= TAKEN && refused && self.unexplained == 0
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

/// All fleets, what they come to together, and in how many of them it is as it is meant to be.
pub(super) fn table(scores: &[Score]) -> String {
    let mut text = String::from(
        "seed  unused scopes  removed  later tokens  refused  per 10^5  later calls  refused  per 10^5\n",
    );
    for score in scores {
        let _ = writeln!(
            text,
            "{:>4}  {:>13}  {:>6.1}%  {:>12}  {:>7}  {:>8.2}  {:>11}  {:>7}  {:>8.2}",
            score.seed,
            score.unused,
            score.share(),
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
    let all =
        |of: &dyn Fn(&Score) -> Tried| scores.iter().map(of).fold(Tried::default(), Tried::and);
    let rights = all(&|score| Tried {
        good: score.unused,
        blocked: score.removed,
    });
    let (tokens, calls) = (all(&|score| score.tokens), all(&|score| score.calls));
    let _ = writeln!(
        text,
        "\nall together: removed {:.1} %; refused per 10^5: tokens {:.2}, calls {:.2}",
        100.0 * rights.share(),
        1e5 * tokens.share(),
        1e5 * calls.share(),
    );
    let as_meant = scores.iter().filter(|score| score.is_as_meant()).count();
    let _ = writeln!(
        text,
        "as it is meant to be (at least {TAKEN} % removed, at most {REFUSED} of 10^5 tokens and of calls refused, each \
         for something that was taken): {as_meant} of {} fleets",
        scores.len(),
    );
    let _ = writeln!(
        text,
        "from fleet to fleet: removed {} %; refused per 10^5: tokens {}, calls {}",
        range(&Score::share),
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
