//! Who is woken: the alarm budget of the whole trust domain.
//!
//! Every window that closes is put before one [`Budget`], by how far it went. A benign one counts as
//! nothing, and so does one of an identity that rang the pager today: one identity counts once a day,
//! or a single loud one would spend everybody's budget. What the budget lets through is an event, a
//! line of telemetry, and a mark on the verdict. It governs nothing else: who raises many alarms
//! changes when people are woken, never what is enforced.
//!
//! Alarms per day become a share of windows by the pace of windows, a mean that forgets by the day.
//! **Misses** what happens faster than windows close: those are the alerts of the ladder, which come
//! with the verdict and do not wait.

use std::collections::{HashSet, VecDeque};

use lanyard_drift::{Budget, Level};
use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use super::state::GoalSet;
use crate::clock::UnixMillis;
use crate::store::event::PagingGoal;

/// As shipped: what somebody on call can look at with care on an ordinary day.
pub const SHIPPED: PagingGoal = PagingGoal::AlarmsPerDay(5.0);
/// More alarms a day than anybody reads.
const MOST_PER_DAY: f64 = 10_000.0;
/// More than every other window is no choice any more; [`Budget`] takes no more either.
const MOST_SHARE: f64 = 0.5;
/// Days whose pages are told.
const DAYS: usize = 7;
/// Milliseconds in a day.
const DAY: u64 = 86_400_000;

/// The budget at work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pager {
    budget: Budget,
    pace: Pace,
    /// Pages by day since the origin of time, newest last.
    by_day: VecDeque<(u64, u64)>,
    /// Who rang today.
    rang: HashSet<NodeId>,
}

/// Windows per day, forgetting by the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Pace {
    weight: f64,
    began: Option<UnixMillis>,
    last: UnixMillis,
}

/// The budget as people see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BudgetView {
    /// How often the pager may ring.
    pub goal: PagingGoal,
    /// Who set it and when; absent: as shipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<GoalSet>,
    /// Windows that close in a day, by the latest pace.
    pub windows_per_day: f64,
    /// The share of windows that this is; absent where it is a number a day, and nobody knows yet how many windows a
    /// day has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The share that rang, of all windows so far.
    pub realised: f64,
    /// Windows so far.
    pub windows: u64,
    /// Pages so far.
    pub pages: u64,
    /// How far a window must go to ring now, in multiples of its bar; absent while none would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Pages of the last days, by the day's first moment, newest last.
    pub by_day: Vec<(UnixMillis, u64)>,
}

/// Why a goal is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GoalError {
    /// Say how many.
    #[error(
        "alarms per day are more than 0 and at most {MOST_PER_DAY}, a share is more than 0 and at most {MOST_SHARE}"
    )]
    Range,
}

/// Whether a goal makes sense.
pub(super) fn check(goal: PagingGoal) -> Result<(), GoalError> {
    let (number, most) = match goal {
        PagingGoal::AlarmsPerDay(alarms) => (alarms, MOST_PER_DAY),
        PagingGoal::Share(share) => (share, MOST_SHARE),
    };
    (number > 0.0 && number <= most)
        .then_some(())
        .ok_or(GoalError::Range)
}

impl Default for Pager {
    fn default() -> Self {
        Self {
            // Nothing has been seen: the first window's pace decides.
            budget: Budget::new(0.0),
            pace: Pace::default(),
            by_day: VecDeque::new(),
            rang: HashSet::new(),
        }
    }
}

impl Pager {
    /// A window closed: whether it rings.
    pub(super) fn window(
        &mut self,
        goal: PagingGoal,
        (identity, level, reach): (NodeId, Level, f64),
        now: UnixMillis,
    ) -> bool {
        self.pace.count(now);
        // The window that was just counted has a pace.
        self.budget.aim(self.share(goal).unwrap_or_default());
        let today = now.0 / DAY;
        if self.by_day.back().is_none_or(|(day, _)| *day != today) {
            self.rang.clear();
            self.by_day.push_back((today, 0));
            if self.by_day.len() > DAYS {
                self.by_day.pop_front();
            }
        }
        let counts = level != Level::Benign && !self.rang.contains(&identity);
        let rings = self.budget.observe(if counts { reach } else { 0.0 });
        if rings {
            self.rang.insert(identity);
            if let Some((_, pages)) = self.by_day.back_mut() {
                *pages += 1;
            }
        }
        rings
    }

    pub(super) fn view(&self, set: Option<GoalSet>) -> BudgetView {
        let goal = set.as_ref().map_or(SHIPPED, |set| set.goal);
        let days = self.by_day.iter();
        BudgetView {
            goal,
            set,
            windows_per_day: self.pace.per_day().round(),
            share: self.share(goal),
            realised: self.budget.realised(),
            windows: self.budget.windows(),
            pages: self.budget.pages(),
            threshold: self.budget.threshold(),
            by_day: days
                .map(|(day, pages)| (UnixMillis(day.saturating_mul(DAY)), *pages))
                .collect(),
        }
    }

    /// What is asked of the budget. On a day with few windows no more than it takes: five alarms out of three windows
    /// are not had.
    fn share(&self, goal: PagingGoal) -> Option<f64> {
        match goal {
            PagingGoal::Share(share) => Some(share),
            PagingGoal::AlarmsPerDay(alarms) => {
                let windows = self.pace.per_day();
                (windows > 0.0).then(|| (alarms / windows).min(MOST_SHARE))
            }
        }
    }
}

impl Pace {
    fn count(&mut self, now: UnixMillis) {
        self.began.get_or_insert(now);
        let passed = now.millis_since(self.last) as f64 / DAY as f64;
        self.weight = self.weight * (-passed).exp() + 1.0;
        self.last = now;
    }

    /// Before a day has passed, what was seen so far is taken for that part of a day; at least an hour,
    /// or the first windows would look like a flood.
    fn per_day(self) -> f64 {
        let Some(began) = self.began else {
            return 0.0;
        };
        let days = self.last.millis_since(began) as f64 / DAY as f64;
        self.weight / (1.0 - (-days.max(1.0 / 24.0)).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMillis = UnixMillis(1_800_000_000_000 / DAY * DAY);

    /// Windows a minute apart, of many identities; every `nth` went this far. Pages per day.
    fn days(pager: &mut Pager, goal: PagingGoal, days: u64, nth: u64) -> Vec<u64> {
        let mut pages = Vec::new();
        for day in 0..days {
            let mut today = 0;
            for minute in 0..1_440 {
                let number = day * 1_440 + minute;
                let now = START.plus_millis(number * 60_000);
                let out = number % nth == 0;
                let level = if out { Level::Anomalous } else { Level::Benign };
                let reach = if out {
                    1.0 + (number * 7_919 % 1_009) as f64
                } else {
                    0.5
                };
                let identity = NodeId::from_u64(number % 5_000);
                today += u64::from(pager.window(goal, (identity, level, reach), now));
            }
            pages.push(today);
        }
        pages
    }

    #[test]
    fn alarms_per_day_are_kept_day_after_day() {
        let mut pager = Pager::default();
        let pages = days(&mut pager, PagingGoal::AlarmsPerDay(10.0), 10, 20);
        assert!(pages.iter().all(|day| (6..=14).contains(day)), "{pages:?}");
        let view = pager.view(None);
        assert!(
            (1_300.0..1_600.0).contains(&view.windows_per_day),
            "{view:?}"
        );
        assert_eq!(view.by_day.len(), DAYS);
        assert_eq!(view.by_day.last().unwrap().1, pages[9]);
    }

    #[test]
    fn benign_windows_never_ring_however_much_is_left() {
        let mut pager = Pager::default();
        assert_eq!(days(&mut pager, PagingGoal::Share(0.5), 2, u64::MAX)[1], 0);
    }

    #[test]
    fn one_loud_identity_rings_once_a_day_and_spends_no_more() {
        let (mut pager, goal) = (Pager::default(), PagingGoal::AlarmsPerDay(20.0));
        days(&mut pager, goal, 1, 20);
        let loud = (NodeId::from_u64(77_777), Level::Malicious, 1e5);
        let at = |second: u64| START.plus_millis(DAY + second * 1_000);
        let rings = (0..500)
            .filter(|second| pager.window(goal, loud, at(*second)))
            .count();
        assert_eq!(rings, 1);
        let other = (NodeId::from_u64(88_888), Level::Malicious, 1e6);
        assert!((500..900).any(|second| pager.window(goal, other, at(second))));
    }

    #[test]
    fn alarms_a_day_are_no_share_without_windows_and_at_most_every_other_one_with_few() {
        let mut pager = Pager::default();
        assert_eq!(pager.view(None).share, None);
        let quiet = (NodeId::from_u64(1), Level::Benign, 0.0);
        for day in 0..30 {
            pager.window(SHIPPED, quiet, START.plus_millis(day * DAY));
        }
        let view = pager.view(None);
        assert!((1.0..=2.0).contains(&view.windows_per_day), "{view:?}");
        assert_eq!(view.share, Some(MOST_SHARE));
    }

    #[test]
    fn a_goal_out_of_range_is_refused() {
        for goal in [0.0, -1.0, f64::NAN, f64::INFINITY, 10_001.0] {
            assert!(check(PagingGoal::AlarmsPerDay(goal)).is_err(), "{goal}");
        }
        assert!(check(PagingGoal::Share(0.6)).is_err());
        assert!(check(PagingGoal::Share(0.05)).is_ok());
    }
}
