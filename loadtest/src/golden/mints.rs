//! Minting as fast as may be, and one look at each token at the gateway.

use std::collections::VecDeque;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use lanyard_drift::Outcome;
use lanyard_sdk::{Decision, Gateway, Request};
use lanyard_token::Rejection;
use serde::Deserialize;

use super::{AUDIENCE, SCOPE};
use crate::broker::{Member, http};

/// A pause before the next try when nobody answered, or too much was asked.
const AGAIN: Duration = Duration::from_millis(50);
/// Tokens that are looked at again: the latest, since whoever is told of at all is told of within seconds.
const REMEMBERED: usize = 20_000;

/// All mints of a run.
pub(super) struct Mints {
    url: String,
    http: reqwest::Client,
    gateway: Gateway,
    wanted: u64,
    pub(super) minted: AtomicU64,
    pub(super) unanswered: AtomicU64,
    pub(super) refused: AtomicU64,
    latest: Mutex<VecDeque<String>>,
}

#[derive(Deserialize)]
struct Minted {
    access_token: String,
}

impl Mints {
    pub(super) fn new(issuer: &str, gateway: Gateway, wanted: u64) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            url: format!("{}/oauth/token", issuer.trim_end_matches('/')),
            http: http()?,
            gateway,
            wanted,
            minted: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            latest: Mutex::default(),
        })
    }

    pub(super) fn is_done(&self) -> bool {
        self.minted.load(Ordering::Relaxed) >= self.wanted
    }

    /// One identity's mints, until there are enough of all.
    pub(super) async fn mint(&self, member: &Member) {
        while !self.is_done() {
            match self.ask(member).await {
                Some(token) => {
                    self.minted.fetch_add(1, Ordering::Relaxed);
                    self.look_at(&token);
                    self.remember(token);
                }
                None => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// Looks at the latest tokens once more: one that was taken for a forged one has ended by now.
    pub(super) fn look_again(&self) {
        if let Ok(latest) = self.latest.lock() {
            for token in latest.iter() {
                self.look_at(token);
            }
        }
    }

    async fn ask(&self, member: &Member) -> Option<String> {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", member.id.as_str()),
            ("client_secret", member.secret.expose()),
            ("audience", AUDIENCE),
            ("scope", SCOPE),
        ];
        let answer = self.http.post(&self.url).form(&form).send().await.ok()?;
        let minted: Minted = answer.error_for_status().ok()?.json().await.ok()?;
        Some(minted.access_token)
    }

    fn look_at(&self, token: &str) {
        let request = Request {
            method: &Method::GET,
            path: "/",
            query: None,
            source: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            user_agent: Some("golden/1"),
            min_rev: None,
        };
        let now = self.gateway.now();
        match self.gateway.check(token, &request, now) {
            Decision::Allow(lease) => {
                let outcome = Outcome {
                    status: Some(200),
                    ..Outcome::default()
                };
                lease.settle(&outcome, now);
            }
            // In a slow run some of the latest have come to their end.
            Decision::Deny(denial) if matches!(denial.rejection(), Rejection::Expired) => {}
            Decision::Deny(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn remember(&self, token: String) {
        if let Ok(mut latest) = self.latest.lock() {
            if latest.len() >= REMEMBERED {
                latest.pop_front();
            }
            latest.push_back(token);
        }
    }
}
