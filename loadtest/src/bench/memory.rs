//! What it takes to remember: a gateway's tracked credentials, a broker that does nothing, and a broker that starts
//! again with everything it had issued.
//!
//! Memory is what the operating system counts as resident, allocator and tables included, before and after. It goes
//! first among the benchmarks of one run: memory that something before it gave back would hide what is taken here.

mod restart;

use std::error::Error;
use std::time::{Duration, Instant};

use lanyard_drift::{Bounds, Event, Millis, Object, OperationId, Thresholds, Tracker};
use lanyard_sdk::DriftMode;
use lanyard_token::Algorithm;

use super::Findings;
use super::curve::{Curve, Line};
use super::seen::{self, Subject, scattered};
use super::target::{Goal, Target};
use crate::broker::{Broker, BrokerArgs};
use crate::load::resident_bytes;
use crate::progress::Progress;

const COMMAND: &str = "lanyard-loadtest bench memory";
/// What the issue of a million asks for.
const ASKED: usize = 1_000_000;
/// Tokens that are seen between two looks at the notes: each is two of them.
const PORTION: usize = 1_000;
/// How long a broker does nothing before it is weighed.
const IDLE: Duration = Duration::from_secs(3);
const CALLS: u32 = 20_000;
const MIB: f64 = 1024.0 * 1024.0;

/// All of it.
pub(super) async fn measure(
    args: &BrokerArgs,
    rounds: usize,
    tokens: usize,
) -> Result<Findings, Box<dyn Error>> {
    let mut findings = Findings::default();
    findings.note(
        tokens < ASKED,
        format!("memory and restart: with {tokens} tokens and not {ASKED}, see --tokens"),
    );
    let bar = Progress::of(5);
    bar.begin("tracked tokens");
    findings.add(tracked(tokens)?);
    bar.done();
    bar.begin("a seen token among many");
    findings.curves.push(seen_among(tokens)?);
    bar.done();
    bar.begin("a walk through objects");
    findings.add(enumeration(rounds)?);
    bar.done();
    bar.begin("a broker that does nothing");
    findings.add(idle(args, rounds).await?);
    bar.done();
    bar.begin("restarts");
    restart::measure(args, tokens, &mut findings).await?;
    bar.done();
    Ok(findings)
}

/// Bytes of a tracked credential beside its token's own.
fn tracked(tokens: usize) -> Result<Option<Target>, Box<dyn Error>> {
    let subject = Subject::empty(Algorithm::EdDsa, tokens, DriftMode::Observe)?;
    let before = resident().ok_or("the system does not say how much memory is used")?;
    let mut text = 0;
    for number in 0..tokens {
        text += subject.see(number)?;
        if number % PORTION == PORTION - 1 {
            subject.look();
        }
    }
    subject.look();
    let used = resident().unwrap_or(before).saturating_sub(before) as f64;
    if subject.kept() < tokens {
        return Err("the gateway forgot tokens: the figure would flatter".into());
    }
    let each = (used - text as f64) / tokens.max(1) as f64;
    let goal = Goal::AtMost(384.0);
    Ok(Target::of("P11-bytes", "B", command(tokens), goal, [each]))
}

/// With the number that was measured.
fn command(tokens: usize) -> String {
    format!("{COMMAND} --tokens {tokens}")
}

fn resident() -> Option<u64> {
    resident_bytes(std::process::id())
}

/// What a seen token costs among more and more of them.
fn seen_among(tokens: usize) -> Result<Curve, Box<dyn Error>> {
    let counts = (0..=6).map(|zeros| 10_usize.pow(zeros));
    let mut points = Vec::new();
    for count in counts.filter(|count| *count <= tokens.max(1)) {
        let subject = Subject::new(Algorithm::EdDsa, count)?;
        let mut turns = scattered(count);
        subject.nanoseconds_each(CALLS, &mut turns)?;
        points.push((count as f64, subject.nanoseconds_each(CALLS, &mut turns)?));
    }
    Ok(Curve::of(
        "seen-tokens",
        "A seen token, all checks, by number of live tokens called in random order",
        ("live tokens", "ns"),
        vec![Line::new("processor time of a call", points)],
    ))
}

/// From the call that goes over a bound of objects until this gateway refuses the token's next one.
fn enumeration(rounds: usize) -> Result<Option<Target>, Box<dyn Error>> {
    let allowed = walk_until_a_tracker_says_no()?;
    let mut millis = Vec::new();
    for _ in 0..rounds {
        let subject = Subject::empty(Algorithm::EdDsa, 1, DriftMode::Enforce)?;
        subject.see(0)?;
        let token = subject.token_numbered(0);
        let mut over = None;
        let began = Instant::now();
        for object in 1..u64::MAX {
            if object == allowed {
                over = Some(Instant::now());
            }
            let answer = subject.walk(&token, object);
            if answer.is_err() {
                break;
            }
            if began.elapsed() > PATIENCE {
                return Err("a walk through objects was never refused".into());
            }
            // A thief over a network is no faster, and the journal holds what it is told.
            std::thread::sleep(Duration::from_micros(100));
        }
        // Refused before the bound: at once.
        millis.push(over.map_or(0.0, |over| over.elapsed().as_secs_f64() * 1e3));
    }
    let goal = Goal::AtMost(10.0);
    Ok(Target::of("P13-ms", "ms", COMMAND, goal, millis))
}

/// A walk that is not refused by then will not be.
const PATIENCE: Duration = Duration::from_secs(10);

/// At which object of the same walk the engine itself says no: what a gateway may not know sooner.
fn walk_until_a_tracker_says_no() -> Result<u64, Box<dyn Error>> {
    let mut tracker = Tracker::new(Millis(0), Bounds::cold(&Thresholds::default()));
    let operation = OperationId::of(seen::OPERATION);
    (1..10_000)
        .find(|object| {
            let event = Event {
                object: Some(Object::of(&object.to_string())),
                ..Event::of(operation)
            };
            let signal = tracker.observe(&event, Millis(*object));
            matches!(signal, lanyard_drift::Signal::HardRule(_))
        })
        .ok_or_else(|| "no bound ends a walk through objects".into())
}

/// A broker that nobody asks anything.
async fn idle(args: &BrokerArgs, rounds: usize) -> Result<Option<Target>, Box<dyn Error>> {
    let mut mib = Vec::new();
    for _ in 0..rounds.min(3) {
        let broker = Broker::open(args).await?;
        tokio::time::sleep(IDLE).await;
        mib.extend(broker.resident_bytes().map(|bytes| bytes as f64 / MIB));
    }
    let goal = Goal::AtMost(25.0);
    Ok(Target::of("P11-idle-mib", "MiB", COMMAND, goal, mib))
}
