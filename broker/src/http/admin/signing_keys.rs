//! `/v1/signing-keys`.

use axum::extract::State;
use lanyard_token::KeyId;
use serde::{Deserialize, Serialize};

use super::Rooms;
use super::answer::{Answer, Document, Part, created, ok};
use super::ending::reason;
use crate::clock::UnixMillis;
use crate::http::caller::Administrator;
use crate::http::problem::Problem;
use crate::store::event::{KeyUse, SigningKey};

/// A signing key, without its private half. Times are Unix seconds.
#[derive(Serialize)]
struct KeyView {
    kid: KeyId,
    #[serde(rename = "use")]
    key_use: KeyUse,
    alg: &'static str,
    state: &'static str,
    signs_from: u64,
    signs_until: u64,
    verifies_until: u64,
}

impl KeyView {
    fn new(key: &SigningKey, now: UnixMillis) -> Self {
        let state = if now < key.signs_from {
            "published"
        } else if now < key.signs_until {
            "signs"
        } else {
            "verifies"
        };
        Self {
            kid: key.key,
            key_use: key.key_use,
            alg: key.algorithm.name(),
            state,
            signs_from: key.signs_from.seconds(),
            signs_until: key.signs_until.seconds(),
            verifies_until: key.verifies_until.seconds(),
        }
    }
}

#[derive(Serialize)]
struct Keys {
    keys: Vec<KeyView>,
}

#[derive(Serialize)]
struct NewKey {
    kid: KeyId,
    /// Unix seconds: before, verifiers fetch it and the key before it signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    signs_from: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    #[serde(rename = "use")]
    key_use: Option<KeyUse>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Compromise {
    reason: Option<String>,
}

pub(super) async fn list(State(rooms): State<Rooms>, _: Administrator) -> Answer {
    let now = rooms.clock.now();
    ok(Keys {
        keys: rooms
            .issue
            .signing_keys()
            .iter()
            .map(|key| KeyView::new(key, now))
            .collect(),
    })
}

pub(super) async fn rotate(
    State(rooms): State<Rooms>,
    _: Administrator,
    Document(asked): Document<Rotation>,
) -> Answer {
    let kid = rooms
        .issue
        .rotate(asked.key_use.unwrap_or(KeyUse::Mint))
        .await?;
    let keys = rooms.issue.signing_keys();
    let made = keys.iter().find(|key| key.key == kid);
    created(NewKey {
        kid,
        signs_from: made.map(|key| key.signs_from.seconds()),
    })
}

pub(super) async fn compromise(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Part(kid): Part,
    Document(asked): Document<Compromise>,
) -> Answer {
    let kid = kid
        .parse()
        .map_err(|_| Problem::invalid_request("a key id is 43 characters of base64url"))?;
    let reason = reason(asked.reason)?;
    created(NewKey {
        kid: rooms.issue.compromise(kid, &reason, by).await?,
        // There is nobody to wait for.
        signs_from: None,
    })
}
