//! Verdicts, as people read them.

use lanyard_drift::Measure;
use serde_json::{Map, Value, json};

use super::super::{items, output, text_of};
use super::orders;

pub(super) fn list(answer: &Value) -> String {
    let rows: Vec<Value> = items(answer, "verdicts")
        .iter()
        .map(|verdict| {
            json!({
                "id": verdict.get("id"),
                "at": verdict.get("at"),
                "name": name_or_id(verdict),
                "level": verdict.pointer("/verdict/level"),
                "sentence": verdict.get("sentence"),
            })
        })
        .collect();
    let mut text = output::table(&rows, &["id", "at", "name", "level", "sentence"]);
    let deploying = orders::under_way(answer);
    if !deploying.is_empty() {
        text.push_str(&format!("\n{deploying}"));
    }
    text
}

/// The sentence first: whoever was woken reads no further when it says enough.
pub(super) fn show(answer: &Value) -> String {
    let mut text = format!("{}\n\n", output::line(text_of(answer, "sentence")));
    let mut facts = Map::new();
    let identity = text_of(answer, "identity");
    facts.insert("at".to_owned(), json!(answer.get("at")));
    facts.insert(
        "identity".to_owned(),
        match answer.get("name").and_then(Value::as_str) {
            Some(name) => json!(format!("{name} ({identity})")),
            None => json!(identity),
        },
    );
    facts.insert("token".to_owned(), json!(answer.get("token")));
    text.push_str(&output::members(&Value::Object(facts)));
    for taken in items(answer, "responses") {
        text.push_str(&format!("{}\n", response(taken, answer)));
    }
    for paused in items(answer, "suspended") {
        let (node, until) = (paused.get(0), paused.get(1));
        text.push_str(&format!(
            "paused {} until {}\n",
            target(node.and_then(Value::as_str).unwrap_or("-"), answer),
            output::shown("until", until)
        ));
    }
    if let Some(waiting) = answer.get("waiting") {
        text.push_str(&format!("{}\n", output::line(text_of(waiting, "sentence"))));
    }
    if let Some(cleared) = answer.get("cleared").filter(|cleared| !cleared.is_null()) {
        text.push_str(&format!(
            "cleared {}: {}\n",
            output::shown("at", cleared.get("at")),
            output::line(text_of(cleared, "reason"))
        ));
    }
    if let Some(paged) = answer.get("paged") {
        text.push_str(&format!("paged {}\n", output::shown("at", Some(paged))));
    }
    let evidence = evidence(answer);
    if !evidence.is_empty() {
        text.push('\n');
        let columns = ["channel", "measure", "operation", "observed", "expected"];
        text.push_str(&output::table(&evidence, &columns));
    }
    text
}

/// `recycle token 0000010000000007 (enforced)`, and how policies came to it.
fn response(taken: &Value, verdict: &Value) -> String {
    let what = output::line(text_of(taken, "response"));
    let node = taken.get("node").and_then(Value::as_str);
    let node = node.map_or_else(String::new, |node| format!(" {}", target(node, verdict)));
    let how = match taken.get("enforced").and_then(Value::as_bool) {
        Some(true) => "enforced",
        _ => "written down only",
    };
    let chosen = taken.get("chosen").map(super::chosen::lines);
    format!("{what}{node} ({how}){}", chosen.unwrap_or_default())
}

fn target(node: &str, verdict: &Value) -> String {
    let node_text = output::line(node);
    match node {
        node if node == text_of(verdict, "token") => format!("token {node_text}"),
        node if node == text_of(verdict, "identity") => format!("identity {node_text}"),
        _ => node_text,
    }
}

pub(super) fn evidence(answer: &Value) -> Vec<Value> {
    let found = answer
        .get("verdict")
        .map(|verdict| items(verdict, "evidence"));
    found
        .unwrap_or_default()
        .iter()
        .map(|found| {
            let measure = found.get("measure").cloned().unwrap_or_default();
            // A newer broker may measure what this command does not know.
            let channel = serde_json::from_value::<Measure>(measure.clone())
                .ok()
                .and_then(|measure| serde_json::to_value(measure.channel()).ok());
            json!({
                "channel": channel.map(spaced),
                "measure": spaced(measure),
                "operation": operation(found.get("operation"), answer),
                "observed": amount(found.get("observed")),
                "expected": amount(found.get("expected")),
            })
        })
        .collect()
}

/// An operation as the gateways call it, or else its number.
fn operation(id: Option<&Value>, answer: &Value) -> Value {
    let Some(id) = id.filter(|id| !id.is_null()) else {
        return Value::Null;
    };
    let named = items(answer, "operations")
        .iter()
        .find(|named| named.get("operation") == Some(id));
    named
        .and_then(|named| named.get("name"))
        .unwrap_or(id)
        .clone()
}

fn name_or_id(verdict: &Value) -> &str {
    let name = verdict.get("name").and_then(Value::as_str);
    name.unwrap_or_else(|| text_of(verdict, "identity"))
}

/// Whole numbers as such, others with two digits: nobody reads a sixth one.
fn amount(value: Option<&Value>) -> Value {
    match value.and_then(Value::as_f64) {
        Some(number) if number.fract().abs() < 0.005 => json!(format!("{number:.0}")),
        Some(number) => json!(format!("{number:.2}")),
        None => Value::Null,
    }
}

fn spaced(word: Value) -> Value {
    match word {
        Value::String(word) => Value::String(word.replace('_', " ")),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict() -> Value {
        json!({
            "id": "0000010000000009", "at": 1_767_225_600_000_u64,
            "identity": "0000010000000002", "name": "billing", "token": "0000010000000007",
            "sentence": "malicious: 130 neighbouring objects of `GET /orders/{id}`\u{1b}",
            "verdict": {"level": "malicious", "evidence": [
                {"measure": "longest_run", "operation": 5, "observed": 130.0, "expected": 2.517},
                {"measure": "of_tomorrow", "operation": null, "observed": 1.0, "expected": 0.0},
            ]},
            "operations": [{"operation": 5, "name": "GET /orders/{id}"}],
            "responses": [
                {"response": "recycle", "node": "0000010000000007", "enforced": true},
                {"response": "alert", "node": null, "enforced": false, "chosen": {
                    "bundle": "5f2a", "abuse": "enumeration", "rung": "again", "asked": "suspend",
                    "policies": ["response.suspend", "tills\u{1b}"], "not_in_share": ["new"],
                    "capped": ["tills"], "full": true,
                }},
            ],
            "suspended": [["0000010000000002", 1_767_225_900_000_u64]],
            "waiting": {"sentence": "not revoked: this rests on the word of gateway `a` alone"},
            "cleared": {"at": 1_767_225_660_000_u64, "by": {"socket": {"uid": 0}}, "reason": "a move"},
        })
    }

    #[test]
    fn a_list_tells_level_name_and_a_readable_time() {
        let text = list(&json!({"verdicts": [verdict()]}));
        let mut lines = text.lines();
        assert_eq!(
            lines.next().unwrap().split_whitespace().collect::<Vec<_>>(),
            ["ID", "AT", "NAME", "LEVEL", "SENTENCE"]
        );
        let row = lines.next().unwrap();
        let start = "0000010000000009  2026-01-01T00:00:00Z  billing  malicious  malicious: 130";
        assert!(row.starts_with(start), "{row}");
    }

    #[test]
    fn a_verdict_is_told_in_lines_for_people() {
        let expected = "\
malicious: 130 neighbouring objects of `GET /orders/{id}`\\u{1b}

at        2026-01-01T00:00:00Z
identity  billing (0000010000000002)
token     0000010000000007
recycle token 0000010000000007 (enforced)
alert (written down only)
  asked: suspend, by response.suspend, tills\\u{1b} (enumeration, again; policies 5f2a)
  canary: not in share of new
  cap of tills is met: one step milder
  a cap per minute is met: milder still
paused identity 0000010000000002 until 2026-01-01T00:05:00Z
not revoked: this rests on the word of gateway `a` alone
cleared 2026-01-01T00:01:00Z: a move

CHANNEL      MEASURE      OPERATION         OBSERVED  EXPECTED
enumeration  longest run  GET /orders/{id}  130       2.52
-            of tomorrow  -                 1         0
";
        assert_eq!(show(&verdict()), expected);
    }
}
