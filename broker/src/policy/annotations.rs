//! What stands above a policy: which words there may be, and what their values mean.
//!
//! An unknown word is refused: a cap that is misspelt would be none, and nobody would see it.

use cedar_policy::{Effect, Policy};

use super::asked::Binding;
use super::respond::marks::{self, Marks, Written};

/// What the annotations of one policy say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Annotations {
    pub(super) id: String,
    pub(super) owner: Option<String>,
    pub(super) why: Option<String>,
    /// Longest lifetime, in seconds.
    pub(super) max_ttl: Option<u64>,
    pub(super) require_binding: Option<Binding>,
    pub(super) respond: Option<Marks>,
}

/// Reads them; or says what is wrong and what to do about it.
pub(super) fn read(policy: &Policy) -> Result<Annotations, (String, String)> {
    let mut read = Annotations {
        id: String::new(),
        owner: None,
        why: None,
        max_ttl: None,
        require_binding: None,
        respond: None,
    };
    let mut written = Written::default();
    for (name, value) in policy.annotations() {
        let only_on_permits = |what: &str| {
            (policy.effect() == Effect::Permit).then_some(()).ok_or((
                format!("`@{what}` stands on a forbid"),
                "a forbid takes everything: put it on the permit".to_owned(),
            ))
        };
        match name {
            "id" => value.clone_into(&mut read.id),
            "owner" => read.owner = Some(value.to_owned()),
            "why" => read.why = Some(value.to_owned()),
            "max_ttl" => {
                only_on_permits(name)?;
                read.max_ttl = Some(seconds(value).ok_or((
                    format!("`{value}` is no lifetime"),
                    "write a number and s, m, h or d: `15m`".to_owned(),
                ))?);
            }
            "require_binding" => {
                only_on_permits(name)?;
                read.require_binding = Some(match value {
                    "dpop" => Binding::Dpop,
                    "mtls" => Binding::Mtls,
                    _ => {
                        return Err((
                            format!("`{value}` is no binding"),
                            "write `dpop` or `mtls`".to_owned(),
                        ));
                    }
                });
            }
            "response" => written.response = Some(value),
            "canary" => written.canary = Some(value),
            "cap" => written.cap = Some(value),
            "override" => written.may_override = Some(value),
            _ => {
                let advice = "known are id, owner, why, max_ttl, require_binding, response, canary, cap and override";
                return Err((format!("unknown annotation `@{name}`"), advice.to_owned()));
            }
        }
    }
    read.respond = marks::read(policy, &written)?;
    let word = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    if read.id.is_empty() || read.id.len() > 63 || !read.id.bytes().all(word) {
        let advice = "write `@id(\"…\")` above it: 1 to 63 characters of a-z 0-9 . _ -";
        return Err(("a policy without a name".to_owned(), advice.to_owned()));
    }
    Ok(read)
}

/// `90s`, `15m`, `12h`, `1d`.
fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.then(|| number.parse().ok()).flatten()?;
    number.checked_mul(unit).filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(above: &str) -> Result<Annotations, (String, String)> {
        let text = format!("{above} permit(principal, action, resource);");
        read(&Policy::parse(None, text).unwrap())
    }

    #[test]
    fn a_lifetime_has_a_number_and_a_unit() {
        assert_eq!(seconds("15m"), Some(900));
        assert_eq!(seconds("1d"), Some(86_400));
        for bad in [
            "",
            "m",
            "15",
            "0s",
            "-1m",
            "1.5h",
            "15 m",
            "15M",
            "99999999999999999999d",
            "é",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_misspelt_word_is_refused_by_name() {
        let (words, _) = of(r#"@id("a") @max_tll("15m")"#).unwrap_err();
        assert_eq!(words, "unknown annotation `@max_tll`");
        let (words, _) = of(r#"@id("a") @require_binding("dpopp")"#).unwrap_err();
        assert_eq!(words, "`dpopp` is no binding");
    }

    #[test]
    fn a_policy_needs_a_name() {
        assert!(of("").is_err());
        assert!(of(r#"@id("two words")"#).is_err());
        assert_eq!(of(r#"@id("a")"#).unwrap().id, "a");
    }
}
