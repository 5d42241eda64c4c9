//! What a live token carries on the request path: the little that cannot wait.
//!
//! **Catches** on the call itself: a call outside the task scope; any call of a token that was ended
//! by a bound; calls on the objects of an operation whose bound is broken, where the token itself was
//! not ended. Everything else is looked at a moment later, by a [`crate::Tracker`] off the path, which
//! says here what it found.
//!
//! **Misses** whatever needs tables: a walk is stopped once the tracker has seen it, not on its very
//! step. The gateway decides how long that moment is.
//!
//! **Warm-up and recovery.** None: a token lives minutes. A broken bound is forgotten with the first
//! call that keeps it, or after a minute, which is how long the count behind it lives. An ended token
//! stays ended; its owner mints another.
//!
//! **Cost.** Some loads; no store that two callers of one token could get into each other's way with.
//! So calls are counted where they are handed on to the tracker, each thread for itself, and only
//! those that could not be handed on are counted here: they are rare, and must not be free for
//! whoever floods. Why not the tracker itself: it is a KiB or more behind a lock, and a thousand times
//! as many tokens are alive as active.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::event::{Event, Millis, OperationId};
use crate::signal::HardRule;

/// How long a broken bound is held against a token that is not ended: a count of distinct objects
/// lives a minute, so no later call could still be over it.
const HELD: u64 = 60_000;

/// The part of a token's state that the request path reads. All of it may be shared between threads.
#[derive(Debug, Default)]
pub struct Accumulator {
    /// Ended by a bound.
    ended: AtomicBool,
    /// Broke the bound of a run once: the next run is given less.
    tripped: AtomicBool,
    /// The operation whose bound is broken while `over_until` lies ahead.
    over: AtomicU32,
    over_until: AtomicU64,
    missed_calls: AtomicU64,
    missed_bytes: AtomicU64,
}

/// What the path does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It goes on.
    Pass,
    /// Refused: it is outside the task. A rule that is proven by the call itself.
    Refuse(HardRule),
    /// Refused: a bound of objects is broken, and this is another such call.
    Over,
    /// Refused: the token was ended by a bound.
    Ended,
}

/// Calls and bytes that no tracker saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// Calls.
    pub calls: u64,
    /// Bytes in both directions, as far as they were known.
    pub bytes: u64,
}

impl Accumulator {
    /// Decides about a verified call.
    #[must_use]
    pub fn admit(&self, event: &Event, now: Millis) -> Admission {
        if self.is_ended() {
            return Admission::Ended;
        }
        if let Some(rule) = HardRule::outside_task(event) {
            return Admission::Refuse(rule);
        }
        if event.object.is_some() && self.is_over(event.operation, now) {
            return Admission::Over;
        }
        Admission::Pass
    }

    /// The token has ended, by a bound that it broke.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether it was ended by a bound.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// A bound is broken on this operation ([`OperationId::OTHER`]: on several together), and the token
    /// lives on: further calls on objects are refused one by one. Whether that is news.
    pub fn hold(&self, operation: OperationId, now: Millis) -> bool {
        self.over.store(operation.get(), Ordering::Relaxed);
        let until = now.plus(HELD).0.max(1);
        self.over_until.swap(until, Ordering::AcqRel) == 0
    }

    /// A call on this operation's objects kept the bound again.
    pub fn release(&self, operation: OperationId) {
        let over = self.over.load(Ordering::Relaxed);
        if self.over_until.load(Ordering::Acquire) > 0
            && (over == operation.get() || over == OperationId::OTHER.get())
        {
            self.over_until.store(0, Ordering::Release);
        }
    }

    /// Something could not be handed on to the tracker.
    pub fn miss(&self, missed: Missed) {
        self.missed_calls.fetch_add(missed.calls, Ordering::Relaxed);
        self.missed_bytes.fetch_add(missed.bytes, Ordering::Relaxed);
    }

    /// What could not be handed on since the last time.
    pub fn take_missed(&self) -> Missed {
        if self.missed_calls.load(Ordering::Relaxed) == 0
            && self.missed_bytes.load(Ordering::Relaxed) == 0
        {
            return Missed::default();
        }
        Missed {
            calls: self.missed_calls.swap(0, Ordering::Relaxed),
            bytes: self.missed_bytes.swap(0, Ordering::Relaxed),
        }
    }

    pub(crate) fn trip(&self) {
        self.tripped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_tripped(&self) -> bool {
        self.tripped.load(Ordering::Relaxed)
    }

    fn is_over(&self, operation: OperationId, now: Millis) -> bool {
        let until = self.over_until.load(Ordering::Acquire);
        if until == 0 || now >= Millis(until) {
            return false;
        }
        let over = self.over.load(Ordering::Relaxed);
        over == operation.get() || over == OperationId::OTHER.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Object, TaskFit};

    fn on(name: &str, object: Option<&str>) -> Event {
        Event {
            object: object.map(Object::of),
            ..Event::of(OperationId::of(name))
        }
    }

    #[test]
    fn a_live_token_costs_a_few_words() {
        assert!(size_of::<Accumulator>() <= 160);
        assert_eq!(size_of::<Accumulator>(), 32);
    }

    #[test]
    fn a_call_outside_the_task_is_refused_by_itself_and_says_which_rule() {
        let accumulator = Accumulator::default();
        let fits = |task| Event {
            task: Some(task),
            ..on("a", None)
        };
        assert_eq!(
            accumulator.admit(&fits(TaskFit::Inside), Millis(0)),
            Admission::Pass
        );
        let rule = HardRule::TaskDestination {
            operation: OperationId::of("a"),
        };
        assert_eq!(
            accumulator.admit(&fits(TaskFit::OutsideDestination), Millis(0)),
            Admission::Refuse(rule)
        );
        assert_eq!(
            accumulator.admit(&fits(TaskFit::CallsSpent), Millis(0)),
            Admission::Refuse(HardRule::TaskCalls)
        );
        assert_eq!(
            accumulator.admit(&fits(TaskFit::Inside), Millis(0)),
            Admission::Pass,
            "one refusal ends no token"
        );
    }

    #[test]
    fn an_ended_token_stays_ended() {
        let accumulator = Accumulator::default();
        accumulator.end();
        for now in [0, u64::MAX] {
            assert_eq!(
                accumulator.admit(&on("a", None), Millis(now)),
                Admission::Ended
            );
        }
    }

    #[test]
    fn a_broken_bound_holds_up_the_objects_of_its_operation_alone_and_for_a_minute_at_most() {
        let accumulator = Accumulator::default();
        assert!(accumulator.hold(OperationId::of("a"), Millis(1_000)));
        assert!(!accumulator.hold(OperationId::of("a"), Millis(1_000)));
        let admit = |event: &Event, now| accumulator.admit(event, Millis(now));
        assert_eq!(admit(&on("a", Some("7")), 1_001), Admission::Over);
        assert_eq!(admit(&on("a", None), 1_001), Admission::Pass);
        assert_eq!(admit(&on("b", Some("7")), 1_001), Admission::Pass);
        assert_eq!(admit(&on("a", Some("7")), 1_000 + HELD), Admission::Pass);
        accumulator.release(OperationId::of("b"));
        assert_eq!(admit(&on("a", Some("7")), 1_001), Admission::Over);
        accumulator.release(OperationId::of("a"));
        assert_eq!(admit(&on("a", Some("7")), 1_001), Admission::Pass);
        assert!(accumulator.hold(OperationId::OTHER, Millis(u64::MAX)));
        assert_eq!(admit(&on("b", Some("7")), 1_001), Admission::Over);
    }

    #[test]
    fn what_was_missed_is_told_once() {
        let accumulator = Accumulator::default();
        let missed = Missed {
            calls: 2,
            bytes: 512,
        };
        accumulator.miss(missed);
        assert_eq!(accumulator.take_missed(), missed);
        assert_eq!(accumulator.take_missed(), Missed::default());
    }
}
