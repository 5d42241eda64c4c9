//! How identities usually behave, kept fresh: off the request path, and beside the reports, which
//! must not wait for it.
//!
//! An identity is asked about on first sight. Once a second the broker is asked one cheap question:
//! whose bounds have changed since the last answer? Only those that are kept here are fetched again,
//! one at a time and so many a second, however many there are: a broker that has just started, or a
//! thousand young identities, cause no storm. Bounds that are the same as those kept here are not sent
//! again: they are asked for by what the broker called them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Method, StatusCode};
use lanyard_drift::Bounds;
use lanyard_token::NodeId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::super::Inner;
use crate::client::{ClientTokens, read_limited};

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
            match ask::<Answer>(&path, known, tokens).await {
                Some(Told::Changed(Answer { bounds }, tag)) => {
                    gateway.grants.set_bounds(identity, &bounds, tag);
                    gateway.observer.set_bounds(identity, &bounds);
                }
                Some(Told::Same) => {}
                // Those that were known, or are for the unknown, stay in force.
                None => drop(self.known().asked.insert(identity, Instant::now() + RETRY)),
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
        if let Some(Told::Changed(changes, _)) = ask::<Changes>(&path, None, tokens).await {
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
        // What a broker said in an earlier run says nothing about this one.
        let other_run = self.place.is_some_and(|place| place.run != changes.run);
        let stale: Vec<NodeId> = if other_run {
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

/// What the broker answers.
enum Told<T> {
    /// This, and what it calls it.
    Changed(T, Option<HeaderValue>),
    /// What is known is still so.
    Same,
}

async fn ask<T: DeserializeOwned>(
    path: &str,
    known: Option<HeaderValue>,
    tokens: &ClientTokens,
) -> Option<Told<T>> {
    let mut request = reqwest::Request::new(Method::GET, tokens.url(path).ok()?);
    let asks_again = known.is_some();
    if let Some(known) = known {
        request.headers_mut().insert(IF_NONE_MATCH, known);
    }
    *request.timeout_mut() = Some(Duration::from_secs(5));
    let response = tokens.send(request).await.ok()?;
    if asks_again && response.status() == StatusCode::NOT_MODIFIED {
        return Some(Told::Same);
    }
    if !response.status().is_success() {
        return None;
    }
    let tag = response.headers().get(ETAG).cloned();
    let body = read_limited(response, MAX_BYTES).await.ok()?;
    Some(Told::Changed(serde_json::from_slice(&body).ok()?, tag))
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
        known.note(&changes(7, 3, &[1, 1, 2]));
        assert_eq!(drained(&mut known), [node(1)], "and nobody unknown here");
        assert!(known.want(node(1), now + FRESH));
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
