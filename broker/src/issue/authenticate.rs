//! Client authentication: a client id and an API key (RFC 6749 section 2.3.1).

use lanyard_token::{Lineage, NodeId};

use super::identity::{Book, Unusable};
use super::limits::Network;
use super::proof::api_key::ApiKey;
use super::{Issue, Refused};
use crate::clock::UnixMillis;

/// An identity that proved who it is with one of its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Who.
    pub identity: NodeId,
    /// With what.
    pub credential: NodeId,
}

impl Client {
    /// Where its tokens stand, if its credential still obtains any: asked again by every decision,
    /// because the credential may have been revoked since it was proven.
    pub(super) fn lineage(&self, book: &Book, now: UnixMillis) -> Result<Lineage, Refused> {
        book.lineage_of(self.credential, now)
            .map_err(Refused::Client)
    }
}

impl Issue {
    /// Who holds this key, if it is the client it says it is.
    ///
    /// A key of the wrong form is refused without a hash and without a look-up. After that an unknown
    /// key, another client's key and a disabled client take the same way and get the same answer.
    pub fn authenticate(
        &self,
        client_id: &str,
        secret: &str,
        network: Option<Network>,
    ) -> Result<Client, Refused> {
        let client = self.holder(secret, network)?;
        if client_id.parse() == Ok(client.identity) {
            Ok(client)
        } else {
            self.failed(network, Unusable::Unknown)
        }
    }

    /// Who holds this key.
    pub(super) fn holder(&self, secret: &str, network: Option<Network>) -> Result<Client, Refused> {
        let Some(key) = ApiKey::parse(secret) else {
            return Err(Refused::MalformedKey);
        };
        let hash = self.hasher.hash(&key);
        let now = self.clock.now();
        let found = self.state.read(|book| {
            let (credential, row) = book.credential_by_hash(&hash).ok_or(Unusable::Unknown)?;
            let client = Client {
                identity: row.identity,
                credential,
            };
            book.lineage_of(credential, now).map(|_| client)
        });
        match found {
            Ok(client) => Ok(client),
            Err(why) => self.failed(network, why),
        }
    }

    /// Whose key this is, unless it was revoked: a key that is suspended comes back by itself, and its
    /// holder may end it meanwhile.
    pub(super) fn key_not_ended(&self, secret: &str, network: Option<Network>) -> Option<Client> {
        let hash = self.hasher.hash(&ApiKey::parse(secret)?);
        let found = self.state.read(|book| {
            let (credential, row) = book.credential_by_hash(&hash)?;
            (!row.disabled).then_some(Client {
                identity: row.identity,
                credential,
            })
        });
        found.or_else(|| self.failed(network, Unusable::Unknown).ok())
    }

    /// One more failure from there.
    fn failed<T>(&self, network: Option<Network>, why: Unusable) -> Result<T, Refused> {
        if let Some(network) = network {
            self.limits.failure(network).map_err(Refused::TooMany)?;
        }
        Err(Refused::Client(why))
    }
}
