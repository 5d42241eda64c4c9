//! `lanyard drift would`: what other rules would have done, before anybody switches to them.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::super::{CliError, items, output, text_of};
use super::{WouldArgs, object, word};
use crate::policy::Bundle;

/// Steps shown one by one; `--json` has them all.
const SHOWN: usize = 40;

/// The body that asks.
pub(super) fn asked(args: &WouldArgs) -> Result<Value, CliError> {
    let mut body = Map::new();
    body.insert("days".to_owned(), json!(args.days));
    if let Some(mode) = args.mode {
        body.insert("mode".to_owned(), json!(word(mode)));
    }
    if let Some(kind) = args.kind {
        body.insert("kind".to_owned(), json!(word(kind)));
    }
    if let Some(file) = &args.thresholds {
        body.insert("thresholds".to_owned(), thresholds(file)?);
    }
    if let Some(folder) = &args.bundle {
        body.insert("responses".to_owned(), responses(folder)?);
    }
    Ok(Value::Object(body))
}

/// What a folder of policies has to say about responses, checked here, where its files are.
fn responses(folder: &Path) -> Result<Value, CliError> {
    let bundle = Bundle::load(folder).map_err(|broken| CliError::usage(&broken))?;
    if !bundle.has_responses() {
        return Err(CliError::Usage(format!(
            "`{}` has no policy of responses; begin with a copy of the folder `policies/response`",
            folder.display()
        )));
    }
    let file = folder.join("schema.cedarschema");
    let schema = std::fs::read_to_string(&file)
        .map_err(|error| CliError::cannot(format_args!("read `{}`", file.display()), &error))?;
    Ok(json!({"schema": schema, "policies": bundle.written_responses()}))
}

/// Thresholds from a file of TOML.
pub(super) fn thresholds(file: &Path) -> Result<Value, CliError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::cannot(format_args!("read `{}`", file.display()), &error))?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| {
        CliError::Usage(format!(
            "`{}` is not TOML: {}",
            file.display(),
            error.message()
        ))
    })?;
    serde_json::to_value(table).map_err(|error| CliError::failed(&error))
}

/// What it came to.
pub(super) fn text(answer: &Value) -> String {
    let rehearsal = answer.get("rehearsal").unwrap_or(&Value::Null);
    let mut text = format!(
        "rehearsal {}\n{}{} windows of {} identities, {} calls{}; statistics {}\n\n",
        output::line(text_of(answer, "id")),
        policies(answer),
        output::shown("windows", rehearsal.get("windows")),
        output::shown("identities", rehearsal.get("identities")),
        output::shown("calls", rehearsal.get("calls")),
        between(rehearsal),
        match text_of(answer, "mode") {
            "enforce" => "act",
            _ => "are written down only",
        },
    );
    let rows: Vec<Value> = ["alert", "recycle", "narrow", "suspend", "revoke"]
        .iter()
        .map(|response| {
            let count = |of: &str| object(rehearsal, of).get(*response).cloned();
            json!({
                "response": response, "would": count("would"), "did": count("done"),
                "both": count("both"),
            })
        })
        .collect();
    text.push_str(&output::table(&rows, &["response", "would", "did", "both"]));
    text.push_str(&format!(
        "\n{} calls would have been refused after that, whoever made them; a cap would have been met {} times\n",
        output::shown("calls", rehearsal.get("refused_calls")),
        output::shown("times", rehearsal.get("capped")),
    ));
    text.push_str(&steps(rehearsal));
    if answer.get("unrehearsed") == Some(&Value::Bool(true)) {
        text.push_str(
            "\nthese thresholds also differ in bounds, enumeration bars or learning, which recorded windows cannot show\n",
        );
    }
    if let Some(cut) = answer
        .get("cut")
        .and_then(Value::as_u64)
        .filter(|cut| *cut > 0)
    {
        text.push_str(&format!(
            "\n{cut} parts of the recording could only be read in part\n"
        ));
    }
    text
}

/// What each kind is judged by, one line each.
pub(super) fn in_force(answer: &Value) -> String {
    let rows: Vec<Value> = items(answer, "thresholds")
        .iter()
        .map(|kind| {
            let frozen = kind.get("frozen");
            json!({
                "kind": kind.get("kind"),
                "hash": kind.get("hash"),
                "at": frozen.and_then(|frozen| frozen.get("at")),
                "rehearsal": frozen.and_then(|frozen| frozen.get("rehearsal")),
            })
        })
        .collect();
    output::table(&rows, &["kind", "hash", "at", "rehearsal"])
}

/// Which policies of responses were asked.
fn policies(answer: &Value) -> String {
    match answer.get("bundle").and_then(Value::as_str) {
        Some(bundle) => format!("policies {}\n", output::line(bundle)),
        None => String::new(),
    }
}

fn between(rehearsal: &Value) -> String {
    match rehearsal
        .get("between")
        .filter(|between| !between.is_null())
    {
        Some(between) => format!(
            ", {} to {}",
            output::shown("at", between.get(0)),
            output::shown("at", between.get(1))
        ),
        None => String::new(),
    }
}

fn steps(rehearsal: &Value) -> String {
    let steps = items(rehearsal, "steps");
    if steps.is_empty() {
        return String::new();
    }
    let rows: Vec<Value> = steps
        .iter()
        .take(SHOWN)
        .map(|step| {
            json!({
                "at": step.get("at"),
                "response": step.get("response"),
                "node": step.get("node"),
                "identity": step.get("identity"),
                "did": match step.get("also_done") {
                    Some(Value::Bool(true)) => "yes",
                    _ => "no",
                },
                "because": step.get("sentence"),
            })
        })
        .collect();
    let columns = ["at", "response", "node", "identity", "did", "because"];
    let mut text = format!("\n{}", output::table(&rows, &columns));
    if steps.len() > SHOWN {
        text.push_str(&format!(
            "… and {} more; --json has them\n",
            steps.len() - SHOWN
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rehearsal_is_told_in_lines_for_people() {
        let step = json!({
            "at": 1_767_225_660_000_u64, "identity": "0000010000000002", "token": "0000010000000007",
            "response": "recycle", "node": "0000010000000007", "until": null, "level": "anomalous",
            "also_done": false, "sentence": "anomalous: more calls than usual\u{1b}",
        });
        let answer = json!({
            "id": "ab12", "bundle": "5f2a", "mode": "enforce", "kinds": ["service"], "unrehearsed": true, "cut": 1,
            "rehearsal": {
                "windows": 40, "calls": 4_000, "identities": 2,
                "between": [1_767_225_600_000_u64, 1_767_229_200_000_u64],
                "would": {"alert": 0, "recycle": 1, "narrow": 0, "suspend": 0, "revoke": 0},
                "done": {"alert": 1, "recycle": 0, "narrow": 0, "suspend": 0, "revoke": 0},
                "both": {"alert": 0, "recycle": 0, "narrow": 0, "suspend": 0, "revoke": 0},
                "capped": 0, "refused_calls": 0, "steps": [step],
            },
        });
        let expected = "\
rehearsal ab12
policies 5f2a
40 windows of 2 identities, 4000 calls, 2026-01-01T00:00:00Z to 2026-01-01T01:00:00Z; statistics act

RESPONSE  WOULD  DID  BOTH
alert     0      1    0
recycle   1      0    0
narrow    0      0    0
suspend   0      0    0
revoke    0      0    0

0 calls would have been refused after that, whoever made them; a cap would have been met 0 times

AT                    RESPONSE  NODE              IDENTITY          DID  BECAUSE
2026-01-01T00:01:00Z  recycle   0000010000000007  0000010000000002  no   anomalous: more calls than usual\\u{1b}

these thresholds also differ in bounds, enumeration bars or learning, which recorded windows cannot show

1 parts of the recording could only be read in part
";
        assert_eq!(text(&answer), expected);
    }

    #[test]
    fn thresholds_come_from_toml_and_what_is_none_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("thresholds.toml");
        std::fs::write(
            &file,
            "minimum_history = 500\norigin = { notable = 3.0, strong = 9.0 }\n",
        )
        .unwrap();
        let read = thresholds(&file).unwrap();
        assert_eq!(
            read,
            json!({"minimum_history": 500, "origin": {"notable": 3.0, "strong": 9.0}})
        );
        std::fs::write(&file, "minimum_history = ").unwrap();
        assert!(thresholds(&file).is_err());
        assert!(thresholds(&folder.path().join("none")).is_err());
    }
}
