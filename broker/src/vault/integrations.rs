//! Integrations: which gateway carries which third party, with which secret.
//!
//! Whoever may change one decides where a secret is sent, so that is a right of its own. What a gateway is given in
//! the end is asked of the policies before each lease, see [`leases`].

mod belief;
pub mod leases;
mod room;
mod starts;
mod state;
mod view;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use governor::{DefaultKeyedRateLimiter, Quota};
use lanyard_token::NodeId;
use lanyard_token::integration::{Injection, Integration};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;

use self::room::{has_room, written};
use self::starts::Starts;
use self::state::{Kept, Unread};
use super::error::plain_reason;
use super::name::name_or_mark;
use super::{SecretView, Vault, VaultError, VersionView, WhoView};
use crate::policy::Policies;
use crate::store::event::{By, KeptIntegration};
use crate::store::{Event, MAX_EVENTS};
pub use leases::{AskedLeases, Given, ToldUse, TooOften};
pub use state::{EGRESS_SCOPE, IntegrationState};
pub use view::{CarriedBy, IntegrationView, UseView};

/// The part of the vault that egress asks. Cheap to share behind an `Arc`.
pub struct Integrations {
    vault: Arc<Vault>,
    state: Arc<IntegrationState>,
    policies: Arc<Policies>,
    /// How often a gateway may ask.
    limits: DefaultKeyedRateLimiter<NodeId>,
    /// Which starts of each are counted apart.
    starts: Mutex<HashMap<NodeId, Starts>>,
    /// One change at a time, so that names stay unique.
    changing: tokio::sync::Mutex<()>,
}

/// An integration to keep, in the place of the one of its name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewIntegration {
    /// Who answers for it, by name or number.
    pub owner: String,
    /// The gateways that carry it, by name or number.
    pub gateways: Vec<String>,
    /// What it is.
    pub integration: Integration,
}

/// The most integrations there are: egress is told of all its own at once.
const MOST: usize = 1_024;
/// The most gateways that carry one.
const MOST_GATEWAYS: usize = 64;
/// The longest form of one, in bytes: all of a gateway's go into one answer.
const LONGEST: usize = 64 * 1_024;

impl Integrations {
    /// Over a store that already feeds `state`.
    pub fn new(vault: Arc<Vault>, state: Arc<IntegrationState>, policies: Arc<Policies>) -> Self {
        let quota = Quota::per_second(leases::PER_SECOND).allow_burst(leases::BURST);
        Self {
            vault,
            state,
            policies,
            limits: DefaultKeyedRateLimiter::keyed(quota),
            starts: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// What is known.
    pub const fn state(&self) -> &Arc<IntegrationState> {
        &self.state
    }

    /// Keeps an integration, in the place of the one of its name; says whether it is new.
    pub async fn put(
        &self,
        new: NewIntegration,
        by: By,
    ) -> Result<(IntegrationView, bool), VaultError> {
        let NewIntegration {
            owner,
            gateways,
            integration,
        } = new;
        let _changing = self.changing.lock().await;
        if written(&integration) > LONGEST {
            return Err(invalid(
                "integration",
                format!("is at most {LONGEST} bytes of JSON"),
            ));
        }
        let owner = self.owner(&owner)?;
        let gateways = self.gateways(&gateways)?;
        self.fits(&integration)?;
        let known = self.state.find(integration.name().as_str());
        let before = known.and_then(|id| self.state.get(id));
        let id = match known {
            Some(id) => id,
            // Those that this release cannot read count too: the next one carries them.
            None if self.state.all().len() + self.state.all_unread().len() >= MOST => {
                return Err(invalid("integration", format!("are at most {MOST}")));
            }
            None => self.vault.store.nodes().next(),
        };
        self.has_room(id, &gateways, before.as_ref(), &integration)?;
        let same = before.as_ref().is_some_and(|before| {
            before.owner == owner
                && before.gateways == gateways
                && before.integration == integration
        });
        if !same {
            let kept = KeptIntegration {
                id,
                owner,
                gateways,
                integration: integration.into(),
                by,
            };
            let event = Event::IntegrationChanged(Box::new(kept));
            self.vault.store.append(vec![event]).await?;
        }
        Ok((self.shown(id)?, before.is_none()))
    }

    /// Lets nobody call it any more.
    pub async fn remove(
        &self,
        integration: &str,
        by: By,
        reason: Option<&str>,
    ) -> Result<NodeId, VaultError> {
        let reason = reason.map(plain_reason).transpose()?;
        let _changing = self.changing.lock().await;
        let integration = self.find(integration)?;
        let event = Event::IntegrationRemoved {
            integration,
            by,
            reason,
        };
        self.vault.store.append(vec![event]).await?;
        Ok(integration)
    }

    /// All of an owner's go to another one; says how many. Those that this release cannot read go along as they are.
    pub async fn transfer_all(
        &self,
        from: NodeId,
        to: NodeId,
        by: &By,
    ) -> Result<usize, VaultError> {
        let _changing = self.changing.lock().await;
        let all = self.state.written_of_owner(from);
        for some in all.chunks(MAX_EVENTS) {
            let transferred = |(id, written): &(NodeId, Unread)| {
                Event::IntegrationChanged(Box::new(KeptIntegration {
                    id: *id,
                    owner: to,
                    gateways: written.gateways.clone(),
                    integration: written.integration.clone(),
                    by: by.clone(),
                }))
            };
            let events = some.iter().map(transferred).collect();
            self.vault.store.append(events).await?;
        }
        Ok(all.len())
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<IntegrationView> {
        let all = self.state.all();
        let read = all.iter().map(|(id, kept)| self.view(*id, kept));
        let unread = self.state.all_unread();
        let unread = unread.iter().map(|(id, unread)| self.unread(*id, unread));
        let mut views: Vec<IntegrationView> = read.chain(unread).collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views
    }

    /// One, by name or number.
    pub fn show(&self, integration: &str) -> Result<IntegrationView, VaultError> {
        self.shown(self.find(integration)?)
    }

    /// Which gateways used which versions of a secret, and how often.
    pub fn uses(&self, secret: NodeId) -> Vec<UseView> {
        let uses = self.state.uses(secret).into_iter();
        uses.map(|(key, uses)| UseView {
            version: key.version,
            integration: self.state.get(key.integration).map_or_else(
                || key.integration.to_string(),
                |kept| kept.integration.name().to_string(),
            ),
            gateway: self
                .state
                .gateway(key.gateway)
                .map_or_else(|| key.gateway.to_string(), |gateway| gateway.grant.name),
            calls: uses.calls(),
            last_at: uses.last_at,
        })
        .collect()
    }

    /// With the names of the integrations that there still are, instead of their numbers.
    pub fn named(&self, mut who: WhoView) -> WhoView {
        let had = who.holders.iter_mut();
        let had = had.filter_map(|holder| holder.integration.as_mut());
        let used = who.users.iter_mut().map(|user| &mut user.integration);
        for integration in had.chain(used) {
            let kept = integration.parse().ok().and_then(|id| self.state.get(id));
            if let Some(kept) = kept {
                *integration = kept.integration.name().to_string();
            }
        }
        who
    }

    fn find(&self, integration: &str) -> Result<NodeId, VaultError> {
        let found = self.state.find(integration);
        found.ok_or_else(|| VaultError::NotFound {
            kind: "integration",
            name: name_or_mark(integration),
        })
    }

    fn shown(&self, id: NodeId) -> Result<IntegrationView, VaultError> {
        if let Some(kept) = self.state.get(id) {
            return Ok(self.view(id, &kept));
        }
        let unread = self.state.get_unread(id);
        let unread = unread.ok_or_else(|| VaultError::NotFound {
            kind: "integration",
            name: id.to_string(),
        })?;
        Ok(self.unread(id, &unread))
    }

    fn owner(&self, text: &str) -> Result<NodeId, VaultError> {
        let (id, owner) = self
            .state
            .owner_called(text)
            .ok_or_else(|| VaultError::NotFound {
                kind: "owner",
                name: name_or_mark(text),
            })?;
        if owner.disabled {
            return Err(VaultError::OwnerDisabled { owner: owner.name });
        }
        Ok(id)
    }

    fn gateways(&self, texts: &[String]) -> Result<Vec<NodeId>, VaultError> {
        if texts.is_empty() || texts.len() > MOST_GATEWAYS {
            let why = format!("are 1 to {MOST_GATEWAYS}: who carries it");
            return Err(invalid("gateways", why));
        }
        let mut gateways = Vec::with_capacity(texts.len());
        for text in texts {
            let (id, gateway) =
                self.state
                    .gateway_called(text)
                    .ok_or_else(|| VaultError::NotFound {
                        kind: "gateway",
                        name: name_or_mark(text),
                    })?;
            if !gateway.is_egress() {
                let why = format!(
                    "names `{}`, which was not registered for egress: enrol one with `lanyard gateway add --egress`",
                    gateway.grant.name
                );
                return Err(invalid("gateways", why));
            }
            gateways.push(id);
        }
        gateways.sort();
        gateways.dedup();
        Ok(gateways)
    }

    /// Whether each of its gateways can carry it beside the others.
    fn has_room(
        &self,
        id: NodeId,
        gateways: &[NodeId],
        before: Option<&Kept>,
        integration: &Integration,
    ) -> Result<(), VaultError> {
        for gateway in gateways {
            let before = before
                .filter(|before| before.gateways.contains(gateway))
                .map(|before| &before.integration);
            let carried = self.state.carried_by(*gateway);
            let others = carried.iter().filter(|carried| carried.id != id);
            let others = others.map(|carried| &carried.kept.integration);
            if let Err(why) = has_room(others, before, integration) {
                let known = self.state.gateway(*gateway);
                let name = known.map_or_else(|| gateway.to_string(), |known| known.grant.name);
                return Err(invalid(
                    "gateways",
                    format!("names `{name}`, which would have {why}"),
                ));
            }
        }
        Ok(())
    }

    /// Whether the secret it names is there, and a version of it in force that can be injected so.
    fn fits(&self, integration: &Integration) -> Result<(), VaultError> {
        are_certificates("certificates", integration.certificates())?;
        if let Injection::OauthClientCredentials { certificates, .. } = integration.injection() {
            are_certificates("inject.certificates", certificates.as_deref())?;
        }
        let secret = self.vault.show(integration.injection().secret())?;
        match unusable(integration.injection(), &secret) {
            None => Ok(()),
            Some(why) => Err(VaultError::Invalid {
                member: "inject.secret",
                why,
            }),
        }
    }

    /// Why nobody can use it now, whoever asks.
    fn unusable(&self, kept: &Kept) -> Option<String> {
        let owner = self.state.owner(kept.owner);
        if owner.is_none_or(|owner| owner.disabled) {
            return Some("its owner is disabled".to_owned());
        }
        match self.vault.show(kept.integration.injection().secret()) {
            Err(_) => Some("its secret is not there".to_owned()),
            Ok(secret) => unusable(kept.integration.injection(), &secret),
        }
    }
}

fn invalid(member: &'static str, why: String) -> VaultError {
    VaultError::Invalid { member, why }
}

/// Egress would believe nobody by what is none, and say so where the one who wrote it does not look.
fn are_certificates(member: &'static str, pem: Option<&str>) -> Result<(), VaultError> {
    let Some(pem) = pem else {
        return Ok(());
    };
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        _ => {
            let why = "is the text of certificates in PEM form, and no path".to_owned();
            Err(invalid(member, why))
        }
    }
}

/// The version in force.
fn in_force(secret: &SecretView) -> Option<&VersionView> {
    let active = secret.active?;
    let mut versions = secret.versions.iter();
    versions.find(|version| version.version == active)
}

/// Why a secret as it stands cannot be injected so.
fn unusable(injection: &Injection, secret: &SecretView) -> Option<String> {
    let Some(version) = in_force(secret) else {
        return Some(format!("`{}` has no version in force", secret.name));
    };
    (needs_reference(injection) && version.reference.is_none()).then(|| {
        format!(
            "version {} of `{}` does not say what the third party calls it: put it again with --reference",
            version.version, secret.name
        )
    })
}

/// Whether what the third party calls a credential goes into a call with it.
const fn needs_reference(injection: &Injection) -> bool {
    match injection {
        Injection::Header { .. } | Injection::Query { .. } => false,
        Injection::Basic { user, .. } => user.is_none(),
        Injection::AwsSigv4 { .. } => true,
        Injection::OauthClientCredentials { client_id, .. } => client_id.is_none(),
    }
}
