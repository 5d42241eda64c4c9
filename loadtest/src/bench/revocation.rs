//! How soon what is revoked is refused everywhere: a real broker, whole gateways that read its feed, and nothing timed
//! but the way from when a revocation was due to be asked for until a gateway would refuse.
//!
//! That way has everything in it: the admin door, the log, the frame and its signature, the stream, the gateway's check
//! of the signature and its table. Gateways share this process and the machine with the broker, so many of them are
//! slower than they would be on machines of their own; what they are checked against is what they would do alone.

mod fleet;
mod pulse;
mod storm;
mod streams;

use std::error::Error;
use std::time::{Duration, Instant};

use super::curve::{Curve, Line};
use super::target::{Goal, Target};
use super::{Findings, seen};
use crate::broker::{Broker, BrokerArgs};
use crate::progress::Progress;
use fleet::Fleet;
use lanyard_token::Algorithm;

const COMMAND: &str = "lanyard-loadtest bench revocation";

/// What a busy installation revokes in a second: each token of a thief with a thousand.
const BUSY_PER_SECOND: f64 = 1_000.0;
/// For many gateways on one machine: their checks of signatures are the machine's work, a fortieth of a millisecond
/// each, so that 256 of them leave the broker some of it.
const MANY_PER_SECOND: f64 = 25.0;
/// Whose number grows.
const NUMBERS: [usize; 6] = [1, 4, 8, 16, 64, 256];

/// Everything there is to say of P12; what was found before something failed is in `findings` all the same.
pub(super) async fn measure(
    args: &BrokerArgs,
    rounds: usize,
    nodes: usize,
    findings: &mut Findings,
) -> Result<(), Box<dyn Error>> {
    // Two fleets for so many rounds, fleets that grow, and within the process, the storm and the streams.
    let bar = Progress::of(2 * rounds + NUMBERS.len() + 3);
    bar.begin("within one process");
    findings.add(same_process(rounds)?);
    bar.done();
    let broker = Broker::open(args).await?;
    let owner = broker.add_owner("bench-revocation").await?;
    let lasting = Duration::from_secs(2);

    let few = Fleet::start(&broker, &owner, "few", 8).await?;
    let mut told = Vec::new();
    for _ in 0..rounds {
        bar.begin("8 gateways");
        told.push(pulse::measure(&broker, &few, BUSY_PER_SECOND, lasting).await?);
        bar.done();
    }
    findings.add(pulse::target("P12-8-p50-ms", 1.0, 0.5, &told));
    findings.add(pulse::target("P12-8-p99-ms", 5.0, 0.99, &told));
    let unheard: u64 = told.iter().map(|round| round.unheard).sum();
    findings.note(
        unheard > 0,
        format!("{unheard} revocations were not heard of"),
    );
    findings.curves.push(pulse::spread(&told));
    few.stop().await;

    findings.curves.push(curve(&broker, &owner, &bar).await?);
    let many = Fleet::start(&broker, &owner, "many", 64).await?;
    let mut told = Vec::new();
    for _ in 0..rounds {
        bar.begin("64 gateways");
        told.push(pulse::measure(&broker, &many, MANY_PER_SECOND, lasting).await?);
        bar.done();
    }
    findings.add(pulse::target("P12-64-p99-ms", 100.0, 0.99, &told));
    many.stop().await;

    bar.begin("a storm");
    storm::measure(&broker, &owner, nodes, findings).await?;
    bar.done();
    bar.begin("open streams");
    streams::measure(&broker, &owner, findings).await?;
    bar.done();
    Ok(())
}

/// The wait at more and more gateways.
async fn curve(broker: &Broker, owner: &str, bar: &Progress) -> Result<Curve, Box<dyn Error>> {
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for number in NUMBERS {
        bar.begin(format!("{number} gateways"));
        let fleet = Fleet::start(broker, owner, &format!("of-{number}"), number).await?;
        let told = pulse::measure(broker, &fleet, MANY_PER_SECOND, Duration::from_secs(2)).await?;
        p50.push((number as f64, told.millis_at(0.5)));
        p99.push((number as f64, told.millis_at(0.99)));
        fleet.stop().await;
        bar.done();
    }
    Ok(Curve::of(
        "revocation-gateways",
        "From a revocation to its refusal, by number of gateways on this machine",
        ("gateways", "ms"),
        vec![Line::new("p50", p50), Line::new("p99", p99)],
    ))
}

/// Within one process: from the end of a node to the refusal of its token.
fn same_process(rounds: usize) -> Result<Option<Target>, Box<dyn Error>> {
    // Each round ends other tokens.
    const TOKENS: usize = 256;
    let mut micros = Vec::new();
    for _ in 0..rounds {
        let subject = seen::Subject::new(Algorithm::EdDsa, TOKENS)?;
        let mut refused_after = Vec::new();
        for turn in 0..TOKENS {
            let began = Instant::now();
            subject.end_and_be_refused(turn)?;
            refused_after.push(began.elapsed().as_secs_f64() * 1e6);
        }
        refused_after.sort_by(f64::total_cmp);
        micros.extend(refused_after.get(TOKENS / 2));
    }
    Ok(Target::of(
        "P12-same-process-us",
        "us",
        COMMAND,
        Goal::AtMost(1.0),
        micros,
    ))
}
