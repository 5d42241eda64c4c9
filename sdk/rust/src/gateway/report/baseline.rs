//! Fetching how identities usually behave: on first sight, off the request path.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use http::Method;
use lanyard_drift::Bounds;
use lanyard_token::NodeId;
use serde::Deserialize;

use super::super::Inner;
use crate::client::{ClientTokens, read_limited};

/// A baseline changes slowly; an identity that stays is asked about again after this time.
const FRESH: Duration = Duration::from_secs(300);
/// An identity without a baseline, or without an answer, is asked about again after this time.
const RETRY: Duration = Duration::from_secs(15);
/// Identities asked about in one go, so that a crowd of new ones does not hold up reports.
const PER_ROUND: usize = 16;
/// Identities remembered.
const MAX_KNOWN: usize = 16_384;
/// Bounds are of fixed size; anything longer is none.
const MAX_BYTES: usize = 64 * 1024;

#[derive(Default)]
pub(super) struct Baselines {
    /// When each may be asked about again.
    asked: HashMap<NodeId, Instant>,
    wanted: VecDeque<NodeId>,
}

/// `GET /v1/baselines/{identity}`. Other members are the broker's business.
#[derive(Deserialize)]
struct Answer {
    bounds: Bounds,
}

impl Baselines {
    pub(super) fn want(&mut self, identity: NodeId) {
        let now = Instant::now();
        let due = self.asked.get(&identity).is_none_or(|again| *again <= now);
        if !due || self.wanted.len() >= MAX_KNOWN {
            return;
        }
        if self.asked.len() >= MAX_KNOWN {
            self.asked.retain(|_, again| *again > now);
        }
        self.asked.insert(identity, now + FRESH);
        self.wanted.push_back(identity);
    }

    pub(super) async fn fetch(&mut self, gateway: &Inner, tokens: &ClientTokens) {
        for _ in 0..PER_ROUND {
            let Some(identity) = self.wanted.pop_front() else {
                return;
            };
            match bounds_of(identity, tokens).await {
                Some(bounds) => gateway.grants.set_bounds(identity, &bounds),
                // Bounds for the unknown stay in force.
                None => drop(self.asked.insert(identity, Instant::now() + RETRY)),
            }
        }
    }
}

async fn bounds_of(identity: NodeId, tokens: &ClientTokens) -> Option<Bounds> {
    let url = tokens.url(&format!("v1/baselines/{identity}")).ok()?;
    let mut request = reqwest::Request::new(Method::GET, url);
    *request.timeout_mut() = Some(Duration::from_secs(5));
    let response = tokens.send(request).await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let body = read_limited(response, MAX_BYTES).await.ok()?;
    serde_json::from_slice::<Answer>(&body)
        .ok()
        .map(|answer| answer.bounds)
}
