//! The trail of one account, and techniques of attack spliced into its honest part.

use std::collections::BTreeMap;

use serde::Serialize;

use super::watch::{self, Identity, Window};
use crate::drift_eval::metrics::windows::share;
use crate::replay::{Call, Label, Recording};

/// The label of calls that attack.
const ATTACK: &str = "attack";

/// What became of the account's attacks.
#[derive(Debug, Clone, Default, Serialize)]
pub(in crate::drift_eval) struct Attacks {
    /// Credentials that attacked, and those of them flagged at or after their first attacking call.
    pub(in crate::drift_eval) attackers: usize,
    pub(in crate::drift_eval) attackers_flagged: usize,
    pub(in crate::drift_eval) attack_calls: usize,
    /// Attacking calls in flagged windows.
    pub(in crate::drift_eval) attack_calls_flagged: f64,
    pub(in crate::drift_eval) attack_windows: usize,
    pub(in crate::drift_eval) attack_windows_flagged: f64,
    /// Windows without an attacking call. What is new is reported at once, so of these the flagged are the short ones.
    pub(in crate::drift_eval) benign_windows: usize,
    pub(in crate::drift_eval) false_alarms: f64,
    /// Calls in them, and those in flagged ones.
    pub(in crate::drift_eval) benign_calls: usize,
    pub(in crate::drift_eval) benign_calls_flagged: f64,
    /// Of each flagged attacker, calls from its first attacking one to the end of the first flagged window; the
    /// median. `null` when none was flagged.
    pub(in crate::drift_eval) median_delay: Option<f64>,
}

/// What became of the techniques.
#[derive(Debug, Clone, Default, Serialize)]
pub(in crate::drift_eval) struct Techniques {
    pub(in crate::drift_eval) techniques: usize,
    /// As recorded: from another network, with another client.
    pub(in crate::drift_eval) noticed: usize,
    /// As if the owner's own machine had done it: only the calls can tell.
    pub(in crate::drift_eval) noticed_from_within: usize,
}

/// Each credential online, beginning with what was learned of it before, if anything.
pub(super) fn attacks(before: Option<&Recording>, account: &Recording) -> Attacks {
    let mut identities: BTreeMap<&str, Identity> = BTreeMap::new();
    for (name, calls) in before
        .map(|before| watch::by_identity(&before.calls))
        .unwrap_or_default()
    {
        let calls: Vec<&Call> = calls.into_iter().map(|(_, call)| call).collect();
        identities.entry(name).or_default().live(&calls);
    }
    let mut score = Score::default();
    for (name, numbered) in watch::by_identity(&account.calls) {
        let calls: Vec<&Call> = numbered.iter().map(|(_, call)| *call).collect();
        let windows = identities.remove(name).unwrap_or_default().live(&calls);
        let hostile: Vec<bool> = numbered
            .iter()
            .map(|(number, _)| account.labels.get(*number).is_some_and(attacks_by))
            .collect();
        score.add(&windows, &hostile);
    }
    score.found()
}

/// Each technique against habits learned from the account's calls that do not attack.
pub(super) fn splice(account: &Recording, techniques: &Recording) -> Techniques {
    let honest: Vec<&Call> = account
        .calls
        .iter()
        .zip(&account.labels)
        .filter(|(_, label)| !attacks_by(label))
        .map(|(call, _)| call)
        .collect();
    let mut owner = Identity::default();
    owner.learn(&honest);

    let mut by_technique: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    for (call, technique) in techniques.calls.iter().zip(&techniques.scenarios) {
        by_technique.entry(technique).or_default().push(call);
    }
    let noticed = |calls: &[&Call]| owner.judge(calls).iter().any(|window| window.flagged);
    let from_within = |calls: &[&Call]| {
        let disguised: Vec<Call> = calls.iter().map(|call| disguised(call, &honest)).collect();
        noticed(&disguised.iter().collect::<Vec<_>>())
    };
    Techniques {
        techniques: by_technique.len(),
        noticed: by_technique.values().filter(|calls| noticed(calls)).count(),
        noticed_from_within: by_technique
            .values()
            .filter(|calls| from_within(calls))
            .count(),
    }
}

/// The same call from where the owner usually calls.
fn disguised(call: &Call, honest: &[&Call]) -> Call {
    let last = honest.iter().rev().find(|call| call.source.is_some());
    Call {
        source: last.and_then(|call| call.source),
        agent: last.and_then(|call| call.agent.clone()),
        ..call.clone()
    }
}

fn attacks_by(label: &Label) -> bool {
    label.0 == ATTACK
}

/// Counts over all credentials.
#[derive(Default)]
struct Score {
    attackers: usize,
    delays: Vec<usize>,
    /// (flagged, all)
    attack_calls: (usize, usize),
    attack_windows: (usize, usize),
    benign_windows: (usize, usize),
    benign_calls: (usize, usize),
}

impl Score {
    fn add(&mut self, windows: &[Window], hostile: &[bool]) {
        let first = hostile.iter().position(|hostile| *hostile);
        self.attackers += usize::from(first.is_some());
        for window in windows {
            let attacking = hostile.get(window.calls.clone()).unwrap_or_default();
            let attacking = attacking.iter().filter(|hostile| **hostile).count();
            let flagged = usize::from(window.flagged);
            let tally = if attacking > 0 {
                &mut self.attack_windows
            } else {
                self.benign_calls.0 += window.calls.len() * flagged;
                self.benign_calls.1 += window.calls.len();
                &mut self.benign_windows
            };
            tally.0 += flagged;
            tally.1 += 1;
            self.attack_calls.0 += attacking * flagged;
            self.attack_calls.1 += attacking;
        }
        if let Some(first) = first {
            let caught = windows
                .iter()
                .find(|window| window.flagged && window.calls.end > first);
            self.delays
                .extend(caught.map(|window| window.calls.end - first));
        }
    }

    fn found(mut self) -> Attacks {
        self.delays.sort_unstable();
        let of = |(flagged, all): (usize, usize)| share(flagged, all);
        Attacks {
            attackers: self.attackers,
            attackers_flagged: self.delays.len(),
            attack_calls: self.attack_calls.1,
            attack_calls_flagged: of(self.attack_calls),
            attack_windows: self.attack_windows.1,
            attack_windows_flagged: of(self.attack_windows),
            benign_windows: self.benign_windows.1,
            false_alarms: of(self.benign_windows),
            benign_calls: self.benign_calls.1,
            benign_calls_flagged: of(self.benign_calls),
            median_delay: self
                .delays
                .get(self.delays.len() / 2)
                .map(|delay| *delay as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attacking_calls_windows_and_delays_are_counted_by_hand() {
        let window = |calls, flagged| Window { calls, flagged };
        let mut hostile = vec![false; 40];
        hostile[12] = true;
        hostile[25] = true;
        let mut score = Score::default();
        score.add(
            &[
                window(0..10, true),
                window(10..20, false),
                window(20..30, true),
                window(30..40, false),
            ],
            &hostile,
        );
        score.add(&[window(0..5, false)], &[false; 5]);
        let found = score.found();
        assert_eq!((found.attackers, found.attackers_flagged), (1, 1));
        assert_eq!((found.attack_calls, found.attack_calls_flagged), (2, 0.5));
        assert_eq!(
            (found.attack_windows, found.attack_windows_flagged),
            (2, 0.5)
        );
        assert_eq!((found.benign_windows, found.benign_calls), (3, 25));
        assert!((found.benign_calls_flagged - 0.4).abs() < 1e-12);
        assert!((found.false_alarms - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(
            found.median_delay,
            Some(18.0),
            "from call 12 to the end of 20..30"
        );
    }
}
