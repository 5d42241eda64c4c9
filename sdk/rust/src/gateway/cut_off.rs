//! Suspending a token here while no broker can be heard.
//!
//! Beside a broker a gateway only tells what it suspects. Cut off from it (the feed is older than
//! [`FEED_ALARM_AGE`](super::FEED_ALARM_AGE)) nobody would answer, and tokens live for minutes. So a token
//! that is past its enumeration bound, or that raises the fast detector's alarm where the broker lets
//! statistics act, is suspended: its calls are answered like those of an ended token, and whoever holds the
//! key mints another once that is possible again.
//!
//! **For how long.** Until the broker has been told and what it made of that has come through the feed; at
//! most for the token's life. Then the suspension is lifted: the broker's verdict is in force, or there is
//! none. It survives a restart, as the feed's position does: it is written beside it.
//!
//! **How many.** What a few stolen tokens look like is known, and what a release looks like from here is
//! the same on many: so at most a few at a time (see the ending module). Past that the gateway says so and
//! does nothing. Who drives it there with three bad tokens has the fourth free, until the broker is back.
//!
//! **Misses** what happened before the portrait of an identity was fetched; and tokens minted meanwhile,
//! of which there are none while the broker is away.

mod file;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lanyard_drift::{HardRule, TokenReport};
use lanyard_token::{NodeId, Rev};
use serde::{Deserialize, Serialize};

use super::ending::few;
use super::grant::Grant;
use super::{FEED_ALARM_AGE, Inner};
use crate::clock::{BootTime, Now, UnixMillis};

/// How often it is said that there are too many.
const SAID_EVERY: u64 = 60_000;

/// A token that is suspended here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suspension {
    pub(super) token: NodeId,
    pub(super) identity: NodeId,
    pub(super) digest: [u8; 8],
    /// The first second at which the token is expired.
    until: u64,
    why: Why,
    #[serde(skip)]
    told: Told,
}

/// Why it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Why {
    /// The fast detector's sum, in nats.
    Sudden(f64),
    /// A bound of objects.
    Rule(HardRule),
}

/// Whether the broker knows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Told {
    #[default]
    No,
    Underway,
    /// What it made of it is in the log up to here.
    Until(Rev),
}

/// What became of the wish to suspend a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suspended {
    Now,
    Already,
    TooMany,
}

/// Everything that is suspended here.
pub(super) struct CutOff {
    suspended: Mutex<Vec<Suspension>>,
    /// Where it is written; `None` for a gateway that keeps no state.
    file: Option<PathBuf>,
    refused: AtomicU64,
    /// Boot time at which it was last said that there are too many.
    said: AtomicU64,
}

impl CutOff {
    /// With what was written before this start.
    pub(super) fn open(file: Option<PathBuf>) -> Self {
        let suspended = file.as_deref().map(file::read).unwrap_or_default();
        Self {
            suspended: Mutex::new(suspended),
            file,
            refused: AtomicU64::new(0),
            said: AtomicU64::new(0),
        }
    }

    /// The tokens that are suspended now.
    pub(super) fn tokens(&self) -> Vec<NodeId> {
        self.lock().iter().map(|held| held.token).collect()
    }

    /// How often a token was not suspended because too many were.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Those of which the broker is to be told, each with what to tell; from now on that is underway.
    pub(super) fn untold(&self) -> Vec<(Suspension, TokenReport)> {
        let mut suspended = self.lock();
        let untold = suspended.iter_mut().filter(|held| held.told == Told::No);
        untold
            .map(|held| {
                held.told = Told::Underway;
                (held.clone(), held.why.report())
            })
            .collect()
    }

    /// The broker was told of these. Without a place in its log there is nothing to wait for, and they stay
    /// suspended until they expire.
    pub(super) fn told(&self, tokens: &[NodeId], until: Option<Rev>) {
        let Some(until) = until else { return };
        for held in self.lock().iter_mut() {
            if tokens.contains(&held.token) {
                held.told = Told::Until(until);
            }
        }
    }

    fn suspend(&self, suspension: Suspension, kept: usize) -> Suspended {
        let mut suspended = self.lock();
        if suspended.iter().any(|held| held.token == suspension.token) {
            return Suspended::Already;
        }
        if suspended.len() as u64 >= few(kept) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Suspended::TooMany;
        }
        suspended.push(suspension);
        self.write(&suspended);
        Suspended::Now
    }

    /// Takes out those that have expired, and those that the broker has answered, when it is heard.
    pub(super) fn take_settled(
        &self,
        time: UnixMillis,
        heard_until: Option<Rev>,
    ) -> Vec<Suspension> {
        let mut suspended = self.lock();
        if suspended.is_empty() {
            return Vec::new();
        }
        let settled = |held: &mut Suspension| {
            let answered = match (held.told, heard_until) {
                (Told::Until(rev), Some(heard)) => heard >= rev,
                _ => false,
            };
            answered || held.until <= time.seconds()
        };
        let gone: Vec<_> = suspended.extract_if(.., settled).collect();
        if !gone.is_empty() {
            self.write(&suspended);
        }
        gone
    }

    fn write(&self, suspended: &[Suspension]) {
        let Some(path) = &self.file else { return };
        if let Err(error) = file::write(path, suspended) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "local suspensions cannot be written: a restart would forget them"
            );
        }
    }

    fn is_to_be_said(&self, now: BootTime) -> bool {
        let last = self.said.load(Ordering::Relaxed);
        let due = last == 0 || now.0.saturating_sub(last) >= SAID_EVERY;
        due && self
            .said
            .compare_exchange(last, now.0.max(1), Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Suspension>> {
        // Every change is one push or removal: a panic elsewhere leaves the list whole.
        self.suspended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Why {
    /// What the broker is told: the evidence alone, since the calls have been or will be reported.
    fn report(self) -> TokenReport {
        match self {
            Self::Sudden(sum) => TokenReport::suspected(None, Some(sum)),
            Self::Rule(rule) => TokenReport::suspected(Some(rule), None),
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Sudden(_) => "sudden",
            Self::Rule(_) => "bound",
        }
    }
}

impl Inner {
    /// Whether no broker has been heard for so long that nobody would answer a report.
    pub(super) fn is_cut_off(&self, now: Now) -> bool {
        self.fed && self.link.view.age(now.boot) > FEED_ALARM_AGE
    }

    /// Suspends a token here; `false` when that would be too many.
    #[cold]
    pub(super) fn suspend_here(&self, grant: &Grant, why: Why, now: Now) -> bool {
        let token = grant.jti();
        let suspension = Suspension {
            token,
            identity: grant.identity(),
            digest: grant.digest(),
            until: grant.ends,
            why,
            told: Told::No,
        };
        match self.cut_off.suspend(suspension, self.grants.len()) {
            Suspended::Now => {
                self.link.view.hold(token);
                tracing::error!(
                    name: "lanyard.token.suspended_here",
                    { lanyard.credential.id = %token, lanyard.cause = why.word() },
                    "no broker is heard: a token is suspended here until one is"
                );
                true
            }
            Suspended::Already => true,
            Suspended::TooMany => {
                if self.cut_off.is_to_be_said(now.boot) {
                    tracing::error!(
                        name: "lanyard.suspensions.capped",
                        { lanyard.cause = why.word() },
                        "no broker is heard, and too many tokens behave like somebody else's: theft or deployment? nothing more is suspended"
                    );
                }
                false
            }
        }
    }

    /// Lifts what the broker has answered, and forgets what has expired.
    pub(super) fn settle_suspensions(&self, now: Now) {
        let view = &self.link.view;
        let heard_until = (!self.is_cut_off(now)).then(|| view.reached());
        for held in self.cut_off.take_settled(view.now(now), heard_until) {
            view.release(held.token);
            tracing::info!(
                name: "lanyard.token.suspension_lifted",
                { lanyard.credential.id = %held.token, lanyard.cause = held.why.word() },
                "a token that was suspended here is the broker's to judge again"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspension(token: u64) -> Suspension {
        Suspension {
            token: NodeId::from_u64(token),
            identity: NodeId::from_u64(2),
            digest: [7; 8],
            until: 1_000,
            why: Why::Sudden(130.0),
            told: Told::No,
        }
    }

    fn rev(n: u64) -> Rev {
        Rev::new(1, n).unwrap()
    }

    #[test]
    fn three_tokens_or_a_hundredth_are_suspended_and_the_next_one_is_not() {
        for (kept, most) in [(1, 3), (399, 3), (400, 4), (10_000, 100)] {
            let cut_off = CutOff::open(None);
            let done = (0..200).map(|n| cut_off.suspend(suspension(n), kept));
            let now = done.filter(|done| *done == Suspended::Now).count();
            assert_eq!((now, cut_off.refused()), (most, 200 - most as u64));
            assert_eq!(cut_off.suspend(suspension(0), kept), Suspended::Already);
        }
    }

    #[test]
    fn it_is_lifted_when_what_the_broker_made_of_it_has_been_heard_or_the_token_is_over() {
        let cut_off = CutOff::open(None);
        for token in 1..=3 {
            cut_off.suspend(suspension(token), 1);
        }
        let token = |n| [NodeId::from_u64(n)];
        let nobody: [u64; 0] = [];
        let settled = |time: u64, heard| {
            let settled = cut_off.take_settled(UnixMillis(time * 1_000), heard);
            settled
                .iter()
                .map(|held| held.token.as_u64())
                .collect::<Vec<_>>()
        };
        assert_eq!(settled(500, Some(rev(99))), nobody, "it was not told");
        assert_eq!(cut_off.untold().len(), 3);
        assert_eq!(cut_off.untold().len(), 0, "once");
        cut_off.told(&token(1), Some(rev(50)));
        cut_off.told(&token(2), None);
        assert_eq!(settled(500, Some(rev(49))), nobody);
        assert_eq!(settled(500, None), nobody, "cut off again");
        assert_eq!(settled(500, Some(rev(50))), [1]);
        assert_eq!(settled(1_000, None), [2, 3]);
        assert_eq!(cut_off.tokens(), []);
    }

    #[test]
    fn it_survives_a_restart_and_the_broker_is_told_of_it_then() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("suspended");
        let cut_off = CutOff::open(Some(file.clone()));
        let rule = HardRule::EnumerationRun {
            observed: 31,
            bound: 30,
            operation: lanyard_drift::OperationId::of("GET /a"),
        };
        let walked = Suspension {
            why: Why::Rule(rule),
            ..suspension(2)
        };
        cut_off.suspend(suspension(1), 1);
        cut_off.suspend(walked, 1);
        cut_off.untold();
        drop(cut_off);
        let again = CutOff::open(Some(file.clone()));
        let told: Vec<_> = again.untold();
        let reports: Vec<_> = told
            .iter()
            .map(|(_, report)| (report.alarm(), report.hard_rule()))
            .collect();
        assert_eq!(reports, [(Some(130.0), None), (None, Some(rule))]);
        again.take_settled(UnixMillis(1_000_000), None);
        assert_eq!(CutOff::open(Some(file)).tokens(), []);
    }
}
