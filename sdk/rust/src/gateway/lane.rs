//! The signature lane: where tokens wait that nobody here has seen yet, when too many come at once.
//!
//! A signature check takes as long as some hundred seen tokens. Made on the thread that serves requests, it
//! makes everybody behind it wait, and forgeries in good form cost their sender nothing. So the layer spends
//! one check in a millisecond on its own threads, which is a twentieth of one processor at most. What comes
//! faster goes into the lane: threads of its own, half as many as there are processors, which the system
//! lets work after the others.
//!
//! **Catches** a flood of forgeries, and a crowd of new tokens after a deployment: seen tokens never wait
//! for the lane, and new ones wait for at most [`MOST`] others.
//!
//! **Misses** a flood from many networks at once: then honest new tokens are refused with the others, with
//! 503 and `Retry-After`, because nobody can tell them apart before the check. A flood from one network has
//! an eighth of the lane and no more. Where networks are not seen, all are one.
//!
//! **Recovery.** None needed: a queue of [`MOST`] is worked off in some ten milliseconds, and a thread that
//! has had nothing to do for a while ends.
//!
//! Why not refuse whoever forged before: an address is shared by thousands, and a forger has many. Why not a
//! pool for blocking tasks: it has no bound of its own that could be met, and it is not behind the others.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use lanyard_token::Rejection;
use tokio::sync::oneshot;

use super::Inner;
use super::decision::Denial;
use super::grant::Grant;
use crate::clock::BootTime;

/// Tokens that may wait: ten milliseconds of one processor. Longer than that a caller had better come again.
const MOST: usize = 256;
/// Sources told apart, by hash.
const SOURCES: usize = 64;
/// Tokens of one source that may wait.
const MOST_OF_SOURCE: u16 = MOST as u16 / 8;
/// How far behind the other threads its own are, as `nice` counts: under full load they get a tenth of the
/// time of one of those, which is two thousand checks a second.
const BEHIND: i32 = 10;
/// A thread with nothing to do ends after this time.
const IDLE: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Lane {
    /// Millisecond of the last check that was not made in the lane, plus one.
    spent: AtomicU64,
    refused: AtomicU64,
    /// Random per process, so that nobody can find networks that are taken for somebody else's.
    hasher: RandomState,
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

struct Waiting {
    queue: VecDeque<Waiter>,
    of_source: [u16; SOURCES],
    threads: usize,
    closed: bool,
}

struct Waiter {
    token: Box<str>,
    source: usize,
    answer: oneshot::Sender<Result<Arc<Grant>, Denial>>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            of_source: [0; SOURCES],
            threads: 0,
            closed: false,
        }
    }
}

impl Lane {
    /// Whether a check may be made where requests are served: one in a millisecond.
    pub(super) fn may_be_passed_by(&self, now: BootTime) -> bool {
        let this = now.0.saturating_add(1);
        let last = self.spent.load(Ordering::Relaxed);
        last != this
            && self
                .spent
                .compare_exchange(last, this, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Lines a token up; `source` is the hash of the network it came from. What comes back is
    /// what the call is decided by: not every good token is found again by its text.
    pub(super) fn enter(
        self: &Arc<Self>,
        gateway: &Arc<Inner>,
        token: &str,
        source: u64,
    ) -> Result<oneshot::Receiver<Result<Arc<Grant>, Denial>>, Denial> {
        let source = self.place_of(source);
        let (answer, answered) = oneshot::channel();
        let mut waiting = self.waiting();
        if !waiting.has_room_for(source) {
            drop(waiting);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Rejection::Busy.into());
        }
        waiting.queue.push_back(Waiter {
            token: token.into(),
            source,
            answer,
        });
        if waiting.threads < most_threads() && waiting.queue.len() > waiting.threads {
            waiting.threads += 1;
            drop(waiting);
            self.start(gateway);
        } else {
            drop(waiting);
        }
        self.wake.notify_one();
        Ok(answered)
    }

    /// Which of the [`SOURCES`] a network is counted as.
    fn place_of(&self, network: u64) -> usize {
        usize::try_from(self.hasher.hash_one(network) % SOURCES as u64).unwrap_or(0)
    }

    /// How many were refused because too many waited.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Nobody comes any more.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.wake.notify_all();
    }

    fn start(self: &Arc<Self>, gateway: &Arc<Inner>) {
        let (lane, gateway) = (Arc::clone(self), Arc::downgrade(gateway));
        let thread = thread::Builder::new().name("lanyard-signature".to_owned());
        if let Err(error) = thread.spawn(move || lane.work(&gateway)) {
            let mut waiting = self.waiting();
            waiting.threads -= 1;
            if waiting.threads == 0 {
                // Whoever waits is told by its answer's end.
                waiting.queue.clear();
                waiting.of_source = [0; SOURCES];
            }
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "no thread to check signatures with: new tokens are refused"
            );
        }
    }

    fn work(&self, gateway: &Weak<Inner>) {
        // Not allowed where a sandbox forbids it: then its checks are no later than others' work.
        let _ = rustix::process::nice(BEHIND);
        while let Some(waiter) = self.next() {
            let Some(gateway) = gateway.upgrade() else {
                return;
            };
            if waiter.answer.is_closed() {
                continue;
            }
            let answer = gateway.see(&waiter.token, gateway.link.clock.now());
            // Whoever asked may have gone meanwhile.
            let _ = waiter.answer.send(answer);
        }
    }

    /// The next that waits; `None` when a thread is to end.
    fn next(&self) -> Option<Waiter> {
        let mut waiting = self.waiting();
        loop {
            if let Some(waiter) = waiting.take() {
                return Some(waiter);
            }
            let idle = self.wake.wait_timeout(waiting, IDLE);
            let (again, timeout) = idle.unwrap_or_else(PoisonError::into_inner);
            waiting = again;
            if waiting.queue.is_empty() && (waiting.closed || timeout.timed_out()) {
                waiting.threads = waiting.threads.saturating_sub(1);
                return None;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Every change is whole before anything else can go wrong.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Whether one more of this source may wait; counts it if so.
    fn has_room_for(&mut self, source: usize) -> bool {
        let full = self.closed || self.queue.len() >= MOST;
        match self.of_source.get_mut(source) {
            Some(own) if !full && *own < MOST_OF_SOURCE => {
                *own += 1;
                true
            }
            _ => false,
        }
    }

    fn take(&mut self) -> Option<Waiter> {
        let waiter = self.queue.pop_front()?;
        if let Some(own) = self.of_source.get_mut(waiter.source) {
            *own = own.saturating_sub(1);
        }
        Some(waiter)
    }
}

/// Half of the processors, at least one.
fn most_threads() -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    (processors / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(source: usize) -> Waiter {
        Waiter {
            token: "".into(),
            source,
            answer: oneshot::channel().0,
        }
    }

    fn fill(waiting: &mut Waiting, source: usize, count: usize) -> usize {
        let mut taken = 0;
        for _ in 0..count {
            if waiting.has_room_for(source) {
                waiting.queue.push_back(waiter(source));
                taken += 1;
            }
        }
        taken
    }

    #[test]
    fn one_network_has_an_eighth_of_the_lane_and_all_together_have_no_more_than_the_lane() {
        let mut waiting = Waiting::default();
        assert_eq!(fill(&mut waiting, 3, 10_000), MOST / 8);
        assert_eq!(fill(&mut waiting, 4, 1), 1, "another still gets in");
        let all: usize = (5..SOURCES).map(|n| fill(&mut waiting, n, 100)).sum();
        assert_eq!(all + MOST / 8 + 1, MOST);
        assert_eq!(fill(&mut waiting, 60, 1), 0);
        assert_eq!(waiting.take().unwrap().source, 3);
        assert_eq!(fill(&mut waiting, 3, 2), 1, "whoever leaves makes room");
    }

    #[test]
    fn networks_that_are_counted_as_one_in_one_process_are_told_apart_in_another() {
        let place_in = |lane: &Lane| (0..64).map(|n| lane.place_of(n)).collect::<Vec<_>>();
        let lane = Lane::default();
        assert_eq!(
            place_in(&lane),
            place_in(&lane),
            "a network stays where it is"
        );
        assert_ne!(place_in(&lane), place_in(&Lane::default()));
    }

    #[test]
    fn one_check_in_a_millisecond_is_made_beside_the_lane() {
        let lane = Lane::default();
        let passed = |millis| lane.may_be_passed_by(BootTime(millis));
        assert!(passed(0) && !passed(0) && !passed(0));
        assert!(passed(1) && !passed(1));
    }
}
