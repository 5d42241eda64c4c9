//! Where calls go: addresses are judged, then connected to; no redirect is followed and no proxy asked.

mod connect;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use lanyard_token::integration::Network;
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

pub use self::connect::{Connector, Unreachable};
pub use lanyard_token::address::{Judgement, judge};

/// Longest that a connection is kept for the next call: less than a lease, so that no buffer of it outlives the value
/// that went through it for long.
const IDLE: Duration = Duration::from_secs(20);
/// The longest head of an answer, which an honest one never has. Over HTTP/1.1 it has at most the 100 headers that are the
/// client's own bound.
const MAX_HEAD: usize = 64 * 1024;

/// A client for one version of one credential.
pub type Client = HyperClient<HttpsConnector<Connector>, Body>;

/// From a name to addresses: asked once for each connection.
pub trait Resolver: Send + Sync + 'static {
    /// All addresses of a name.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// The answer of a [`Resolver`].
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Whom a client may connect to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Private networks that it may be in.
    pub private: Arc<[Network]>,
    /// Certificates that are believed instead of the system's.
    pub certificates: Option<Arc<str>>,
}

/// Which versions of HTTP are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// 2 where the third party offers it, else 1.1.
    Both,
    /// 1.1 alone: what becomes a WebSocket.
    One,
}

/// No client can be made.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoClient {
    /// Correct the integration.
    #[error("the integration's `certificates` are no certificates in PEM form")]
    Certificates,
    /// Install them, or name `certificates` in the integration.
    #[error("this machine knows no certificate roots")]
    NoRoots(#[source] rustls::Error),
}

/// Makes clients.
pub struct Clients {
    resolver: Arc<dyn Resolver>,
    /// The system's roots are read once: it takes milliseconds.
    system: OnceLock<ClientConfig>,
}

impl Clients {
    /// With this way from names to addresses.
    #[must_use]
    pub fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self {
            resolver,
            system: OnceLock::new(),
        }
    }

    /// Makes a client. It shares no connection and no session with any other, so no answer to another credential comes
    /// its way.
    pub fn make(&self, target: &Target, versions: Versions) -> Result<Client, NoClient> {
        let resolver = Arc::clone(&self.resolver);
        let connector = Connector::new(Arc::clone(&target.private), resolver);
        let mut tls = match &target.certificates {
            Some(pem) => named_roots(pem)?,
            None => self.system_roots()?,
        };
        tls.resumption = Resumption::default();
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http();
        let connector = match versions {
            Versions::Both => builder.enable_all_versions().wrap_connector(connector),
            Versions::One => builder.enable_http1().wrap_connector(connector),
        };
        Ok(HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .http1_max_buf_size(MAX_HEAD)
            .http2_max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
            .build(connector))
    }

    fn system_roots(&self) -> Result<ClientConfig, NoClient> {
        if let Some(known) = self.system.get() {
            return Ok(known.clone());
        }
        let provider = Arc::new(default_provider());
        let verifier = Verifier::new(Arc::clone(&provider)).map_err(NoClient::NoRoots)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(NoClient::NoRoots)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(self.system.get_or_init(|| config).clone())
    }
}

fn named_roots(pem: &str) -> Result<ClientConfig, NoClient> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| NoClient::Certificates)?;
        roots.add(certificate).map_err(|_| NoClient::Certificates)?;
    }
    if roots.is_empty() {
        return Err(NoClient::Certificates);
    }
    Ok(
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(NoClient::NoRoots)?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}
