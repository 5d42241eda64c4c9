//! What commands print: data on standard output, messages on standard error.

use std::fmt::{Arguments, Display};
use std::io::Write;

use serde_json::Value;

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
            .chain(
                rows.iter()
                    .map(|row| columns.iter().map(|name| cell(row.get(*name))).collect()),
            )
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
        return cell(Some(answer));
    };
    let width = object.keys().map(String::len).max().unwrap_or(0);
    object
        .iter()
        .map(|(name, value)| format!("{name:<width$}  {}\n", cell(Some(value))))
        .collect()
}

/// Text of others goes to a terminal: control characters are shown, not obeyed.
fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| cell(Some(item)))
            .collect::<Vec<_>>()
            .join(" "),
        Some(other) => other.to_string(),
    };
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
}
