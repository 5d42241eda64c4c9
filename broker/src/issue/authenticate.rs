//! Client authentication: a client id and an API key (RFC 6749 section 2.3.1), or another issuer's token
//! (RFC 7523 section 2.2).

use std::sync::Arc;

use lanyard_token::{Lineage, NodeId};

use super::identity::{Book, Unusable};
use super::limits::Network;
use super::proof::api_key::ApiKey;
use super::proof::oidc::{Assertion, AssertionFault};
use super::{Issue, Refused};
use crate::clock::UnixMillis;
use crate::policy::{Oidc, Proof};

/// An identity that proved who it is with one of its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Who.
    pub identity: NodeId,
    /// With what.
    pub credential: NodeId,
    /// What another issuer's token said, if that was shown, and not a key.
    pub oidc: Option<Arc<Oidc>>,
}

impl Client {
    /// Where its tokens stand, if its credential still obtains any: asked again by every decision,
    /// because the credential may have been revoked since it was proven.
    pub(super) fn lineage(&self, book: &Book, now: UnixMillis) -> Result<Lineage, Refused> {
        book.lineage_of(self.credential, now)
            .map_err(Refused::Client)
    }

    /// What it showed, as policies name it.
    pub(super) const fn proof(&self) -> Proof {
        match self.oidc {
            Some(_) => Proof::Oidc,
            None => Proof::ApiKey,
        }
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
                oidc: None,
            };
            book.lineage_of(credential, now).map(|_| client)
        });
        match found {
            Ok(client) => Ok(client),
            Err(why) => self.failed(network, why),
        }
    }

    /// Whom another issuer's token vouches for: the client it says it is, if it says so, else the only one
    /// that this subject is pinned to.
    ///
    /// Whether the subject is pinned comes before the signature: what nobody registered costs no key, and
    /// nobody is asked for one.
    pub async fn authenticate_vouched(
        &self,
        client_id: Option<&str>,
        assertion: &str,
        network: Option<Network>,
    ) -> Result<Client, Refused> {
        match self.vouched(client_id, assertion).await {
            Err(Refused::Assertion(fault)) if fault.is_ours() => Err(Refused::Assertion(fault)),
            Err(why) => {
                self.count_failure(network)?;
                Err(why)
            }
            client => client,
        }
    }

    async fn vouched(&self, client_id: Option<&str>, assertion: &str) -> Result<Client, Refused> {
        let now = self.clock.now();
        let assertion = Assertion::parse(assertion).map_err(Refused::Assertion)?;
        if !self.federation.trusts(assertion.issuer()) {
            return Err(Refused::Assertion(AssertionFault::Issuer));
        }
        let (client, reusable) = self
            .state
            .read(|book| pinned(book, client_id, &assertion, now))
            .map_err(Refused::Client)?;
        let checked = async {
            assertion.check(self.issuer(), now)?;
            self.federation.check_signature(&assertion, now).await?;
            if reusable {
                return Ok(());
            }
            self.federation.check_first_use(&assertion, now)
        };
        checked.await.map_err(Refused::Assertion)?;
        Ok(client)
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
                oidc: None,
            })
        });
        found.or_else(|| self.failed(network, Unusable::Unknown).ok())
    }

    /// One more failure from there.
    fn failed<T>(&self, network: Option<Network>, why: Unusable) -> Result<T, Refused> {
        self.count_failure(network)?;
        Err(Refused::Client(why))
    }

    fn count_failure(&self, network: Option<Network>) -> Result<(), Refused> {
        match network {
            Some(network) => self.limits.failure(network).map_err(Refused::TooMany),
            None => Ok(()),
        }
    }
}

/// The one identity that this subject may be, and whether the token may be shown again.
fn pinned(
    book: &Book,
    client_id: Option<&str>,
    assertion: &Assertion,
    now: UnixMillis,
) -> Result<(Client, bool), Unusable> {
    let wanted = client_id.map(str::parse::<NodeId>);
    let mut found = None;
    let mut unusable = Unusable::Unknown;
    for (node, credential, pin) in book.credentials_by_pin(assertion.issuer(), assertion.subject())
    {
        if wanted
            .as_ref()
            .is_some_and(|id| *id != Ok(credential.identity))
        {
            continue;
        }
        if let Err(why) = book.lineage_of(node, now) {
            unusable = why;
            continue;
        }
        let another = |(client, _): &(Client, bool)| client.identity != credential.identity;
        if found.as_ref().is_some_and(another) {
            // It could be two: only the client can say which.
            return Err(Unusable::Unknown);
        }
        let oidc = Oidc {
            issuer: pin.issuer.clone(),
            subject: pin.subject.clone(),
        };
        let client = Client {
            identity: credential.identity,
            credential: node,
            oidc: Some(Arc::new(oidc)),
        };
        found = found.or(Some((client, pin.reusable)));
    }
    found.ok_or(unusable)
}
