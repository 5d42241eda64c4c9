//! Where a broker is reached: two TCP listeners and a Unix socket.

use std::net::SocketAddr;

use super::StartError;
use crate::config::{Config, TlsFiles};
use crate::http::listener::Listener;
use crate::http::tls::{Certificate, TlsError};

/// Bound and not yet served: callers wait in the queue meanwhile, and a port that is taken is known
/// before the log is touched.
pub struct Doors {
    pub(super) public: Listener,
    pub(super) admin: Listener,
    pub(super) certificates: Certificates,
}

impl Doors {
    /// Binds both listeners; the Unix socket follows once the log is ours.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        let certificates = Certificates {
            public: config.tls.as_ref().map(Certificate::load).transpose()?,
            admin: config
                .admin_tls
                .as_ref()
                .map(Certificate::load)
                .transpose()?,
        };
        Ok(Self {
            public: bind("listen", config.listen, certificates.public.clone())?,
            admin: bind(
                "admin_listen",
                config.admin_listen,
                certificates.admin.clone(),
            )?,
            certificates,
        })
    }

    /// The public listener's address, with the port the system chose.
    pub fn public_address(&self) -> Result<SocketAddr, StartError> {
        self.public.address().map_err(StartError::Stopped)
    }

    /// The admin listener's address.
    pub fn admin_address(&self) -> Result<SocketAddr, StartError> {
        self.admin.address().map_err(StartError::Stopped)
    }
}

fn bind(
    setting: &'static str,
    address: SocketAddr,
    certificate: Option<Certificate>,
) -> Result<Listener, StartError> {
    Listener::bind(address, certificate).map_err(|source| StartError::Listen {
        setting,
        address: address.to_string(),
        source,
    })
}

/// What new connections are answered with.
#[derive(Clone)]
pub(super) struct Certificates {
    public: Option<Certificate>,
    admin: Option<Certificate>,
}

impl Certificates {
    /// Reads certificates again. One that is refused leaves its predecessor in force, and says so.
    pub(super) fn reload(&self, config: &Config) {
        for (listener, certificate, files) in [
            ("public", &self.public, &config.tls),
            ("admin", &self.admin, &config.admin_tls),
        ] {
            match (certificate, files) {
                (Some(certificate), Some(files)) => say(listener, certificate.reload(files), files),
                (None, None) => {}
                _ => tracing::warn!(
                    listener,
                    "TLS cannot be switched on or off without a restart"
                ),
            }
        }
    }
}

fn say(listener: &'static str, reloaded: Result<(), TlsError>, files: &TlsFiles) {
    let cert = files.cert_file.display();
    match reloaded {
        Ok(()) => {
            tracing::info!(name: "lanyard.tls.reloaded", listener, %cert, "the certificate was read again")
        }
        Err(error) => tracing::error!(
            name: "lanyard.tls.refused",
            listener, error = &error as &dyn std::error::Error,
            "the new certificate is refused; the old one stays in use"
        ),
    }
}
