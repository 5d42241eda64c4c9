//! What good callers noticed.

use std::fmt;

use serde_json::{Value, json};

use super::Scenario;
use super::good::Went;
use super::happening::Happened;
use super::stage::Resident;
use crate::load::Answers;

/// How much an attack may cost: the wait of one in a hundred by this factor, and memory by this much.
const MOST_TIMES: f64 = 2.0;
const MOST_MIB: f64 = 64.0;
const MIB: f64 = 1024.0 * 1024.0;
/// What the table tells of waits.
const SHARES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

/// Of a whole run.
pub(super) struct Outcome {
    pub(super) scenario: Scenario,
    pub(super) alone: Went,
    pub(super) beside: Went,
    pub(super) base: Resident,
    pub(super) highest: Resident,
    pub(super) happened: Happened,
}

/// A door, alone and beside what happens, and the memory of whoever stands there.
struct Row<'a> {
    name: &'static str,
    alone: &'a Answers,
    beside: &'a Answers,
    base: Option<u64>,
    highest: Option<u64>,
}

impl Row<'_> {
    /// How much longer one in a hundred waits.
    fn times(&self) -> f64 {
        millis(self.beside, 0.99) / millis(self.alone, 0.99).max(f64::MIN_POSITIVE)
    }

    /// How much the process grew.
    fn grown(&self) -> Option<f64> {
        let (base, highest) = (self.base?, self.highest?);
        Some((highest as f64 - base as f64) / MIB)
    }

    fn waits_within(&self) -> bool {
        self.times() <= MOST_TIMES
    }

    /// Nothing where nobody knows.
    fn memory_within(&self) -> Option<bool> {
        Some(self.grown()? <= MOST_MIB)
    }
}

impl Outcome {
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let service = Row {
            name: "gateway",
            alone: &self.alone.service,
            beside: &self.beside.service,
            base: self.base.gateway,
            highest: self.highest.gateway,
        };
        let broker = self.alone.broker.as_ref().zip(self.beside.broker.as_ref());
        let broker = broker.map(|(alone, beside)| Row {
            name: "broker",
            alone,
            beside,
            base: self.base.broker,
            highest: self.highest.broker,
        });
        std::iter::once(service).chain(broker)
    }

    pub(super) fn json(&self) -> Value {
        let limited = self.scenario.is_attack();
        let doors = self.rows().map(|row| {
            json!({
                "door": row.name,
                "alone": waits(row.alone),
                "beside": waits(row.beside),
                "p99_times": row.times(),
                "base_bytes": row.base,
                "highest_bytes": row.highest,
                "grown_mib": row.grown(),
                "p99_within": limited.then(|| row.waits_within()),
                "memory_within": limited.then(|| row.memory_within()).flatten(),
            })
        });
        let storms = self.happened.storms.iter().map(|(name, answers)| {
            json!({"what": name, "as_expected": answers.answered, "otherwise": answers.refused,
                   "broken": answers.broken})
        });
        json!({
            "scenario": self.scenario.word(),
            "limits": limited.then(|| json!({"p99_times": MOST_TIMES, "grown_mib": MOST_MIB})),
            "doors": doors.collect::<Vec<_>>(),
            "happened": storms.collect::<Vec<_>>(),
            "thrown_out": self.happened.slow.map(|(thrown_out, _)| thrown_out),
            "rotations": self.happened.rotations,
            "stood_still_s": self.happened.stood_still.map(|stood| stood.as_secs_f64()),
        })
    }
}

fn millis(answers: &Answers, share: f64) -> f64 {
    answers.wait_at(share).as_secs_f64() * 1e3
}

fn waits(answers: &Answers) -> Value {
    let mut told = json!({
        "answered": answers.answered, "refused": answers.refused, "broken": answers.broken,
    });
    if let Some(object) = told.as_object_mut() {
        for (name, share) in SHARES {
            object.insert(format!("{name}_ms"), json!(millis(answers, share)));
        }
    }
    told
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8}",
            "good callers, ms", "p50", "p99", "p99.9", "answered", "refused", "broken"
        )?;
        for row in self.rows() {
            for (when, answers) in [("alone", row.alone), ("beside it", row.beside)] {
                write!(f, "{:<18}", format!("{}, {when}", row.name))?;
                for (_, share) in SHARES {
                    write!(f, " {:>9.2}", millis(answers, share))?;
                }
                writeln!(
                    f,
                    " {:>8} {:>8} {:>8}",
                    answers.answered, answers.refused, answers.broken
                )?;
            }
        }
        for row in self.rows() {
            let grown = row.grown().map_or("memory not known".to_owned(), |grown| {
                let base = row.base.map_or(0.0, |base| base as f64 / MIB);
                format!("{base:.1} MiB and {grown:+.1}")
            });
            let within = row.waits_within() && row.memory_within() != Some(false);
            let word = match (self.scenario.is_attack(), within) {
                (false, _) => String::new(),
                (true, true) if row.grown().is_none() => format!(" (within {MOST_TIMES} x)"),
                (true, true) => format!(" (within {MOST_TIMES} x and {MOST_MIB} MiB)"),
                (true, false) => format!(" (BEYOND {MOST_TIMES} x or {MOST_MIB} MiB)"),
            };
            writeln!(f, "{}: p99 {:.2} x, {grown}{word}", row.name, row.times())?;
        }
        for (name, answers) in &self.happened.storms {
            writeln!(
                f,
                "{name}: {} answered as they should be, {} otherwise, {} broken",
                answers.answered, answers.refused, answers.broken
            )?;
        }
        if let Some((thrown_out, clients)) = self.happened.slow {
            writeln!(
                f,
                "slow clients: {clients} at each door, thrown out {thrown_out} times"
            )?;
        }
        if self.happened.rotations > 0 {
            writeln!(
                f,
                "signing keys: replaced {} times",
                self.happened.rotations
            )?;
        }
        if let Some(stood) = self.happened.stood_still {
            writeln!(f, "the broker stood still for {:.1} s", stood.as_secs_f64())?;
        }
        Ok(())
    }
}
