//! `lanyard-loadtest run SCENARIO`: what good callers notice while something happens.
//!
//! ```text
//! good traffic:   ── alone ──│── alone ──────│── beside it ──│      open loop, timed from when it was due
//! the scenario:              warm-up          │── happens ───│
//! memory:                                    base ──► highest
//! ```
//! A broker and a service behind the gateway's layer, each a process of its own, started here or named. Good callers
//! call the service with tokens that it has seen, and ask the broker for new ones, at fixed instants. First alone, then
//! while the scenario happens: what counts is the second as a multiple of the first, in one run, and by how much the
//! two processes grew. Whoever attacks shares the machine with whoever is attacked, so that what an attack costs its
//! sender is in these figures as well.

mod attack;
mod good;
mod happening;
mod outcome;
mod stage;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use crate::broker::BrokerArgs;
use crate::load::machine_load;
use crate::progress::Progress;
use crate::writable;
use clap::ValueEnum;
use happening::Happening;
use outcome::Outcome;
use stage::{Sampler, Stage};

/// `lanyard-loadtest run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// What happens.
    #[arg(value_enum)]
    scenario: Scenario,
    /// Seconds alone, and as many while it happens.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Good calls at the service, a second.
    #[arg(long, default_value_t = 300.0)]
    calls: f64,
    /// Good requests for a new token, a second.
    #[arg(long, default_value_t = 30.0)]
    mints: f64,
    /// How much of the scenario happens, a second: exchanges, hundreds of revoked nodes, junk, distinct paths.
    #[arg(long, default_value_t = 500.0)]
    pressure: f64,
    /// Slow clients at each door.
    #[arg(long, default_value_t = 500)]
    slow: usize,
    /// A route behind a running gateway of the same broker, instead of a service started here.
    #[arg(long, value_name = "URL", requires_all = ["audience", "scope"])]
    target: Option<url::Url>,
    /// Whom tokens for --target are for.
    #[arg(long, value_name = "URI")]
    audience: Option<String>,
    /// What --target needs.
    #[arg(long)]
    scope: Option<String>,
    /// Writes the figures as JSON as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// Nothing.
    Steady,
    /// Everybody exchanges tokens.
    ExchangeStorm,
    /// Nodes are revoked in bulk.
    RevocationStorm,
    /// Signing keys are replaced.
    KeyRotation,
    /// The broker stands still: no feed, no tokens.
    FeedOutage,
    /// Junk and well-formed forgeries, no two alike, at both doors.
    JunkFlood,
    /// A valid token calls what nobody called before, each time as somebody else.
    CardinalityBomb,
    /// Connections that send a byte now and then, at both doors.
    SlowClients,
    /// A little of everything.
    MixedDay,
}

impl Scenario {
    /// As the command line has it.
    fn word(self) -> String {
        let named = self.to_possible_value();
        named.map_or_else(String::new, |named| named.get_name().to_owned())
    }

    /// What an attacker may cost others: twice the wait of one in a hundred, and 64 MiB.
    const fn is_attack(self) -> bool {
        matches!(
            self,
            Self::JunkFlood | Self::CardinalityBomb | Self::SlowClients
        )
    }
}

/// Runs a scenario and prints what came of it.
#[expect(clippy::print_stdout, reason = "the table is this command's answer")]
pub async fn run(args: &RunArgs) -> Result<(), Box<dyn Error>> {
    if let Some(file) = &args.json {
        writable::check_file(file)?;
    }
    if let Some(load) = machine_load() {
        println!("note: {load} threads wanted to run on this machine when it began");
    }
    let lasting = Duration::from_secs(args.seconds.max(1));
    let allowed = crate::server::raise_open_files();
    let bar = Progress::of(4);
    bar.begin("preparing");
    let stage = Stage::set(args).await?;
    let happening = Happening::prepare(args, &stage, lasting, allowed).await?;
    let good = good::Good::new(args, &stage);
    bar.done();
    // A cold cache is nobody's fault.
    bar.begin("warm-up");
    good.traffic(lasting / 4).await;
    bar.done();
    bar.begin("alone");
    let alone = good.traffic(lasting).await;
    bar.done();
    bar.begin("beside it");
    let base = stage.resident();
    let sampler = Sampler::start(&stage);
    let (beside, happened) = tokio::join!(good.traffic(lasting), happening.happen(&stage, lasting));
    let highest = sampler.stop().await;
    bar.done();
    drop(bar);
    let outcome = Outcome {
        scenario: args.scenario,
        alone,
        beside,
        base,
        highest,
        happened: happened?,
    };
    println!("{outcome}");
    if let Some(file) = &args.json {
        writable::write(file, &serde_json::to_vec_pretty(&outcome.json())?)?;
    }
    Ok(())
}
