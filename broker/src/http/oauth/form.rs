//! A form as OAuth wants it: strict, and its errors in OAuth's words.
//!
//! axum's own extractor answers 415 and 422 in plain text, lets `application/x-www-form-urlencoded`
//! be any charset, and cannot read a parameter twice where RFC 8693 allows it.

mod body;

use std::borrow::Cow;

use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http::request::Parts;

use crate::http::problem::Problem;

/// Parameters that may be repeated (RFC 8693 section 2.1, RFC 8707 section 2).
const REPEATABLE: [&str; 2] = ["audience", "resource"];
/// The most parameters: far more than OAuth has.
const MAX_PARAMETERS: usize = 256;

/// The parameters of a form. One without a value is one that was not sent (RFC 6749 section 3.2).
pub(super) struct Form {
    parameters: Vec<(String, String)>,
}

/// A form with the headers it came with.
pub(super) struct Submitted {
    /// Everything but the body.
    pub(super) parts: Parts,
    /// The body.
    pub(super) form: Form,
}

impl<S: Send + Sync> FromRequest<S> for Submitted {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        if parts.uri.query().is_some() {
            // Addresses end up in logs: no parameter belongs there, least of all a token.
            return Err(
                Problem::invalid_request("parameters belong into the body").because("query")
            );
        }
        check_content_type(&parts.headers)?;
        let body = body::read(body).await?;
        Ok(Self {
            parts,
            form: Form::parse(&body)?,
        })
    }
}

impl Form {
    fn parse(body: &[u8]) -> Result<Self, Problem> {
        let body = std::str::from_utf8(body).map_err(|_| malformed())?;
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in body.split('&').filter_map(pair) {
            // What is no UTF-8 was replaced: two texts that differ would become the same.
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') || name.contains('\0') {
                return Err(malformed());
            }
            if parameters.len() >= MAX_PARAMETERS {
                return Err(malformed());
            }
            let repeated = parameters.iter().any(|(known, _)| *known == name);
            if repeated && !REPEATABLE.contains(&name.as_ref()) {
                return Err(Problem::invalid_request("a parameter is repeated")
                    .because("repeated_parameter"));
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self { parameters })
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self
            .parameters
            .iter()
            .find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// The values of a parameter that may be repeated.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.parameters
            .iter()
            .filter(move |(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that must be there.
    pub(super) fn require(&self, name: &'static str) -> Result<&str, Problem> {
        self.get(name).ok_or_else(|| {
            Problem::invalid_request(format!("`{name}` is missing")).because("missing_parameter")
        })
    }
}

fn malformed() -> Problem {
    Problem::invalid_request("the body is not a form").because("malformed_form")
}

/// One parameter. Most have nothing to unescape, tokens never: they are taken as they are.
fn pair(part: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    if part.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return form_urlencoded::parse(part.as_bytes()).next();
    }
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    (!part.is_empty()).then_some((Cow::Borrowed(name), Cow::Borrowed(value)))
}

/// Exactly one `Content-Type`: a form, in UTF-8 if it says so.
fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let refused = || {
        Problem::invalid_request("the body must be application/x-www-form-urlencoded")
            .because("content_type")
    };
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused());
    };
    let text = value.to_str().map_err(|_| refused())?;
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(refused());
    }
    let is_utf8 = |part: &str| {
        part.split_once('=').is_some_and(|(name, value)| {
            let value = value.trim();
            let quoted = |text: &str| Some(text.strip_prefix('"')?.strip_suffix('"')?.to_owned());
            name.trim().eq_ignore_ascii_case("charset")
                && quoted(value)
                    .as_deref()
                    .unwrap_or(value)
                    .eq_ignore_ascii_case("utf-8")
        })
    };
    if parts.all(is_utf8) {
        Ok(())
    } else {
        Err(refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(body: &'static [u8]) -> Result<Form, Problem> {
        Form::parse(body)
    }

    #[test]
    fn repeated_parameters_are_refused_known_or_not_except_targets() {
        assert!(form(b"scope=a&scope=admin").is_err());
        assert!(form(b"foo=a&foo=b").is_err());
        assert!(form(b"scope=&scope=a").is_err());
        let targets = form(b"audience=a&audience=b&resource=c").unwrap();
        assert_eq!(targets.all("audience").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_form_is_read_as_form_urlencoded_says_escaped_or_not() {
        let parts = [
            "a", "=", "&", "%3D", "+", "x.y-z_1", "%", "%2", "\u{e9}", "=",
        ];
        for one in parts {
            for two in parts {
                for three in parts {
                    let body = format!("k{one}{two}{three}&l=m");
                    let all = form_urlencoded::parse(body.as_bytes()).into_owned();
                    let expected: Vec<_> = all.collect();
                    let read: Vec<_> = body
                        .split('&')
                        .filter_map(pair)
                        .map(|(name, value)| (name.into_owned(), value.into_owned()))
                        .collect();
                    assert_eq!(read, expected, "{body}");
                }
            }
        }
    }

    #[test]
    fn a_parameter_without_a_value_was_not_sent() {
        let form = form(b"scope=&grant_type=x").unwrap();
        assert_eq!(form.get("scope"), None);
        assert!(form.require("scope").is_err());
        assert_eq!(form.require("grant_type").unwrap(), "x");
    }

    #[test]
    fn what_is_not_utf8_is_refused_raw_or_escaped() {
        assert!(form(b"scope=\xff").is_err());
        assert!(form(b"scope=%ff").is_err());
        assert!(form(b"scope=%c0%ae").is_err());
        assert_eq!(form(b"scope=caf%C3%A9").unwrap().get("scope"), Some("café"));
    }

    #[test]
    fn other_media_types_and_charsets_are_refused() {
        let check = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, text.parse().unwrap());
            check_content_type(&headers)
        };
        for good in [
            "application/x-www-form-urlencoded",
            "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
            "application/x-www-form-urlencoded;charset=\"utf-8\"",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "application/json",
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded; charset=utf-7",
            "application/x-www-form-urlencoded; charset=iso-8859-1",
            "application/x-www-form-urlencoded; charset=\"utf-8",
            "application/x-www-form-urlencoded; charset=\"\"utf-8\"\"",
            "application/x-www-form-urlencoded, application/json",
            "",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check_content_type(&HeaderMap::new()).is_err());
    }
}
