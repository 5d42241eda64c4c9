//! Is an issued token ever taken for a forged one while brokers are killed? `lanyard-loadtest golden`.
//!
//! ```text
//! minters ─► broker (killed, started again, now and then without its index)
//!    └─ token ─► gateway: check ─► report of every token seen for the first time ─► broker: was it issued?
//! ```
//! Everything is real: processes, HTTP, a log on the disk, `SIGKILL`. A token counts as soon as its minter has
//! the answer. The alarm is wrong when the broker says of one of them that its log never issued it, or a gateway
//! refuses it. What this does not try is that a forged token *is* told: that is for the broker's own tests.

mod mints;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::Method;
use lanyard_sdk::gateway::Capacity;
use lanyard_sdk::{DriftMode, Gateway, Route};
use serde::{Deserialize, Serialize};

use crate::broker::{Broker, Member, Mortal};
use mints::Mints;

/// What the tokens are for.
const AUDIENCE: &str = "https://golden.example";
const SCOPE: &str = "golden:call";
/// Identities that mint: each may ask fifty times a second for long.
const MINTERS: usize = 64;
/// How long a gateway may take for its first snapshot, and its last reports.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a dead broker stays dead.
const DEAD_FOR: Duration = Duration::from_millis(300);
/// Each so many deaths take the index along.
const INDEX_LOST_EVERY: u64 = 3;

/// `lanyard-loadtest golden`.
#[derive(Debug, clap::Args)]
pub struct GoldenArgs {
    /// Tokens to mint.
    #[arg(long, default_value_t = 100_000)]
    mints: u64,
    /// Milliseconds that a broker lives before it is killed.
    #[arg(long, default_value_t = 5_000)]
    life: u64,
    /// The `lanyard` program; default: beside this program, else on the PATH.
    #[arg(long, env = "LANYARD_PROGRAM")]
    lanyard: Option<PathBuf>,
    /// Prints the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    minted: u64,
    /// Requests for a token that failed while no broker was there to answer.
    unanswered: u64,
    kills: u64,
    indexes_lost: u64,
    /// Tokens that a gateway refused, at first sight or when looked at again.
    refused: u64,
    /// Verdicts that say of a token that the log never issued it.
    false_alarms: u64,
    reports_sent: u64,
    /// Token reports that were lost: those tokens were not looked up.
    reports_dropped: u64,
    seconds: f64,
}

/// Runs it and prints what came of it.
#[expect(clippy::print_stdout, reason = "the figures are this command's answer")]
pub async fn run(args: &GoldenArgs) -> Result<(), Box<dyn Error>> {
    let outcome = play(args).await?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        println!(
            "{} tokens in {:.0} s through {} kills ({} with the index lost): {} false alarms, {} refused; \
             {} reports, {} lost; {} requests found no broker",
            outcome.minted,
            outcome.seconds,
            outcome.kills,
            outcome.indexes_lost,
            outcome.false_alarms,
            outcome.refused,
            outcome.reports_sent,
            outcome.reports_dropped,
            outcome.unanswered,
        );
    }
    if outcome.false_alarms + outcome.refused > 0 {
        return Err("issued tokens were taken for forged ones".into());
    }
    Ok(())
}

async fn play(args: &GoldenArgs) -> Result<Outcome, Box<dyn Error>> {
    let (mut mortal, mut broker) = Mortal::start(args.lanyard.clone()).await?;
    let members = members(&broker).await?;
    let state = tempfile::tempdir()?;
    let owner = broker.add_owner("golden-gateways").await?;
    let enrolment = broker.add_gateway("golden", &owner, AUDIENCE).await?;
    let route = Route::new(Method::GET, "/").scopes(SCOPE.parse()?);
    let (gateway, running) = Gateway::builder()
        .enrolled(enrolment)?
        .feed(state.path().join("feed"))
        .routes([route])?
        // Statistics only watch, so whatever ends a token here was the alarm.
        .drift(DriftMode::Observe)
        .capacity(Capacity::tokens(1_000_000))
        .start()?;
    waited_for(|| gateway.feed().has_snapshot()).await?;

    let began = Instant::now();
    let mints = Arc::new(Mints::new(&broker.issuer, gateway.clone(), args.mints)?);
    let minters = members.iter().map(|member| {
        let (mints, member) = (Arc::clone(&mints), Arc::clone(member));
        tokio::spawn(async move { mints.mint(&member).await })
    });
    let minters: Vec<_> = minters.collect();
    let (mut kills, mut indexes_lost) = (0, 0);
    while !mints.is_done() {
        tokio::time::sleep(Duration::from_millis(args.life)).await;
        if mints.is_done() {
            break;
        }
        mortal.kill().await?;
        kills += 1;
        if kills % INDEX_LOST_EVERY == 0 {
            mortal.lose_index()?;
            indexes_lost += 1;
        }
        tokio::time::sleep(DEAD_FOR).await;
        broker = mortal.revive().await?;
    }
    for minter in minters {
        minter.await?;
    }
    mints.look_again();
    let sent = running.reports().sent();
    // The last tokens are told within a second; one more round trip is the answer to that.
    waited_for(|| running.reports().sent() > sent + 1)
        .await
        .ok();
    tokio::time::sleep(Duration::from_secs(3)).await;
    mints.look_again();
    Ok(Outcome {
        minted: mints.minted.load(Ordering::Relaxed),
        unanswered: mints.unanswered.load(Ordering::Relaxed),
        kills,
        indexes_lost,
        refused: mints.refused.load(Ordering::Relaxed),
        false_alarms: false_alarms(&broker, &members).await?,
        reports_sent: running.reports().sent(),
        reports_dropped: running.reports().dropped(),
        seconds: began.elapsed().as_secs_f64(),
    })
}

async fn members(broker: &Broker) -> Result<Vec<Arc<Member>>, Box<dyn Error>> {
    let owner = broker.add_owner("golden-minters").await?;
    let mut members = Vec::with_capacity(MINTERS);
    for number in 0..MINTERS {
        let name = format!("golden-{number}");
        let member = broker.add_member(&name, &owner, AUDIENCE, SCOPE).await?;
        members.push(Arc::new(member));
    }
    Ok(members)
}

async fn waited_for(done: impl Fn() -> bool) -> Result<(), Box<dyn Error>> {
    let until = Instant::now() + PATIENCE;
    while !done() {
        if Instant::now() > until {
            return Err("the gateway did not come up, or did not report, in time".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Verdicts as the broker tells them.
#[derive(Deserialize)]
struct Verdicts {
    verdicts: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    never_issued: bool,
}

async fn false_alarms(broker: &Broker, members: &[Arc<Member>]) -> Result<u64, Box<dyn Error>> {
    let mut alarms = 0;
    for member in members {
        let path = format!("v1/drift/verdicts?identity={}&limit=1000", member.id);
        let told: Verdicts = broker.get(&path).await?;
        alarms += told
            .verdicts
            .iter()
            .filter(|told| told.never_issued)
            .count() as u64;
    }
    Ok(alarms)
}
