//! What may be shown of integrations: all of them, since none holds a value.

use lanyard_token::NodeId;
use serde::Serialize;
use serde_json::Value;

use super::Integrations;
use super::state::{Kept, Unread};
use crate::clock::UnixMillis;
use crate::store::event::Version;

/// An integration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IntegrationView {
    /// Its number.
    pub id: NodeId,
    /// What it is called.
    pub name: String,
    /// Who answers for it, by name.
    pub owner: String,
    /// Where its calls go.
    pub upstream: String,
    /// Its secret.
    pub secret: String,
    /// Who carries it.
    pub gateways: Vec<CarriedBy>,
    /// Whether any of them gets the secret now.
    pub usable: bool,
    /// Why none does, whoever asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Since when it is there.
    pub created_at: UnixMillis,
    /// Since when it is as it is.
    pub changed_at: UnixMillis,
    /// What it is, as it was written.
    pub integration: Value,
}

/// A gateway that carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CarriedBy {
    /// Its name.
    pub name: String,
    /// Whether it would get the secret now.
    pub allowed: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// How often a version was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UseView {
    /// Which version.
    pub version: Version,
    /// For which integration; its number, when that is gone.
    pub integration: String,
    /// By which gateway.
    pub gateway: String,
    /// How often, as it told.
    pub calls: u64,
    /// When last.
    pub last_at: UnixMillis,
}

impl Integrations {
    pub(super) fn view(&self, id: NodeId, kept: &Kept) -> IntegrationView {
        let why = self.unusable(kept);
        let owner = self.state.owner(kept.owner);
        let carried = |gateway: &NodeId| {
            let known = self.state.gateway(*gateway);
            let refused = match &known {
                None => Some("it is not there".to_owned()),
                Some(known) => self.permitted(known, kept, None).err(),
            };
            CarriedBy {
                name: known.map_or_else(|| gateway.to_string(), |known| known.grant.name),
                allowed: why.is_none() && refused.is_none(),
                why: refused,
            }
        };
        let gateways: Vec<CarriedBy> = kept.gateways.iter().map(carried).collect();
        let owner = owner.map_or_else(|| kept.owner.to_string(), |owner| owner.name);
        let usable = gateways.iter().any(|gateway| gateway.allowed);
        let why = match why {
            None if !usable => Some(self.refused_to_all(kept, &owner, &gateways)),
            why => why,
        };
        IntegrationView {
            id,
            name: kept.integration.name().to_string(),
            owner,
            upstream: kept.integration.upstream().to_string(),
            secret: kept.integration.injection().secret().to_owned(),
            usable,
            gateways,
            why,
            created_at: kept.created_at,
            changed_at: kept.changed_at,
            integration: serde_json::to_value(&kept.integration).unwrap_or_default(),
        }
    }

    /// Why no gateway may have it, although it could be used. Owners that differ are told of first: the policies that are
    /// shipped permit a secret to integrations of its own owner.
    fn refused_to_all(&self, kept: &Kept, owner: &str, gateways: &[CarriedBy]) -> String {
        let refused = gateways.first().and_then(|gateway| gateway.why.as_deref());
        let refused = refused.unwrap_or("no gateway carries it");
        let name = kept.integration.injection().secret();
        match self.vault.show(name) {
            Ok(secret) if secret.owner != owner => format!(
                "`{name}` answers to `{}`, the integration to `{owner}`: {refused}",
                secret.owner
            ),
            _ => refused.to_owned(),
        }
    }

    /// One that this release cannot read: nobody gets its secret for it.
    pub(super) fn unread(&self, id: NodeId, unread: &Unread) -> IntegrationView {
        let owner = self.state.owner(unread.owner);
        let carried = |gateway: &NodeId| CarriedBy {
            name: self
                .state
                .gateway(*gateway)
                .map_or_else(|| gateway.to_string(), |known| known.grant.name),
            allowed: false,
            why: None,
        };
        let (written, why) = (&unread.integration, unread.why());
        IntegrationView {
            id,
            name: written.name().to_owned(),
            owner: owner.map_or_else(|| unread.owner.to_string(), |owner| owner.name),
            upstream: written.member("/upstream").to_owned(),
            secret: written.member("/inject/secret").to_owned(),
            gateways: unread.gateways.iter().map(carried).collect(),
            usable: false,
            why: Some(format!(
                "this release cannot read it ({why}): add it anew, or remove it"
            )),
            created_at: unread.created_at,
            changed_at: unread.changed_at,
            integration: written.text().clone(),
        }
    }
}
