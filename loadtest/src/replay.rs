//! Recorded traffic through the live loop: `lanyard-loadtest replay`.
//!
//! ```text
//! recording ─► one client per identity, own token ─► gateway (SDK layer) ─► upstream: recorded status and bytes
//!                                                       │    ▲
//!                                                    reports frames
//!                                                       ▼    │
//!                                                      broker: judge, respond
//! ```
//! Requests are real HTTP over loopback, one at a time in the order of the recorded clock, and the drift engine's
//! clock is the recorded one. There is one route per operation; what was called on is the query parameter `on`, so
//! that a call without a recorded object has none. The recorded source reaches the gateway in `X-Forwarded-For`,
//! from loopback, which the gateway is told to trust.

mod drive;
mod edge;
mod recording;
mod report;
mod upstream;

use std::error::Error;
use std::path::PathBuf;

use crate::broker::{Broker, BrokerArgs};
pub use recording::{Call, Label, Recording, RecordingError};

/// The scope every replayed call needs.
const SCOPE: &str = "replay:call";
/// The audience of the replayed service.
const AUDIENCE: &str = "https://replay.example";
/// The gateway does not come up.
const BROKEN: &str = "the gateway got no snapshot of the feed from the broker within ten seconds";

/// `lanyard-loadtest replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// The recording: zstd-compressed CSV.
    #[arg(long, value_name = "FILE.csv.zst")]
    data: PathBuf,
    /// At most this many calls, from the beginning.
    #[arg(long)]
    limit: Option<usize>,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// Runs the replay and prints what became of each identity.
pub async fn run(args: &ReplayArgs) -> Result<(), Box<dyn Error>> {
    let mut recording = Recording::open(&args.data)?;
    if let Some(limit) = args.limit {
        recording.truncate(limit);
    }
    let broker = Broker::open(&args.broker).await?;
    let result = drive::replay(&broker, &recording).await?;
    report::print(&result, args.json)?;
    Ok(())
}
