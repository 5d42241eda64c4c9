//! Tokens that are kept, and one flight at a time for each.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use lanyard_token::{Audience, ScopeSet};

use super::access_token::AccessToken;
use super::endpoint::form;
use super::error::ClientError;
use super::{Client, retry};
use crate::Secret;
use crate::clock::BootTime;

/// Combinations of audience and scopes kept for one identity. More is a mistake in the program; then
/// the one not asked for longest goes.
const MAX_TOKENS: usize = 1_024;
/// After a failed renewal in the background, the next is tried after up to this time.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

type Key = (Audience, String);

#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<Key, Arc<Slot>>>);

/// The token of one key.
#[derive(Default)]
struct Slot {
    current: ArcSwapOption<AccessToken>,
    flight: tokio::sync::Mutex<Landing>,
    /// Flights that ended, so that whoever waited for one takes its outcome.
    flights: AtomicU64,
    renewing: AtomicBool,
    /// Boot time before which no renewal in the background is tried.
    renew_after: AtomicU64,
    used: AtomicU64,
}

/// How the last flight ended, if it failed.
#[derive(Default)]
struct Landing(Option<ClientError>);

impl Cache {
    pub(super) fn forget(&self, audience: &Audience, scopes: &ScopeSet, token: &Secret) {
        let slot = self
            .lock()
            .get(&(audience.clone(), scopes.to_string()))
            .cloned();
        let Some(slot) = slot else { return };
        let current = slot.current.load();
        // Another caller may have renewed it already: only the refused one goes.
        if current
            .as_ref()
            .is_some_and(|current| current.secret().expose() == token.expose())
        {
            slot.current.compare_and_swap(&current, None);
        }
    }

    fn slot(&self, key: Key, now: BootTime) -> Arc<Slot> {
        let mut slots = self.lock();
        if slots.len() >= MAX_TOKENS && !slots.contains_key(&key) {
            let oldest = slots
                .iter()
                .min_by_key(|(_, slot)| slot.used.load(Ordering::Relaxed))
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                slots.remove(&oldest);
            }
        }
        let slot = Arc::clone(slots.entry(key).or_default());
        slot.used.store(now.0, Ordering::Relaxed);
        slot
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A good token: the kept one while it is fresh; the kept one and a renewal in the background while
/// it is only good; else a new one.
pub(super) async fn token(
    client: &Client,
    audience: &Audience,
    scopes: &ScopeSet,
) -> Result<Arc<AccessToken>, ClientError> {
    let now = client.0.clock.now().boot;
    let slot = client
        .0
        .cache
        .slot((audience.clone(), scopes.to_string()), now);
    let current = slot.current.load_full();
    match current {
        Some(token) if token.is_fresh(now) => Ok(token),
        Some(token) if token.is_good(now) => {
            renew(client, slot, audience.clone(), scopes.clone(), now);
            Ok(token)
        }
        _ => fly(client, &slot, audience, scopes).await,
    }
}

/// Asks for a token, or waits for the flight that is under way and takes its outcome.
async fn fly(
    client: &Client,
    slot: &Slot,
    audience: &Audience,
    scopes: &ScopeSet,
) -> Result<Arc<AccessToken>, ClientError> {
    let flights = slot.flights.load(Ordering::Acquire);
    let mut landing = slot.flight.lock().await;
    let now = client.0.clock.now().boot;
    if let Some(token) = slot.current.load_full().filter(|token| token.is_good(now)) {
        return Ok(token);
    }
    if slot.flights.load(Ordering::Acquire) != flights
        && let Some(failure) = &landing.0
    {
        return Err(failure.clone());
    }
    let outcome = mint(client, audience, scopes).await;
    landing.0 = outcome.as_ref().err().cloned();
    if let Ok(token) = &outcome {
        slot.current.store(Some(Arc::clone(token)));
    }
    slot.flights.fetch_add(1, Ordering::Release);
    outcome
}

/// Renews in the background, unless that is under way or failed a moment ago.
fn renew(client: &Client, slot: Arc<Slot>, audience: Audience, scopes: ScopeSet, now: BootTime) {
    if now.0 < slot.renew_after.load(Ordering::Relaxed)
        || slot.renewing.swap(true, Ordering::AcqRel)
    {
        return;
    }
    let client = client.clone();
    tokio::spawn(async move {
        match mint(&client, &audience, &scopes).await {
            Ok(token) => slot.current.store(Some(token)),
            Err(error) => {
                tracing::warn!(error = %error, "a token could not be renewed; the old one is still good");
                let pause = u64::try_from(RENEWAL_PAUSE.as_millis()).unwrap_or(0);
                let pause = pause / 2 + retry::random_u64() % (pause / 2);
                slot.renew_after
                    .store(client.0.clock.now().boot.0 + pause, Ordering::Relaxed);
            }
        }
        slot.renewing.store(false, Ordering::Release);
    });
}

async fn mint(
    client: &Client,
    audience: &Audience,
    scopes: &ScopeSet,
) -> Result<Arc<AccessToken>, ClientError> {
    let text = scopes.to_string();
    let mut members = vec![
        ("grant_type", "client_credentials"),
        ("audience", audience.as_str()),
    ];
    if !text.is_empty() {
        members.push(("scope", &text));
    }
    client
        .0
        .endpoint
        .token(&client.0.http, &*client.0.clock, &form(members))
        .await
        .map(Arc::new)
}
