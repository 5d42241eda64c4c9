//! The kill matrix: every driver, every call of a rotation, every answer, and a broker that is killed around it.
//! Real brokers, killed with SIGKILL and started again; PostgreSQL, moto and vendors; a proxy in between.
//!
//! A case is reconciled when the rotation came to its end. Where the third party ended every credential of ours, also
//! when somebody was told within a minute and nothing was destroyed here.
//!
//! Every second one of the cases tried begins because the value was found elsewhere, the others because somebody asks.
//!
//! Cases wait for most of their time, so that many are tried at once, each with a broker that has no other one. A broker
//! whose rotation came to its end takes the next case; one whose rotation goes on does not.
//!
//! `LANYARD_KILL_MATRIX=all` tries every case, `LANYARD_KILL_MATRIX=103,1098` those with these numbers. Otherwise every one
//! of [`ONE_OF`] is tried, beginning with another one in each row, so that each call, answer and moment has its turn.

mod broker;
mod case;
mod samples;
mod third;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use self::broker::Broker;
use self::case::{Came, Case};
use self::third::Servers;
use super::faults::{Fault, KILLS, TWISTS, Twist};
use crate::edge::harness::client;

/// Of how many cases one is tried when not all are.
const ONE_OF: u16 = 29;
/// More than a rotation makes that nothing comes in between of.
const MOST_CALLS: usize = 14;
/// What one makes at least, by its driver: what happens to one of these happens, and what is beyond may strike nothing.
const LEAST_CALLS: [(&str, usize); 5] = [
    ("postgres", 12),
    ("aws_iam", 11),
    ("bearer-keys", 11),
    ("basic-forms", 11),
    ("header-keys", 11),
];
/// The usual time between two looks, at most: on a machine that is as busy as this test makes it, a look itself takes longer than
/// the ten milliseconds between two of them.
const USUAL_GAP: u128 = 50;
/// What one gap in a hundred may be longer than: both are good for longer than that in each case, so that none is overlooked.
const LONG_GAP: u128 = 500;
/// Cases at the same time for each processor: they wait for three quarters of their time.
const PER_PROCESSOR: usize = 5;
/// Cases at the same time in which somebody is to be told: half a minute of waiting, and nothing else.
const TOLD_AT_ONCE: usize = 12;
/// A case and the next one lie this far apart: no divisor of their number, and about the golden part of it.
const APART: u32 = 1_039;
/// How often it is said how far they are.
const SAID: Duration = Duration::from_secs(15);

/// What came of the cases.
#[derive(Default)]
struct Tally {
    cases: usize,
    /// Cases in which it happened, and of those that it had to happen in, the ones in which it did not.
    struck: usize,
    missed: Vec<u16>,
    reconciled: usize,
    without: usize,
    orphans: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_kill_matrix() {
    let wanted = std::env::var("LANYARD_KILL_MATRIX").unwrap_or_default();
    let cases = cases(&wanted);
    let names: Vec<_> = cases.iter().map(|case| Case::whose(case.number)).collect();
    let servers = Arc::new(Servers::start(&names).await);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let (begun, count) = (Instant::now(), cases.len());
    let (waiting, busy): (Vec<_>, Vec<_>) = cases
        .into_iter()
        .partition(|case| case.fault.twist == Twist::AllDead);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let http = client(None);
    let mut running = tokio::task::JoinSet::new();
    for (cases, at_once) in [(waiting, TOLD_AT_ONCE), (busy, PER_PROCESSOR * processors)] {
        let cases = Arc::new(Mutex::new(VecDeque::from(cases)));
        for _ in 0..at_once {
            let (cases, tally) = (cases.clone(), tally.clone());
            running.spawn(try_all(cases, servers.clone(), http.clone(), tally));
        }
    }
    let mut say = tokio::time::interval(SAID);
    loop {
        tokio::select! {
            ended = running.join_next() => match ended {
                Some(ended) => ended.unwrap(),
                None => break,
            },
            _ = say.tick() => {
                let done = tally.lock().unwrap().cases;
                println!("{done} of {count} cases, {} s", begun.elapsed().as_secs());
            }
        }
    }
    let mut rarely: Vec<&str> = Vec::new();
    for (whose, samples) in ["postgres", "aws_iam", "vendors"]
        .iter()
        .zip(&servers.samples)
    {
        let (looks, usual, late) = samples.gaps();
        println!("{whose}: {looks} looks, {usual} ms apart, one in a hundred more than {late} ms");
        if usual > USUAL_GAP || late > LONG_GAP {
            rarely.push(*whose);
        }
    }
    let tally = tally.lock().unwrap();
    println!("{} of the faults struck a call", tally.struck);
    println!(
        "{} cases, {} reconciled, {} without a working credential, {} orphans",
        tally.cases, tally.reconciled, tally.without, tally.orphans
    );
    assert_eq!(tally.cases, count);
    assert_eq!(tally.reconciled, tally.cases);
    assert_eq!(tally.without, 0);
    assert_eq!(tally.orphans, 0);
    assert_eq!(tally.missed, [0_u16; 0], "cases that struck nothing");
    assert!(
        rarely.is_empty(),
        "{rarely:?}: it was not looked often enough"
    );
}

fn cases(wanted: &str) -> Vec<Case> {
    let named: Vec<u16> = wanted
        .split(',')
        .filter_map(|number| number.parse().ok())
        .collect();
    let is_wanted = |number: u16| match wanted {
        "all" => true,
        "" => number.is_multiple_of(ONE_OF),
        _ => named.contains(&number),
    };
    let mut cases = Vec::new();
    let mut number = 0;
    for driver in [
        "postgres",
        "aws_iam",
        "bearer-keys",
        "basic-forms",
        "header-keys",
    ] {
        for at in 0..MOST_CALLS {
            for twist in TWISTS {
                for kill in KILLS {
                    number += 1;
                    let fault = Fault { at, twist, kill };
                    if is_wanted(number) {
                        cases.push(Case {
                            number,
                            driver,
                            fault,
                        });
                    }
                }
            }
        }
    }
    // Those that are alike are not tried side by side: every server has something to do all the time.
    cases.sort_by_key(|case| (u32::from(case.number) * APART) % u32::from(number + 1));
    cases
}

/// Takes one case after the other until there is none.
async fn try_all(
    cases: Arc<Mutex<VecDeque<Case>>>,
    servers: Arc<Servers>,
    http: reqwest::Client,
    tally: Arc<Mutex<Tally>>,
) {
    let mut free: Option<Broker> = None;
    loop {
        let Some(case) = cases.lock().unwrap().pop_front() else {
            return;
        };
        let mut broker = match free.take() {
            Some(broker) => broker,
            None => Broker::new(http.clone()).await,
        };
        let came = case.run(servers.clone(), &mut broker).await;
        if !came.reconciled || !came.without.is_empty() || !came.orphans.is_empty() {
            let list = broker.get("/v1/rotations").await;
            println!(
                "{case:?}: reconciled {}, without {:?}, orphans {:?}\n{list:?}\n{}",
                came.reconciled,
                came.without,
                came.orphans,
                broker.said()
            );
        }
        tally.lock().unwrap().take(case, &came);
        free = (!came.goes_on).then_some(broker);
    }
}

impl Tally {
    fn take(&mut self, case: Case, came: &Came) {
        self.cases += 1;
        let least = LEAST_CALLS
            .iter()
            .find(|(driver, _)| *driver == case.driver);
        if !came.struck && least.is_some_and(|(_, calls)| case.fault.at < *calls) {
            println!("{case:?} struck nothing: {} calls were made", came.calls);
            self.missed.push(case.number);
        }
        self.struck += usize::from(came.struck);
        self.reconciled += usize::from(came.reconciled);
        self.without += usize::from(!came.without.is_empty());
        self.orphans += came.orphans.len();
    }
}
