//! The program.
#![forbid(unsafe_code)]

use std::alloc::System;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use lanyard_gateway::egress::{self, Config};
use zeroizing_alloc::ZeroAlloc;

/// Wipes all memory that is given back: buffers of connections and texts of libraries hold credentials too, and nobody
/// else wipes those.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// Lanyard's gateway as a program.
#[derive(Parser)]
#[command(name = "lanyard-gateway", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Calls third parties for callers that hold a Lanyard token and no credential.
    Egress {
        /// The configuration.
        #[arg(
            long,
            default_value = "/etc/lanyard/egress.toml",
            env = "LANYARD_EGRESS_CONFIG"
        )]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let Command::Egress { config } = command;
    match start(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&*error);
            ExitCode::from(2)
        }
    }
}

fn start(config: &std::path::Path) -> Result<(), Box<dyn Error>> {
    egress::forbid_dumps()?;
    let config = Config::read(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let telemetry = lanyard_telemetry::start("lanyard-egress", &config.telemetry)?;
        let ran = egress::run(config).await;
        // It waits for the collector, a moment at most.
        tokio::task::spawn_blocking(move || telemetry.stop()).await?;
        Ok(ran?)
    })
}

#[expect(
    clippy::print_stderr,
    reason = "where a person who starts a program looks"
)]
fn complain(error: &dyn Error) {
    eprintln!("lanyard-gateway: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
}
