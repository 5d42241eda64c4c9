//! A run that may be ended from outside: SIGINT and SIGTERM let go of everything it holds, so that the servers it
//! started end with it and the folders with their keys are gone.
//!
//! Work that computes and never waits cannot be let go of. It holds no servers meanwhile, and is left where it is after
//! a moment.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// What waits is let go of at once; killed servers are waited for.
const LET_GO_WITHIN: Duration = Duration::from_secs(5);
/// As shells tell of a signal: this and its number.
const BY_SIGNAL: u8 = 128;
const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// Works until it is done or the process is told to end.
pub fn unless_ended(
    work: impl Future<Output = Result<(), Box<dyn Error>>>,
) -> Result<ExitCode, Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // A task of its own: it is heard too while the work does not wait for anything.
        let told = tokio::spawn(async move {
            let number = tokio::select! {
                _ = interrupt.recv() => SIGINT,
                _ = terminate.recv() => SIGTERM,
            };
            tokio::spawn(leave(number));
            number
        });
        tokio::select! {
            done = work => done.map(|()| ExitCode::SUCCESS),
            number = told => Ok(ExitCode::from(BY_SIGNAL.saturating_add(number?))),
        }
    });
    // Tasks hold folders as well.
    runtime.shutdown_timeout(LET_GO_WITHIN);
    done
}

/// For work that did not let go.
async fn leave(number: u8) {
    tokio::time::sleep(LET_GO_WITHIN).await;
    std::process::exit(i32::from(BY_SIGNAL.saturating_add(number)));
}
