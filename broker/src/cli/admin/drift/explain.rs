//! `lanyard drift explain`: what somebody needs who has to decide.

use serde_json::{Value, json};

use super::super::{items, output};
use super::{role, spark, verdict};

pub(super) fn text(answer: &Value) -> String {
    let mut text = verdict::show(answer);
    text.push('\n');
    text.push_str(&behind(answer));
    let heaviest: Vec<Value> = items(answer, "heaviest").iter().map(calls).collect();
    if !heaviest.is_empty() {
        text.push_str("\ncalls that weighed most, more like others than like itself:\n");
        let columns = ["after", "operation", "calls", "weight"];
        text.push_str(&output::table(&heaviest, &columns));
    }
    let drawn = spark::line(answer);
    if !drawn.is_empty() {
        let since = items(answer, "series").first();
        let since = since.and_then(|point| point.get("at"));
        text.push_str(&format!(
            "\nits windows over time (the bar is at ▅; known since {}):\n{drawn}\n",
            output::shown("at", since)
        ));
    }
    text
}

/// The history that the window was put beside.
fn behind(answer: &Value) -> String {
    let Some(history) = answer.get("history") else {
        return String::new();
    };
    let number = |member: &str| history.get(member).and_then(Value::as_u64).unwrap_or(0);
    let since = match history.get("since") {
        Some(since) if !since.is_null() => format!(" since {}", output::shown("at", Some(since))),
        _ => String::new(),
    };
    let anchor = match history.get("anchored").and_then(Value::as_bool) {
        Some(true) => "a frozen anchor beside them",
        _ => "no anchor yet",
    };
    let peers = match history.get("role").filter(|role| !role.is_null()) {
        Some(known) => format!("{} peers in the role {}", number("peers"), role(known)),
        None => format!("{} peers", number("peers")),
    };
    format!(
        "behind it: {} own calls then, {} now{since}; {} operations known, {anchor}; {peers}\n",
        number("calls"),
        number("calls_now"),
        number("operations"),
    )
}

fn calls(calls: &Value) -> Value {
    let weight = calls.get("weight").and_then(Value::as_f64);
    json!({
        "after": calls.get("after"),
        "operation": calls.get("operation"),
        "calls": calls.get("calls"),
        "weight": weight.map(|weight| format!("{weight:.1}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_tells_history_calls_and_course() {
        let answer = json!({
            "id": "0000010000000009", "at": 1_767_225_600_000_u64,
            "identity": "0000010000000002", "name": "billing", "token": "0000010000000007",
            "sentence": "anomalous: the order of operations", "operations": [],
            "verdict": {"level": "anomalous", "evidence": [
                {"measure": "order_score", "operation": null, "observed": 44.0, "expected": 20.0},
            ]},
            "responses": [], "suspended": [], "cleared": null,
            "heaviest": [
                {"after": "GET /orders", "operation": "GET /export\u{1b}", "calls": 12, "weight": 55.25},
                {"after": null, "operation": "0a0b0c0d", "calls": 1, "weight": 2.0},
            ],
            "history": {
                "calls": 1_500, "calls_now": 1_600, "since": 1_767_139_200_000_u64, "operations": 7,
                "anchored": true, "role": {"kind": "service", "tags": ["payments", "prod"]}, "peers": 3,
            },
            "series": [
                {"at": 1_767_222_000_000_u64, "reach": 0.1, "level": "benign"},
                {"at": 1_767_225_600_000_u64, "reach": 2.2, "level": "anomalous"},
            ],
        });
        let expected = "\
anomalous: the order of operations

at        2026-01-01T00:00:00Z
identity  billing (0000010000000002)
token     0000010000000007

CHANNEL    MEASURE      OPERATION  OBSERVED  EXPECTED
operation  order score  -          44        20

behind it: 1500 own calls then, 1600 now since 2025-12-31T00:00:00Z; 7 operations known, a frozen \
anchor beside them; 3 peers in the role service (payments prod)

calls that weighed most, more like others than like itself:
AFTER        OPERATION          CALLS  WEIGHT
GET /orders  GET /export\\u{1b}  12     55.2
-            0a0b0c0d           1      2.0

its windows over time (the bar is at ▅; known since 2025-12-31T23:00:00Z):
▁▆
";
        assert_eq!(text(&answer), expected);
    }
}
