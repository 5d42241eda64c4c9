//! The trackers: one for each token that is active.
//!
//! A gateway keeps many more tokens than are active at any moment, and a tracker is the largest thing
//! about one. So a token has a tracker from a call until it is silent for two minutes, and at most
//! so many have one at a time; when there is no room the eighth that was silent longest goes. Each
//! that goes hands over a last report.
//!
//! What that misses: a walk with pauses of more than two minutes begins anew with every step. The
//! broker, which sees hours, still counts its objects.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use lanyard_drift::{Bounds, Cusum, Millis, TokenReport, Tracker};
use lanyard_token::NodeId;

use super::super::grant::Grant;
use super::super::journal::Note;

/// Trackers at most: as many as a gateway keeps tokens unless told otherwise. When all of them call
/// within two minutes that is some 30 MiB, and 100 MiB if each of them does a hundred different things.
const MOST: usize = 16_384;
/// A silent token keeps its tracker for so long: four times as long as a walker waits who takes one
/// object in thirty seconds.
const SILENCE: u64 = 120_000;

pub(super) struct Table {
    watched: HashMap<u64, Watched, BuildHasherDefault<Spread>>,
    most: usize,
}

/// Serial numbers are the gateway's own and count up, so nobody can choose which ones meet: spread over the table they
/// must be, hashed they need not be. Each note asks here, and two notes are a call.
#[derive(Default)]
struct Spread(u64);

/// 2^64 divided by the golden ratio, odd: neighbours end up far from one another (Knuth).
const APART: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, serial: u64) {
        self.0 = serial.wrapping_mul(APART);
    }
}

/// A token that is being watched.
pub(super) struct Watched {
    pub(super) grant: Arc<Grant>,
    /// In a box: a table of large entries is expensive to grow.
    pub(super) tracker: Box<Tracker>,
    /// What its blocks of calls have added up to. Its own and nobody else's: two gateways' streams would be
    /// each other's alarm.
    pub(super) sum: Cusum,
    last: Millis,
    /// Silent: its calls announce it again. It goes unless one does.
    leaving: bool,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            watched: HashMap::default(),
            most: MOST,
        }
    }
}

impl Table {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.watched.len()
    }

    #[cfg(test)]
    pub(super) fn keep_at_most(&mut self, most: usize) {
        self.most = most;
    }

    /// An announced token keeps the tracker it has; whether it has one.
    pub(super) fn keep(&mut self, serial: u64) -> bool {
        match self.watched.get_mut(&serial) {
            Some(watched) => {
                watched.leaving = false;
                true
            }
            None => false,
        }
    }

    pub(super) fn has(&self, serial: u64) -> bool {
        self.watched.contains_key(&serial)
    }

    /// Gives a token a tracker. Answers with those that had to go.
    pub(super) fn welcome(
        &mut self,
        grant: Arc<Grant>,
        now: Millis,
        bounds: Arc<Bounds>,
    ) -> Vec<(Arc<Grant>, Option<TokenReport>)> {
        let gone = if self.watched.len() >= self.most {
            self.make_room()
        } else {
            Vec::new()
        };
        let tracker = Tracker::resume(&grant.accumulator, now, bounds);
        self.watched.insert(
            grant.serial,
            Watched {
                grant,
                tracker: Box::new(tracker),
                sum: Cusum::default(),
                last: now,
                leaving: false,
            },
        );
        gone
    }

    /// Who a note is about.
    pub(super) fn get(&mut self, note: &Note) -> Option<&mut Watched> {
        let watched = self.watched.get_mut(&note.serial)?;
        watched.last = watched.last.max(note.at);
        Some(watched)
    }

    /// What a token did since the last time.
    pub(super) fn report(&mut self, serial: u64) -> Option<TokenReport> {
        self.watched.get_mut(&serial)?.tracker.report()
    }

    pub(super) fn set_bounds(&mut self, identity: NodeId, bounds: &Arc<Bounds>) {
        for watched in self.watched.values_mut() {
            if watched.grant.identity() == identity {
                watched.tracker.set_bounds(Arc::clone(bounds));
            }
        }
    }

    /// Those that are silent for long, in two steps: first they are asked to announce themselves, and
    /// when they have not by the next time, nobody is between asking and noting any more.
    pub(super) fn silent(&mut self, now: Millis) -> Vec<(Arc<Grant>, Option<TokenReport>)> {
        let mut gone = Vec::new();
        for (serial, watched) in &mut self.watched {
            if now.since(watched.last) < SILENCE {
                watched.stay();
            } else if watched.leaving {
                gone.push(*serial);
            } else {
                watched.leaving = true;
                watched.grant.announce_again();
            }
        }
        self.take(&gone)
    }

    /// The last that a token's tracker has to say.
    pub(super) fn remove(&mut self, grant: &Arc<Grant>) -> Option<TokenReport> {
        let Watched { mut tracker, .. } = self.watched.remove(&grant.serial)?;
        // A stream of a token that the gateway forgot may still be open.
        grant.announce_again();
        let report = tracker.report();
        tracker.leave(&grant.accumulator);
        report
    }

    fn make_room(&mut self) -> Vec<(Arc<Grant>, Option<TokenReport>)> {
        let mut by_silence: Vec<_> = self
            .watched
            .iter()
            .map(|(serial, watched)| (watched.last, *serial))
            .collect();
        by_silence.sort_unstable();
        let eighth = by_silence.iter().take(self.most.div_ceil(8));
        self.take(&eighth.map(|(_, serial)| *serial).collect::<Vec<_>>())
    }

    fn take(&mut self, serials: &[u64]) -> Vec<(Arc<Grant>, Option<TokenReport>)> {
        let mut taken = Vec::new();
        for serial in serials {
            if let Some(grant) = self
                .watched
                .get(serial)
                .map(|watched| Arc::clone(&watched.grant))
            {
                let report = self.remove(&grant);
                taken.push((grant, report));
            }
        }
        taken
    }
}

impl Watched {
    /// It called although it was on its way out.
    fn stay(&mut self) {
        if self.leaving {
            self.leaving = false;
            self.grant.is_watched();
        }
    }
}
