//! A bearer token for client credentials (RFC 6749, 4.4): what is asked, and what is made of the answer.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use lanyard_sdk::Secret;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::CannotInject;

/// How long a token is used whose end the server does not say.
const UNSAID: Duration = Duration::from_secs(300);
/// The longest token: signed ones with many claims have thousands of bytes, and no server takes a longer head.
const LONGEST: usize = 8 * 1024;
/// So long before its end a token is not used any more: it would expire on the way.
const MARGIN: Duration = Duration::from_secs(10);

/// What is sent to the token endpoint.
pub struct TokenRequest {
    /// The client's name and secret (RFC 6749, 2.3.1).
    pub authorization: HeaderValue,
    /// A form.
    pub body: String,
}

/// What the token endpoint gave.
pub struct Answered {
    /// The token.
    pub token: Secret,
    /// How long it is used.
    pub lifetime: Duration,
}

/// The request for a token.
pub fn token_request(
    client_id: &str,
    secret: &str,
    scope: Option<&str>,
) -> Result<TokenRequest, CannotInject> {
    let encoded =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = Zeroizing::new(format!("{}:{}", encoded(client_id), encoded(secret)));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut authorization =
        HeaderValue::try_from(text.as_str()).map_err(|_| CannotInject::Value)?;
    authorization.set_sensitive(true);
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if let Some(scope) = scope {
        form.append_pair("scope", scope);
    }
    Ok(TokenRequest {
        authorization,
        body: form.finish(),
    })
}

/// The token in an answer; `None` when it holds none that can be used as a bearer.
#[must_use]
pub fn read_token(body: &[u8]) -> Option<Answered> {
    #[derive(Deserialize)]
    struct Body {
        access_token: String,
        #[serde(default)]
        token_type: Option<String>,
        #[serde(default)]
        expires_in: Option<u64>,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    let token = Secret::new(body.access_token);
    let is_bearer = body
        .token_type
        .is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    let lifetime = body.expires_in.map_or(UNSAID, Duration::from_secs);
    (is_bearer && is_b64token(token.expose())).then(|| Answered {
        token,
        lifetime: lifetime.saturating_sub(MARGIN.min(lifetime / 2)),
    })
}

/// What stands after `Bearer` (RFC 6750, 2.1), of a length in measure. Nothing in it begins an encoding, so it is found in
/// answers on one way.
fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    text.len() <= LONGEST && !body.is_empty() && body.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_named_in_the_header_with_what_is_odd_encoded() {
        let request = token_request("my client", "p:ss", Some("a b")).unwrap();
        assert_eq!(request.authorization, "Basic bXkrY2xpZW50OnAlM0Fzcw==");
        assert_eq!(request.body, "grant_type=client_credentials&scope=a+b");
    }

    #[test]
    fn only_a_bearer_token_that_can_be_sent_is_taken() {
        let read =
            |text: &str| read_token(text.as_bytes()).map(|answered| answered.lifetime.as_secs());
        assert_eq!(
            read(r#"{"access_token":"t","expires_in":3600}"#),
            Some(3_590)
        );
        assert_eq!(
            read(r#"{"access_token":"t","token_type":"Bearer","expires_in":4}"#),
            Some(2)
        );
        assert_eq!(read(r#"{"access_token":"t"}"#), Some(290));
        let of = |length: usize| format!("{{\"access_token\":\"{}\"}}", "t".repeat(length));
        assert_eq!(read(&of(LONGEST)), Some(290));
        assert_eq!(read(&of(LONGEST + 1)), None);
        assert_eq!(read(r#"{"access_token":"a-._~+/=="}"#), Some(290));
        for refused in [
            r#"{"access_token":"%%%%"}"#,
            r#"{"access_token":"a&b"}"#,
            r#"{"access_token":"a=b"}"#,
            r#"{"access_token":"="}"#,
            r#"{"access_token":"t","token_type":"mac"}"#,
            r#"{"access_token":"a\nb"}"#,
            r#"{"access_token":""}"#,
            r#"{"error":"invalid_client"}"#,
            "<html>",
        ] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }
}
