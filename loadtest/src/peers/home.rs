//! The home-made servers of [`crate::server`], in processes of their own.

use std::ffi::OsStr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::{Missing, Peer};
use crate::server::Kind;
use crate::started::Started;

/// Starts one, with whatever else it needs to know.
pub async fn home<S: AsRef<OsStr>>(
    kind: Kind,
    arguments: impl IntoIterator<Item = S>,
) -> Result<Peer, Missing> {
    let name = kind.word();
    let failed = |source| Missing::Start { name, source };
    let process = Command::new(std::env::current_exe().map_err(failed)?)
        .args(["serve", name])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut started = Started::new(process, None);
    let stdout = started.process.stdout.take();
    let stdout = stdout.ok_or(Missing::NotReady(name))?;
    let mut lines = BufReader::new(stdout).lines();
    let line = lines.next_line().await.map_err(failed)?;
    let address = line
        .and_then(|line| line.parse().ok())
        .ok_or(Missing::NotReady(name))?;
    Ok(Peer { address, started })
}
