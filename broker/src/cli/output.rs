//! What commands print: data on standard output, messages on standard error.

use std::fmt::{Arguments, Display};
use std::io::Write;

use lanyard_token::Rev;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How data is printed.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// JSON instead of text.
    pub json: bool,
}

impl Output {
    /// Prints an answer: as it is, or in the way that suits people.
    pub fn print(self, answer: &Value, text: impl FnOnce(&Value) -> String) {
        if self.json {
            data(answer);
        } else {
            data(text(answer).trim_end());
        }
    }

    /// Says on standard error why nothing came of it: in words, or as one line of JSON.
    pub fn error(self, words: &str, status: Option<u16>) {
        if !self.json {
            return message(format_args!("error: {words}"));
        }
        let mut told = serde_json::json!({ "error": words });
        if let (Some(status), Some(object)) = (status, told.as_object_mut()) {
            object.insert("status".to_owned(), status.into());
        }
        message(format_args!("{told}"));
    }
}

/// One line or block of data. A reader that went away (`lanyard … | head`) is no error.
pub fn data(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// One line for whoever watches.
pub fn message(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A list of objects as a table of these members.
pub fn table(rows: &[Value], columns: &[&str]) -> String {
    let cells: Vec<Vec<String>> =
        std::iter::once(columns.iter().map(|name| name.to_uppercase()).collect())
            .chain(rows.iter().map(|row| {
                columns
                    .iter()
                    .map(|name| shown(name, row.get(*name)))
                    .collect()
            }))
            .collect();
    let width = |column: usize| {
        cells
            .iter()
            .filter_map(|row| row.get(column))
            .map(|text| text.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for row in &cells {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}", width = *width))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// An object, one member a line.
pub fn members(answer: &Value) -> String {
    let Some(object) = answer.as_object() else {
        return shown("", Some(answer));
    };
    let width = object.keys().map(String::len).max().unwrap_or(0);
    object
        .iter()
        .map(|(name, value)| format!("{name:<width$}  {}\n", shown(name, Some(value))))
        .collect()
}

/// A member's value for people. The wire carries places in the log and times as plain numbers; the
/// name says which it is.
pub fn shown(name: &str, value: Option<&Value>) -> String {
    match (name, value) {
        (_, Some(Value::Array(items))) => items
            .iter()
            .map(|item| shown(name, Some(item)))
            .collect::<Vec<_>>()
            .join(" "),
        (_, Some(Value::Number(number))) => number
            .as_u64()
            .and_then(|number| readable(name, number))
            .unwrap_or_else(|| number.to_string()),
        (_, None | Some(Value::Null)) => "-".to_owned(),
        // What belongs to a step is for machines.
        ("step", Some(Value::Object(step))) if step.len() == 1 => {
            step.keys().map(|word| line(word)).collect()
        }
        ("alarm", Some(Value::Object(alarm))) => {
            let text = |member| alarm.get(member).and_then(Value::as_str);
            let words = [text("alarm"), text("why")];
            line(&words.into_iter().flatten().collect::<Vec<_>>().join(": "))
        }
        ("exposed", Some(Value::Object(exposed))) => {
            let cause = exposed.get("cause").and_then(Value::as_str);
            line(cause.unwrap_or("yes"))
        }
        (_, Some(Value::String(text))) => line(text),
        (_, Some(other)) => line(&other.to_string()),
    }
}

/// `EPOCH:NUMBER` for a place, RFC 3339 in UTC for a time.
fn readable(name: &str, number: u64) -> Option<String> {
    let millis = match name {
        "rev" | "head" | "anchors" => return Rev::from_u64(number).map(|rev| rev.to_string()),
        "at" | "made_at" | "created_at" | "added_at" | "since" | "from" | "until"
        | "expires_at" | "changed_at" | "last_at" | "last_used" | "last_named"
        | "rotation_queued" | "begun" => number,
        "signs_from" | "signs_until" | "verifies_until" => number.checked_mul(1_000)?,
        _ => return None,
    };
    let seconds = i64::try_from(millis / 1_000).ok()?;
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    time.format(&Rfc3339).ok()
}

/// Text of others goes to a terminal: control characters are shown, not obeyed.
pub fn line(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_lines_up_and_a_name_cannot_drive_the_terminal() {
        let rows = [
            json!({"id": "01", "tags": ["a", "b"]}),
            json!({"id": "\u{1b}[2J", "tags": null}),
        ];
        assert_eq!(
            table(&rows, &["id", "tags"]),
            "ID         TAGS\n01         a b\n\\u{1b}[2J  -\n"
        );
    }

    #[test]
    fn where_a_rotation_stands_is_a_word() {
        let rows = [
            json!({"step": {"over": "rotated"}, "alarm": null}),
            json!({"step": "looking", "alarm": {"alarm": "both_dead"}}),
            json!({"step": {"proving": {"since": 1}}, "alarm": {"alarm": "stuck", "why": "no"}}),
        ];
        assert_eq!(
            table(&rows, &["step", "alarm"]),
            "STEP     ALARM\nover     -\nlooking  both_dead\nproving  stuck: no\n"
        );
    }

    #[test]
    fn places_and_times_are_written_for_people() {
        let answer =
            json!({"head": (1_u64 << 40) + 7, "expires_at": 1_767_225_600_999_u64, "owners": 7});
        let text = members(&answer);
        for line in [
            "head        1:7",
            "expires_at  2026-01-01T00:00:00Z",
            "owners      7",
        ] {
            assert!(text.contains(line), "{text}");
        }
        let row = json!({"signs_from": 1_767_225_600_u64, "anchors": [5, 6]});
        assert!(
            table(&[row], &["signs_from", "anchors"]).contains("2026-01-01T00:00:00Z  0:5 0:6")
        );
    }
}
