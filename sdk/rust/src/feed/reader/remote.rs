//! The broker as the reader sees it: four paths over HTTP.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue};
use serde::Serialize;

use super::super::keys::Delegations;
use super::super::position::FeedPosition;
use super::super::token_source::TokenSource;
use super::Setback;

/// How long a request may take, streams aside.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer that is read: the longest message.
const MAX_ANSWER_BYTES: usize = lanyard_token::MAX_MESSAGE_BYTES;

/// The broker, or a relay before it.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) http: reqwest::Client,
    pub(super) issuer: String,
    /// Where frames come from.
    pub(super) feed: String,
    pub(super) tokens: Arc<dyn TokenSource>,
    pub(super) instance: String,
}

/// Where a reader stands, as `POST /v1/feed/position` takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Standing {
    pub(super) instance: String,
    pub(super) epoch: u16,
    pub(super) n: u64,
    pub(super) rev: lanyard_token::Rev,
}

impl Remote {
    /// Opens the stream after a position.
    pub(super) async fn stream(&self, after: FeedPosition) -> Result<reqwest::Response, Setback> {
        let url = format!(
            "{}/v1/feed?after={}.{}&instance={}",
            self.feed, after.epoch, after.n, self.instance
        );
        let response = tokio::time::timeout(TIMEOUT, self.get(&url))
            .await
            .map_err(|_| Setback::Silent)??;
        Ok(response)
    }

    /// One frame.
    pub(super) async fn frame(&self, epoch: u16, n: u64) -> Result<Bytes, Setback> {
        self.whole(&format!("{}/v1/feed/{epoch}/{n}", self.feed))
            .await
    }

    /// The newest snapshot.
    pub(super) async fn snapshot(&self) -> Result<Bytes, Setback> {
        self.whole(&format!("{}/v1/feed/snapshot", self.feed)).await
    }

    /// The root's delegations. They are public and prove themselves, so no token is needed.
    pub(super) async fn keys(&self) -> Result<Delegations, Setback> {
        let request = self
            .http
            .get(format!("{}/v1/keys", self.issuer))
            .timeout(TIMEOUT);
        let response = request.send().await.map_err(Setback::Network)?;
        if !response.status().is_success() {
            return Err(Setback::Answer(response.status()));
        }
        let body = read_whole(response).await?;
        serde_json::from_slice(&body).map_err(|_| Setback::NoKeys)
    }

    /// Tells the broker where we stand.
    pub(super) async fn confirm(&self, standing: &Standing) -> Result<(), Setback> {
        let token = self.tokens.token().await.map_err(Setback::Token)?;
        let request = self
            .http
            .post(format!("{}/v1/feed/position", self.issuer))
            .timeout(TIMEOUT)
            .header(AUTHORIZATION, bearer(token.expose())?)
            .json(standing);
        let response = request.send().await.map_err(Setback::Network)?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.tokens.refused(&token);
        }
        if response.status().is_success() {
            Ok(())
        } else {
            Err(Setback::Answer(response.status()))
        }
    }

    async fn whole(&self, url: &str) -> Result<Bytes, Setback> {
        let fetch = async { read_whole(self.get(url).await?).await };
        tokio::time::timeout(TIMEOUT, fetch)
            .await
            .map_err(|_| Setback::Silent)?
    }

    async fn get(&self, url: &str) -> Result<reqwest::Response, Setback> {
        let token = self.tokens.token().await.map_err(Setback::Token)?;
        let request = self
            .http
            .get(url)
            .header(AUTHORIZATION, bearer(token.expose())?);
        let response = request.send().await.map_err(Setback::Network)?;
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::GONE => Err(Setback::TooOld),
            StatusCode::CONFLICT => Err(Setback::BrokerRolledBack),
            StatusCode::UNAUTHORIZED => {
                self.tokens.refused(&token);
                Err(Setback::Answer(StatusCode::UNAUTHORIZED))
            }
            status => Err(Setback::Answer(status)),
        }
    }
}

async fn read_whole(mut response: reqwest::Response) -> Result<Bytes, Setback> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Setback::Network)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Setback::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

fn bearer(token: &str) -> Result<HeaderValue, Setback> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Setback::Answer(StatusCode::UNAUTHORIZED))?;
    value.set_sensitive(true);
    Ok(value)
}
