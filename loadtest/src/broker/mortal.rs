//! A broker that is killed and started again on the same folder and the same addresses.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;

use lanyard_sdk::Secret;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{Broker, BrokerError, Ready, beside_this_program, http};
use crate::started::Started;

/// The folder of the index, which is made anew from the log when it is missing.
const INDEX: &str = "index";

/// `lanyard dev`, again and again.
pub struct Mortal {
    // Before the folder: it is ended before that is removed.
    started: Started,
    program: PathBuf,
    folder: TempDir,
    listen: String,
    admin_listen: String,
}

impl Mortal {
    /// Starts it on a fresh folder; and its administrator's door.
    pub async fn start(program: Option<PathBuf>) -> Result<(Self, Broker), BrokerError> {
        let program = program.unwrap_or_else(beside_this_program);
        let unstartable = |source| BrokerError::Start {
            program: program.clone(),
            source,
        };
        let folder = tempfile::tempdir().map_err(unstartable)?;
        let (listen, admin_listen) = free_addresses().map_err(unstartable)?;
        let process = spawn(&program, &folder, (&listen, &admin_listen)).map_err(unstartable)?;
        let mut mortal = Self {
            program,
            folder,
            listen,
            admin_listen,
            started: Started::new(process, None),
        };
        let broker = mortal.door().await?;
        Ok((mortal, broker))
    }

    /// Ends it as a power cut ends a process: without a word.
    pub async fn kill(&mut self) -> std::io::Result<()> {
        self.started.process.kill().await
    }

    /// Throws the index away, as if its disk had failed; only while it is dead.
    pub fn lose_index(&self) -> std::io::Result<()> {
        std::fs::remove_dir_all(self.folder.path().join("data").join(INDEX))
    }

    /// Starts it again; and its administrator's door, which has a new token.
    pub async fn revive(&mut self) -> Result<Broker, BrokerError> {
        let addresses = (self.listen.as_str(), self.admin_listen.as_str());
        let process =
            spawn(&self.program, &self.folder, addresses).map_err(|source| BrokerError::Start {
                program: self.program.clone(),
                source,
            })?;
        self.started = Started::new(process, None);
        self.door().await
    }

    async fn door(&mut self) -> Result<Broker, BrokerError> {
        let stdout = self.started.process.stdout.take();
        let stdout = stdout.ok_or(BrokerError::NotReady)?;
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.next_line().await.ok().flatten();
        let ready: Ready = line
            .and_then(|line| serde_json::from_str(&line).ok())
            .ok_or(BrokerError::NotReady)?;
        Ok(Broker {
            issuer: ready.issuer,
            admin_url: ready.admin_url,
            token: Secret::new(ready.admin_token),
            http: http()?,
            process: None,
        })
    }
}

fn spawn(
    program: &PathBuf,
    folder: &TempDir,
    (listen, admin_listen): (&str, &str),
) -> std::io::Result<Child> {
    Command::new(program)
        .args(["dev", "--json", "--listen", listen])
        .args(["--admin-listen", admin_listen, "--data-dir"])
        .arg(folder.path().join("data"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

/// Two that are free now; whoever takes one in between makes the start fail, in words.
fn free_addresses() -> std::io::Result<(String, String)> {
    let (one, other) = (
        TcpListener::bind(("127.0.0.1", 0))?,
        TcpListener::bind(("127.0.0.1", 0))?,
    );
    Ok((
        one.local_addr()?.to_string(),
        other.local_addr()?.to_string(),
    ))
}
