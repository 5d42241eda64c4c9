//! The client: keeps fresh tokens, and makes calls with them.
//!
//! A token is renewed at half of its life, in the background, so nobody waits and a broker may be
//! away for minutes unnoticed. Callers that want the same token at the same moment share one request
//! for it. When a service answers 401 to a token, that token is thrown away and the call is made
//! once more with a new one: this is all that the owner of a recycled token notices.

mod access_token;
mod builder;
mod cache;
mod endpoint;
mod error;
mod exchange;
mod retry;
mod send;
mod tokens;

use std::sync::Arc;

use lanyard_token::{Audience, ScopeSet};
use url::Url;

pub use self::access_token::AccessToken;
pub use self::builder::ClientBuilder;
pub use self::error::ClientError;
pub use self::exchange::Exchange;
pub use self::tokens::ClientTokens;

pub(crate) use self::endpoint::read_limited;
pub(crate) use self::retry::random_u64;

use self::cache::Cache;
use self::endpoint::Endpoint;
use crate::clock::Clock;

/// Gets tokens for one identity. Cloning gives another handle to the same client and its tokens.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    issuer: Url,
    endpoint: Endpoint,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    cache: Cache,
}

impl Client {
    /// A client of this broker.
    #[must_use]
    pub fn builder(issuer: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(issuer.into())
    }

    /// A token for this audience with these scopes, from the cache while it is fresh.
    pub async fn token(
        &self,
        audience: &Audience,
        scopes: &ScopeSet,
    ) -> Result<Arc<AccessToken>, ClientError> {
        cache::token(self, audience, scopes).await
    }

    /// Throws a token away that somebody refused; the next call gets another.
    pub fn forget(&self, audience: &Audience, scopes: &ScopeSet, token: &AccessToken) {
        self.0.cache.forget(audience, scopes, token.secret());
    }

    /// A token exchanged from another (RFC 8693): narrower, and ended with it. Not kept here.
    pub async fn exchange(&self, exchange: &Exchange<'_>) -> Result<AccessToken, ClientError> {
        let form = exchange.form();
        self.0
            .endpoint
            .token(&self.0.http, &*self.0.clock, &form)
            .await
    }

    /// Makes a call with a token for this audience with these scopes. See [`ClientTokens::send`].
    pub async fn send(
        &self,
        audience: &Audience,
        scopes: &ScopeSet,
        request: reqwest::Request,
    ) -> Result<reqwest::Response, ClientError> {
        self.tokens(audience.clone(), scopes.clone())
            .send(request)
            .await
    }

    /// This client, for one audience and one set of scopes.
    #[must_use]
    pub fn tokens(&self, audience: Audience, scopes: ScopeSet) -> ClientTokens {
        ClientTokens::new(self.clone(), audience, scopes)
    }

    /// The HTTP client it uses. Nothing about tokens is in it.
    #[must_use]
    pub fn http(&self) -> &reqwest::Client {
        &self.0.http
    }

    fn url(&self, path: &str) -> Result<Url, ClientError> {
        self.0
            .issuer
            .join(path)
            .map_err(|_| ClientError::Issuer(self.0.issuer.to_string()))
    }
}
