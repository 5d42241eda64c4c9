//! What a gateway keeps about one token while it is active: off the request path, fed in order of time.
//!
//! **Catches** a call outside the task scope (the path refuses it by itself, here it is counted) and a
//! walk past the enumeration bound. Everything else it only counts, and says when the counts are worth
//! a report.
//!
//! **Misses** whatever needs the identity's history: it knows [`Bounds`], not habits.
//!
//! **Warm-up and recovery.** None: a token lives minutes. After one enumeration trip the same token
//! gets a quarter of the run bound, because a thief who starts again elsewhere is still a thief; that
//! much its [`Accumulator`] remembers while it is idle and has no tracker. A recycled token starts
//! afresh.
//!
//! **Cost.** Bounded, and little for a token that does little: tables take memory as they fill. No floating
//! point except when a minute's count of objects changes. Why not send every call to the broker: at a hundred thousand calls a second the report
//! would be the load.

use std::sync::Arc;

use crate::accumulator::{Accumulator, Missed};
use crate::block::Block;
use crate::bounds::Bounds;
use crate::enumeration::Watch;
use crate::event::{Event, Millis, Object, OperationId, Outcome};
use crate::habits::{ObjectUse, Origin};
use crate::known::KnownSet;
use crate::report::TokenReport;
use crate::signal::{HardRule, Reason, Signal};

mod few;
mod origins;
mod unreported;

use origins::Origins;
use unreported::Unreported;

/// Operations whose objects are watched one by one; all further ones share one more watch, so
/// spreading a walk over many operations does not hide it.
const WATCHES: usize = 7;
/// A minute.
const MINUTE: u64 = 60_000;
/// Calls in one window of the sequence model.
const WINDOW: u64 = 100;

/// The counts of one active token at one gateway.
#[derive(Clone, Debug)]
pub struct Tracker {
    /// Shared by all tokens of an identity.
    bounds: Arc<Bounds>,
    /// What the bounds know and what the token did besides; none before it did anything new.
    known: Option<Box<Known>>,
    previous: Option<OperationId>,
    last: Millis,
    origins: Origins,
    minute: Minute,
    /// At most [`WATCHES`].
    watches: Vec<(OperationId, Watch)>,
    others: Option<Box<Watch>>,
    tripped: bool,
    raised: u8,
    finished: Option<Block>,
    unreported: Unreported,
}

/// What is no news any more.
#[derive(Clone, Debug)]
struct Known {
    operations: KnownSet<16>,
    sources: KnownSet<4>,
    clients: KnownSet<4>,
}

/// Calls and bytes of the current minute.
#[derive(Clone, Copy, Debug)]
struct Minute {
    started: Millis,
    calls: u64,
    bytes: u64,
    measured: bool,
}

impl Tracker {
    /// A tracker for a token first seen at `started`.
    #[must_use]
    pub fn new(started: Millis, bounds: impl Into<Arc<Bounds>>) -> Self {
        Self {
            bounds: bounds.into(),
            known: None,
            previous: None,
            last: started,
            origins: Origins::default(),
            minute: Minute::starting(started),
            watches: Vec::new(),
            others: None,
            tripped: false,
            raised: 0,
            finished: None,
            unreported: Unreported::after(None),
        }
    }

    /// A tracker for a token that may have had one before, and was idle since.
    #[must_use]
    pub fn resume(
        accumulator: &Accumulator,
        started: Millis,
        bounds: impl Into<Arc<Bounds>>,
    ) -> Self {
        Self {
            tripped: accumulator.is_tripped(),
            ..Self::new(started, bounds)
        }
    }

    /// Leaves what must not be forgotten while the token has no tracker. Take the report first.
    pub fn leave(self, accumulator: &Accumulator) {
        if self.tripped {
            accumulator.trip();
        }
    }

    /// Exchanges the bounds, when a baseline arrives or changes while the token lives.
    pub fn set_bounds(&mut self, bounds: impl Into<Arc<Bounds>>) {
        self.bounds = bounds.into();
        self.known = None;
    }

    /// Takes note of a verified call, before it is let through.
    pub fn observe(&mut self, event: &Event, now: Millis) -> Signal {
        self.turn_minute(now);
        self.count(event, now);
        if let Some(rule) = self.hard_rule(event, now) {
            return self.refuse(rule);
        }
        self.news(event)
    }

    /// Takes note of what a call came back with, or of another stretch of a stream.
    pub fn settle(&mut self, outcome: &Outcome, now: Millis) -> Signal {
        self.turn_minute(now);
        let Some(bytes) = self.unreported.settle(outcome) else {
            return Signal::Quiet;
        };
        self.minute.measured = true;
        self.minute.bytes = self.minute.bytes.saturating_add(bytes);
        self.unreported.byte_rate.raise_peak(self.minute.bytes);
        if self.minute.bytes > self.bounds.bytes_per_minute {
            return self.raise(Reason::Volume);
        }
        Signal::Quiet
    }

    /// Takes note of calls of which only the number and the bytes are known.
    pub fn miss(&mut self, missed: Missed, now: Millis) -> Signal {
        self.turn_minute(now);
        self.minute.calls = self.minute.calls.saturating_add(missed.calls);
        self.unreported.call_rate.raise_peak(self.minute.calls);
        if missed.bytes > 0 {
            let outcome = Outcome {
                response_bytes: Some(missed.bytes),
                ..Outcome::default()
            };
            return self.settle(&outcome, now);
        }
        Signal::Quiet
    }

    /// Takes note that the fast detector raised an alarm at this sum: see [`Tracker::take_block`].
    pub fn alarm(&mut self, sum: f64) -> Signal {
        // A cast saturates, and a value that is no number becomes 0.
        self.unreported.alarm = self.unreported.alarm.max(sum.round() as u32);
        self.raise(Reason::Sequence)
    }

    /// What happened since the last report; `None` if nothing did. Reports add up to the whole.
    pub fn report(&mut self) -> Option<TokenReport> {
        if self.unreported.is_empty() {
            return None;
        }
        let seen = std::mem::replace(&mut self.unreported, Unreported::after(self.previous));
        let mut report = seen.into_report(self.last);
        self.report_objects(&mut report);
        self.raised = 0;
        Some(report)
    }

    /// Bytes that it takes now, its tables included and the bounds that it shares left out.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let known = self.known.as_ref().map_or(0, |_| size_of::<Known>());
        let others = self.others.as_ref().map_or(0, |_| size_of::<Watch>());
        let watches = self.watches.capacity() * size_of::<(OperationId, Watch)>();
        size_of::<Self>() + known + others + watches + self.unreported.table_bytes()
    }

    /// The latest block of ten calls, once: for the fast detector, see [`crate::Cusum`].
    pub const fn take_block(&mut self) -> Option<Block> {
        self.finished.take()
    }

    fn report_objects(&mut self, report: &mut TokenReport) {
        for (operation, watch) in &mut self.watches {
            if watch.seen.calls > 0 {
                report.objects.add(*operation, &used(watch));
                // The runs go on: a walk may be slower than the reports.
                watch.reported();
            }
        }
        if let Some(others) = self.others.as_deref_mut().filter(|own| own.seen.calls > 0) {
            report.objects.add(OperationId::OTHER, &used(others));
            others.reported();
        }
    }

    fn count(&mut self, event: &Event, now: Millis) {
        let followed = self
            .previous
            .map(|previous| (previous, now.since(self.last)));
        let origin = Origin {
            source: event.source,
            client: event.client,
        };
        let known = origin.source.is_some() || origin.client.is_some();
        let origin = known.then(|| (origin, self.origins.returns(origin)));
        let unreported = &mut self.unreported;
        let finished = unreported.count(event, followed, origin, now);
        self.finished = finished.or(self.finished);
        self.minute.calls = self.minute.calls.saturating_add(1);
        unreported.call_rate.raise_peak(self.minute.calls);
        self.previous = Some(event.operation);
        self.last = now;
    }

    fn hard_rule(&mut self, event: &Event, now: Millis) -> Option<HardRule> {
        let operation = event.operation;
        // The walk is followed even when the task already refuses: both are reported.
        let walked = event
            .object
            .and_then(|object| self.enumeration(operation, object, now));
        let outside = HardRule::outside_task(event);
        let unreported = &mut self.unreported;
        unreported.task_violations += u64::from(outside.is_some());
        unreported.bound_violations += u64::from(walked.is_some());
        outside.max(walked)
    }

    fn enumeration(
        &mut self,
        operation: OperationId,
        object: Object,
        now: Millis,
    ) -> Option<HardRule> {
        let bound = self.bounds.object(operation);
        let patience = if self.tripped {
            bound.run / 4
        } else {
            bound.run
        };
        let (operation, watch) = match place(&mut self.watches, operation) {
            Some(watch) => (operation, watch),
            None => (
                OperationId::OTHER,
                &mut **self.others.get_or_insert_default(),
            ),
        };
        let standing = watch.observe(object, now);
        if standing.run > patience.max(1) {
            self.tripped = true;
            return Some(HardRule::EnumerationRun {
                observed: standing.run,
                bound: if standing.run > bound.run {
                    bound.run
                } else {
                    patience
                },
                operation,
            });
        }
        if standing.distinct > bound.distinct {
            return Some(HardRule::EnumerationDistinct {
                observed: standing.distinct,
                bound: bound.distinct,
                operation,
            });
        }
        if standing.run > bound.run / 2 || standing.distinct > bound.distinct / 2 {
            self.raise_silently(Reason::Enumeration);
        }
        None
    }

    fn refuse(&mut self, rule: HardRule) -> Signal {
        self.unreported.hard_rule = self.unreported.hard_rule.max(Some(rule));
        Signal::HardRule(rule)
    }

    fn news(&mut self, event: &Event) -> Signal {
        let mut signal = Signal::Quiet;
        if self.raised & PENDING != 0 {
            self.raised &= !PENDING;
            signal = Signal::ReportNow(Reason::Enumeration);
        }
        let operation = u64::from(event.operation.get());
        let known = self.known.as_deref();
        let operations = known.map_or(&self.bounds.operations, |known| &known.operations);
        if !operations.may_contain(operation) {
            self.known_mut().operations.insert(operation);
            signal = louder(signal, self.raise(Reason::NewOperation));
        }
        if let (Some(source), Some(client)) = (event.source, event.client) {
            let (new_source, new_client) = self.meet(source, client);
            if new_source && new_client {
                signal = louder(signal, self.raise(Reason::NewOrigin));
            }
        }
        if self.minute.calls > self.bounds.calls_per_minute {
            signal = louder(signal, self.raise(Reason::Cadence));
        }
        if self.bounds.learning && self.unreported.calls >= WINDOW {
            signal = louder(signal, self.raise(Reason::LearningWindow));
        }
        signal
    }

    /// Which of the two is new, the network or the client; neither is from now on.
    fn meet(&mut self, source: u64, client: u64) -> (bool, bool) {
        let known = self.known.as_deref();
        let sources = known.map_or(&self.bounds.sources, |known| &known.sources);
        let clients = known.map_or(&self.bounds.clients, |known| &known.clients);
        let new = (!sources.may_contain(source), !clients.may_contain(client));
        if new != (false, false) {
            let known = self.known_mut();
            known.sources.insert(source);
            known.clients.insert(client);
        }
        new
    }

    fn known_mut(&mut self) -> &mut Known {
        self.known.get_or_insert_with(|| {
            Box::new(Known {
                operations: self.bounds.operations.clone(),
                sources: self.bounds.sources.clone(),
                clients: self.bounds.clients.clone(),
            })
        })
    }

    /// Raises a reason, once between two reports.
    fn raise(&mut self, reason: Reason) -> Signal {
        if self.raised & reason.bit() != 0 {
            return Signal::Quiet;
        }
        self.raised |= reason.bit();
        Signal::ReportNow(reason)
    }

    /// Raises the enumeration reason from within a check that may still find a hard rule.
    fn raise_silently(&mut self, reason: Reason) {
        if self.raised & reason.bit() == 0 {
            self.raised |= reason.bit() | PENDING;
        }
    }

    fn turn_minute(&mut self, now: Millis) {
        let over = now.since(self.minute.started) >= MINUTE;
        // A clock set back by more than a minute would otherwise hold the minute open for ever.
        let set_back = self.minute.started.since(now) >= MINUTE;
        if !over && !set_back {
            return;
        }
        if over && self.minute.calls > 0 {
            self.unreported.call_rate.record(self.minute.calls);
        }
        if over && self.minute.measured {
            self.unreported.byte_rate.record(self.minute.bytes);
        }
        self.minute = Minute::starting(now);
    }
}

impl Minute {
    const fn starting(started: Millis) -> Self {
        Self {
            started,
            calls: 0,
            bytes: 0,
            measured: false,
        }
    }
}

/// Marks, beside the raised reasons, that one of them was not returned yet.
const PENDING: u8 = 1 << 7;

/// The first of two signals that says anything.
fn louder(first: Signal, second: Signal) -> Signal {
    if first == Signal::Quiet {
        second
    } else {
        first
    }
}

/// The watch of an operation. An operation without one takes a free place, or that of an operation
/// that fell silent since the last report.
fn place(watches: &mut Vec<(OperationId, Watch)>, operation: OperationId) -> Option<&mut Watch> {
    let mut known = watches.iter().position(|(held, _)| *held == operation);
    if known.is_none() && watches.len() < WATCHES {
        // One more and not twice as many: most tokens never need a second.
        watches.reserve_exact(1);
        known = Some(watches.len());
        watches.push((operation, Watch::default()));
    }
    let silent = |(_, watch): &(OperationId, Watch)| watch.seen.calls == 0;
    let place = known.or_else(|| watches.iter().position(silent))?;
    let (held, watch) = watches.get_mut(place)?;
    if *held != operation {
        *held = operation;
        *watch = Watch::default();
    }
    Some(watch)
}

fn used(watch: &Watch) -> ObjectUse {
    ObjectUse {
        habit: watch.seen,
        objects: watch.objects.clone(),
    }
}
