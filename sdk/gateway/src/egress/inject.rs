//! Putting a credential into a call: pure, one file for each way that is more than a header.

mod oauth;
mod sigv4;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use lanyard_sdk::UnixMillis;
use lanyard_token::integration::{Injection, Scheme, Upstream};
use zeroize::Zeroizing;

use super::headers::{is_taken_for, query_without};

pub use self::oauth::{Answered, TokenRequest, read_token, token_request};
pub use self::sigv4::{Payload, payload_is_signed};

/// A call on its way to the third party.
pub struct Outgoing<'u> {
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub upstream: &'u Upstream,
    /// The whole path, base and all.
    pub path: String,
    /// The query, without the question mark.
    pub query: Option<String>,
    /// Its headers, cleaned.
    pub headers: HeaderMap,
}

/// What is put in.
#[derive(Clone, Copy)]
pub struct Credential<'c> {
    /// The secret's value; a bearer token where the secret is a client's.
    pub value: &'c str,
    /// What the third party calls the version in force: a user, a key's id.
    pub reference: Option<&'c str>,
}

/// It cannot be put in. Says nothing of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotInject {
    /// Put the version with `--reference`, or name the user in the integration.
    #[error("the version in force has no reference, and the integration names no user")]
    NoReference,
    /// CR, LF, NUL or another byte that no header holds.
    #[error("the value, or its reference, holds a byte that cannot be sent")]
    Value,
    /// The region or the service is none.
    #[error("the call cannot be signed")]
    Signature,
}

impl Outgoing<'_> {
    /// What stands in the request line: with the credential, where that goes into the query.
    pub fn uri(&self) -> Result<Uri, CannotInject> {
        let text = Zeroizing::new(self.url());
        text.parse().map_err(|_| CannotInject::Value)
    }

    fn url(&self) -> String {
        let scheme = match self.upstream.scheme() {
            Scheme::Https => "https",
            Scheme::Http => "http",
        };
        let path = if self.path.is_empty() {
            "/"
        } else {
            &self.path
        };
        let mut url = format!("{scheme}://{}{path}", self.upstream.authority());
        if let Some(query) = &self.query {
            url.push('?');
            url.push_str(query);
        }
        url
    }
}

/// Puts the credential in, in the place of anything that stands there.
pub fn inject(
    call: &mut Outgoing<'_>,
    injection: &Injection,
    credential: Credential<'_>,
    payload: Payload<'_>,
    now: UnixMillis,
) -> Result<(), CannotInject> {
    if !can_be_sent(credential.value) || !credential.reference.is_none_or(can_be_sent) {
        return Err(CannotInject::Value);
    }
    match injection {
        Injection::Header { header, prefix, .. } => {
            let name: HeaderName = header.parse().map_err(|_| CannotInject::Value)?;
            set(&mut call.headers, name, &[prefix, credential.value])
        }
        Injection::Query { parameter, .. } => {
            let rest = call.query.take().unwrap_or_default();
            let rest = query_without(&rest, |name| is_taken_for(name, parameter));
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair(parameter, credential.value);
            let own = query.finish();
            call.query = Some(if rest.is_empty() {
                own
            } else {
                format!("{rest}&{own}")
            });
            Ok(())
        }
        Injection::Basic { user, .. } => {
            let user = user
                .as_deref()
                .or(credential.reference)
                .ok_or(CannotInject::NoReference)?;
            if user.contains(':') {
                return Err(CannotInject::Value);
            }
            let pair = Zeroizing::new(format!("{user}:{}", credential.value));
            let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
            set(&mut call.headers, AUTHORIZATION, &["Basic ", &encoded])
        }
        Injection::AwsSigv4 {
            region, service, ..
        } => sigv4::sign(call, (region, service), credential, payload, now),
        Injection::OauthClientCredentials { .. } => set(
            &mut call.headers,
            AUTHORIZATION,
            &["Bearer ", credential.value],
        ),
    }
}

/// A line break would begin another header, and a NUL would end this one somewhere.
fn can_be_sent(text: &str) -> bool {
    !text.is_empty() && !text.bytes().any(|byte| byte.is_ascii_control())
}

fn set(headers: &mut HeaderMap, name: HeaderName, parts: &[&str]) -> Result<(), CannotInject> {
    let text = Zeroizing::new(parts.concat());
    let mut value = HeaderValue::from_str(&text)
        .or_else(|_| HeaderValue::from_bytes(text.as_bytes()))
        .map_err(|_| CannotInject::Value)?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "sk_live/4711+a=";

    fn upstream() -> Upstream {
        "https://api.example.com/v2".parse().unwrap()
    }

    fn injected(
        text: &str,
        value: &str,
        reference: Option<&str>,
    ) -> Result<(Uri, HeaderMap), CannotInject> {
        let upstream = upstream();
        let mut call = Outgoing {
            method: Method::GET,
            upstream: &upstream,
            path: "/v2/charges".to_owned(),
            query: Some("limit=3&k%65y=mine&key=mine".to_owned()),
            headers: HeaderMap::new(),
        };
        let injection: Injection = toml::from_str(text).unwrap();
        let credential = Credential { value, reference };
        let now = UnixMillis(1_764_100_000_000);
        inject(&mut call, &injection, credential, Payload::Known(b""), now)?;
        Ok((call.uri()?, call.headers))
    }

    #[test]
    fn a_header_gets_its_prefix_and_the_value() {
        let (_, headers) = injected("kind = \"header\"\nsecret = \"s\"", VALUE, None).unwrap();
        assert_eq!(headers["authorization"], "Bearer sk_live/4711+a=");
        assert!(headers["authorization"].is_sensitive());
        let own = "kind = \"header\"\nsecret = \"s\"\nheader = \"x-key\"";
        assert_eq!(injected(own, VALUE, None).unwrap().1["x-key"], VALUE);
    }

    #[test]
    fn a_parameter_takes_the_place_of_what_the_caller_gave() {
        let query = "kind = \"query\"\nsecret = \"s\"\nparameter = \"key\"";
        let (uri, _) = injected(query, VALUE, None).unwrap();
        assert_eq!(
            uri.to_string(),
            "https://api.example.com/v2/charges?limit=3&key=sk_live%2F4711%2Ba%3D"
        );
    }

    #[test]
    fn a_user_comes_from_the_integration_or_with_the_version() {
        let basic = "kind = \"basic\"\nsecret = \"s\"";
        let named = format!("{basic}\nuser = \"me\"");
        assert_eq!(
            injected(&named, "pass", None).unwrap().1["authorization"],
            "Basic bWU6cGFzcw=="
        );
        assert_eq!(
            injected(basic, "pass", Some("me")).unwrap().1["authorization"],
            "Basic bWU6cGFzcw=="
        );
        assert_eq!(
            injected(basic, "pass", None),
            Err(CannotInject::NoReference)
        );
        assert_eq!(
            injected(basic, "pass", Some("a:b")),
            Err(CannotInject::Value)
        );
    }

    #[test]
    fn what_would_begin_another_header_is_refused_in_every_place() {
        for kind in [
            "kind = \"header\"\nsecret = \"s\"",
            "kind = \"query\"\nsecret = \"s\"\nparameter = \"key\"",
            "kind = \"basic\"\nsecret = \"s\"\nuser = \"me\"",
            "kind = \"aws-sigv4\"\nsecret = \"s\"\nregion = \"r\"\nservice = \"s3\"",
            "kind = \"oauth-client-credentials\"\nsecret = \"s\"\ntoken_url = \"https://a.example/token\"",
        ] {
            for value in ["a\rb", "a\nb", "a\0b", "a\r\nx: y", "", "a\u{7f}"] {
                let refused = injected(kind, value, Some("id"));
                assert_eq!(refused, Err(CannotInject::Value), "{kind} {value:?}");
            }
            let refused = injected(kind, VALUE, Some("a\nb"));
            assert_eq!(refused, Err(CannotInject::Value), "{kind}");
        }
    }
}
