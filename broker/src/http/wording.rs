//! What an error answer may repeat of a request: names and numbers, never what may be a secret.
//!
//! Keys and tokens end up in wrong members and in paths, and answers end up in the logs of whoever
//! asked. Values are therefore not repeated at all, and what has the form of a key or token is hidden
//! wherever it stands. A password of somebody's own in the place of a name is not recognised.

/// What is wrong with a JSON document, and where; its values are not told.
pub fn of_json(error: &serde_json::Error) -> String {
    let place = format!("at line {} column {}", error.line(), error.column());
    if !error.is_data() {
        return format!("the body is not JSON {place}");
    }
    let words = error.to_string();
    let words = words.strip_suffix(&place).unwrap_or(&words).trim_end();
    // Names of members and what they must be are ours; all before the last `expected` may be theirs.
    let expected = words
        .rsplit_once(", expected ")
        .map(|(_, expected)| expected);
    match (words.split([':', '`']).next().map(str::trim), expected) {
        (Some("missing field" | "duplicate field"), _) => format!("{words} {place}"),
        (Some("unknown field"), Some(expected)) => {
            format!("unknown member {place}: expected {expected}")
        }
        (_, Some(expected)) => {
            format!("a member is not as it should be {place}: expected {expected}")
        }
        (_, None) => format!("a member is not as it should be {place}"),
    }
}

/// The same text with every API key and token hidden.
pub fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = BEGINNINGS.iter().filter_map(|word| rest.find(word)).min() {
        let (before, secret) = rest.split_at(at);
        shown.push_str(before);
        shown.push_str("***");
        rest = secret.trim_start_matches(is_part);
    }
    shown.push_str(rest);
    shown
}

/// How API keys begin, and how every JSON Web Token begins: `{"` in base64url.
const BEGINNINGS: [&str; 2] = ["lyk_", "eyJ"];

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '+' | '/' | '=')
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Sample {
        name: String,
        seconds: u64,
        wait: Option<Wait>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Wait {
        All,
    }

    fn told(text: &str) -> String {
        of_json(&serde_json::from_str::<Sample>(text).unwrap_err())
    }

    #[test]
    fn an_answer_says_what_was_expected_and_not_what_came() {
        assert_eq!(
            told(r#"{"name":"a"}"#),
            "missing field `seconds` at line 1 column 12"
        );
        for (text, expected) in [
            (
                r#"{"name":"a","seconds":"hunter2, expected x"}"#,
                "expected u64",
            ),
            (
                r#"{"name":"a","hunter2":1}"#,
                "expected one of `name`, `seconds`, `wait`",
            ),
            (
                r#"{"name":"a","seconds":1,"wait":"hunter2"}"#,
                "expected `all`",
            ),
            (r#"{"name":hunter2}"#, "not JSON at line 1"),
        ] {
            let words = told(text);
            assert!(
                words.contains(expected) && !words.contains("hunter2"),
                "{words}"
            );
        }
    }

    #[test]
    fn keys_and_tokens_are_hidden_wherever_they_stand() {
        let text = "there is no owner `lyk_abcDEF` nor `eyJhbGciOiJFUzI1NiJ9.e30.c2ln`, lyk_x";
        assert_eq!(
            without_secrets(text),
            "there is no owner `***` nor `***`, ***"
        );
        assert_eq!(
            without_secrets("there is no owner `payments`"),
            "there is no owner `payments`"
        );
    }
}
