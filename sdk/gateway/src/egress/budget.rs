//! How much of a third party has been used, counted in this process alone.
//!
//! **What it catches.** One caller, or all together, that would use up what everybody needs: calls in a minute and in a
//! day, of all and of each identity, and calls under way at once.
//!
//! **What it misses.** A window begins with its first call and ends by the clock, so around its end up to twice the limit
//! may go within one window's length. Two egresses allow twice as much, and a restart begins anew.
//!
//! **Recovery.** By itself, when the window ends; the answer says when.
//!
//! **Why not a token bucket?** It has the same bound, and "120 in a minute" would no longer be what an operator can count.

use std::collections::HashMap;
use std::time::Duration;

use lanyard_sdk::BootTime;
use lanyard_token::NodeId;
use lanyard_token::integration::Budget;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// Identities that are counted at once; beyond it, those whose window is over are let go, and if that is not enough the
/// identity is counted among all alone.
const IDENTITIES: usize = 16_384;

/// Calls that were made.
#[derive(Default)]
pub struct Spent {
    minute: Window,
    day: Window,
    identities: HashMap<NodeId, Window>,
}

/// Calls since a moment.
#[derive(Clone, Copy, Default)]
struct Window {
    began: BootTime,
    calls: u32,
}

/// Over the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// Which limit, as a member of the integration's `budget` is called.
    pub limit: &'static str,
    /// When the window ends.
    pub retry_after: Duration,
}

impl Spent {
    /// Counts a call, unless one of the limits is reached: then it counts nowhere.
    pub fn spend(&mut self, budget: &Budget, caller: NodeId, now: BootTime) -> Result<(), Over> {
        let minute = self.minute.at(now, MINUTE);
        minute.room("calls_per_minute", budget.calls_per_minute, now, MINUTE)?;
        let day = self.day.at(now, DAY);
        day.room("calls_per_day", budget.calls_per_day, now, DAY)?;
        if let Some(limit) = budget.identity_calls_per_minute {
            if self.identities.len() >= IDENTITIES && !self.identities.contains_key(&caller) {
                self.identities
                    .retain(|_, window| now.since(window.began) < MINUTE);
            }
            let known = self.identities.get(&caller).copied().unwrap_or_default();
            let own = known.at(now, MINUTE);
            own.room("identity_calls_per_minute", Some(limit), now, MINUTE)?;
            if self.identities.len() < IDENTITIES || self.identities.contains_key(&caller) {
                self.identities.insert(caller, own.one_more());
            }
        }
        self.minute = minute.one_more();
        self.day = day.one_more();
        Ok(())
    }
}

impl Window {
    /// This window, or the one that begins now when it is over.
    fn at(self, now: BootTime, length: Duration) -> Self {
        if self.calls == 0 || now.since(self.began) >= length {
            Self {
                began: now,
                calls: 0,
            }
        } else {
            self
        }
    }

    fn room(
        self,
        limit: &'static str,
        most: Option<u32>,
        now: BootTime,
        length: Duration,
    ) -> Result<(), Over> {
        match most {
            Some(most) if self.calls >= most => Err(Over {
                limit,
                retry_after: length.saturating_sub(now.since(self.began)),
            }),
            _ => Ok(()),
        }
    }

    const fn one_more(self) -> Self {
        Self {
            began: self.began,
            calls: self.calls.saturating_add(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime(1_000_000 + seconds * 1_000)
    }

    fn who(number: u64) -> NodeId {
        NodeId::from_u64(number)
    }

    #[test]
    fn a_minute_has_so_many_calls_and_the_next_one_begins_anew() {
        let budget = Budget {
            calls_per_minute: Some(2),
            ..Budget::default()
        };
        let mut spent = Spent::default();
        assert!(spent.spend(&budget, who(1), at(0)).is_ok());
        assert!(spent.spend(&budget, who(2), at(59)).is_ok());
        let over = spent.spend(&budget, who(3), at(59)).unwrap_err();
        assert_eq!(over.limit, "calls_per_minute");
        assert_eq!(over.retry_after, Duration::from_secs(1));
        assert!(spent.spend(&budget, who(3), at(60)).is_ok());
    }

    #[test]
    fn one_identity_cannot_use_up_what_another_may_use() {
        let budget = Budget {
            identity_calls_per_minute: Some(1),
            ..Budget::default()
        };
        let mut spent = Spent::default();
        assert!(spent.spend(&budget, who(1), at(0)).is_ok());
        let over = spent.spend(&budget, who(1), at(1)).unwrap_err();
        assert_eq!(over.limit, "identity_calls_per_minute");
        assert!(spent.spend(&budget, who(2), at(1)).is_ok());
    }

    #[test]
    fn a_call_that_is_refused_counts_nowhere() {
        let budget = Budget {
            calls_per_day: Some(2),
            identity_calls_per_minute: Some(1),
            ..Budget::default()
        };
        let mut spent = Spent::default();
        assert!(spent.spend(&budget, who(1), at(0)).is_ok());
        for second in 1..50 {
            assert!(spent.spend(&budget, who(1), at(second)).is_err());
        }
        assert!(spent.spend(&budget, who(2), at(50)).is_ok());
        let over = spent.spend(&budget, who(3), at(120)).unwrap_err();
        assert_eq!(over.limit, "calls_per_day");
        assert!(spent.spend(&budget, who(3), at(86_400)).is_ok());
    }

    #[test]
    fn a_limit_of_none_allows_nothing() {
        let budget = Budget {
            calls_per_minute: Some(0),
            ..Budget::default()
        };
        assert!(Spent::default().spend(&budget, who(1), at(0)).is_err());
    }
}
