//! What is made of the notes of the request path: off it, a few milliseconds later, in order of time.
//!
//! **What it does.** It reads the journal, feeds each note to the tracker of its token, and acts on
//! what the tracker says: a token past its enumeration bound ends here; news is lined up for an early
//! report. So a walk is stopped within one merge interval, not on its very step; what a call shows by
//! itself, that it is outside the task, is refused on the path and only counted here.
//!
//! Every ten calls of a token the fast detector looks at them (see the sudden module): its alarm is
//! reported at once.
//!
//! **What it misses.** Notes for which the journal had no room. Their calls and bytes count towards
//! the minute, because the token's accumulator kept them; what they were about is lost, and the
//! number of notes lost is told.
//!
//! **Recovery.** A tracker goes when its token falls silent, with a last report; when the token calls
//! again it gets a new one. Then a walk begins anew, but not its consequences: see
//! [`lanyard_drift::Accumulator`].
//!
//! Why a thread and not a task of the runtime: a busy runtime makes tasks wait for requests, and then
//! whoever keeps a service busy would keep its own walk from being looked at.

mod bell;
mod expected;
mod sudden;
mod table;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use lanyard_drift::{Bounds, HardRule, Missed, Signal, TokenReport};
use lanyard_token::NodeId;

pub(super) use self::bell::Bell;

use self::expected::Expected;
use self::table::Table;
use super::cut_off::Why;
use super::grant::Grant;
use super::journal::{Note, What};
use super::{DriftMode, Inner};
use crate::clock::{BootTime, Now};

/// How often notes are applied while there are any. A broken bound must be acted on within 10 ms:
/// under half of that, which leaves the rest to the scheduler of a busy machine.
const MERGE: Duration = Duration::from_millis(4);
/// Rounds without a note after which the observer sleeps until it is woken: a quarter of a second.
const QUIET_ROUNDS: u32 = 64;
/// How often an idle observer looks all the same.
const IDLE: Duration = Duration::from_secs(1);
/// How often silent tokens are looked for, and lost notes are told.
const UPKEEP: Duration = Duration::from_secs(1);
/// Grants whose reports are taken in one go: for as long the observer waits.
const REPORTS: usize = 64;

/// The trackers of a gateway, and who feeds them.
pub(super) struct Observer(Mutex<Watching>);

struct Watching {
    table: Table,
    notes: Vec<Note>,
    /// Notes of tokens that are not announced yet: their first caller is between two steps.
    early: Vec<Note>,
    expected: Expected,
    kept_up: BootTime,
    /// Notes lost when that was last told.
    told: u64,
}

impl Observer {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Watching {
            table: Table::default(),
            notes: Vec::new(),
            early: Vec::new(),
            expected: Expected::default(),
            kept_up: BootTime::default(),
            told: 0,
        }))
    }

    /// Other bounds for tokens of this identity.
    pub(super) fn set_bounds(&self, identity: NodeId, bounds: &Arc<Bounds>) {
        self.watching().table.set_bounds(identity, bounds);
    }

    /// What to tell the broker about these tokens, each with its own.
    pub(super) fn reports(&self, grants: &[Arc<Grant>]) -> Vec<(Arc<Grant>, TokenReport)> {
        let mut reports = Vec::new();
        for some in grants.chunks(REPORTS) {
            let mut watching = self.watching();
            for grant in some {
                let seen = watching.table.report(grant.serial);
                if let Some(report) = grant.report(seen) {
                    reports.push((Arc::clone(grant), report));
                }
            }
        }
        reports
    }

    /// How many tokens have a tracker.
    #[cfg(test)]
    fn trackers(&self) -> usize {
        self.watching().table.len()
    }

    #[cfg(test)]
    fn keep_at_most(&self, trackers: usize) {
        self.watching().table.keep_at_most(trackers);
    }

    fn watching(&self) -> MutexGuard<'_, Watching> {
        // Counts may be off by one call after a panic, never unsound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Applies everything that was noted; whether there was anything.
    pub(super) fn observe_notes(&self) -> bool {
        let now = self.link.clock.now();
        let mut watching = self.observer.watching();
        let busy = watching.round(self, now);
        if now.boot.since(watching.kept_up) >= UPKEEP {
            watching.kept_up = now.boot;
            watching.upkeep(self, now);
        }
        watching.depart(self);
        busy
    }
}

impl Watching {
    fn round(&mut self, gateway: &Inner, now: Now) -> bool {
        let Some(journal) = gateway.link.journal() else {
            return false;
        };
        // Announcements after notes: whoever wrote a note had announced its token before.
        journal.read(&mut self.notes);
        let unannounced = self.early.len();
        self.notes.append(&mut self.early);
        for grant in gateway.link.take_announced() {
            if !self.table.keep(grant.serial) {
                self.expected.add(grant);
            }
        }
        // Each ring is in order already, and a stable sort keeps it.
        self.notes.sort_by_key(|note| note.at);
        let mut notes = std::mem::take(&mut self.notes);
        let busy = notes.len() > unannounced;
        let mut lost = 0;
        for (place, note) in notes.drain(..).enumerate() {
            if !self.apply(gateway, &note, now) {
                // Once is an accident of order, twice means that its tracker is gone.
                if place < unannounced || self.early.len() >= REPORTS {
                    lost += 1;
                } else {
                    self.early.push(note);
                }
            }
        }
        journal.drop_some(lost);
        self.notes = notes;
        busy
    }

    /// Whether there was a tracker to tell.
    fn apply(&mut self, gateway: &Inner, note: &Note, now: Now) -> bool {
        if !self.table.has(note.serial) {
            let Some(grant) = self.expected.take(note.serial) else {
                return false;
            };
            let bounds = gateway.grants.bounds_for(grant.identity());
            let gone = self.table.welcome(grant, note.at, bounds);
            for (grant, _) in &gone {
                // Its next note may have been written already.
                self.expected.add(Arc::clone(grant));
            }
            leave_reports(gateway, gone);
        }
        let Some(watched) = self.table.get(note) else {
            return false;
        };
        let grant = &watched.grant;
        let missed = grant.accumulator.take_missed();
        if missed != Missed::default() {
            grant.heed(watched.tracker.miss(missed, note.at));
        }
        let signal = match &note.what {
            What::Call(event) => watched.tracker.observe(event, note.at),
            What::Outcome(outcome) => watched.tracker.settle(outcome, note.at),
        };
        if gateway.mode == DriftMode::Enforce
            && let What::Call(event) = &note.what
            && event.object.is_some()
        {
            match signal {
                Signal::HardRule(rule) if rule.is_enumeration() => {
                    gateway.end_here(grant, rule, note, now);
                }
                _ => grant.accumulator.release(event.operation),
            }
        }
        grant.heed(signal);
        if let Some(block) = watched.tracker.take_block() {
            watched.look(&block, gateway, now);
        }
        true
    }

    /// Lets trackers of silent tokens go, and tells what was lost.
    fn upkeep(&mut self, gateway: &Inner, now: Now) {
        let at = gateway.link.drift_time(gateway.link.view.now(now));
        leave_reports(gateway, self.table.silent(at));
        gateway.settle_suspensions(now);
        self.expected.give_up();
        let dropped = gateway.link.notes_dropped();
        if dropped > self.told {
            tracing::warn!(
                name: "lanyard.observations.dropped",
                { lanyard.observations.dropped = dropped - self.told },
                "calls came faster than they could be observed: they were decided, and counted, but not looked at"
            );
            self.told = dropped;
        }
    }

    /// Takes the last reports of tokens that the gateway does not keep any more.
    fn depart(&mut self, gateway: &Inner) {
        let departed = gateway.grants.take_departed().into_iter();
        let gone = departed.map(|grant| {
            let seen = self.table.remove(&grant);
            // A call that was let through before may be about to be noted.
            self.expected.add(Arc::clone(&grant));
            (grant, seen)
        });
        leave_reports(gateway, gone);
    }
}

/// Leaves last reports for the reporter, if there is one.
fn leave_reports(
    gateway: &Inner,
    gone: impl IntoIterator<Item = (Arc<Grant>, Option<TokenReport>)>,
) {
    for (grant, seen) in gone {
        if let Some(report) = grant.report(seen)
            && gateway.link.has_reporter()
        {
            gateway.grants.leave_report(grant, report);
        }
    }
}

impl Inner {
    /// Past the enumeration bound: the token ends here, as the broker is about to say.
    #[cold]
    fn end_here(&self, grant: &Grant, rule: HardRule, note: &Note, now: Now) {
        if grant.accumulator.is_ended() {
            return;
        }
        let ended = if self.is_cut_off(now) {
            self.suspend_here(grant, Why::Rule(rule), now)
        } else {
            self.end(grant, now)
        };
        let operation = rule.operation().unwrap_or_default();
        if !ended && grant.accumulator.hold(operation, note.at) {
            let token = grant.jti().to_string();
            tracing::error!(
                name: "lanyard.endings.capped",
                token = token.as_str(),
                "many tokens cross the enumeration bound in one minute: theft or deployment?"
            );
        }
    }

    /// Ends a token for good; `false` when that would be too many in this minute.
    fn end(&self, grant: &Grant, now: Now) -> bool {
        let past = grant.rev().forward(1);
        let past = past.filter(|_| self.endings.one_more(self.grants.len(), now.boot));
        let Some(past) = past else {
            return false;
        };
        grant.accumulator.end();
        self.link.view.end(grant.jti(), past);
        true
    }
}

/// Starts the thread that observes for as long as the gateway lives.
pub(super) fn start(gateway: &Arc<Inner>) {
    let bell = Arc::clone(&gateway.link.bell);
    let observed = Arc::downgrade(gateway);
    let thread = thread::Builder::new().name("lanyard-observer".to_owned());
    match thread.spawn({
        let bell = Arc::clone(&bell);
        move || observe(&observed, &bell)
    }) {
        Ok(thread) => bell.belongs_to(thread.thread().clone()),
        Err(error) => tracing::error!(
            error = &error as &dyn std::error::Error,
            "no thread to observe calls with: they are looked at with each report, and some will be lost"
        ),
    }
}

fn observe(gateway: &Weak<Inner>, bell: &Bell) {
    let mut quiet: u32 = 0;
    loop {
        let Some(gateway) = gateway.upgrade() else {
            return;
        };
        let busy = gateway.observe_notes();
        drop(gateway);
        quiet = if busy { 0 } else { quiet.saturating_add(1) };
        if bell.wait(quiet) {
            quiet = 0;
        }
    }
}
