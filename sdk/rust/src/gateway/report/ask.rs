//! One question to the broker, off the request path.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Method, StatusCode};
use serde::de::DeserializeOwned;

use crate::client::{ClientTokens, read_limited};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the broker answers.
pub(super) enum Told<T> {
    /// This, and what it calls it.
    Changed(T, Option<HeaderValue>),
    /// What is known is still so.
    Same,
}

/// Asks for something that is not `known`, of at most so many bytes. `None` without a good answer.
pub(super) async fn ask(
    path: &str,
    known: Option<HeaderValue>,
    most: usize,
    tokens: &ClientTokens,
) -> Option<Told<Bytes>> {
    let mut request = reqwest::Request::new(Method::GET, tokens.url(path).ok()?);
    let asks_again = known.is_some();
    if let Some(known) = known {
        request.headers_mut().insert(IF_NONE_MATCH, known);
    }
    *request.timeout_mut() = Some(PATIENCE);
    let response = tokens.send(request).await.ok()?;
    if asks_again && response.status() == StatusCode::NOT_MODIFIED {
        return Some(Told::Same);
    }
    if !response.status().is_success() {
        return None;
    }
    let tag = response.headers().get(ETAG).cloned();
    let body = read_limited(response, most).await.ok()?;
    Some(Told::Changed(body.into(), tag))
}

/// The same, read.
pub(super) async fn ask_for<T: DeserializeOwned>(
    path: &str,
    known: Option<HeaderValue>,
    most: usize,
    tokens: &ClientTokens,
) -> Option<Told<T>> {
    Some(match ask(path, known, most, tokens).await? {
        Told::Same => Told::Same,
        Told::Changed(body, tag) => Told::Changed(serde_json::from_slice(&body).ok()?, tag),
    })
}
