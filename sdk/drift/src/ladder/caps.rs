//! How much the drift engine may do per minute.
//!
//! **Catches** a lying gateway and a wrong threshold: either would otherwise end a fleet in seconds.
//! **Misses** a slow liar, who stays below: alerts and the audit show that one. A sliding minute and
//! not a token bucket, because an operator who reads "10 per minute" counts exactly that.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::subject::SubjectId;
use super::{Allowance, Response};
use crate::event::Millis;

/// The caps, per sliding minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// Suspensions and revocations of anything above a token.
    pub ends: usize,
    /// The same, when the reports of one gateway alone led to them.
    pub ends_by_one_gateway: usize,
    /// Recycled and narrowed tokens. Each costs its owner milliseconds, all of them together a mint storm.
    pub recycles: usize,
    /// Tokens that a gateway is asked to show because it reported a digest that the log never issued.
    pub never_issued_by_one_gateway: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            ends: 10,
            ends_by_one_gateway: 3,
            recycles: 600,
            never_issued_by_one_gateway: 60,
        }
    }
}

/// A minute, in milliseconds.
const MINUTE: u64 = 60_000;

/// What was done in the last minute. Bounded by the caps themselves.
#[derive(Debug, Default)]
pub struct Spent {
    /// When, and by which gateway if by one alone.
    ends: VecDeque<(Millis, Option<SubjectId>)>,
    recycles: VecDeque<Millis>,
    never_issued: VecDeque<(Millis, SubjectId)>,
}

impl Spent {
    /// What may still be done because of reports by `gateways`.
    #[must_use]
    pub fn allowance(&mut self, caps: Caps, gateways: &[SubjectId], now: Millis) -> Allowance {
        self.forget(now);
        let alone = sole(gateways);
        let by_it = self
            .ends
            .iter()
            .filter(|(_, by)| alone.is_some() && *by == alone)
            .count();
        Allowance {
            recycle: self.recycles.len() < caps.recycles,
            end: self.ends.len() < caps.ends
                && (alone.is_none() || by_it < caps.ends_by_one_gateway),
        }
    }

    /// Takes note of a response that is carried out.
    pub fn spend(&mut self, response: Response, gateways: &[SubjectId], now: Millis) {
        match response {
            Response::Recycle | Response::Narrow => self.recycles.push_back(now),
            Response::Suspend | Response::Revoke => self.ends.push_back((now, sole(gateways))),
            Response::Observe | Response::Alert => {}
        }
    }

    /// Whether this gateway is asked for one more never issued token; takes note if so.
    pub fn spend_never_issued(&mut self, caps: Caps, gateway: SubjectId, now: Millis) -> bool {
        self.forget(now);
        let by_it = self
            .never_issued
            .iter()
            .filter(|(_, by)| *by == gateway)
            .count();
        let allowed = by_it < caps.never_issued_by_one_gateway;
        if allowed {
            self.never_issued.push_back((now, gateway));
        }
        allowed
    }

    fn forget(&mut self, now: Millis) {
        // A clock that was set back must not freeze a full cap: what lies ahead is forgotten too.
        let current = |at: Millis| at <= now && now.since(at) < MINUTE;
        self.ends.retain(|(at, _)| current(*at));
        self.recycles.retain(|at| current(*at));
        self.never_issued.retain(|(at, _)| current(*at));
    }
}

/// The one gateway behind a verdict, if there is only one.
fn sole(gateways: &[SubjectId]) -> Option<SubjectId> {
    match gateways {
        [one] => Some(*one),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_000_000);

    #[test]
    fn the_eleventh_end_in_a_minute_waits_for_the_next() {
        let (mut spent, caps) = (Spent::default(), Caps::default());
        let two = [SubjectId(1), SubjectId(2)];
        for n in 0..10 {
            assert!(spent.allowance(caps, &two, NOW).end, "{n}");
            spent.spend(Response::Revoke, &two, NOW);
        }
        let allowance = spent.allowance(caps, &two, NOW.plus(59_999));
        assert_eq!(
            allowance,
            Allowance {
                recycle: true,
                end: false
            }
        );
        assert!(spent.allowance(caps, &two, NOW.plus(60_000)).end);
    }

    #[test]
    fn one_gateway_alone_meets_its_cap_before_the_others_do() {
        let (mut spent, caps) = (Spent::default(), Caps::default());
        let (liar, honest) = ([SubjectId(1)], [SubjectId(2)]);
        for _ in 0..3 {
            spent.spend(Response::Suspend, &liar, NOW);
        }
        assert!(!spent.allowance(caps, &liar, NOW).end);
        assert!(spent.allowance(caps, &honest, NOW).end);
    }

    #[test]
    fn a_clock_set_back_does_not_freeze_the_cap() {
        let (mut spent, caps) = (
            Spent::default(),
            Caps {
                recycles: 1,
                ..Caps::default()
            },
        );
        spent.spend(Response::Recycle, &[], NOW);
        assert!(!spent.allowance(caps, &[], NOW).recycle);
        assert!(spent.allowance(caps, &[], Millis(5)).recycle);
    }

    #[test]
    fn one_gateway_cannot_end_any_number_of_tokens_by_calling_them_forged() {
        let (mut spent, caps) = (Spent::default(), Caps::default());
        let (liar, honest) = (SubjectId(1), SubjectId(2));
        let ended = (0..200)
            .filter(|_| spent.spend_never_issued(caps, liar, NOW))
            .count();
        assert_eq!(ended, 60);
        assert!(spent.spend_never_issued(caps, honest, NOW));
    }
}
