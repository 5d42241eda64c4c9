//! Servers that take turns: in each round every one of them is asked for a second, so that what the machine does
//! meanwhile falls on all alike.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::absent::Absent;
use super::curve::Curve;
use super::target::Target;
use crate::load::{Answers, Question, closed};
use crate::progress::Progress;

/// What is asked of one server.
pub(super) struct Case<'a> {
    /// As the report names it.
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    pub(super) questions: Arc<[Question]>,
    /// Processor time of everything that works for the answer.
    pub(super) processor: Box<dyn Fn() -> Option<Duration> + Send + Sync + 'a>,
}

/// One round of one case.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Round {
    pub(super) per_second: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Processor time of the server for a request, in microseconds.
    pub(super) processor_us: f64,
    /// Answered otherwise than expected, or not at all.
    pub(super) failed: u64,
}

/// All rounds of one case.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measured {
    pub(super) name: &'static str,
    pub(super) rounds: Vec<Round>,
}

/// What was measured, and which peers were not there.
pub(super) struct Outcome {
    pub(super) measured: Vec<Measured>,
    pub(super) targets: Vec<Target>,
    pub(super) missing: Vec<Absent>,
    pub(super) curves: Vec<Curve>,
}

/// How long and how wide.
#[derive(Clone, Copy)]
pub(super) struct Turns {
    pub(super) rounds: usize,
    pub(super) lasting: Duration,
    pub(super) connections: usize,
}

/// Warms every server up, then lets them take turns.
pub(super) async fn take(cases: &[Case<'_>], turns: Turns) -> Vec<Measured> {
    let bar = Progress::of(cases.len() * (turns.rounds + 1));
    let mut all: Vec<Measured> = Vec::new();
    for case in cases {
        bar.begin(case.name);
        ask(case, turns.connections, turns.lasting).await;
        bar.done();
        all.push(Measured {
            name: case.name,
            rounds: Vec::new(),
        });
    }
    for _ in 0..turns.rounds {
        for (case, measured) in cases.iter().zip(&mut all) {
            bar.begin(case.name);
            measured
                .rounds
                .push(ask(case, turns.connections, turns.lasting).await);
            bar.done();
        }
    }
    all
}

async fn ask(case: &Case<'_>, connections: usize, lasting: Duration) -> Round {
    let before = (case.processor)();
    let answers = closed(
        case.address,
        Arc::clone(&case.questions),
        connections,
        lasting,
    )
    .await;
    let used = (case.processor)().zip(before);
    let used = used.map(|(after, before)| after.saturating_sub(before));
    Round::of(&answers, used)
}

impl Round {
    fn of(answers: &Answers, used: Option<Duration>) -> Self {
        let asked = answers.answered + answers.refused;
        let processor_us = used.map_or(f64::NAN, |used| used.as_secs_f64() * 1e6 / asked as f64);
        Self {
            per_second: answers.per_second(),
            p50_us: answers.wait_at(0.5).as_secs_f64() * 1e6,
            p99_us: answers.wait_at(0.99).as_secs_f64() * 1e6,
            processor_us,
            failed: answers.refused + answers.broken,
        }
    }
}

/// The rounds of two cases, side by side.
pub(super) fn beside<'m>(
    all: &'m [Measured],
    name: &str,
    other: &str,
) -> impl Iterator<Item = (&'m Round, &'m Round)> {
    let rounds = |name: &str| {
        let found = all.iter().find(|measured| measured.name == name);
        found.map_or(&[][..], |measured| measured.rounds.as_slice())
    };
    rounds(name).iter().zip(rounds(other))
}

/// A table of the middles.
#[expect(clippy::print_stdout, reason = "the table is the command's answer")]
pub(super) fn print(all: &[Measured]) {
    println!(
        "{:<44} {:>10} {:>9} {:>9} {:>12} {:>8}",
        "", "requests/s", "p50 us", "p99 us", "cpu us each", "failed"
    );
    for measured in all {
        println!(
            "{:<44} {:>10.0} {:>9.0} {:>9.0} {:>12.2} {:>8}",
            measured.name,
            measured.middle(|round| round.per_second),
            measured.middle(|round| round.p50_us),
            measured.middle(|round| round.p99_us),
            measured.middle(|round| round.processor_us),
            measured.failed()
        );
    }
}

impl Measured {
    /// A line of a Markdown table.
    pub(super) fn row(&self) -> String {
        format!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.2} | {} |",
            self.name,
            self.middle(|round| round.per_second),
            self.middle(|round| round.p50_us),
            self.middle(|round| round.p99_us),
            self.middle(|round| round.processor_us),
            self.failed()
        )
    }

    fn middle(&self, pick: fn(&Round) -> f64) -> f64 {
        let mut values: Vec<f64> = self.rounds.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn failed(&self) -> u64 {
        self.rounds.iter().map(|round| round.failed).sum()
    }
}
