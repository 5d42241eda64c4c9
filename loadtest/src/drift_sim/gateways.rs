//! The gateways of a simulated world: a tracker for each token that each of them sees, and when they report.
//!
//! As the SDK does it: at once when the tracker asks for it, soon for a token that was not reported yet, else
//! once a minute; fresh bounds reach living trackers. A broken enumeration bound ends the token here, a call
//! outside the task is refused. The fast detector looks at every ten calls of a token, unless it is switched off to
//! see what it adds.

use std::collections::BTreeMap;

use lanyard_drift::desk::Portrait;
use lanyard_drift::{
    Bounds, Cusum, Event, HardRule, Millis, Outcome, Reason, Role, Signal, TokenReport, Tracker,
};

use super::books::TokenId;
use crate::world::GATEWAYS;

/// How often first-seen tokens are reported, in milliseconds.
pub(super) const FIRST_SEEN: u64 = 1_000;
/// Every so many of those intervals everything is reported.
const REGULAR: u64 = 60;
/// How long a silent token keeps its place, in milliseconds: longer than it lives.
const KEPT: u64 = 400_000;

/// What a gateway says to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It goes through.
    Served,
    /// 401: the token ends here.
    Ended,
    /// 403: this call does not, and the token lives.
    Denied,
}

/// Something for the control plane.
pub(super) struct Entry {
    pub(super) gateway: u8,
    pub(super) token: TokenId,
    pub(super) identity: usize,
    /// Boxed, like trackers: they are large, and tables of them move what they hold.
    pub(super) report: Box<TokenReport>,
}

/// What came to a gateway's door and passed it.
pub(super) struct Visit<'a> {
    pub(super) gateway: u8,
    pub(super) token: TokenId,
    pub(super) identity: usize,
    pub(super) event: &'a Event,
    pub(super) outcome: &'a Outcome,
    pub(super) now: Millis,
}

/// What a gateway knows of an identity.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// How far its tokens may go, and how often that has changed.
    pub(super) bounds: &'a (u64, Bounds),
    /// How it calls; `None` while too little is known.
    pub(super) portrait: Option<&'a Portrait>,
}

struct Seat {
    tracker: Box<Tracker>,
    sum: Cusum,
    identity: usize,
    changes: u64,
    reported: bool,
    heard: Millis,
}

/// All gateways.
pub(super) struct Gateways {
    seats: Vec<BTreeMap<TokenId, Seat>>,
    /// Tokens of each that were not reported yet.
    fresh: Vec<Vec<TokenId>>,
    ticks: u64,
    next_tick: Millis,
    /// Whether the fast detector works.
    detecting: bool,
}

impl Gateways {
    /// Of a world that begins now, with or without the fast detector.
    pub(super) fn new(now: Millis, detecting: bool) -> Self {
        let all = usize::from(GATEWAYS);
        Self {
            detecting,
            seats: (0..all).map(|_| BTreeMap::new()).collect(),
            fresh: vec![Vec::new(); all],
            ticks: 0,
            next_tick: now.plus(FIRST_SEEN),
        }
    }

    /// A call whose token is alive.
    pub(super) fn observe(
        &mut self,
        visit: &Visit<'_>,
        known: Known<'_>,
    ) -> (Answer, Option<Entry>) {
        let gateway = usize::from(visit.gateway);
        let (Some(seats), Some(fresh)) = (self.seats.get_mut(gateway), self.fresh.get_mut(gateway))
        else {
            return (Answer::Denied, None);
        };
        let (changes, bounds) = known.bounds;
        let seat = seats.entry(visit.token).or_insert_with(|| {
            fresh.push(visit.token);
            Seat {
                tracker: Box::new(Tracker::new(visit.now, bounds.clone())),
                sum: Cusum::default(),
                identity: visit.identity,
                changes: *changes,
                reported: false,
                heard: visit.now,
            }
        });
        if seat.changes != *changes {
            seat.tracker.set_bounds(bounds.clone());
            seat.changes = *changes;
        }
        seat.heard = visit.now;
        let mut signal = seat.tracker.observe(visit.event, visit.now);
        let answer = match signal {
            Signal::Quiet | Signal::ReportNow(_) => Answer::Served,
            Signal::HardRule(
                HardRule::EnumerationRun { .. } | HardRule::EnumerationDistinct { .. },
            ) => Answer::Ended,
            Signal::HardRule(_) => Answer::Denied,
        };
        if answer == Answer::Served {
            let settled = seat.tracker.settle(visit.outcome, visit.now);
            if signal == Signal::Quiet {
                signal = settled;
            }
        }
        if let Some(portrait) = known.portrait.filter(|_| self.detecting)
            && seat.look(portrait)
            && signal == Signal::Quiet
        {
            signal = Signal::ReportNow(Reason::Sequence);
        }
        let entry = (signal != Signal::Quiet)
            .then(|| seat.entry(visit.gateway, visit.token))
            .flatten();
        (answer, entry)
    }

    /// When gateways look for what to report next.
    pub(super) const fn due(&self) -> Millis {
        self.next_tick
    }

    /// The regular reports that are due.
    pub(super) fn tick(&mut self) -> Vec<Entry> {
        let now = self.next_tick;
        self.next_tick = now.plus(FIRST_SEEN);
        self.ticks += 1;
        let all = self.ticks.is_multiple_of(REGULAR);
        let mut entries = Vec::new();
        for ((gateway, seats), fresh) in (0..GATEWAYS).zip(&mut self.seats).zip(&mut self.fresh) {
            let due: Vec<TokenId> = if all {
                seats.retain(|_, seat| now.since(seat.heard) < KEPT);
                fresh.clear();
                seats.keys().copied().collect()
            } else {
                std::mem::take(fresh)
            };
            for token in due {
                let seat = seats.get_mut(&token).filter(|seat| all || !seat.reported);
                entries.extend(seat.and_then(|seat| seat.entry(gateway, token)));
            }
        }
        entries
    }
}

impl Seat {
    /// Whether the fast detector raises an alarm that was not raised since the last report.
    fn look(&mut self, portrait: &Portrait) -> bool {
        let Some(block) = self.tracker.take_block() else {
            return false;
        };
        let (own, role) = (&portrait.baseline, portrait.role.as_deref());
        let counted = own.weigh(&block, role.map(Role::others));
        let alarm = self.sum.alarm(counted, own.alarm());
        alarm.is_some_and(|sum| self.tracker.alarm(sum) != Signal::Quiet)
    }

    fn entry(&mut self, gateway: u8, token: TokenId) -> Option<Entry> {
        self.reported = true;
        let report = Box::new(self.tracker.report()?);
        Some(Entry {
            gateway,
            token,
            identity: self.identity,
            report,
        })
    }
}

#[cfg(test)]
mod tests {
    use lanyard_drift::{Object, OperationId, TaskFit, Thresholds};

    use super::*;

    const BEGIN: Millis = Millis(1_000_000);

    fn bounds() -> (u64, Bounds) {
        (0, Bounds::cold(&Thresholds::default()))
    }

    fn see(gateways: &mut Gateways, event: &Event, now: Millis) -> (Answer, Option<Entry>) {
        let visit = Visit {
            gateway: 1,
            token: 7,
            identity: 3,
            event,
            outcome: &Outcome::default(),
            now,
        };
        let known = Known {
            bounds: &bounds(),
            portrait: None,
        };
        gateways.observe(&visit, known)
    }

    #[test]
    fn a_token_is_told_of_soon_and_then_once_a_minute() {
        let mut gateways = Gateways::new(BEGIN, true);
        let event = Event::of(OperationId::of("GET /a"));
        see(&mut gateways, &event, BEGIN);
        // New to a habit without any: told at once, and not again at the next tick.
        assert!(gateways.tick().is_empty());
        see(&mut gateways, &event, BEGIN.plus(4_000));
        let told: Vec<usize> = (0..REGULAR).map(|_| gateways.tick().len()).collect();
        assert_eq!(told.iter().sum::<usize>(), 1);
        assert_eq!(told[REGULAR as usize - 2], 1);
    }

    #[test]
    fn a_walk_past_the_bound_ends_the_token_and_is_told_at_once() {
        let mut gateways = Gateways::new(BEGIN, true);
        let mut answers = Vec::new();
        for number in 0..600u64 {
            let event = Event {
                object: Some(Object::of(&number.to_string())),
                ..Event::of(OperationId::of("GET /a/{id}"))
            };
            answers.push(see(&mut gateways, &event, BEGIN.plus(number * 1_000)));
        }
        let ended = answers
            .iter()
            .position(|(answer, _)| *answer == Answer::Ended);
        assert_eq!(ended, Some(500));
        assert!(answers[500].1.is_some());
    }

    #[test]
    fn a_call_outside_the_task_is_denied() {
        let mut gateways = Gateways::new(BEGIN, true);
        let event = Event {
            task: Some(TaskFit::OutsideDestination),
            ..Event::of(OperationId::of("tool send_mail"))
        };
        let (answer, entry) = see(&mut gateways, &event, BEGIN);
        assert_eq!(answer, Answer::Denied);
        assert!(entry.is_some_and(|entry| entry.report.hard_rule().is_some()));
    }
}
