//! Looking at a token (RFC 7662) and ending it (RFC 7009).

use std::sync::Arc;

use lanyard_token::{Actor, Claims, NodeId, Rev};

use super::limits::Network;
use super::proof::access_token::{Proven, Wanted};
use super::proof::api_key::ApiKey;
use super::{Client, Issue};
use crate::store::event::{By, Cause};
use crate::store::{Event, StoreError};

/// What was ended, and from which place in the log on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The token, or the credential.
    pub node: NodeId,
    /// Its watermark.
    pub rev: Rev,
    /// When it would have ended anyway, in Unix seconds; `None` for a credential.
    pub expires_at: Option<u64>,
}

/// Why nothing was ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndRefused {
    /// The token is somebody else's: its holder or an administrator ends it.
    #[error("the token belongs to another client")]
    NotYours,
    /// It was not written, so it still lives: ask again.
    #[error("the revocation could not be written")]
    Store(#[from] StoreError),
}

impl Issue {
    /// What a token says, if it lives.
    pub fn introspect(&self, token: &str) -> Option<Arc<Proven>> {
        let now = self.clock.now();
        let proven = self.verify(token, Wanted::Any, now).ok()?;
        self.state.read(|book| proven.check_alive(book, now)).ok()?;
        Some(proven)
    }

    /// Ends a token, or an API key, on the wish of a client it belongs to. `None`: there was nothing
    /// to end.
    pub async fn end(
        &self,
        client: &Client,
        token: &str,
        network: Option<Network>,
    ) -> Result<Option<Ended>, EndRefused> {
        let Some((node, mine, expires_at)) = self.find(client, token, network) else {
            return Ok(None);
        };
        if !mine {
            return Err(EndRefused::NotYours);
        }
        let event = Event::Revoked {
            node,
            cause: Cause::Requested,
            by: By::Identity(client.identity),
        };
        let rev = self.store.append(vec![event]).await?;
        tracing::info!(
            name: "lanyard.revoked",
            { lanyard.identity = %client.identity, lanyard.credential.id = %node, lanyard.reason = "requested" },
            "revoked"
        );
        Ok(Some(Ended {
            node,
            rev,
            expires_at,
        }))
    }

    /// The token, if it could still be used some day: it is alive, or only suspended.
    pub fn not_ended(&self, token: &str) -> Option<Claims> {
        let proven = self.verify(token, Wanted::Any, self.clock.now()).ok()?;
        self.state
            .read(|book| book.check_not_ended(&proven.claims, proven.digest))
            .ok()?;
        Some(proven.claims.clone())
    }

    /// The thing behind a token or API key that is not ended yet, whether it is the client's, and
    /// when it ends.
    fn find(
        &self,
        client: &Client,
        token: &str,
        network: Option<Network>,
    ) -> Option<(NodeId, bool, Option<u64>)> {
        if ApiKey::is_meant(token) {
            let holder = self.key_not_ended(token, network)?;
            return Some((holder.credential, holder.identity == client.identity, None));
        }
        let claims = self.not_ended(token)?;
        Some((
            claims.jti,
            belongs_to(&claims, client.identity),
            Some(claims.exp),
        ))
    }
}

/// Whether a token is an identity's own, descends from its own, or was obtained by it for another.
fn belongs_to(claims: &Claims, identity: NodeId) -> bool {
    claims.lin.identity() == identity
        || claims
            .act
            .iter()
            .flat_map(Actor::iter)
            .any(|actor| actor.sub() == identity)
}
