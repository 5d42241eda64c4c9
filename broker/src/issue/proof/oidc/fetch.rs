//! Asks a trusted issuer for its keys: the only place of this room that speaks to anybody.
//!
//! Only addresses that the operator listed are asked, or what the listed issuer's own document names on the same
//! origin. No redirect is followed, no proxy is used, and nothing that leads to a private address is connected to,
//! whenever it begins to.

use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::Value;

use super::keys::{BadKeySet, KeySet};
use super::{FederationError, TrustedIssuer, reach};
use crate::outbound::Caller;

/// A token's caller waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest document: the largest issuers' key sets, certificates included, have 40 KiB.
const MAX_BYTES: usize = 256 * 1024;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("`{at}` cannot be reached")]
    Unreachable {
        at: Url,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("`{at}` answers {status}")]
    Status { at: Url, status: u16 },
    #[error("`{at}` answers more than {MAX_BYTES} bytes")]
    TooLong { at: Url },
    #[error("`{at}` does not answer JSON")]
    NotJson { at: Url, source: serde_json::Error },
    #[error("the issuer is no address")]
    Address,
    #[error("its document is another issuer's")]
    AnotherIssuer,
    #[error(
        "its document names no key set on its own origin: name the key set in `federation.issuers`"
    )]
    Elsewhere,
    #[error("`{at}` is no key set")]
    Keys { at: Url, source: BadKeySet },
}

/// Speaks to issuers.
pub(super) struct Fetcher {
    http: Caller,
}

impl Fetcher {
    pub(super) fn new(private_too: bool) -> Result<Self, FederationError> {
        let http = Caller::built(reach(private_too), |builder| {
            builder.timeout(PATIENCE).https_only(!private_too)
        })?;
        Ok(Self { http })
    }

    /// The keys of an issuer, as they are now.
    pub(super) async fn keys(&self, trusted: &TrustedIssuer) -> Result<KeySet, FetchError> {
        let at = match &trusted.keys_at {
            Some(at) => at.clone(),
            None => self.discover(&trusted.issuer).await?,
        };
        let document = self.get(&at).await?;
        KeySet::parse(&document).map_err(|source| FetchError::Keys { at, source })
    }

    /// OpenID Connect Discovery 1.0, section 4.
    async fn discover(&self, issuer: &str) -> Result<Url, FetchError> {
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        let at = Url::parse(&format!("{base}/.well-known/openid-configuration"))
            .map_err(|_| FetchError::Address)?;
        let document = self.get(&at).await?;
        let text = |member: &str| document.get(member).and_then(Value::as_str);
        if text("issuer") != Some(issuer) {
            return Err(FetchError::AnotherIssuer);
        }
        let keys = text("jwks_uri").and_then(|text| Url::parse(text).ok());
        keys.filter(|keys| keys.origin() == at.origin())
            .ok_or(FetchError::Elsewhere)
    }

    async fn get(&self, at: &Url) -> Result<Value, FetchError> {
        let unreachable = |error: reqwest::Error| FetchError::Unreachable {
            at: at.clone(),
            source: error.without_url().into(),
        };
        let request = self.http.request(Method::GET, at.clone());
        let request = request
            .map_err(|refused| FetchError::Unreachable {
                at: at.clone(),
                source: refused.into(),
            })?
            .header("accept", "application/json");
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(FetchError::Status {
                at: at.clone(),
                status: status.as_u16(),
            });
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len().saturating_add(chunk.len()) > MAX_BYTES {
                return Err(FetchError::TooLong { at: at.clone() });
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|source| FetchError::NotJson {
            at: at.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_leave_nothing_is_asked_in_plain_text() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}", listener.local_addr().unwrap());
        let trusted = TrustedIssuer {
            issuer: at,
            keys_at: None,
        };
        let fetcher = Fetcher::new(false).unwrap();
        assert!(matches!(
            fetcher.keys(&trusted).await,
            Err(FetchError::Unreachable { .. })
        ));
        let nobody = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(nobody.is_err(), "somebody connected");
    }
}
