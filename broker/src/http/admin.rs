//! Administration, for the admin listener and the Unix socket: the door in front of these routes says
//! who comes in, see [`Administrator`](super::caller::Administrator).

mod answer;
mod approvals;
pub mod door;
mod ending;
mod gateways;
mod identities;
mod keys;
mod lineage;
mod owners;
mod policy;
mod secrets;
mod signing_keys;
mod status;
mod switch;
mod unused;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::health::Pulse;
use super::oauth::Confirmations;
use crate::clock::Clock;
use crate::issue::Issue;
use crate::revoke::Revoke;
use crate::vault::Vault;

/// The rooms behind this door.
#[derive(Clone)]
pub struct Rooms {
    /// Owners, identities, keys.
    pub issue: Arc<Issue>,
    /// Ending and pausing.
    pub revoke: Arc<Revoke>,
    /// Credentials of third parties.
    pub vault: Arc<Vault>,
    /// What gateways confirmed.
    pub confirmations: Arc<dyn Confirmations>,
    /// How the broker is.
    pub pulse: Pulse,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Administration's own routes; those of drift stand beside them.
pub fn routes(rooms: Rooms) -> Router {
    Router::new()
        .route("/v1/policy", get(policy::show))
        .route("/v1/policy/reload", post(policy::reload))
        .route("/v1/owners", get(owners::list).post(owners::create))
        .route("/v1/owners/{owner}", get(owners::show).post(owners::change))
        .route("/v1/owners/{owner}/transfer", post(owners::transfer))
        .route("/v1/owners/{owner}/disable", post(owners::disable))
        .route("/v1/owners/{owner}/enable", post(owners::enable))
        .route(
            "/v1/identities",
            get(identities::list).post(identities::create),
        )
        .route(
            "/v1/identities/{identity}",
            get(identities::show).post(identities::change),
        )
        .route(
            "/v1/identities/{identity}/transfer",
            post(identities::transfer),
        )
        .route(
            "/v1/identities/{identity}/disable",
            post(identities::disable),
        )
        .route("/v1/identities/{identity}/enable", post(identities::enable))
        .route(
            "/v1/identities/{identity}/keys",
            get(keys::list).post(keys::create),
        )
        .route("/v1/identities/{identity}/trusts", post(keys::trust))
        .route("/v1/keys/{credential}/revoke", post(keys::revoke))
        .route("/v1/keys/{credential}/enable", post(keys::enable))
        .route("/v1/unused", get(unused::identities))
        .route("/v1/unused-rights", get(unused::rights))
        .route("/v1/key-ages", get(unused::key_ages))
        .route(
            "/v1/approvals",
            get(approvals::list).post(approvals::request),
        )
        .route("/v1/approvals/{approval}", get(approvals::show))
        .route("/v1/approvals/{approval}/approve", post(approvals::approve))
        .route("/v1/approvals/{approval}/deny", post(approvals::deny))
        .route("/v1/lineage/{node}", get(lineage::show))
        .route("/v1/gateways", get(gateways::list).post(gateways::create))
        .route("/v1/revoke", post(ending::revoke))
        .route("/v1/suspend", post(ending::suspend))
        .route("/v1/resume", post(ending::resume))
        .route("/v1/signing-keys", get(signing_keys::list))
        .route("/v1/signing-keys/rotate", post(signing_keys::rotate))
        .route(
            "/v1/signing-keys/{kid}/compromise",
            post(signing_keys::compromise),
        )
        .route("/v1/status", get(status::status))
        .merge(secrets::routes())
        .with_state(rooms)
}

/// What only somebody on this machine may ask for.
pub fn local_routes(rooms: Rooms) -> Router {
    Router::new()
        .route("/v1/admin-token", post(status::admin_token))
        .with_state(rooms)
}
