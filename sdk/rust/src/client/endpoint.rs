//! The broker's token endpoint.

use std::time::Duration;

use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use lanyard_token::{MAX_TOKEN_BYTES, ScopeSet};
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use super::access_token::AccessToken;
use super::error::ClientError;
use super::retry;
use crate::Secret;
use crate::clock::Clock;

/// A token and what stands around it.
const MAX_ANSWER_BYTES: usize = 16 * 1024;
/// A broker that has not answered by then is tried again.
const TIMEOUT: Duration = Duration::from_secs(10);

/// As whom tokens are asked for.
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: Secret,
}

pub(super) struct Endpoint {
    url: Url,
    /// `Basic …`, written once.
    authorization: Secret,
}

/// A form. Its values may be tokens, so it is wiped like one.
pub(super) type Form = Zeroizing<String>;

/// A form of these members.
pub(super) fn form<'f>(members: impl IntoIterator<Item = (&'f str, &'f str)>) -> Form {
    let mut form = Serializer::new(String::new());
    for (name, value) in members {
        form.append_pair(name, value);
    }
    Zeroizing::new(form.finish())
}

impl Endpoint {
    pub(super) fn new(url: Url, credentials: Credentials) -> Self {
        // RFC 6749, 2.3.1: both are form-encoded before they are joined.
        let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = Zeroizing::new(format!(
            "{}:{}",
            encode(&credentials.id),
            encode(credentials.secret.expose())
        ));
        Self {
            url,
            authorization: Secret::new(format!("Basic {}", base64(pair.as_bytes()))),
        }
    }

    /// Asks until there is an answer that will not change, or patience ends.
    pub(super) async fn token(
        &self,
        http: &reqwest::Client,
        clock: &dyn Clock,
        form: &Form,
    ) -> Result<AccessToken, ClientError> {
        let mut attempt = 1;
        loop {
            // The life of the token is counted from before it was asked for: rather too short.
            let asked = clock.now().boot;
            let failure = match self.ask(http, form).await {
                Ok(answer) => {
                    let random = retry::random_u64();
                    return Ok(AccessToken::new(
                        answer.text,
                        answer.scopes,
                        answer.lifetime,
                        asked,
                        random,
                    ));
                }
                Err(failure) => failure,
            };
            let retry_after = match &failure {
                ClientError::Busy { retry_after } => *retry_after,
                ClientError::Unreachable(_) => None,
                _ => return Err(failure),
            };
            let Some(pause) = retry::pause(attempt, retry_after, retry::random_u64()) else {
                return Err(failure);
            };
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn ask(&self, http: &reqwest::Client, form: &Form) -> Result<Answer, ClientError> {
        let mut authorization = http::HeaderValue::try_from(self.authorization.expose())
            .map_err(|_| ClientError::NoCredentials)?;
        authorization.set_sensitive(true);
        let response = http
            .post(self.url.clone())
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .timeout(TIMEOUT)
            .body(form.as_str().to_owned())
            .send()
            .await
            .map_err(ClientError::unreachable)?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Err(ClientError::Busy {
                retry_after: retry::retry_after(response.headers()),
            });
        }
        let body = Zeroizing::new(read_limited(response, MAX_ANSWER_BYTES).await?);
        if status.is_success() {
            granted(&body)
        } else {
            Err(refused(status, &body))
        }
    }
}

struct Answer {
    text: Secret,
    scopes: ScopeSet,
    lifetime: Duration,
}

fn granted(body: &[u8]) -> Result<Answer, ClientError> {
    #[derive(Deserialize)]
    struct Granted {
        access_token: String,
        token_type: String,
        expires_in: u64,
        #[serde(default)]
        scope: ScopeSet,
    }
    let granted: Granted = serde_json::from_slice(body).map_err(|_| ClientError::Answer)?;
    let text = Secret::new(granted.access_token);
    let token = text.expose();
    let usable = !token.is_empty()
        && token.len() <= MAX_TOKEN_BYTES
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !usable || !granted.token_type.eq_ignore_ascii_case("bearer") {
        return Err(ClientError::Answer);
    }
    Ok(Answer {
        text,
        scopes: granted.scope,
        lifetime: Duration::from_secs(granted.expires_in),
    })
}

fn refused(status: StatusCode, body: &[u8]) -> ClientError {
    #[derive(Deserialize)]
    struct Refused {
        error: String,
        error_description: Option<String>,
    }
    match serde_json::from_slice::<Refused>(body) {
        Ok(refused) => ClientError::Refused {
            status: status.as_u16(),
            error: refused.error,
            description: refused.error_description,
        },
        Err(_) => ClientError::Answer,
    }
}

/// The whole body, as long as it is not longer than this.
pub(crate) async fn read_limited(
    mut response: reqwest::Response,
    limit: usize,
) -> Result<Vec<u8>, ClientError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(ClientError::unreachable)? {
        if body.len() + chunk.len() > limit {
            return Err(ClientError::Answer);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_answer_is_a_token() {
        let answer = |text: &str| granted(text.as_bytes());
        let good = answer(
            r#"{"access_token":"abc","token_type":"bearer","expires_in":300,"scope":"a b"}"#,
        )
        .ok()
        .unwrap();
        assert_eq!(good.text.expose(), "abc");
        assert_eq!(good.lifetime, Duration::from_secs(300));
        assert!(good.scopes.contains("b"));
        for bad in [
            "",
            "{}",
            r#"{"access_token":"abc","token_type":"DPoP","expires_in":300}"#,
            r#"{"access_token":"","token_type":"Bearer","expires_in":300}"#,
            r#"{"access_token":"a b","token_type":"Bearer","expires_in":300}"#,
            r#"{"access_token":"abc","token_type":"Bearer","expires_in":-1}"#,
        ] {
            assert!(answer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_encoded_before_they_are_joined() {
        let credentials = Credentials {
            id: "a:b".to_owned(),
            secret: Secret::new("c d%"),
        };
        let endpoint = Endpoint::new(Url::parse("http://localhost/").unwrap(), credentials);
        assert_eq!(
            endpoint.authorization.expose(),
            format!("Basic {}", base64(b"a%3Ab:c+d%25"))
        );
    }
}
