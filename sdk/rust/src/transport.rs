//! The HTTP client that everything here uses.
//!
//! The rustls configuration is built here, with its provider inside: a library must not install a
//! provider for the whole process, because the program around it may want another.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use url::{Host, Url};

/// Why no HTTP client can be made.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The given certificates are no PEM, or none of them can be a root.
    #[error("the certificates cannot be used")]
    Certificates,
    /// The system has no roots and none were given.
    #[error("no certificate root is known to this machine")]
    NoRoots(#[source] Arc<rustls::Error>),
    /// The protocol versions or the client's settings are impossible together.
    #[error("the http client cannot be made")]
    Client,
}

/// Which servers are believed.
pub(crate) enum Roots<'p> {
    /// The system's, and these besides.
    System(Option<&'p [u8]>),
    /// None: for brokers on this very machine, over plain HTTP.
    Loopback,
}

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client that follows no redirects: a token is for the server it was meant for.
pub(crate) fn client(roots: &Roots<'_>) -> Result<reqwest::Client, TransportError> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|_| TransportError::Client)?;
    let mut tls = match roots {
        Roots::System(pem) => {
            let extra = pem.map(certificates).transpose()?.unwrap_or_default();
            let verifier = Verifier::new_with_extra_roots(extra, provider)
                .map_err(|error| TransportError::NoRoots(Arc::new(error)))?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth()
        }
        Roots::Loopback => builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .no_proxy()
        .build()
        .map_err(|_| TransportError::Client)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| TransportError::Certificates)?;
    let mut store = RootCertStore::empty();
    for certificate in &found {
        store
            .add(certificate.clone())
            .map_err(|_| TransportError::Certificates)?;
    }
    if found.is_empty() {
        Err(TransportError::Certificates)
    } else {
        Ok(found)
    }
}

/// Whether secrets may travel to this URL: TLS, or the machine itself.
pub(crate) fn is_confidential(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// Whether the URL names this machine. `localhost` counts (RFC 6761, 6.3).
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        let confidential = |text: &str| is_confidential(&Url::parse(text).unwrap());
        for url in [
            "https://broker.example",
            "http://127.0.0.1:8420",
            "http://[::1]:1",
            "http://localhost:8420",
        ] {
            assert!(confidential(url), "{url}");
        }
        for url in [
            "http://broker.example",
            "http://127.0.0.1.example",
            "http://10.0.0.1",
            "ftp://localhost",
        ] {
            assert!(!confidential(url), "{url}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let refused = client(&Roots::System(Some(b"not a certificate")));
        assert!(matches!(refused, Err(TransportError::Certificates)));
        assert!(client(&Roots::Loopback).is_ok());
    }
}
