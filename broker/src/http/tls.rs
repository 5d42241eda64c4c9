//! Certificates of the listeners: read, checked, and replaced without dropping a connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::TlsFiles;

/// Why a certificate is not used. The one before it stays in use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Check path and permissions.
    #[error("cannot read `{path}`")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Another file belongs here.
    #[error("`{path}` holds no {what} in PEM form")]
    Content { path: PathBuf, what: &'static str },
    /// Certificate and key are of different pairs, or of a kind nobody can use.
    #[error("certificate `{cert}` and key `{key}` do not go together")]
    Pair {
        cert: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
}

/// The certificate new connections are answered with.
#[derive(Clone, Debug)]
pub struct Certificate(RustlsConfig);

impl Certificate {
    /// Reads it for the first time.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self(RustlsConfig::from_config(server_config(files)?)))
    }

    /// Reads it again; open connections keep the old one, and so do new ones when it is refused.
    pub fn reload(&self, files: &TlsFiles) -> Result<(), TlsError> {
        self.0.reload_from_config(server_config(files)?);
        Ok(())
    }

    /// For the listener.
    pub(super) fn rustls(&self) -> RustlsConfig {
        self.0.clone()
    }
}

fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let (cert, key) = (&files.cert_file, &files.key_file);
    let content = |path: &Path, what| TlsError::Content {
        path: path.to_owned(),
        what,
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&read(cert)?)
        .collect::<Result<_, _>>()
        .map_err(|_| content(cert, "certificate"))?;
    if chain.is_empty() {
        return Err(content(cert, "certificate"));
    }
    let private_key = PrivateKeyDer::from_pem_slice(&zeroize::Zeroizing::new(read(key)?))
        .map_err(|_| content(key, "private key"))?;
    let pair = |source| TlsError::Pair {
        cert: cert.clone(),
        key: key.clone(),
        source,
    };
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(pair)?
            .with_no_client_auth()
            .with_single_cert(chain, private_key)
            .map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path, name: &str) -> TlsFiles {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = TlsFiles {
            cert_file: folder.join(format!("{name}.pem")),
            key_file: folder.join(format!("{name}.key")),
        };
        std::fs::write(&files.cert_file, made.cert.pem()).unwrap();
        std::fs::write(&files.key_file, made.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn a_certificate_that_cannot_be_used_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (files(folder.path(), "one"), files(folder.path(), "other"));
        let certificate = Certificate::load(&one).unwrap();
        certificate.reload(&other).unwrap();
        let mixed = TlsFiles {
            cert_file: one.cert_file.clone(),
            key_file: other.key_file,
        };
        assert!(
            certificate
                .reload(&mixed)
                .unwrap_err()
                .to_string()
                .contains("do not go together")
        );
        let swapped = TlsFiles {
            cert_file: one.key_file.clone(),
            key_file: one.cert_file.clone(),
        };
        assert!(
            certificate
                .reload(&swapped)
                .unwrap_err()
                .to_string()
                .contains("holds no certificate")
        );
        let keyless = TlsFiles {
            key_file: one.cert_file.clone(),
            ..one.clone()
        };
        assert!(
            certificate
                .reload(&keyless)
                .unwrap_err()
                .to_string()
                .contains("holds no private key")
        );
        std::fs::remove_file(&one.cert_file).unwrap();
        assert!(matches!(
            certificate.reload(&one),
            Err(TlsError::Unreadable { .. })
        ));
    }
}
