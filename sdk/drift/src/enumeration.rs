//! Walking through other people's objects: runs of neighbouring numbers, and distinct objects in
//! a minute, per operation.
//!
//! **Catches** a token that goes `/orders/1`, `/orders/2`, `/orders/3`, upwards or downwards, with
//! small gaps, with the owner's own calls in between; and one that takes numbers in random order,
//! once there are more different ones in a minute than the habits explain.
//!
//! **Misses** a walk in random order that stays below the bound of distinct objects, a walk slower
//! than one step in [`PATIENCE`] calls of the owner on the same operation, and steps wider than
//! [`STEP`]. Those are for the broker, which sees hours.
//!
//! **Warm-up and recovery.** The bounds come from [`crate::Bounds`]: wide while an identity has no
//! history, then a multiple of its own longest runs and busiest minutes, so a service that reads
//! page after page by habit is not stopped. A run ends by itself after [`PATIENCE`] other calls;
//! a minute ends by itself.
//!
//! **Why not "n ascending ids in a row"**: one call of the owner in between would end such a row.
//! So a few runs are followed at once. Why must a run be continued soon? Random reads in a small
//! table would otherwise find, in time, a neighbour for everything: with 100 objects a random number
//! lies within the next four of a given one with probability 4 %, so a run goes on within eight calls
//! by chance three times in ten, and reaches thirty once in 10^15.

use crate::event::{Millis, Object};
use crate::habits::ObjectHabit;
use crate::sketch::{Counter, Sketch};

/// Runs followed at once per operation: the walk, and a few of the owner's own numbers.
const HEADS: usize = 4;
/// The widest gap inside a run. Real tables have holes; a wider step makes chance runs.
const STEP: u64 = 4;
/// Calls on the operation after which a run that was not continued has ended.
const PATIENCE: u8 = 8;
/// A minute.
const MINUTE: u64 = 60_000;

/// Everything a tracker remembers about the objects of one operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    runs: Runs,
    minute: Minute,
    /// Objects since the last report.
    pub(crate) objects: Sketch,
    /// Calls, longest run and busiest minute since the last report.
    pub(crate) seen: ObjectHabit,
}

/// Where one call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Length of the run that this call belongs to; 0 for an object without a number.
    pub(crate) run: u32,
    /// Estimated distinct objects in this minute.
    pub(crate) distinct: u32,
}

impl Watch {
    pub(crate) fn observe(&mut self, object: Object, now: Millis) -> Standing {
        if let Some(finished) = self.minute.turn(now) {
            self.seen.distinct.record(u64::from(finished));
        }
        self.objects.insert(object.hash);
        let distinct = self.minute.objects.insert(object.hash);
        let run = object.number.map_or(0, |number| self.runs.extend(number));
        self.seen.calls = self.seen.calls.saturating_add(1);
        self.seen.longest_run = self.seen.longest_run.max(run);
        self.seen.distinct.raise_peak(u64::from(distinct));
        Standing { run, distinct }
    }

    /// Forgets what the last report took; runs and the current minute go on.
    pub(crate) fn reported(&mut self) {
        self.objects.clear();
        self.seen = ObjectHabit::default();
    }
}

/// Distinct objects of the current minute.
#[derive(Clone, Debug, Default)]
struct Minute {
    started: Millis,
    objects: Counter,
}

impl Minute {
    /// Starts a new minute if the old one is over; returns the count of the finished one.
    fn turn(&mut self, now: Millis) -> Option<u32> {
        let over = now.since(self.started) >= MINUTE;
        // A clock set back by more than a minute would otherwise hold the minute open for ever.
        let set_back = self.started.since(now) >= MINUTE;
        if !over && !set_back {
            return None;
        }
        let finished = self.objects.estimate();
        self.started = now;
        self.objects = Counter::default();
        (over && finished > 0).then_some(finished)
    }
}

/// The runs of neighbouring numbers that are under way.
#[derive(Clone, Debug, Default)]
struct Runs {
    heads: [Head; HEADS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Head {
    last: u64,
    /// 0: the place is free.
    length: u32,
    /// Calls since the run was last continued.
    idle: u8,
    descending: bool,
}

impl Runs {
    /// Adds a number and returns the length of the run it belongs to, itself included.
    fn extend(&mut self, number: u64) -> u32 {
        for head in &mut self.heads {
            head.idle = head.idle.saturating_add(1);
            if head.idle > PATIENCE {
                *head = Head::default();
            }
        }
        let continued = self
            .heads
            .iter_mut()
            .filter(|head| head.accepts(number))
            .max_by_key(|head| head.length);
        if let Some(head) = continued {
            return head.step_to(number);
        }
        // A new run takes a free place, else that of the shortest, and of those the longest idle.
        let place = self
            .heads
            .iter_mut()
            .min_by_key(|head| (head.length, u8::MAX - head.idle));
        if let Some(head) = place {
            *head = Head {
                last: number,
                length: 1,
                ..Head::default()
            };
        }
        1
    }
}

impl Head {
    fn accepts(&self, number: u64) -> bool {
        self.length > 0
            && number.abs_diff(self.last) <= STEP
            && (self.length == 1 || number == self.last || (number < self.last) == self.descending)
    }

    fn step_to(&mut self, number: u64) -> u32 {
        self.idle = 0;
        if number != self.last {
            self.descending = number < self.last;
            self.length = self.length.saturating_add(1);
            self.last = number;
        }
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixed sequence without order, the same on every run.
    fn scattered(n: u64, below: u64) -> u64 {
        crate::event::mix(n) % below
    }

    fn longest(numbers: impl IntoIterator<Item = u64>) -> u32 {
        let mut runs = Runs::default();
        numbers
            .into_iter()
            .map(|n| runs.extend(n))
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn a_walk_is_one_run_upwards_downwards_and_over_holes() {
        assert_eq!(longest(1..=50), 50);
        assert_eq!(longest((1..=50).rev()), 50);
        assert_eq!(longest((1..=50).map(|n| n * 4)), 50);
        assert_eq!(longest((1..=50).map(|n| n * 5)), 1);
        assert_eq!(longest(u64::MAX - 9..=u64::MAX), 10);
    }

    #[test]
    fn the_owners_calls_in_between_do_not_end_a_walk() {
        let mixed = (0..200).map(|n| {
            if n % 4 == 0 {
                1_000_000 + n / 4
            } else {
                scattered(n, 100_000)
            }
        });
        assert_eq!(longest(mixed), 50);
    }

    #[test]
    fn asking_again_for_the_same_object_is_no_step() {
        assert_eq!(longest([7, 7, 7, 7, 8, 8]), 2);
    }

    #[test]
    fn random_reads_make_no_long_runs_even_in_small_tables() {
        for below in [20u64, 50, 100, 200, 1_000, 100_000] {
            let run = longest((0..200_000).map(|n| scattered(n, below)));
            assert!(run < 25, "{run} in a table of {below}");
        }
    }

    #[test]
    fn a_minute_counts_distinct_objects_and_then_starts_again() {
        let mut watch = Watch::default();
        let object = |n: u64| Object {
            hash: n,
            number: None,
        };
        let mut last = 0;
        for n in 0..50 {
            last = watch.observe(object(n), Millis(n)).distinct;
        }
        assert!((40..=60).contains(&last), "{last}");
        assert_eq!(watch.observe(object(1), Millis(MINUTE)).distinct, 1);
        assert_eq!(watch.seen.distinct.minutes(), 1);
    }

    #[test]
    fn a_clock_far_ahead_and_back_again_does_not_wedge_the_minute() {
        let mut watch = Watch::default();
        let object = |n: u64| Object {
            hash: n,
            number: None,
        };
        watch.observe(object(0), Millis(u64::MAX));
        for n in 0..10_000u64 {
            watch.observe(object(n), Millis(n * 1_000));
        }
        assert!(watch.seen.distinct.peak() < 100);
    }
}
