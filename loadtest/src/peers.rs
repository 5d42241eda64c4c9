//! Other people's servers, and the home-made ones, started on loopback to be measured beside ours.
//!
//! `loadtest/peers/install.sh` installs them. One that is not there is said aloud, and its figures are missing from
//! the report by name; it is never left out silently. Every one is ended by its own process id when it is dropped.

mod envoy;
mod guarded;
mod home;
mod nginx;
mod oidc_provider;
mod openbao;

pub use envoy::{Envoy, Filter};
pub use guarded::Guarded;
pub use home::home;
pub use nginx::{Auth, nginx};
pub use oidc_provider::{OidcProvider, oidc_provider};
pub use openbao::{OpenBao, openbao};

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::process::Command;

use crate::load::{ProcessorTime, resident_bytes};
use crate::started::Started;

/// The slowest (Node, a fresh OpenBao) needs about two seconds here.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Why a peer is not measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// Install it.
    #[error("{0} is not installed: run loadtest/peers/install.sh")]
    NotInstalled(&'static str),
    /// It is there and cannot be started.
    #[error("{name} cannot be started")]
    Start {
        name: &'static str,
        source: std::io::Error,
    },
    /// It was started and does not answer.
    #[error("{0} did not get ready")]
    NotReady(&'static str),
    /// It answers, and not as it should.
    #[error("{name} cannot be set up")]
    SetUp {
        name: &'static str,
        source: reqwest::Error,
    },
    /// It answers in another form than this version of it did.
    #[error("{name} answered in another form than expected: {what}")]
    Form {
        name: &'static str,
        what: &'static str,
    },
}

/// A running server.
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    started: Started,
}

impl Peer {
    /// Processor time it has used.
    pub fn processor_time(&self) -> Option<Duration> {
        ProcessorTime::of(self.started.id()?).used()
    }

    /// Its process, while it runs.
    pub fn process(&self) -> Option<u32> {
        self.started.id()
    }

    /// Memory it has resident.
    pub fn resident_bytes(&self) -> Option<u64> {
        resident_bytes(self.started.id()?)
    }

    /// Starts a program and waits until something accepts connections there.
    async fn start(
        name: &'static str,
        mut command: Command,
        address: SocketAddr,
        folder: Option<tempfile::TempDir>,
    ) -> Result<Self, Missing> {
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Missing::Start { name, source })?;
        let peer = Self {
            address,
            started: Started::new(process, folder),
        };
        let began = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            if began.elapsed() > READY_WITHIN {
                return Err(Missing::NotReady(name));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(peer)
    }
}

/// Where `install.sh` puts what it installs.
fn installed() -> PathBuf {
    let named = std::env::var_os("LANYARD_PEERS").map(PathBuf::from);
    named.unwrap_or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
        cache.unwrap_or_else(home).join("lanyard/peers")
    })
}

/// A port that was free a moment ago: these programs cannot say which one they chose.
fn free_address(name: &'static str) -> Result<SocketAddr, Missing> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|source| Missing::Start { name, source })
}

fn folder(name: &'static str) -> Result<tempfile::TempDir, Missing> {
    tempfile::tempdir().map_err(|source| Missing::Start { name, source })
}

/// A program within a package that `pip` installed: the package's own command is a script that starts it, and the
/// processor time to be read is the program's.
fn packaged(name: &'static str, program: &str) -> Result<PathBuf, Missing> {
    let pythons = std::fs::read_dir(installed().join("pip/lib"));
    let pythons = pythons.into_iter().flatten().flatten();
    pythons
        .map(|python| python.path().join("site-packages").join(program))
        .find(|path| path.exists())
        .ok_or(Missing::NotInstalled(name))
}
