//! What policies with a cap had carried out lately.
//!
//! **Catches** a policy that meets more than its author thought of. **Misses** what other brokers of the trust
//! domain carry out, and what a broker did before it started: it counts here and now. What protects everybody in
//! any case are the ladder's own caps.

use std::collections::{HashMap, VecDeque};

use lanyard_drift::Millis;

use super::super::bundle::Rule;
use super::marks::Cap;

/// Moments at which steps were carried out, by policy and, where the cap says so, owner.
#[derive(Debug, Default)]
pub struct Ledger(HashMap<(String, Option<String>), VecDeque<Millis>>);

/// Rows above which those that nothing counts in any more are looked for: more than a bundle has capped policies.
const ROWS: usize = 4_096;
/// The longest time that a cap counts over, in milliseconds.
const LONGEST: u64 = 3_600_000;

impl Ledger {
    /// Whether the cap of a policy is met for identities of this owner.
    #[must_use]
    pub fn is_full(&self, rule: &Rule, owner: &str, now: Millis) -> bool {
        let Some(cap) = rule.respond.as_ref().and_then(|marks| marks.cap) else {
            return false;
        };
        let spent = self.0.get(&key(rule, cap, owner)).into_iter().flatten();
        let recent = spent.filter(|at| is_within(**at, cap.within, now));
        recent.count() >= cap.most
    }

    /// A step of this policy was carried out.
    pub fn spend(&mut self, rule: &Rule, owner: &str, now: Millis) {
        let Some(cap) = rule.respond.as_ref().and_then(|marks| marks.cap) else {
            return;
        };
        if self.0.len() >= ROWS {
            let lasts = |at: &Millis| is_within(*at, LONGEST, now);
            self.0.retain(|_, spent| spent.iter().any(lasts));
        }
        let spent = self.0.entry(key(rule, cap, owner)).or_default();
        spent.retain(|at| is_within(*at, cap.within, now));
        spent.push_back(now);
    }
}

fn key(rule: &Rule, cap: Cap, owner: &str) -> (String, Option<String>) {
    (rule.id.clone(), cap.per_owner.then(|| owner.to_owned()))
}

/// A clock that was set back must not freeze a cap: what lies ahead does not count.
fn is_within(at: Millis, within: u64, now: Millis) -> bool {
    at <= now && now.since(at) < within
}
