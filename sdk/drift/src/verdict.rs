//! What the judge says, and how a person reads it.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::event::{Millis, OperationId};
use crate::evidence::{Evidence, Level, Measure};
use crate::signal::HardRule;

/// A judgement of one window of calls, with everything that led to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What it comes to.
    pub level: Level,
    /// What speaks against the window, strongest first. Empty for a benign one.
    pub evidence: Vec<Evidence>,
    /// The most telling hard rule that was broken.
    pub hard_rule: Option<HardRule>,
    /// Calls in the window.
    pub calls: u64,
    /// Calls behind the baseline.
    pub history: u64,
    /// Time of the window's first call.
    pub since: Millis,
    /// When it was judged.
    pub judged_at: Millis,
    /// Log-likelihood ratio of the mix of operations, others against itself, per 100 calls, the
    /// greater of adaptive baseline and anchor. Below 0 the window may be learned.
    pub mix_score: f64,
}

impl Verdict {
    /// One sentence a person understands, with the numbers. Operations appear as ids.
    #[must_use]
    pub fn sentence(&self) -> String {
        self.sentence_with(|_| None)
    }

    /// The same sentence with the names that the caller knows for operations.
    #[must_use]
    pub fn sentence_with(&self, name: impl Fn(OperationId) -> Option<String>) -> String {
        let named = |operation: OperationId| match name(operation) {
            Some(name) => format!("`{name}`"),
            None if operation == OperationId::OTHER => "several operations together".to_owned(),
            None => format!("operation {operation}"),
        };
        let mut parts: Vec<String> = Vec::new();
        if let Some(rule) = self.hard_rule {
            parts.push(rule_part(rule, &named));
        }
        parts.extend(self.evidence.iter().map(|found| part(found, &named)));
        let mut sentence = String::from(match self.level {
            Level::Benign => "benign",
            Level::Anomalous => "anomalous",
            Level::Malicious => "malicious",
        });
        let (calls, history) = (grouped(self.calls as f64), grouped(self.history as f64));
        // Writing to a String does not fail.
        let _ = match parts.as_slice() {
            [] => write!(sentence, ": {calls} calls like the {history} known before"),
            parts => write!(
                sentence,
                ": {}, in {calls} calls against a history of {history}",
                parts.join("; ")
            ),
        };
        sentence
    }
}

fn rule_part(rule: HardRule, named: &dyn Fn(OperationId) -> String) -> String {
    match rule {
        HardRule::TaskCalls => "more calls than the task allows".to_owned(),
        HardRule::TaskOperation { operation } => {
            format!("{} is outside the task", named(operation))
        }
        HardRule::TaskDestination { operation } => {
            format!(
                "{} went to a destination outside the task",
                named(operation)
            )
        }
        HardRule::EnumerationRun {
            observed,
            bound,
            operation,
        } => format!(
            "{} neighbouring object numbers in a row on {} (bound {})",
            grouped(f64::from(observed)),
            named(operation),
            grouped(f64::from(bound)),
        ),
        HardRule::EnumerationDistinct {
            observed,
            bound,
            operation,
        } => format!(
            "about {} different objects in one minute on {} (bound {})",
            grouped(f64::from(observed)),
            named(operation),
            grouped(f64::from(bound)),
        ),
    }
}

fn part(evidence: &Evidence, named: &dyn Fn(OperationId) -> String) -> String {
    let on = evidence.operation.map(named).unwrap_or_default();
    let (observed, expected) = (grouped(evidence.observed), grouped(evidence.expected));
    match evidence.measure {
        Measure::OrderScore => format!(
            "operations and their order fit others better than itself (score {observed} per 100 calls, at most {expected} is usual)"
        ),
        Measure::NewOperations => format!(
            "{observed} operations it never used before (usually {})",
            fine(evidence.expected)
        ),
        Measure::LongestRun => format!(
            "{observed} neighbouring object numbers in a row on {on} (usually at most {expected})"
        ),
        Measure::DistinctObjects => {
            format!("about {observed} different objects in one minute on {on} (usually {expected})")
        }
        Measure::BytesPerMinute => format!("{observed} bytes in one minute (usually {expected})"),
        Measure::CallsPerMinute => format!("{observed} calls in one minute (usually {expected})"),
        Measure::Pause => {
            format!(
                "another rhythm of calls (about {observed} ms between them, usually {expected} ms)"
            )
        }
        Measure::NewNetworkAndClient => format!(
            "{observed} calls from a network and a client never seen before (usually {})",
            fine(evidence.expected)
        ),
        Measure::NewNetwork => format!(
            "{observed} calls from a network never seen before (usually {})",
            fine(evidence.expected)
        ),
        Measure::NewClient => format!(
            "{observed} calls by a client never seen before (usually {})",
            fine(evidence.expected)
        ),
        Measure::NewDestinations => format!(
            "{observed} calls to destinations never seen before (usually {})",
            fine(evidence.expected)
        ),
        Measure::RefusedShare => format!(
            "{} % of the answers denied or missing (usually {} %)",
            fine(evidence.observed * 100.0),
            fine(evidence.expected * 100.0)
        ),
        Measure::OutsideTask => format!("{observed} calls outside the task"),
    }
}

/// A whole number with its thousands set apart: `12,345`.
fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number <= -0.5 {
        text.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A small number: whole where it is, else with two significant places.
fn fine(number: f64) -> String {
    if number >= 9.95 || number == number.trunc() {
        grouped(number)
    } else if number >= 0.95 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Strength;

    #[test]
    fn a_sentence_names_what_was_seen_what_was_usual_and_what_stands_behind_it() {
        let operation = OperationId::of("GET /orders/{id}");
        let verdict = Verdict {
            level: Level::Malicious,
            evidence: vec![Evidence {
                measure: Measure::NewNetworkAndClient,
                operation: None,
                observed: 31.0,
                expected: 0.004,
                weight: 7.0,
                strength: Strength::Strong,
            }],
            hard_rule: Some(HardRule::EnumerationRun {
                observed: 31,
                bound: 30,
                operation,
            }),
            calls: 54,
            history: 12_345,
            since: Millis(1),
            judged_at: Millis(2),
            mix_score: -12.0,
        };
        assert_eq!(
            verdict.sentence_with(|_| Some("GET /orders/{id}".to_owned())),
            "malicious: 31 neighbouring object numbers in a row on `GET /orders/{id}` (bound 30); \
             31 calls from a network and a client never seen before (usually 0.00), \
             in 54 calls against a history of 12,345"
        );
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(0.0), "0");
        assert_eq!(grouped(999.4), "999");
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(grouped(-1_234.0), "-1,234");
        assert_eq!(fine(0.0123), "0.01");
        assert_eq!(fine(2.0), "2");
    }
}
