//! What comes out of the room: a token, or a refusal. And the simplest way to get one.

use std::net::IpAddr;

use lanyard_token::{NodeId, Rejection, ScopeSet};

use super::decision::{Circumstances, Decision};
use super::identity::Unusable;
use super::keys::KeyError;
use super::limits::TooMany;
use super::lineage::BrokenChain;
use super::mint::{self, AccessToken, MintError};
use super::policy::{Denied, Request};
use super::proof::oidc::AssertionFault;
use super::{Client, Issue};
use crate::clock::UnixMillis;
use crate::store::event::Grant;

/// A token that is durable, with what its holder must know.
pub struct Issued {
    /// The token.
    pub token: AccessToken,
    /// Its node.
    pub jti: NodeId,
    /// Seconds from now.
    pub expires_in: u64,
    /// What it allows.
    pub scope: ScopeSet,
}

/// Why there is no token. For the operator; what outsiders are told stands beside the doors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The client did not say who it is.
    #[error("no client authentication")]
    NoClient,
    /// The client's key has not the form of one.
    #[error("the API key is malformed")]
    MalformedKey,
    /// The client's key is unknown, not its own, or not usable now.
    #[error("the client is refused")]
    Client(#[source] Unusable),
    /// Another issuer's token that the client showed is refused.
    #[error("the client assertion is refused")]
    Assertion(#[source] AssertionFault),
    /// Ask later.
    #[error("too many requests")]
    TooMany(#[source] TooMany),
    /// The subject token is not a living one of ours.
    #[error("the subject token is refused")]
    Subject(#[source] Rejection),
    /// The actor token is not a living one of ours.
    #[error("the actor token is refused")]
    Actor(#[source] Rejection),
    /// The client is neither the subject nor the actor.
    #[error("the client is neither subject nor actor")]
    NotParty,
    /// The actor token was itself obtained for somebody else.
    #[error("an actor acts for itself")]
    ActorActs,
    /// The chain of exchanges or actors cannot be extended.
    #[error("the chain cannot be extended")]
    Chain(#[source] BrokenChain),
    /// Too many tokens were exchanged from this one.
    #[error("too many tokens were exchanged from the subject token")]
    FanOut,
    /// Policy.
    #[error("not allowed")]
    Denied(#[source] Denied),
    /// It was allowed, and could not be made.
    #[error("the token could not be made")]
    Mint(#[source] MintError),
}

impl Refused {
    /// The cause as a fixed word, for counters and the audit log.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoClient => "no_client",
            Self::MalformedKey => "malformed_key",
            Self::Client(Unusable::Unknown) => "unknown_client",
            Self::Client(Unusable::Disabled) => "client_disabled",
            Self::Client(Unusable::Suspended) => "client_suspended",
            Self::Client(Unusable::Expired) => "key_expired",
            Self::Assertion(fault) => fault.reason(),
            Self::TooMany(_) => "too_many_requests",
            Self::Subject(why) | Self::Actor(why) => why.reason(),
            Self::NotParty => "client_not_party",
            Self::ActorActs => "actor_acts",
            Self::Chain(BrokenChain::Tokens) => "chain_too_long",
            Self::Chain(BrokenChain::Actors) => "actors_too_many",
            Self::Chain(BrokenChain::Loop) => "actor_loop",
            Self::FanOut => "fan_out",
            Self::Denied(Denied::NoTarget | Denied::ManyTargets | Denied::Target) => "target",
            Self::Denied(Denied::Scope | Denied::Nothing) => "scope",
            Self::Denied(Denied::Task | Denied::TaskEnded) => "task",
            Self::Denied(Denied::Lifetime) => "lifetime",
            Self::Mint(MintError::TooLong) => "token_too_long",
            Self::Mint(MintError::Store(_)) => "store",
            Self::Mint(_) => "mint",
        }
    }
}

impl From<KeyError> for Refused {
    fn from(error: KeyError) -> Self {
        Self::Mint(MintError::Key(error))
    }
}

impl Issue {
    /// One more request of an identity, at whichever of its doors.
    pub fn count_request(&self, identity: NodeId) -> Result<(), Refused> {
        self.limits.identity(identity).map_err(Refused::TooMany)
    }

    /// RFC 6749 section 4.4: a client asks for itself, from `address` as far as it is known.
    pub async fn client_credentials(
        &self,
        client: &Client,
        request: &Request,
        address: Option<IpAddr>,
    ) -> Result<Issued, Refused> {
        self.count_request(client.identity)?;
        let now = self.clock.now();
        let look = self.state.read(|book| {
            let lineage = client.lineage(book, now)?;
            self.look(book, lineage, None, now)
        })?;
        let circumstances = Circumstances {
            grant: Grant::ClientCredentials,
            proof: client.proof(),
            oidc: client.oidc.as_deref(),
            address,
        };
        let decision = self.decide(look, request, None, circumstances, now)?;
        self.hand_out(decision, now).await
    }

    /// Signs, writes, answers.
    pub(super) async fn hand_out(
        &self,
        decision: Decision,
        now: UnixMillis,
    ) -> Result<Issued, Refused> {
        let Decision {
            claims,
            key,
            grant,
            decided,
        } = decision;
        let (jti, scope) = (claims.jti, claims.scope.clone());
        let expires_in = claims.exp.saturating_sub(now.seconds());
        let (identity, subject) = (claims.client_id.clone(), claims.sub.clone());
        let token = mint::mint(&*self.store, &key, claims, grant, decided)
            .await
            .map_err(Refused::Mint)?;
        tracing::info!(
            name: "lanyard.token.issued",
            { lanyard.identity = %identity, lanyard.subject = %subject, lanyard.credential.id = %jti, lanyard.decision = "issued" },
            "token issued"
        );
        Ok(Issued {
            token,
            jti,
            expires_in,
            scope,
        })
    }
}
