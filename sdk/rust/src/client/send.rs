//! A call with a token, and what to do when it is refused.

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use reqwest::{Request, Response};

use super::error::ClientError;
use super::tokens::ClientTokens;
use super::{AccessToken, retry};
use crate::transport::is_confidential;

pub(super) async fn send(tokens: &ClientTokens, request: Request) -> Result<Response, ClientError> {
    if !is_confidential(request.url()) {
        // Without the query: it may tell more than an error should.
        let host = request.url().host_str().unwrap_or_default().to_owned();
        return Err(ClientError::PlainHttp(host));
    }
    let mut recycled = false;
    let mut attempt = 1;
    let mut next = Some(request);
    loop {
        let Some(mut request) = next.take() else {
            return Err(ClientError::Answer);
        };
        next = request.try_clone();
        let idempotent = is_idempotent(request.method());
        let token = tokens.token().await?;
        attach(&mut request, &token)?;
        let outcome = tokens.http().execute(request).await;
        let response = match outcome {
            Ok(response) => response,
            Err(error) => return Err(ClientError::unreachable(error)),
        };
        if blames_the_token(&response) {
            tokens.forget(token.secret());
            if recycled || next.is_none() {
                return Ok(response);
            }
            recycled = true;
            continue;
        }
        let again = response.status() == StatusCode::TOO_MANY_REQUESTS
            || (response.status() == StatusCode::SERVICE_UNAVAILABLE && idempotent);
        if !again || next.is_none() {
            return Ok(response);
        }
        let asked = retry::retry_after(response.headers());
        let Some(pause) = retry::pause(attempt, asked, retry::random_u64()) else {
            return Ok(response);
        };
        attempt += 1;
        tokio::time::sleep(pause).await;
    }
}

fn attach(request: &mut Request, token: &AccessToken) -> Result<(), ClientError> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.secret().expose()))
        .map_err(|_| ClientError::Answer)?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

/// A 401 for another reason (a password behind the gateway) is the caller's to handle.
fn blames_the_token(response: &Response) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
        && response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|challenge| challenge.contains("invalid_token"))
}

/// RFC 9110, 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent()
}
