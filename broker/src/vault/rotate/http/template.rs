//! Texts with `{reference}`, `{secret}` and `{key}` in them.

use serde_json::Value;
use zeroize::Zeroizing;

use crate::vault::SecretValue;
use crate::vault::rotate::driver::Unsuitable;

/// What stands for the placeholders.
pub(super) struct Filling<'a> {
    /// `{reference}`
    pub(super) reference: &'a str,
    /// `{secret}`
    pub(super) secret: Option<&'a SecretValue>,
    /// `{key}`: the idempotency key.
    pub(super) key: &'a str,
}

impl Filling<'_> {
    /// Something in every place, to try a template with.
    pub(super) const fn sample() -> Self {
        Self {
            reference: "reference",
            secret: None,
            key: "key",
        }
    }
}

/// What a template may hold beside `{reference}`.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// `{secret}`: not in paths, which end up in logs everywhere.
    pub(super) secret: bool,
    /// `{key}`: where a credential is made; elsewhere there is none.
    pub(super) key: bool,
}

/// Whether every placeholder is one. What stands in braces is not repeated: it may be a credential.
pub(super) fn check(member: &str, template: &str, place: Place) -> Result<(), Unsuitable> {
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('{') {
        let word = after.split_once('}').map(|(word, _)| word);
        let is_known = match word {
            Some("reference") => true,
            Some("secret") => place.secret,
            Some("key") => place.key,
            _ => false,
        };
        if !is_known {
            return Err(Unsuitable::Settings(format!(
                "`{member}` has braces around something that means nothing there: there are {{reference}}, \
                 {{secret}} outside of paths, and {{key}} where one is made"
            )));
        }
        rest = after;
    }
    Ok(())
}

/// As it is.
pub(super) fn fill(template: &str, filling: &Filling<'_>) -> Zeroizing<String> {
    fill_with(template, filling, |value| value.to_owned())
}

/// Each value as one segment or parameter of a URL, whatever it holds.
pub(super) fn fill_path(template: &str, filling: &Filling<'_>) -> String {
    let quoted = |value: &str| {
        let mut quoted = String::new();
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
                quoted.push(char::from(byte));
            } else {
                quoted.push_str(&format!("%{byte:02X}"));
            }
        }
        quoted
    };
    fill_with(template, filling, quoted).as_str().to_owned()
}

/// Texts inside JSON, after it was parsed: a value cannot become structure.
pub(super) fn fill_json(template: &Value, filling: &Filling<'_>) -> Value {
    match template {
        Value::String(text) => Value::String(fill(text, filling).as_str().to_owned()),
        Value::Array(items) => items.iter().map(|item| fill_json(item, filling)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), fill_json(value, filling)))
            .collect(),
        other => other.clone(),
    }
}

/// One pass: what a value holds is not looked at again.
fn fill_with(
    template: &str,
    filling: &Filling<'_>,
    quoted: impl Fn(&str) -> String,
) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(template.len() + 256));
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (word, behind) = after.split_once('}').unwrap_or((after, ""));
        match word {
            "reference" => out.push_str(&quoted(filling.reference)),
            "key" => out.push_str(&quoted(filling.key)),
            "secret" => {
                if let Some(secret) = filling.secret {
                    out.push_str(&Zeroizing::new(quoted(secret.expose())));
                }
            }
            _ => {}
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_read_as_a_template_or_as_a_path() {
        let secret = SecretValue::parse(Zeroizing::new("{reference}".to_owned())).unwrap();
        let filling = Filling {
            reference: "a/../b?c={key}",
            secret: Some(&secret),
            key: "k",
        };
        assert_eq!(
            fill("Bearer {secret}", &filling).as_str(),
            "Bearer {reference}"
        );
        assert_eq!(
            fill_path("/keys/{reference}", &filling),
            "/keys/a%2F%2E%2E%2Fb%3Fc%3D%7Bkey%7D"
        );
        let refused = |template, secret, key| check("at", template, Place { secret, key }).is_err();
        assert!(refused("/keys/{secret}", false, true));
        assert!(refused("/keys/{name}", true, true));
        assert!(refused("{key}", true, false));
        assert!(!refused("{reference}:{secret}, {key}", true, true));
        let place = Place {
            secret: true,
            key: true,
        };
        let unclosed = check("at", "Bearer {hunter2", place).unwrap_err();
        assert!(!unclosed.to_string().contains("hunter2"));
    }
}
