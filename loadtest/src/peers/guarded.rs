//! Our own layer before the one answer, enrolled with a broker, in a process of its own.

use std::error::Error;
use std::net::SocketAddr;

use super::{Peer, home};
use crate::broker::Broker;
use crate::server::{AUDIENCE, Kind};

/// A service behind Lanyard's layer.
pub struct Guarded {
    peer: Peer,
    // Its enrolment and its state.
    _folder: tempfile::TempDir,
}

impl Guarded {
    /// Enrols it under this name and starts it; it knows what is revoked when it is here.
    pub async fn start(broker: &Broker, owner: &str, name: &str) -> Result<Self, Box<dyn Error>> {
        let enrolment = broker.add_gateway_file(name, owner, AUDIENCE).await?;
        let folder = tempfile::tempdir()?;
        let (file, state) = (
            folder.path().join("enrolment.json"),
            folder.path().join("state"),
        );
        std::fs::write(&file, enrolment.expose())?;
        let arguments = [
            "--enrolment".as_ref(),
            file.as_os_str(),
            "--state".as_ref(),
            state.as_os_str(),
        ];
        let peer = home(Kind::Lanyard, arguments).await?;
        Ok(Self {
            peer,
            _folder: folder,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.peer.address
    }

    /// Its process, to be read from.
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }
}
