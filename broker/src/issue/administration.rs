//! Owners, identities, API keys, gateways: what administrators do, whichever door they come through.
//!
//! One at a time: what is checked before an append still holds when it is applied, so names stay
//! unique without anybody undoing anything.

mod approvals;
mod federation;
mod input;
mod lifecycle;
mod local;
mod rights;
mod unused;
mod view;

use lanyard_token::{Audience, NodeId, Rev, RootKey};
use zeroize::Zeroizing;

use super::Issue;
use super::approval::NotApproved;
use super::identity::Book;
use super::policy::Lifetimes;
use super::proof::api_key::ApiKey;
use crate::clock::UnixMillis;
use crate::crypto::CryptoError;
use crate::policy::administration::ADMIN_SCOPE;
use crate::store::event::{By, Cause, Identity, Kind};
use crate::store::{Event, StoreError};

pub use approvals::{ApprovalState, ApprovalView, NewApproval};
pub use federation::NewTrust;
pub use input::{InvalidInput, Name, NewGateway, NewIdentity, NewOwner};
pub use lifecycle::{ChangeIdentity, ChangeOwner, Transferred};
pub(in crate::issue) use local::LOCAL_ADMINISTRATOR;
use local::LOCAL_OWNER;
pub use rights::{AskedRights, RightKind, UnusedRight, Witness};
pub use unused::{KeyAge, LOOK_FOR_UNUSED, REPORTED_AFTER_DAYS, Unused};
pub use view::{CredentialKind, GatewayView, IdentityView, KeyView, OwnerView};

/// Scopes of a gateway's own tokens.
const GATEWAY_SCOPES: &str = "lanyard:feed lanyard:report";
/// What of it lets it be given secrets of third parties.
const EGRESS_SCOPE: &str = "lanyard:egress";
/// Scopes of a gateway that is given secrets of third parties.
const EGRESS_SCOPES: &str = "lanyard:egress lanyard:feed lanyard:report";
/// Why nothing was administered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// Name something that exists.
    #[error("there is no {kind} `{name}`")]
    NotFound { kind: &'static str, name: String },
    /// Choose another name.
    #[error("the {kind} `{name}` exists already")]
    Taken { kind: &'static str, name: String },
    /// An identity is somebody's: enable its owner, or name another.
    #[error("the owner `{owner}` is disabled: enable it, or transfer to another")]
    OwnerDisabled { owner: String },
    /// Name another owner.
    #[error("the identity `{identity}` is `{owner}`'s already")]
    OwnedAlready { identity: String, owner: String },
    /// It cannot be approved, or not by this administrator, or not any more.
    #[error(transparent)]
    Approval(#[from] NotApproved),
    /// Send something else.
    #[error(transparent)]
    Invalid(#[from] InvalidInput),
    /// Ask again.
    #[error("the store refused the change")]
    Store(#[from] StoreError),
    /// The operating system gave no randomness.
    #[error("no key can be made")]
    Crypto(#[from] CryptoError),
}

/// What a gateway is given once: how to find the broker, whom to believe, who it is.
pub struct Enrolment {
    /// The issuer identifier.
    pub issuer: String,
    /// The root it pins.
    pub root: RootKey,
    /// The gateway's identity.
    pub client_id: NodeId,
    /// Its API key.
    pub client_secret: ApiKey,
    /// The audiences it serves.
    pub audiences: Vec<Audience>,
}

impl Enrolment {
    /// The enrolment file. It holds a secret.
    pub fn to_json(&self) -> Zeroizing<String> {
        let content = serde_json::json!({
            "issuer": self.issuer,
            "root": self.root,
            "client_id": self.client_id,
            "client_secret": self.client_secret.expose(),
            "audiences": self.audiences,
        });
        Zeroizing::new(format!("{content:#}"))
    }
}

/// Creating.
impl Issue {
    /// Creates an owner.
    pub async fn create_owner(&self, new: NewOwner, by: By) -> Result<OwnerView, AdminError> {
        if new.name == LOCAL_OWNER {
            return Err(input::is_the_sockets().into());
        }
        let _one_at_a_time = self.administration.lock().await;
        self.create_owner_alone(new, by).await
    }

    async fn create_owner_alone(&self, new: NewOwner, by: By) -> Result<OwnerView, AdminError> {
        let name = Name::parse("name", &new.name)?.into_string();
        let contact = input::contact(new.contact)?;
        if self.state().read(|book| book.find_owner(&name)).is_some() {
            return Err(AdminError::Taken {
                kind: "owner",
                name,
            });
        }
        let owner = self.store.nodes().next();
        let event = Event::OwnerCreated {
            owner,
            name: name.clone(),
            contact: contact.clone(),
            by,
        };
        self.store.append(vec![event]).await?;
        Ok(OwnerView {
            id: owner,
            name,
            contact,
            disabled: false,
        })
    }

    /// Creates an identity. Gateways are enrolled: what they say is acted on, so making one is a right of its own.
    pub async fn create_identity(
        &self,
        new: NewIdentity,
        by: By,
    ) -> Result<IdentityView, AdminError> {
        if new.kind == Kind::Gateway {
            return Err(input::is_enrolled().into());
        }
        if new.name == LOCAL_ADMINISTRATOR {
            return Err(input::is_the_sockets().into());
        }
        let _one_at_a_time = self.administration.lock().await;
        self.create_identity_alone(new, by).await
    }

    async fn create_identity_alone(
        &self,
        new: NewIdentity,
        by: By,
    ) -> Result<IdentityView, AdminError> {
        let grant = self.grant(new)?;
        self.register(grant, by).await
    }

    fn grant(&self, new: NewIdentity) -> Result<Identity, AdminError> {
        let owner = self.enabled_owner(&new.owner)?;
        Ok(input::identity(
            new,
            owner,
            self.reserved(),
            self.lifetimes(),
        )?)
    }

    async fn register(&self, grant: Identity, by: By) -> Result<IdentityView, AdminError> {
        if self
            .state()
            .read(|book| book.find_identity(&grant.name))
            .is_some()
        {
            return Err(AdminError::Taken {
                kind: "identity",
                name: grant.name,
            });
        }
        let identity = self.store.nodes().next();
        let event = Event::IdentityCreated {
            identity,
            grant: Box::new(grant.clone()),
            by,
        };
        self.store.append(vec![event]).await?;
        Ok(IdentityView::new(identity, &grant, false))
    }

    /// Makes an API key for an identity (by name or number). This is the only time it is shown.
    pub async fn add_key(
        &self,
        identity: &str,
        label: Option<String>,
        expires_at: Option<UnixMillis>,
        by: By,
    ) -> Result<(NodeId, ApiKey), AdminError> {
        let _one_at_a_time = self.administration.lock().await;
        let identity = self.find_identity(identity)?;
        self.add_key_alone(identity, label, expires_at, by).await
    }

    async fn add_key_alone(
        &self,
        identity: NodeId,
        label: Option<String>,
        expires_at: Option<UnixMillis>,
        by: By,
    ) -> Result<(NodeId, ApiKey), AdminError> {
        let label = input::label(label)?;
        if expires_at.is_some_and(|end| end <= self.clock.now()) {
            return Err(InvalidInput::new("expires_at", "is in the past").into());
        }
        let key = ApiKey::generate()?;
        let hash = self.hasher.hash(&key);
        let credential = self.store.nodes().next();
        let event = Event::KeyIssued {
            credential,
            identity,
            label,
            hash,
            expires_at,
            by,
        };
        self.store.append(vec![event]).await?;
        Ok((credential, key))
    }

    /// Enrols a gateway: an identity that reads the feed and reports, and the file it starts with.
    pub async fn add_gateway(&self, new: NewGateway, by: By) -> Result<Enrolment, AdminError> {
        let _one_at_a_time = self.administration.lock().await;
        let served = new.audiences.clone();
        let scopes = if new.egress {
            EGRESS_SCOPES
        } else {
            GATEWAY_SCOPES
        };
        let identity = NewIdentity {
            name: new.name,
            owner: new.owner,
            kind: Kind::Gateway,
            tags: Vec::new(),
            audiences: served,
            scopes: scopes.to_owned(),
            max_lifetime: None,
        };
        let grant = Identity {
            sole_witness: new.sole_witness,
            ..self.grant(identity)?
        };
        let created = self.register(grant, by.clone()).await?;
        let (_, client_secret) = self.add_key_alone(created.id, None, None, by).await?;
        Ok(Enrolment {
            issuer: self.issuer().to_owned(),
            root: self.root().public().clone(),
            client_id: created.id,
            client_secret,
            audiences: created.audiences,
        })
    }

    fn reserved(&self) -> input::Reserved<'_> {
        input::Reserved {
            own: self.own_audience(),
            admin: self.admin_audience(),
        }
    }

    const fn lifetimes(&self) -> Lifetimes {
        self.settings.lifetimes
    }
}

/// Ending, and beginning again.
impl Issue {
    /// Disables an owner, an identity or a credential: one watermark ends everything below it, and
    /// nothing new is issued until it is enabled.
    pub async fn disable(&self, node: NodeId, by: By, reason: &str) -> Result<Rev, AdminError> {
        let cause = Cause::Administrator(input::reason(reason)?);
        self.known(node)?;
        let rev = self
            .store
            .append(vec![Event::Revoked { node, cause, by }])
            .await?;
        tracing::info!(
            name: "lanyard.revoked",
            { lanyard.node = %node, lanyard.reason = "administrator" },
            "disabled"
        );
        Ok(rev)
    }

    /// Enables an owner, an identity or a credential again. Tokens from before stay dead.
    pub async fn enable(
        &self,
        node: NodeId,
        by: By,
        reason: Option<&str>,
    ) -> Result<Rev, AdminError> {
        let reason = reason.map(input::reason).transpose()?;
        self.known(node)?;
        let orphaned = self.state().read(|book| {
            let owner = book.identity(node)?.grant.owner;
            book.owner(owner)
                .filter(|owner| owner.disabled)
                .map(|owner| owner.name.clone())
        });
        if let Some(owner) = orphaned {
            return Err(AdminError::OwnerDisabled { owner });
        }
        Ok(self
            .store
            .append(vec![Event::Enabled { node, by, reason }])
            .await?)
    }

    /// Lets a credential obtain tokens again. Tokens from before stay dead.
    pub async fn enable_credential(
        &self,
        credential: NodeId,
        by: By,
        reason: Option<&str>,
    ) -> Result<Rev, AdminError> {
        self.show_key(credential)?;
        self.enable(credential, by, reason).await
    }

    /// Revokes a credential.
    pub async fn revoke_credential(
        &self,
        credential: NodeId,
        by: By,
        reason: &str,
    ) -> Result<Rev, AdminError> {
        self.show_key(credential)?;
        self.disable(credential, by, reason).await
    }

    fn known(&self, node: NodeId) -> Result<(), AdminError> {
        let known = |book: &Book| {
            book.owner(node).is_some()
                || book.identity(node).is_some()
                || book.credential(node).is_some()
        };
        if self.state().read(known) {
            Ok(())
        } else {
            Err(AdminError::NotFound {
                kind: "owner, identity or key",
                name: node.to_string(),
            })
        }
    }
}

/// Looking.
impl Issue {
    /// An owner's number, by name or number.
    pub fn find_owner(&self, name: &str) -> Result<NodeId, AdminError> {
        let found = self.state().read(|book| book.find_owner(name));
        found.ok_or_else(|| AdminError::NotFound {
            kind: "owner",
            name: name.to_owned(),
        })
    }

    /// An identity's number, by name or number.
    pub fn find_identity(&self, name: &str) -> Result<NodeId, AdminError> {
        let found = self.state().read(|book| book.find_identity(name));
        found.ok_or_else(|| AdminError::NotFound {
            kind: "identity",
            name: name.to_owned(),
        })
    }

    /// All owners, by name.
    pub fn list_owners(&self) -> Vec<OwnerView> {
        self.state().read(view::owners)
    }

    /// All identities, by name; gateways are among them.
    pub fn list_identities(&self) -> Vec<IdentityView> {
        self.state().read(view::identities)
    }

    /// One identity, by name or number.
    pub fn show_identity(&self, name: &str) -> Result<IdentityView, AdminError> {
        let node = self.find_identity(name)?;
        let seen = self.state().read(|book| {
            book.identity(node)
                .map(|found| IdentityView::new(node, &found.grant, found.disabled))
        });
        seen.ok_or_else(|| AdminError::NotFound {
            kind: "identity",
            name: name.to_owned(),
        })
    }

    /// All gateways, by name.
    pub fn list_gateways(&self) -> Vec<GatewayView> {
        self.state().read(view::gateways)
    }

    /// The credentials of an identity, oldest first.
    pub fn list_keys(&self, identity: &str) -> Result<Vec<KeyView>, AdminError> {
        let node = self.find_identity(identity)?;
        Ok(self.state().read(|book| view::keys(book, node)))
    }
}
