//! TLS to a server whose name is checked: with the certificates of this machine, or with those that a plan names.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// `SSLRequest`: its length, and the code that is no version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// TLS over a connection, or nothing: in clear a password would be anybody's.
pub(super) async fn begin(
    mut server: TcpStream,
    name: &str,
    ca_file: Option<&Path>,
) -> io::Result<TlsStream<TcpStream>> {
    let config = match ca_file {
        Some(file) => believing(&tokio::fs::read(file).await?),
        None => believing_as_usual(),
    };
    let config = config.map_err(io::Error::other)?;
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    server.write_all(&SSL_REQUEST).await?;
    // One byte, and whatever is behind it has to be TLS.
    if server.read_u8().await? != b'S' {
        return Err(io::Error::other("the server has no TLS"));
    }
    TlsConnector::from(Arc::new(config))
        .connect(name, server)
        .await
}

/// These certificates and no others.
fn believing(pem: &[u8]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| no_certificate())?;
        roots.add(certificate)?;
    }
    if roots.is_empty() {
        return Err(no_certificate());
    }
    Ok(
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

fn no_certificate() -> rustls::Error {
    rustls::Error::General("the file holds no certificate".to_owned())
}

fn believing_as_usual() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(default_provider());
    let verifier = Verifier::new(Arc::clone(&provider))?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}
