//! A verdict in words, for somebody who was woken by it.
//!
//! One clause for each fact, the weightiest first; a fact that is both a broken rule and evidence is
//! said once, with the numbers of both. Weak signs beyond the first few are only counted: whoever
//! wants all of them reads the evidence.

use crate::event::OperationId;
use crate::evidence::{Evidence, Level, Measure};
use crate::signal::HardRule;
use crate::verdict::Verdict;

/// Facts that are told. More of them do not fit into one breath.
const MOST_CLAUSES: usize = 4;

/// How the caller calls operations.
type Names<'a> = &'a dyn Fn(OperationId) -> Option<String>;

pub(super) fn of(verdict: &Verdict, names: Names<'_>) -> String {
    let level = match verdict.level {
        Level::Benign => "benign",
        Level::Anomalous => "anomalous",
        Level::Malicious => "malicious",
    };
    let calls = counted(verdict.calls, "call");
    let mut clauses = clauses(verdict, names);
    if clauses.is_empty() {
        return match verdict.history {
            0 => format!("{level}: {calls}, and nothing known before to compare with"),
            history => format!(
                "{level}: {calls} like the {} known before",
                grouped(history as f64)
            ),
        };
    }
    let untold = clauses.len().saturating_sub(MOST_CLAUSES);
    clauses.truncate(MOST_CLAUSES);
    if untold > 0 {
        clauses.push(counted(untold as u64, "weaker sign"));
    }
    let history = match verdict.history {
        0 => "nothing was known before".to_owned(),
        history => format!("compared with {} known before", grouped(history as f64)),
    };
    // The window: a run of numbers may have begun before it.
    let window = match verdict.calls {
        1 => "its last call".to_owned(),
        calls => format!("its last {} calls", grouped(calls as f64)),
    };
    format!(
        "{level}: {}; judged by {window}, {history}",
        clauses.join("; ")
    )
}

fn clauses(verdict: &Verdict, names: Names<'_>) -> Vec<String> {
    let rule = verdict.hard_rule;
    let told = |found: &&Evidence| rule.is_some_and(|rule| is_same_fact(rule, found));
    let also = verdict.evidence.iter().find(told);
    let rule = rule.map(|rule| broken_rule(rule, also, names));
    let others = verdict.evidence.iter().filter(|found| !told(found));
    rule.into_iter()
        .chain(others.map(|found| fact(found, verdict.calls, names)))
        .collect()
}

/// Whether a piece of evidence is the broken rule once more.
fn is_same_fact(rule: HardRule, found: &Evidence) -> bool {
    match rule {
        HardRule::EnumerationRun { operation, .. } => {
            found.measure == Measure::LongestRun && found.operation == Some(operation)
        }
        HardRule::EnumerationDistinct { operation, .. } => {
            found.measure == Measure::DistinctObjects && found.operation == Some(operation)
        }
        HardRule::TaskCalls | HardRule::TaskOperation { .. } | HardRule::TaskDestination { .. } => {
            found.measure == Measure::OutsideTask
        }
    }
}

fn broken_rule(rule: HardRule, also: Option<&Evidence>, names: Names<'_>) -> String {
    let refused = also
        .filter(|found| found.observed >= 2.0)
        .map(|found| {
            format!(
                " ({} calls outside the task in all)",
                grouped(found.observed)
            )
        })
        .unwrap_or_default();
    // Calls went on after the rule was broken for the first time.
    let reached = |observed: u32| f64::from(observed).max(also.map_or(0.0, |found| found.observed));
    match rule {
        HardRule::TaskCalls => format!("it made more calls than its task allows{refused}"),
        HardRule::TaskOperation { operation } => {
            format!(
                "it tried {}, which is outside the task{refused}",
                named(operation, names)
            )
        }
        HardRule::TaskDestination { operation } => format!(
            "it used {} with a destination outside the task{refused}",
            named(operation, names)
        ),
        HardRule::EnumerationRun {
            observed,
            bound,
            operation,
        } => format!(
            "it went through {} neighbouring object numbers in a row on {} (the bound is {}{})",
            grouped(reached(observed)),
            named(operation, names),
            grouped(f64::from(bound)),
            own_most(also, "its own longest run"),
        ),
        HardRule::EnumerationDistinct {
            observed,
            bound,
            operation,
        } => format!(
            "it used about {} different objects in one minute on {} (the bound is {}{})",
            grouped(reached(observed)),
            named(operation, names),
            grouped(f64::from(bound)),
            own_most(also, "its usual number about"),
        ),
    }
}

fn own_most(also: Option<&Evidence>, what: &str) -> String {
    also.filter(|found| found.expected >= 0.5)
        .map(|found| format!(", {what} {}", grouped(found.expected)))
        .unwrap_or_default()
}

fn fact(found: &Evidence, calls: u64, names: Names<'_>) -> String {
    let on = found.operation.map(|operation| named(operation, names));
    let on = on.unwrap_or_else(|| "one operation".to_owned());
    let (observed, usual) = (grouped(found.observed), usually(found.expected));
    let of_calls = match calls {
        1 => "its last call".to_owned(),
        calls if found.observed == calls as f64 => format!("all of its last {observed} calls"),
        calls => format!("{observed} of its last {} calls", grouped(calls as f64)),
    };
    match found.measure {
        Measure::OrderScore => format!(
            "what it calls, and in which order, looks like somebody else (score {observed} per hundred calls, its own is about {})",
            grouped(found.expected)
        ),
        Measure::Estrangement => format!(
            "for a long time it has not behaved as when its habits were set down (score {observed}, its own stays below {})",
            grouped(found.expected)
        ),
        Measure::SuddenOrder => format!(
            "within some tens of calls what it calls, and in which order, turned into somebody else's (sum {observed}, its own stays below {})",
            grouped(found.expected)
        ),
        Measure::NewOperations if found.observed < 1.5 => {
            format!("it called {on}, which it never used before")
        }
        Measure::NewOperations => {
            format!("it called {observed} operations it never used before, mostly {on}")
        }
        Measure::LongestRun => {
            format!(
                "it went through {observed} neighbouring object numbers in a row on {on} ({usual})"
            )
        }
        Measure::DistinctObjects => {
            format!("it used about {observed} different objects in one minute on {on} ({usual})")
        }
        Measure::BytesPerMinute => format!(
            "it moved {} in one minute (usually {})",
            bytes(found.observed),
            bytes(found.expected)
        ),
        Measure::BytesOverHours => format!(
            "hour after hour it moved more than at this time of other weeks, {} in all (usually {})",
            bytes(found.observed),
            bytes(found.expected)
        ),
        Measure::ObjectsOverHours => format!(
            "hour after hour it used more different objects than at this time of other weeks, about {observed} in all ({usual})"
        ),
        Measure::BytesOverDays => format!(
            "day after day it moved more than on such days of other weeks, {} in all (usually {})",
            bytes(found.observed),
            bytes(found.expected)
        ),
        Measure::ObjectsOverDays => format!(
            "day after day it used more different objects than on such days of other weeks, about {observed} in all ({usual})"
        ),
        Measure::CallsPerMinute => format!("it made {observed} calls in one minute ({usual})"),
        Measure::Pause => format!("its calls come about {observed} ms apart ({usual} ms)"),
        Measure::NewNetworkAndClient => {
            format!("{of_calls} came from a network and a client it never used before")
        }
        Measure::NewNetwork => format!("{of_calls} came from a network it never used before"),
        Measure::NewClient => format!("{of_calls} came from a client it never used before"),
        Measure::InterleavedOrigins => format!(
            "two seem to use one token: calls took turns between origins, {observed} times back to one it had left ({usual})"
        ),
        Measure::NewDestinations => {
            format!("{of_calls} went to destinations it never used before")
        }
        Measure::RefusedShare => format!(
            "{} % of the answers were denied or missing (usually {} %)",
            fine(found.observed * 100.0),
            fine(found.expected * 100.0)
        ),
        Measure::OutsideTask => format!(
            "{} outside the task",
            counted(found.observed as u64, "call")
        ),
    }
}

fn named(operation: OperationId, names: Names<'_>) -> String {
    match names(operation) {
        Some(name) => format!("`{name}`"),
        None if operation == OperationId::OTHER => "several operations together".to_owned(),
        None => format!("operation {operation}"),
    }
}

fn usually(expected: f64) -> String {
    if expected < 0.5 {
        "usually none".to_owned()
    } else {
        format!("usually {}", grouped(expected))
    }
}

fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(number as f64))
}

/// An amount of data, in units of a thousand.
fn bytes(amount: f64) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB"];
    let (mut amount, mut unit) = (amount.max(0.0), "bytes");
    for next in units {
        unit = next;
        if amount < 999.5 || next == "TB" {
            break;
        }
        amount /= 1_000.0;
    }
    format!("{} {unit}", fine(amount))
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
    use crate::event::Millis;
    use crate::evidence::Strength;

    const ORDERS: &str = "GET /orders/{id}";

    fn found(measure: Measure, observed: f64, expected: f64) -> Evidence {
        Evidence {
            measure,
            operation: Some(OperationId::of(ORDERS)),
            observed,
            expected,
            weight: 7.0,
            strength: Strength::Strong,
        }
    }

    fn said(level: Level, hard_rule: Option<HardRule>, evidence: Vec<Evidence>) -> String {
        let verdict = Verdict {
            level,
            evidence,
            hard_rule,
            calls: 54,
            history: 12_345,
            since: Millis(1),
            judged_at: Millis(2),
            takeover: Default::default(),
            pulse: Default::default(),
            heaviest: Vec::new(),
        };
        let names = |operation| (operation == OperationId::of(ORDERS)).then(|| ORDERS.to_owned());
        verdict.sentence_with(names)
    }

    #[test]
    fn a_walk_is_told_once_with_the_bound_and_the_habit_and_then_where_it_came_from() {
        let rule = HardRule::EnumerationRun {
            observed: 31,
            bound: 30,
            operation: OperationId::of(ORDERS),
        };
        let evidence = vec![
            found(Measure::NewNetworkAndClient, 31.0, 0.004),
            found(Measure::LongestRun, 33.0, 2.0),
        ];
        assert_eq!(
            said(Level::Malicious, Some(rule), evidence),
            "malicious: it went through 33 neighbouring object numbers in a row on `GET /orders/{id}` \
             (the bound is 30, its own longest run 2); 31 of its last 54 calls came from a network and a client \
             it never used before; judged by its last 54 calls, compared with 12,345 known before"
        );
    }

    #[test]
    fn a_walk_on_another_operation_than_the_rule_is_another_fact() {
        let rule = HardRule::EnumerationRun {
            observed: 31,
            bound: 30,
            operation: OperationId::of("GET /customers/{id}"),
        };
        let sentence = said(
            Level::Malicious,
            Some(rule),
            vec![found(Measure::LongestRun, 28.0, 2.0)],
        );
        assert_eq!(sentence.matches("in a row").count(), 2, "{sentence}");
    }

    #[test]
    fn new_operations_are_named() {
        let one = said(
            Level::Anomalous,
            None,
            vec![found(Measure::NewOperations, 1.0, 0.01)],
        );
        assert_eq!(
            one,
            "anomalous: it called `GET /orders/{id}`, which it never used before; \
             judged by its last 54 calls, compared with 12,345 known before"
        );
        let four = said(
            Level::Anomalous,
            None,
            vec![found(Measure::NewOperations, 4.0, 0.01)],
        );
        assert!(
            four.contains("it called 4 operations it never used before, mostly `GET /orders/{id}`"),
            "{four}"
        );
    }

    #[test]
    fn a_call_outside_the_task_is_told_once() {
        let rule = HardRule::TaskOperation {
            operation: OperationId::of(ORDERS),
        };
        let once = said(
            Level::Malicious,
            Some(rule),
            vec![found(Measure::OutsideTask, 1.0, 0.0)],
        );
        assert_eq!(
            once,
            "malicious: it tried `GET /orders/{id}`, which is outside the task; \
             judged by its last 54 calls, compared with 12,345 known before"
        );
        let often = said(
            Level::Malicious,
            Some(rule),
            vec![found(Measure::OutsideTask, 3.0, 0.0)],
        );
        assert!(
            often.contains("outside the task (3 calls outside the task in all);"),
            "{often}"
        );
    }

    #[test]
    fn weak_signs_beyond_the_fourth_are_counted() {
        let evidence = vec![
            found(Measure::NewNetworkAndClient, 31.0, 0.0),
            found(Measure::BytesPerMinute, 12_300_000.0, 1_250.0),
            found(Measure::CallsPerMinute, 900.0, 60.0),
            found(Measure::NewDestinations, 2.0, 0.0),
            found(Measure::Pause, 15.0, 1_200.0),
            found(Measure::RefusedShare, 0.4, 0.02),
        ];
        let sentence = said(Level::Malicious, None, evidence);
        assert!(
            sentence.contains("12 MB in one minute (usually 1.2 kB); "),
            "{sentence}"
        );
        assert!(
            sentence.contains("never used before; 2 weaker signs; judged by"),
            "{sentence}"
        );
    }

    #[test]
    fn what_has_no_name_goes_by_its_id() {
        let rule = HardRule::TaskOperation {
            operation: OperationId::of("x"),
        };
        let sentence = said(Level::Malicious, Some(rule), Vec::new());
        let id = OperationId::of("x").to_string();
        assert!(sentence.contains(&format!("operation {id}")), "{sentence}");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(0.0), "0");
        assert_eq!(grouped(999.4), "999");
        assert_eq!(grouped(1_234_567.0), "1,234,567");
        assert_eq!(grouped(-1_234.0), "-1,234");
        assert_eq!(fine(0.0123), "0.01");
        assert_eq!(fine(2.0), "2");
        assert_eq!(bytes(999.0), "999 bytes");
        assert_eq!(bytes(2_500_000_000_000_000.0), "2,500 TB");
    }
}
