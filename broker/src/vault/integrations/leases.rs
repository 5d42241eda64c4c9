//! What a gateway is given: its integrations, and the secrets of those, for a minute.
//!
//! ```text
//! told uses (durable) ─► what it carries ─► usable? ─► policies ─► lease (durable) ─► value
//! ```
//! Nothing is remembered of an answer: a gateway asks again before a lease ends, and whatever changed meanwhile
//! counts from then on. So a secret that is retired, a policy that is changed and a gateway that is disabled take a
//! minute at most.

mod answer;
mod uses;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use futures::future::join_all;
use lanyard_token::NodeId;
use lanyard_token::integration::Integration;
use ring::digest::{Context, SHA256};
use serde::Deserialize;
use time::OffsetDateTime;

use super::state::{Carried, Gateway, Kept};
use super::{Integrations, in_force, needs_reference};
use crate::clock::UnixMillis;
use crate::policy::Party;
use crate::policy::using::Use;
use crate::store::event::{ContentHash, LeasedFor};
use crate::vault::{LONGEST_LEASE_SECONDS, Lease, VaultError};
pub use uses::{MOST_TOLD, ToldUse};

/// Requests of one gateway in a second, lasting: it asks every twenty seconds and when something changes.
pub(super) const PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
/// And at once: several processes of one gateway start together.
pub(super) const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);

/// What a gateway says of itself.
#[derive(Debug, Deserialize)]
pub struct AskedLeases {
    /// One start of it.
    #[serde(default)]
    pub boot: Option<String>,
    /// What it knows already.
    #[serde(default)]
    pub known: Option<String>,
    /// How often it used what, since that start.
    #[serde(default)]
    pub uses: Vec<ToldUse>,
}

/// It asks too often: later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOften;

/// What a gateway is given.
pub struct Given {
    hash: ContentHash,
    /// `None`: it knows them.
    integrations: Option<Vec<(NodeId, String, Integration)>>,
    leases: Vec<(String, Option<String>, Lease)>,
    refused: Vec<(String, String)>,
    now: UnixMillis,
}

impl Integrations {
    /// Whether a gateway asks in time.
    pub fn admit(&self, gateway: NodeId) -> Result<(), TooOften> {
        self.limits.check_key(&gateway).map_err(|_| TooOften)
    }

    /// Waits until a gateway would be told something new, or for so long.
    pub async fn wait(&self, gateway: NodeId, known: &str, longest: Duration) {
        let mut changes = self.state.changes();
        let news = async {
            loop {
                changes.mark_unchanged();
                let hash = self.hash(gateway, &self.state.carried_by(gateway));
                if hash.to_string() != known || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        // Nothing new is an answer too.
        let _ = tokio::time::timeout(longest, news).await;
    }

    /// Gives a gateway what it may have now.
    pub async fn lease(
        &self,
        gateway: NodeId,
        known: Option<&str>,
        network: Option<IpAddr>,
    ) -> Result<Given, VaultError> {
        // The hash names these very forms: read twice, a change in between would be told under the wrong name for good.
        let carried = self.state.carried_by(gateway);
        let hash = self.hash(gateway, &carried);
        let each = carried
            .iter()
            .map(|Carried { id, kept, .. }| self.lease_one(gateway, (*id, kept), network));
        let (mut leases, mut refused) = (Vec::new(), Vec::new());
        for (carried, given) in carried.iter().zip(join_all(each).await) {
            let name = carried.kept.integration.name().to_string();
            match given {
                Ok((reference, lease)) => leases.push((name, reference, lease)),
                Err(NotLeased::Refused(why)) => {
                    tracing::info!(
                        name: "lanyard.lease.refused",
                        { lanyard.integration = name, lanyard.identity = %gateway, lanyard.reason = why },
                        "a lease was refused"
                    );
                    refused.push((name, why));
                }
                Err(NotLeased::Failed(error @ VaultError::Store(_))) => return Err(error),
                Err(NotLeased::Failed(error)) => {
                    let why = error.to_string();
                    tracing::error!(error = &error as &dyn std::error::Error, "a lease failed");
                    refused.push((name, why));
                }
            }
        }
        let integrations = (known != Some(hash.to_string().as_str())).then(|| {
            let told = |Carried { id, kept, owner }| {
                let owner = owner.map_or_else(String::new, |owner| owner.name);
                (id, owner, kept.integration)
            };
            carried.into_iter().map(told).collect()
        });
        Ok(Given {
            hash,
            integrations,
            leases,
            refused,
            // After the leases: whoever counts from here never counts beyond a minute.
            now: self.vault.clock.now(),
        })
    }

    async fn lease_one(
        &self,
        gateway: NodeId,
        (id, kept): (NodeId, &Kept),
        network: Option<IpAddr>,
    ) -> Result<(Option<String>, Lease), NotLeased> {
        let known = self.state.gateway(gateway);
        let known = known.ok_or_else(|| NotLeased::Refused("you are no gateway".to_owned()))?;
        if let Some(why) = self.unusable(kept) {
            return Err(NotLeased::Refused(why));
        }
        let (bundle, policies) = self
            .permitted(&known, kept, network)
            .map_err(NotLeased::Refused)?;
        let decided = LeasedFor {
            integration: id,
            bundle,
            policies,
        };
        let secret = kept.integration.injection().secret();
        let lease = self
            .vault
            .lease(secret, gateway, LONGEST_LEASE_SECONDS, Some(decided))
            .await?;
        // Read after the lease, and of its version: a name and a value that do not belong together never leave.
        let shown = self.vault.show(secret)?;
        let mut versions = shown.versions.iter();
        let version = versions.find(|version| version.version == lease.version);
        let reference = version.and_then(|version| version.reference.clone());
        if reference.is_none() && needs_reference(kept.integration.injection()) {
            let why = "the version in force does not say what the third party calls it";
            return Err(NotLeased::Refused(why.to_owned()));
        }
        Ok((reference.map(|reference| reference.0), lease))
    }

    /// The policies that let a gateway have the secret of an integration, and their bundle; or why none does, in words.
    pub(super) fn permitted(
        &self,
        gateway: &Gateway,
        kept: &Kept,
        network: Option<IpAddr>,
    ) -> Result<(ContentHash, Vec<String>), String> {
        let owner_name = |owner: NodeId| {
            let known = self.state.owner(owner);
            known.map_or_else(|| owner.to_string(), |owner| owner.name)
        };
        if gateway.disabled {
            return Err(format!("`{}` is disabled", gateway.grant.name));
        }
        if !gateway.is_egress() {
            let name = &gateway.grant.name;
            return Err(format!("`{name}` was not registered for egress"));
        }
        let secret = self.vault.show(kept.integration.injection().secret());
        let secret = secret.map_err(|_| "its secret is not there".to_owned())?;
        let own = owner_name(gateway.grant.owner);
        let asked = Use {
            gateway: Party {
                name: &gateway.grant.name,
                kind: gateway.grant.kind.word(),
                owner: &own,
                tags: &gateway.grant.tags,
                audiences: &gateway.grant.audiences,
                scopes: &gateway.grant.scopes,
                max_lifetime: gateway.grant.max_lifetime,
                age_days: None,
                unused_days: None,
            },
            secret: &secret.name,
            secret_owner: &secret.owner,
            integration: kept.integration.name().as_str(),
            integration_owner: &owner_name(kept.owner),
            network,
            time: moment(self.vault.clock.now()),
        };
        let policies = self.policies.current();
        let judged = policies.may_use(&asked)?;
        if let Some(fault) = judged.faults.first() {
            tracing::error!(name: "lanyard.policy.fault", "a policy failed, so there is no lease: {fault}");
            return Err("a policy failed".to_owned());
        }
        if let Some(forbid) = judged.forbids.first() {
            return Err(format!("the policy `{}` forbids it", forbid.id));
        }
        let names: Vec<String> = judged.permits.iter().map(|rule| rule.id.clone()).collect();
        if names.is_empty() {
            return Err("no policy allows it".to_owned());
        }
        tracing::debug!(
            name: "lanyard.lease.allowed",
            { lanyard.integration = asked.integration, policies = names.join(" ") },
            "a gateway may use a secret"
        );
        Ok((policies.hash(), names))
    }

    /// Names what a gateway carries, and everything that decides whether it gets a lease: another name, something new.
    fn hash(&self, gateway: NodeId, carried: &[Carried]) -> ContentHash {
        let mut context = Context::new(&SHA256);
        let mut add = |part: &[u8]| {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        };
        let known = self.state.gateway(gateway);
        add(&serde_json::to_vec(&known).unwrap_or_default());
        let owner = known.and_then(|known| self.state.owner(known.grant.owner));
        add(owner.as_ref().map_or(b"", |owner| owner.name.as_bytes()));
        for Carried { id, kept, owner } in carried {
            add(&id.as_u64().to_be_bytes());
            add(&serde_json::to_vec(&kept.integration).unwrap_or_default());
            add(owner.as_ref().map_or(b"", |owner| owner.name.as_bytes()));
            add(&[u8::from(owner.as_ref().is_none_or(|owner| owner.disabled))]);
            let secret = self.vault.show(kept.integration.injection().secret()).ok();
            add(secret
                .as_ref()
                .map_or(b"", |secret| secret.owner.as_bytes()));
            let version = secret.as_ref().and_then(in_force);
            add(&version.map_or(0, |version| version.version.0).to_be_bytes());
        }
        add(self.policies.current().hash().to_string().as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        ContentHash(hash)
    }
}

/// Why a gateway gets nothing.
enum NotLeased {
    Refused(String),
    Failed(VaultError),
}

impl From<VaultError> for NotLeased {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Lease(refused) => Self::Refused(refused.to_string()),
            other => Self::Failed(other),
        }
    }
}

fn moment(now: UnixMillis) -> OffsetDateTime {
    let seconds = i64::try_from(now.0 / 1_000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
