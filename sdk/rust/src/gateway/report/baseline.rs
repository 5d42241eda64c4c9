//! Fetching how identities usually behave: on first sight, off the request path.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use http::Method;
use lanyard_drift::Bounds;
use lanyard_token::NodeId;
use serde::Deserialize;

use super::super::Inner;
use crate::client::{ClientTokens, read_limited};

/// A long history changes slowly; an identity that stays is asked about again after this time.
const FRESH: Duration = Duration::from_secs(60);
/// Below this many calls a history still grows fast: each window learned moves its bounds.
const LONG_HISTORY: u64 = 5_000;
/// An identity with a short history, or without an answer, is asked about again after this time.
const RETRY: Duration = Duration::from_secs(2);
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
    /// Own calls behind them.
    calls: u64,
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
            // Without an answer, bounds for the unknown stay in force.
            let answer = ask(identity, tokens).await;
            if let Some(answer) = &answer {
                gateway.grants.set_bounds(identity, &answer.bounds);
            }
            let long = answer.is_some_and(|answer| answer.calls >= LONG_HISTORY);
            let again = if long { FRESH } else { RETRY };
            self.asked.insert(identity, Instant::now() + again);
        }
    }
}

async fn ask(identity: NodeId, tokens: &ClientTokens) -> Option<Answer> {
    let url = tokens.url(&format!("v1/baselines/{identity}")).ok()?;
    let mut request = reqwest::Request::new(Method::GET, url);
    *request.timeout_mut() = Some(Duration::from_secs(5));
    let response = tokens.send(request).await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    let body = read_limited(response, MAX_BYTES).await.ok()?;
    serde_json::from_slice(&body).ok()
}
