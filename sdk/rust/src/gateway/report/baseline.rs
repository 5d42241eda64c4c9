//! How identities usually behave, kept fresh: off the request path, and beside the reports, which
//! must not wait for it. The answer about an identity brings its bounds, and names what the fast detector
//! needs (see the portrait module).
//!
//! An identity is asked about on first sight. Once a second the broker is asked one cheap question:
//! whose bounds have changed since the last answer? Only those that are kept here are fetched again,
//! one at a time and so many a second, however many there are: a broker that has just started, or a
//! thousand young identities, cause no storm. Bounds that are the same as those kept here are not sent
//! again: they are asked for by what the broker called them. The first answer only says from where on
//! changes are told, so whoever was asked about before it is asked about once more.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lanyard_drift::Bounds;
use lanyard_token::NodeId;
use serde::Deserialize;
use tokio::sync::Notify;

use super::super::Inner;
use super::ask::{Told, ask_for};
use super::portrait::Names;
use crate::client::ClientTokens;

/// How often the broker is asked what has changed.
const POLL: Duration = Duration::from_secs(1);
/// Nobody is believed for longer, even if nothing is said to have changed: habits of a role may have.
const FRESH: Duration = Duration::from_secs(300);
/// An identity without an answer is asked about again after this time.
const RETRY: Duration = Duration::from_secs(15);
/// Identities asked about between two polls.
const PER_ROUND: usize = 16;
/// Identities remembered.
const MAX_KNOWN: usize = 16_384;
/// Bounds are of fixed size, a list of changes is bounded; anything longer is neither.
const MAX_BYTES: usize = 64 * 1024;

/// What is known, and what is to be asked.
#[derive(Default)]
pub(super) struct Baselines {
    inner: Mutex<Known>,
    wake: Notify,
}

#[derive(Default)]
struct Known {
    /// When each may be asked about again.
    asked: HashMap<NodeId, Instant>,
    /// Each at most once.
    wanted: VecDeque<NodeId>,
    place: Option<Place>,
}

/// Up to where the broker's changes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    run: u64,
    at: u64,
}

/// `GET /v1/baselines/{identity}`. Other members are the broker's business.
#[derive(Deserialize)]
struct Answer {
    bounds: Bounds,
    /// Absent while too little is known.
    #[serde(default)]
    portrait: Option<Names>,
}

/// `GET /v1/baselines`.
#[derive(Deserialize)]
struct Changes {
    run: u64,
    at: u64,
    changed: Vec<NodeId>,
}

impl Baselines {
    /// This identity was seen.
    pub(super) fn want(&self, identity: NodeId) {
        if self.known().want(identity, Instant::now()) {
            self.wake.notify_one();
        }
    }

    /// Something is suspected of this identity: by what is known of it now, and not minutes ago?
    pub(super) fn want_again(&self, identity: NodeId) {
        self.known().line_up(identity);
        self.wake.notify_one();
    }

    /// Keeps bounds fresh, for ever.
    pub(super) async fn keep(&self, gateway: &Inner, tokens: &ClientTokens) {
        let mut polls = tokio::time::interval(POLL);
        polls.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut left = PER_ROUND;
        loop {
            tokio::select! {
                _ = polls.tick() => {
                    left = PER_ROUND;
                    self.poll(tokens).await;
                }
                () = self.wake.notified() => {}
            }
            left -= self.fetch(left, gateway, tokens).await;
        }
    }

    /// Fetches at most so many; how many it were.
    pub(super) async fn fetch(&self, most: usize, gateway: &Inner, tokens: &ClientTokens) -> usize {
        for fetched in 0..most {
            let Some(identity) = self.known().next() else {
                return fetched;
            };
            let path = format!("v1/baselines/{identity}");
            let known = gateway.grants.bounds_tag(identity);
            let answered = match ask_for::<Answer>(&path, known, MAX_BYTES, tokens).await {
                Some(Told::Changed(Answer { bounds, portrait }, tag)) => {
                    let bounds = Arc::new(bounds);
                    gateway.observer.set_bounds(identity, &bounds);
                    gateway.grants.set_bounds(identity, bounds);
                    let portrayed = gateway.portray(identity, portrait, tokens).await;
                    if portrayed {
                        gateway.grants.tag_bounds(identity, tag);
                    }
                    portrayed
                }
                Some(Told::Same) => true,
                None => false,
            };
            if !answered {
                // Those that were known, or are for the unknown, stay in force.
                let again = Instant::now() + RETRY;
                self.known().asked.insert(identity, again);
            }
        }
        most
    }

    /// Asks what has changed, once there is somebody to know about.
    pub(super) async fn poll(&self, tokens: &ClientTokens) {
        let path = {
            let known = self.known();
            if known.asked.is_empty() {
                return;
            }
            known.place.map_or("v1/baselines".to_owned(), |place| {
                format!("v1/baselines?run={}&after={}", place.run, place.at)
            })
        };
        if let Some(Told::Changed(changes, _)) =
            ask_for::<Changes>(&path, None, MAX_BYTES, tokens).await
        {
            self.known().note(&changes);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change leaves it whole: what is wanted twice is fetched twice, no more.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Lines an identity up unless it is fresh; whether it did.
    fn want(&mut self, identity: NodeId, now: Instant) -> bool {
        let due = self.asked.get(&identity).is_none_or(|again| *again <= now);
        if !due || self.wanted.len() >= MAX_KNOWN {
            return false;
        }
        if self.asked.len() >= MAX_KNOWN {
            self.asked.retain(|_, again| *again > now);
        }
        self.asked.insert(identity, now + FRESH);
        self.line_up(identity);
        true
    }

    fn note(&mut self, changes: &Changes) {
        // What a broker said in an earlier run says nothing about this one, and what changed before the
        // first place is told to nobody: who is asked about at first sight may have been learned by now.
        let first_of_run = self.place.is_none_or(|place| place.run != changes.run);
        let stale: Vec<NodeId> = if first_of_run {
            self.asked.keys().copied().collect()
        } else {
            let here = |identity: &NodeId| self.asked.contains_key(identity);
            changes.changed.iter().copied().filter(here).collect()
        };
        for identity in stale {
            self.line_up(identity);
        }
        self.place = Some(Place {
            run: changes.run,
            at: changes.at,
        });
    }

    fn line_up(&mut self, identity: NodeId) {
        if self.wanted.len() < MAX_KNOWN && !self.wanted.contains(&identity) {
            self.wanted.push_back(identity);
        }
    }

    fn next(&mut self) -> Option<NodeId> {
        self.wanted.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u64) -> NodeId {
        NodeId::from_u64(n)
    }

    fn changes(run: u64, at: u64, changed: &[u64]) -> Changes {
        Changes {
            run,
            at,
            changed: changed.iter().copied().map(node).collect(),
        }
    }

    fn drained(known: &mut Known) -> Vec<NodeId> {
        std::iter::from_fn(|| known.next()).collect()
    }

    #[test]
    fn who_is_busy_is_asked_about_once_until_something_changes() {
        let (mut known, now) = (Known::default(), Instant::now());
        assert!(known.want(node(1), now));
        assert!(!known.want(node(1), now));
        assert_eq!(drained(&mut known), [node(1)]);
        known.note(&changes(7, 0, &[]));
        drained(&mut known);
        known.note(&changes(7, 3, &[1, 1, 2]));
        assert_eq!(drained(&mut known), [node(1)], "and nobody unknown here");
        assert!(known.want(node(1), now + FRESH));
    }

    #[test]
    fn who_was_asked_about_before_changes_are_told_is_asked_about_once_more() {
        let (mut known, now) = (Known::default(), Instant::now());
        assert!(known.want(node(1), now) && known.want(node(2), now));
        assert_eq!(known.next(), Some(node(1)));
        known.note(&changes(7, 3, &[]));
        assert_eq!(drained(&mut known), [node(2), node(1)]);
        known.note(&changes(7, 3, &[]));
        assert!(drained(&mut known).is_empty());
    }

    #[test]
    fn a_broker_that_started_again_is_asked_about_everybody_once() {
        let (mut known, now) = (Known::default(), Instant::now());
        assert!(known.want(node(1), now) && known.want(node(2), now));
        known.note(&changes(7, 9, &[]));
        drained(&mut known);
        known.note(&changes(8, 0, &[]));
        assert_eq!(drained(&mut known).len(), 2);
        known.note(&changes(8, 0, &[]));
        assert!(drained(&mut known).is_empty());
    }
}
