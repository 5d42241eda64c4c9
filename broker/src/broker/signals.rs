//! Signals of the operating system as a stream of wishes.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::config::Config;

/// What the operator wants of a running broker.
#[derive(Debug)]
pub enum Wish {
    /// Certificates and policies are read again (SIGHUP).
    Reload(Box<Config>),
    /// Requests in flight are finished, then it ends (SIGTERM, SIGINT).
    Stop,
}

/// Wishes, one after the other.
pub type Wishes = mpsc::Receiver<Wish>;

/// Listens for signals. `reload` reads the configuration again; `None` keeps the old one.
pub fn listen(reload: impl Fn() -> Option<Config> + Send + 'static) -> io::Result<Wishes> {
    let (mut hang_up, mut terminate, mut interrupt) = (
        signal(SignalKind::hangup())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let (wishes, listened) = mpsc::channel(4);
    tokio::spawn(async move {
        loop {
            let wish = tokio::select! {
                _ = terminate.recv() => Some(Wish::Stop),
                _ = interrupt.recv() => Some(Wish::Stop),
                _ = hang_up.recv() => reload().map(Box::new).map(Wish::Reload),
            };
            if let Some(wish) = wish
                && wishes.send(wish).await.is_err()
            {
                return;
            }
        }
    });
    Ok(listened)
}
