//! Where calls come in: TLS with HTTP/2 and 1.1, bounded heads, and certificates that are read again on a signal.

mod framing;
mod named;
mod strict;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

pub(super) use self::framing::ends_connection;
use self::named::Named;
pub(super) use self::named::ServerName;
use self::strict::Strictly;
use super::config::TlsFiles;

/// The longest head of a call. Over HTTP/1.1 it has at most the 100 headers that are the server's own bound: another number
/// would be told to it, and take a table on the heap for each head.
const MAX_HEAD: u32 = 64 * 1024;
/// How long a head may take to come in.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Calls of one connection at a time.
const STREAMS: u32 = 128;

/// Why there is no listener, or no new certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Another program has it, or it is no address of this machine.
    #[error("cannot listen on `{address}`")]
    Address {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Check path and permissions.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another file belongs there.
    #[error("`{0}` does not hold what it should in PEM form")]
    Content(PathBuf),
    /// Of different pairs, or of a kind that nobody can use.
    #[error("certificate and key do not go together")]
    Pair(#[source] rustls::Error),
}

/// A certificate that can be read again.
pub(super) struct Certificate {
    files: TlsFiles,
    config: RustlsConfig,
}

impl Certificate {
    pub(super) fn load(files: TlsFiles) -> Result<Self, ListenError> {
        let config = RustlsConfig::from_config(server_config(&files)?);
        Ok(Self { files, config })
    }

    /// Reads it again. What is refused leaves the one before it in use.
    pub(super) fn reload(&self) -> Result<(), ListenError> {
        self.config.reload_from_config(server_config(&self.files)?);
        Ok(())
    }
}

/// Takes the address.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bound = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bound().map_err(|source| ListenError::Address { address, source })
}

/// Serves until the handle is shut down.
pub(super) async fn serve(
    listener: TcpListener,
    certificate: Option<Arc<Certificate>>,
    routes: Router,
    handle: Handle<SocketAddr>,
) -> io::Result<()> {
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    let mut server = axum_server::from_tcp(listener)?.handle(handle);
    let http = server.http_builder();
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MAX_HEAD as usize);
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD)
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(HEAD_WITHIN)
        .keep_alive_timeout(HEAD_WITHIN);
    match certificate {
        None => {
            let acceptor = axum_server::accept::NoDelayAcceptor::new();
            server.acceptor(Strictly(acceptor)).serve(service).await
        }
        Some(certificate) => {
            let tls = axum_server::tls_rustls::RustlsAcceptor::new(certificate.config.clone())
                .acceptor(axum_server::accept::NoDelayAcceptor::new());
            server.acceptor(Strictly(Named(tls))).serve(service).await
        }
    }
}

fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, ListenError> {
    let content = |path: &Path| ListenError::Content(path.to_owned());
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&read(&files.cert_file)?)
            .collect::<Result<_, _>>()
            .map_err(|_| content(&files.cert_file))?;
    if chain.is_empty() {
        return Err(content(&files.cert_file));
    }
    let key = PrivateKeyDer::from_pem_slice(&Zeroizing::new(read(&files.key_file)?))
        .map_err(|_| content(&files.key_file))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ListenError::Pair)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(ListenError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read(path: &Path) -> Result<Vec<u8>, ListenError> {
    std::fs::read(path).map_err(|source| ListenError::Unreadable {
        path: path.to_owned(),
        source,
    })
}
