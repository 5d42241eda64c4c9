//! Fields of spans as JSON. What is recorded later is appended: the library's own way reads everything before it again,
//! for each field, which took longer than all the rest of a line.

use std::fmt;

use tracing::span::Record;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FormatFields, FormattedFields};

/// Formats them.
#[derive(Default)]
pub(super) struct Fields(JsonFields);

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        self.0.format_fields(writer, fields)
    }

    fn add_fields(
        &self,
        current: &'w mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let mut new = String::new();
        self.0.format_fields(Writer::new(&mut new), fields)?;
        append(&mut current.fields, &new);
        Ok(())
    }
}

/// Makes one object of two. A name that is in both is read as the later one says.
fn append(object: &mut String, more: &str) {
    let Some(more) = more.strip_prefix('{').filter(|more| *more != "}") else {
        return;
    };
    if object.ends_with('}') {
        object.pop();
    }
    match object.as_str() {
        "" => object.push('{'),
        "{" => {}
        _ => object.push(','),
    }
    object.push_str(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_objects_become_one() {
        for (object, more, whole) in [
            (r#"{"a":1}"#, r#"{"b":{"c":2}}"#, r#"{"a":1,"b":{"c":2}}"#),
            ("{}", r#"{"b":2}"#, r#"{"b":2}"#),
            ("", r#"{"b":2}"#, r#"{"b":2}"#),
            (r#"{"a":{}}"#, "{}", r#"{"a":{}}"#),
        ] {
            let mut text = object.to_owned();
            append(&mut text, more);
            assert_eq!(text, whole);
        }
    }
}
