//! Administration, for the admin listener and the Unix socket: the door in front of these routes says
//! who comes in, see [`Administrator`](super::caller::Administrator).

mod answer;
mod approvals;
mod deed;
pub mod door;
mod ending;
mod gateways;
mod identities;
mod integrations;
mod keys;
mod leaks;
mod lineage;
mod owners;
mod policy;
mod rotations;
mod secrets;
mod signing_keys;
mod status;
mod switch;
mod unused;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;

use super::duties::{About, Duties, Duty};
use super::health::Pulse;
use super::leaks::Finders;
use super::oauth::Confirmations;
use crate::clock::Clock;
use crate::issue::Issue;
use crate::policy::administration::Action::{
    ApprovalsAsk, ApprovalsGive, ApprovalsRead, ApprovalsRefuse, GatewaysRead, GatewaysWrite,
    IdentitiesDisable, IdentitiesEnable, IdentitiesRead, IdentitiesTransfer, IdentitiesWrite,
    KeysRead, KeysRevoke, KeysWrite, LineageRead, OwnersDisable, OwnersEnable, OwnersRead,
    OwnersTransfer, OwnersWrite, PolicyRead, PolicyReload, SigningKeysRead, SigningKeysWrite,
    StatusRead, TokensRevoke,
};
use crate::revoke::Revoke;
use crate::vault::Vault;
use crate::vault::integrations::Integrations;
use crate::vault::rotate::Rotations;

/// The rooms behind this door.
#[derive(Clone)]
pub struct Rooms {
    /// Owners, identities, keys.
    pub issue: Arc<Issue>,
    /// Ending and pausing.
    pub revoke: Arc<Revoke>,
    /// Credentials of third parties.
    pub vault: Arc<Vault>,
    /// What egress may call with them.
    pub integrations: Arc<Integrations>,
    /// Who acts on what was found elsewhere.
    pub finders: Finders,
    /// How they are exchanged.
    pub rotations: Arc<Rotations>,
    /// What gateways confirmed.
    pub confirmations: Arc<dyn Confirmations>,
    /// How the broker is.
    pub pulse: Pulse,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Administration's own routes; those of drift stand beside them.
pub fn routes(rooms: Rooms) -> Duties {
    Duties::new()
        .merge(who())
        .merge(ends())
        .merge(itself())
        .merge(secrets::routes())
        .merge(integrations::routes())
        .merge(rotations::routes())
        .with_state(rooms)
}

/// Owners, identities, keys, gateways, approvals.
fn who() -> Duties<Rooms> {
    use About::{Approval, ChangedIdentity, Identity, IdentityTransfer, Owner, OwnerTransfer};
    let on = Duty::on;
    Duties::new()
        .get("/v1/owners", Duty::of(OwnersRead), owners::list)
        .post("/v1/owners", Duty::of(OwnersWrite), owners::create)
        .get("/v1/owners/{owner}", on(OwnersRead, Owner), owners::show)
        .post("/v1/owners/{owner}", on(OwnersWrite, Owner), owners::change)
        .post(
            "/v1/owners/{owner}/transfer",
            on(OwnersTransfer, OwnerTransfer),
            owners::transfer,
        )
        .post(
            "/v1/owners/{owner}/disable",
            on(OwnersDisable, Owner),
            owners::disable,
        )
        .post(
            "/v1/owners/{owner}/enable",
            on(OwnersEnable, Owner),
            owners::enable,
        )
        .get("/v1/identities", Duty::of(IdentitiesRead), identities::list)
        .post(
            "/v1/identities",
            on(IdentitiesWrite, About::NewIdentity),
            identities::create,
        )
        .get(
            "/v1/identities/{identity}",
            on(IdentitiesRead, Identity),
            identities::show,
        )
        .post(
            "/v1/identities/{identity}",
            on(IdentitiesWrite, ChangedIdentity),
            identities::change,
        )
        .post(
            "/v1/identities/{identity}/transfer",
            on(IdentitiesTransfer, IdentityTransfer),
            identities::transfer,
        )
        .post(
            "/v1/identities/{identity}/disable",
            on(IdentitiesDisable, Identity),
            identities::disable,
        )
        .post(
            "/v1/identities/{identity}/enable",
            on(IdentitiesEnable, Identity),
            identities::enable,
        )
        .get(
            "/v1/identities/{identity}/keys",
            on(KeysRead, Identity),
            keys::list,
        )
        .post(
            "/v1/identities/{identity}/keys",
            on(KeysWrite, Identity),
            keys::create,
        )
        .post(
            "/v1/identities/{identity}/trusts",
            on(KeysWrite, Identity),
            keys::trust,
        )
        .get("/v1/unused", Duty::of(IdentitiesRead), unused::identities)
        .get(
            "/v1/unused-rights",
            Duty::of(IdentitiesRead),
            unused::rights,
        )
        .get("/v1/key-ages", Duty::of(KeysRead), unused::key_ages)
        .get("/v1/gateways", Duty::of(GatewaysRead), gateways::list)
        .post(
            "/v1/gateways",
            on(GatewaysWrite, About::NewGateway),
            gateways::create,
        )
        .get("/v1/approvals", Duty::of(ApprovalsRead), approvals::list)
        .post(
            "/v1/approvals",
            on(ApprovalsAsk, About::NewApproval),
            approvals::request,
        )
        .get(
            "/v1/approvals/{approval}",
            on(ApprovalsRead, Approval),
            approvals::show,
        )
        .post(
            "/v1/approvals/{approval}/approve",
            on(ApprovalsGive, Approval),
            approvals::approve,
        )
        .post(
            "/v1/approvals/{approval}/deny",
            on(ApprovalsRefuse, Approval),
            approvals::deny,
        )
}

/// What ends or pauses something, and what shows what would end with it.
fn ends() -> Duties<Rooms> {
    let on = Duty::on;
    Duties::new()
        .post(
            "/v1/keys/{credential}/revoke",
            on(KeysRevoke, About::Node),
            keys::revoke,
        )
        .post(
            "/v1/keys/{credential}/enable",
            on(IdentitiesEnable, About::Node),
            keys::enable,
        )
        .get(
            "/v1/lineage/{node}",
            on(LineageRead, About::Node),
            lineage::show,
        )
        .post("/v1/leaks", Duty::of(TokensRevoke), leaks::report)
        .merge(ending::routes())
}

/// The broker's own.
fn itself() -> Duties<Rooms> {
    Duties::new()
        .get("/v1/policy", Duty::of(PolicyRead), policy::show)
        .post("/v1/policy/reload", Duty::of(PolicyReload), policy::reload)
        .get(
            "/v1/signing-keys",
            Duty::of(SigningKeysRead),
            signing_keys::list,
        )
        .post(
            "/v1/signing-keys/rotate",
            Duty::of(SigningKeysWrite),
            signing_keys::rotate,
        )
        .post(
            "/v1/signing-keys/{kid}/compromise",
            Duty::of(SigningKeysWrite),
            signing_keys::compromise,
        )
        .get("/v1/status", Duty::of(StatusRead), status::status)
}

/// What only somebody on this machine may ask for.
pub fn local_routes(rooms: Rooms) -> Router {
    Router::new()
        .route("/v1/admin-token", post(status::admin_token))
        .with_state(rooms)
}
