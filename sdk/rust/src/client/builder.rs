//! Making a client.

use std::sync::Arc;

use url::Url;

use super::cache::Cache;
use super::endpoint::{Credentials, Endpoint};
use super::error::ClientError;
use super::{Client, Inner};
use crate::Secret;
use crate::clock::{Clock, SystemClock};
use crate::transport::{self, Roots};

/// A client in the making.
pub struct ClientBuilder {
    issuer: String,
    credentials: Option<Credentials>,
    certificates: Option<Vec<u8>>,
    clock: Arc<dyn Clock>,
}

impl ClientBuilder {
    pub(super) fn new(issuer: String) -> Self {
        Self {
            issuer,
            credentials: None,
            certificates: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// As whom: an identity and its API key (RFC 6749, 2.3.1).
    #[must_use]
    pub fn client_credentials(mut self, id: impl Into<String>, secret: Secret) -> Self {
        self.credentials = Some(Credentials {
            id: id.into(),
            secret,
        });
        self
    }

    /// Certificates (PEM) that are believed besides the system's.
    #[must_use]
    pub fn certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificates = Some(pem.into());
        self
    }

    /// Another clock: for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The client. Nothing is sent yet.
    pub fn build(self) -> Result<Client, ClientError> {
        let bad = || ClientError::Issuer(self.issuer.clone());
        let mut issuer = Url::parse(&self.issuer).map_err(|_| bad())?;
        if issuer.query().is_some() || issuer.fragment().is_some() || !issuer.username().is_empty()
        {
            return Err(bad());
        }
        if !transport::is_confidential(&issuer) {
            return Err(ClientError::PlainHttp(self.issuer.clone()));
        }
        // Joining replaces what stands after the last slash.
        if !issuer.path().ends_with('/') {
            issuer.set_path(&format!("{}/", issuer.path()));
        }
        let roots = match (&self.certificates, issuer.scheme()) {
            (None, "http") => Roots::Loopback,
            (pem, _) => Roots::System(pem.as_deref()),
        };
        let http = transport::client(&roots)?;
        let token_url = issuer.join("oauth/token").map_err(|_| bad())?;
        let endpoint = Endpoint::new(
            token_url,
            self.credentials.ok_or(ClientError::NoCredentials)?,
        );
        Ok(Client(Arc::new(Inner {
            issuer,
            endpoint,
            http,
            clock: self.clock,
            cache: Cache::default(),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(issuer: &str) -> Result<Client, ClientError> {
        Client::builder(issuer)
            .client_credentials("id", Secret::new("s"))
            .build()
    }

    #[test]
    fn secrets_never_leave_the_machine_in_the_clear() {
        assert!(matches!(
            build("http://broker.example"),
            Err(ClientError::PlainHttp(_))
        ));
        assert!(build("http://127.0.0.1:8420").is_ok());
        assert!(matches!(build("broker"), Err(ClientError::Issuer(_))));
        assert!(matches!(
            build("http://localhost/?x"),
            Err(ClientError::Issuer(_))
        ));
        assert!(matches!(
            Client::builder("http://localhost").build(),
            Err(ClientError::NoCredentials)
        ));
    }

    #[test]
    fn an_issuer_with_a_path_keeps_it() {
        let client = build("http://localhost:1/tenant").unwrap();
        assert_eq!(
            client.url("v1/reports").unwrap().as_str(),
            "http://localhost:1/tenant/v1/reports"
        );
    }
}
