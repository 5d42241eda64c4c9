//! `lanyard token file`: a token in a file that is always good, for programs that read one and cannot ask for it.
//!
//! The client renews at half of a token's life, so a broker may be away for that long and nobody notices. What
//! nobody tells is that a token was revoked in between: SIGHUP throws it away and gets another.

mod file;
mod minting;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lanyard_sdk::AccessToken;
use lanyard_sdk::client::ClientTokens;
use lanyard_sdk::feed::TokenSource;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::CliError;
use super::output::{self, Output};
use file::TokenFile;
pub(super) use minting::{Key, Minting, refused};

/// The file is looked after so many times in a token's life: it has the next one long before the last ends.
const LOOKS_IN_A_LIFE: u32 = 20;
/// Not more often than this, however short tokens live.
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);
/// Not more rarely than this, however long they live: the renewal is cheap, and so is looking.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// `lanyard token file`.
#[derive(Debug, Args)]
pub struct TokenFileArgs {
    #[command(flatten)]
    minting: Minting,
    /// For whom the token is
    #[arg(long, value_name = "URI")]
    audience: lanyard_token::Audience,
    /// The file: only you can read it, and it goes away with this command
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Keeps the file until SIGTERM or SIGINT; SIGHUP gets another token at once.
pub fn run(args: &TokenFileArgs, output: Output) -> Result<(), CliError> {
    crate::broker::no_dumps();
    let key = args.minting.key()?;
    let tokens = args.minting.tokens(key, args.audience.clone())?;
    runtime()?.block_on(async {
        let token = tokens.token().await.map_err(|error| refused(&error))?;
        let heard = |kind| signal(kind).map_err(|error| CliError::cannot("hear signals", &error));
        let mut terminate = heard(SignalKind::terminate())?;
        let mut interrupt = heard(SignalKind::interrupt())?;
        let mut hang_up = heard(SignalKind::hangup())?;
        let mut kept = Kept::new(tokens, &token, TokenFile::at(args.out.clone())?)?;
        let told = serde_json::json!({ "file": args.out });
        output.print(&told, |_| format!("kept in `{}`", args.out.display()));
        // Whoever waits for the file in a unit of `Type=notify` goes on now.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        tokio::select! {
            () = kept.keep(Some(&mut hang_up)) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}

/// One thread does: nothing here computes.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::cannot("start", &error))
}

/// A token in a file, and how the next one is got. The file goes away with it.
pub(super) struct Kept {
    tokens: ClientTokens,
    file: TokenFile,
    pause: Duration,
    /// Whether it was said that there is no token, so that it is said once.
    complained: bool,
}

impl Kept {
    /// In a folder of its own, that nobody else can look into.
    pub(super) fn privately(tokens: ClientTokens, token: &AccessToken) -> Result<Self, CliError> {
        Self::new(tokens, token, TokenFile::private()?)
    }

    fn new(tokens: ClientTokens, token: &AccessToken, file: TokenFile) -> Result<Self, CliError> {
        let mut kept = Self {
            tokens,
            file,
            pause: pause(token.lifetime()),
            complained: false,
        };
        kept.file.write(token.secret().expose())?;
        Ok(kept)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &std::path::Path {
        self.file.path()
    }

    /// Keeps it fresh, for ever. What goes wrong on the way is said, and tried again.
    pub(super) async fn keep(&mut self, mut renew: Option<&mut Signal>) {
        loop {
            tokio::select! {
                () = sleep(self.pause) => {}
                () = heard(&mut renew) => {
                    if let Ok(token) = self.tokens.token().await {
                        TokenSource::refused(&self.tokens, token.secret());
                    }
                }
            }
            match self.look().await {
                Ok(()) => self.complained = false,
                Err(_) if self.complained => {}
                Err(error) => {
                    self.complained = true;
                    output::message(format_args!(
                        "no fresh token for `{}`, tried again all the time: {}",
                        self.path().display(),
                        error.words()
                    ));
                }
            }
        }
    }

    async fn look(&mut self) -> Result<(), CliError> {
        let token = self.tokens.token().await;
        let token = token.map_err(|error| refused(&error))?;
        self.pause = pause(token.lifetime());
        self.file.write(token.secret().expose())
    }
}

fn pause(lifetime: Duration) -> Duration {
    (lifetime / LOOKS_IN_A_LIFE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

async fn heard(signal: &mut Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
