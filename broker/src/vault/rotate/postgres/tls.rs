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

use super::super::certificates::LONGEST_FILE;

/// `SSLRequest`: its length, and the code that is no version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// TLS over a connection, or nothing: in clear a password would be anybody's.
pub(super) async fn begin(
    mut server: TcpStream,
    name: &str,
    ca_file: Option<&Path>,
) -> io::Result<TlsStream<TcpStream>> {
    let config = match ca_file {
        Some(file) => believing(&read(file).await?),
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

/// A file of certificates, as far as one may be long. What is no file, such as a device or a pipe, might never end.
async fn read(file: &Path) -> io::Result<Vec<u8>> {
    if !tokio::fs::metadata(file).await?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut pem = Vec::new();
    let mut file = tokio::fs::File::open(file).await?.take(LONGEST_FILE + 1);
    if file.read_to_end(&mut pem).await? as u64 > LONGEST_FILE {
        return Err(io::Error::other("the file is too long"));
    }
    Ok(pem)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_end_is_no_file_of_certificates() {
        assert!(read(Path::new("/dev/zero")).await.is_err());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("certificates");
        let longest = usize::try_from(LONGEST_FILE).unwrap();
        for (length, is_read) in [(longest, true), (longest + 1, false)] {
            std::fs::write(&file, vec![b'a'; length]).unwrap();
            assert_eq!(read(&file).await.is_ok(), is_read, "{length}");
        }
    }
}
