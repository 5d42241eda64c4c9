//! `lanyard probe`: how long a revocation takes, at this installation, all the time.
//!
//! ```text
//! mint a canary ─► every gateway lets it in ─► revoke it ─► asked again and again, until each refuses
//!                                                 └──► the receipt: who says that it is on its disk
//! ```
//! What a receipt says is a gateway's own word; a protected route that answers 401 is the fact. Both are told apart in
//! what is printed and in the histogram `lanyard.probe.revocation.latency` (seconds), which is what a promise about
//! revocation is measured by. A gateway that did not confirm, or still lets the canary in when the time is over, is
//! counted in `lanyard.probe.revocation.missed`, and no latency is made up for it.

mod canary;
mod gateways;
mod measures;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::Url;
use tokio::time::{MissedTickBehavior, interval};

use super::CliError;
use super::client::{self, is_confidential};
use super::output::{self, Output};
use crate::telemetry::{self, Settings};
use canary::Nest;
use gateways::Door;
use measures::Measures;

/// `lanyard probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// The broker's issuer
    #[arg(long, env = "LANYARD_ISSUER", value_name = "URL")]
    issuer: Url,
    /// The identity whose tokens are the canaries: one for this alone
    #[arg(long, env = "LANYARD_CLIENT_ID", value_name = "ID")]
    client_id: String,
    /// File with that identity's API key
    #[arg(long, env = "LANYARD_CLIENT_SECRET_FILE", value_name = "FILE")]
    client_secret_file: PathBuf,
    /// Audience of the canaries, where the identity has several
    #[arg(long, value_name = "URI")]
    audience: Option<String>,
    /// A route behind a gateway that a canary may GET; once for each gateway. Without any, receipts are all there is
    #[arg(long = "gateway", value_name = "URL")]
    gateways: Vec<Url>,
    /// Seconds from one canary to the next
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    interval: u64,
    /// So many canaries, then an end; without it for ever
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Seconds after which a gateway that still lets a canary in has missed its revocation
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    patience: u64,
    /// Certificate authority of the broker and the gateways, PEM, beside those the system trusts
    #[arg(long, env = "LANYARD_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl ProbeArgs {
    /// Wherever something secret is sent.
    fn urls(&self) -> impl Iterator<Item = &Url> {
        std::iter::once(&self.issuer).chain(&self.gateways)
    }
}

/// Runs it.
pub fn run(args: &ProbeArgs, output: Output) -> Result<(), CliError> {
    let runtime =
        tokio::runtime::Runtime::new().map_err(|error| CliError::cannot("start", &error))?;
    runtime.block_on(async {
        let telemetry =
            telemetry::start(&Settings::default()).map_err(|error| CliError::usage(&error))?;
        let probed = probe(args, output).await;
        tokio::task::spawn_blocking(move || telemetry.stop())
            .await
            .map_err(|error| CliError::cannot("end telemetry", &error))?;
        probed
    })
}

async fn probe(args: &ProbeArgs, output: Output) -> Result<(), CliError> {
    if let Some(open) = args.urls().find(|url| !is_confidential(url)) {
        let words = format!("`{open}` would send keys and tokens unencrypted: use https");
        return Err(CliError::Usage(words));
    }
    let http = client::http(args.ca_file.as_deref())?;
    let nest = Nest::new(args, http.clone())?;
    let doors: Vec<Door> = args
        .gateways
        .iter()
        .map(|url| Door::new(url.clone(), http.clone()))
        .collect();
    for door in &doors {
        door.is_guarded().await?;
    }
    let mut measures = Measures::new();
    let mut due = interval(Duration::from_secs(args.interval));
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1.. {
        tokio::select! {
            _ = due.tick() => {}
            _ = tokio::signal::ctrl_c() => break,
        }
        let patience = Duration::from_secs(args.patience);
        match round(&nest, &doors, patience).await {
            Ok(round) => {
                measures.record(&round);
                output.print(&round.json(), |_| round.to_string());
            }
            // A broker that is away for a moment is what a probe is there to see, not its end.
            Err(error) if args.count.is_none() => {
                measures.failed();
                output::message(format_args!("no canary this time: {}", error.words()));
            }
            Err(error) => return Err(error),
        }
        if args.count == Some(number) {
            break;
        }
    }
    if !output.json {
        output::data(measures.summary());
    }
    measures.verdict()
}

/// One canary, from its mint to its end.
async fn round(
    nest: &Nest,
    doors: &[Door],
    patience: Duration,
) -> Result<measures::Round, CliError> {
    let canary = nest.hatch().await?;
    for door in doors {
        door.lets_in(&canary).await?;
    }
    let sent = tokio::time::Instant::now();
    let refusals = doors
        .iter()
        .map(|door| door.refuses(&canary, sent, patience));
    let (receipt, refused) = tokio::join!(nest.end(&canary), futures::future::join_all(refusals));
    let receipt = receipt?;
    let answered = receipt.answered_after(sent);
    Ok(measures::Round::new(&receipt, answered, refused))
}
