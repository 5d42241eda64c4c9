//! A client for one audience and one set of scopes.

use std::sync::Arc;

use lanyard_token::{Audience, ScopeSet};
use url::Url;

use super::access_token::AccessToken;
use super::{Client, ClientError, send};
use crate::Secret;
use crate::feed::{NoToken, TokenFuture, TokenSource};

/// A [`Client`] for one audience and one set of scopes.
#[derive(Clone)]
pub struct ClientTokens {
    client: Client,
    audience: Audience,
    scopes: ScopeSet,
}

impl ClientTokens {
    pub(super) const fn new(client: Client, audience: Audience, scopes: ScopeSet) -> Self {
        Self {
            client,
            audience,
            scopes,
        }
    }

    /// A good token.
    pub async fn token(&self) -> Result<Arc<AccessToken>, ClientError> {
        self.client.token(&self.audience, &self.scopes).await
    }

    /// Makes a call with a token. On a 401 that blames the token (RFC 6750, 3.1) the token is thrown
    /// away and the call made once more with a new one; on 429, and on 503 when the method is
    /// idempotent, it is made again after the pause the server asks for. A request whose body is a
    /// stream is made once: it cannot be sent twice.
    pub async fn send(&self, request: reqwest::Request) -> Result<reqwest::Response, ClientError> {
        send::send(self, request).await
    }

    pub(crate) fn url(&self, path: &str) -> Result<Url, ClientError> {
        self.client.url(path)
    }

    pub(super) fn forget(&self, token: &Secret) {
        self.client
            .0
            .cache
            .forget(&self.audience, &self.scopes, token);
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        self.client.http()
    }
}

impl TokenSource for ClientTokens {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async move {
            let token = Self::token(self)
                .await
                .map_err(|error| NoToken(error.to_string()))?;
            Ok(token.shared())
        })
    }

    fn refused(&self, token: &Secret) {
        self.forget(token);
    }
}
