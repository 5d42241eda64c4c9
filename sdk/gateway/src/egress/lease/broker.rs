//! The broker as it gives leases: `POST /v1/egress/leases`.

use std::time::Duration;

use lanyard_sdk::client::{ClientError, ClientTokens};
use lanyard_sdk::feed::TokenSource;
use url::Url;
use zeroize::Zeroizing;

use super::{Answer, Asking, LeaseSource, NoLeases, Question};

/// How long the broker may wait for something to change before it answers. Three of these fit into a lease, so two
/// questions in a row may be lost.
const WAIT_SECONDS: u32 = 20;
/// How long an answer may take beyond that.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The longest answer that is read: 256 integrations with all their rules.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Makes an HTTP client that has no connection yet.
pub type Connecting = Box<dyn Fn() -> Result<reqwest::Client, ClientError> + Send + Sync>;

/// Leases from a broker.
pub struct BrokerLeases {
    tokens: ClientTokens,
    url: Url,
    connect: Connecting,
}

impl BrokerLeases {
    /// `tokens` are for the broker itself, with scope `lanyard:egress`. Each question has a connection of its own: the
    /// buffers of one that is kept would hold values whose time is over.
    pub fn new(issuer: &str, tokens: ClientTokens, connect: Connecting) -> Result<Self, NoLeases> {
        let base = issuer.trim_end_matches('/');
        let url = format!("{base}/v1/egress/leases");
        let url = Url::parse(&url).map_err(|_| NoLeases::new("the issuer is no URL"))?;
        Ok(Self {
            tokens,
            url,
            connect,
        })
    }

    async fn get(&self, question: &Question, wait: bool) -> Result<Answer, NoLeases> {
        let mut url = self.url.clone();
        let mut within = ANSWER_WITHIN;
        if wait {
            url.set_query(Some(&format!("wait={WAIT_SECONDS}")));
            within += Duration::from_secs(u64::from(WAIT_SECONDS));
        }
        let mut request = reqwest::Request::new(reqwest::Method::POST, url);
        let json = reqwest::header::HeaderValue::from_static("application/json");
        request
            .headers_mut()
            .insert(reqwest::header::CONTENT_TYPE, json);
        let body = serde_json::to_vec(question).map_err(NoLeases::new)?;
        *request.body_mut() = Some(body.into());
        *request.timeout_mut() = Some(within);
        let token = TokenSource::token(&self.tokens)
            .await
            .map_err(NoLeases::new)?;
        let bearer = Zeroizing::new(format!("Bearer {}", token.expose()));
        let mut bearer = reqwest::header::HeaderValue::try_from(bearer.as_str())
            .map_err(|_| NoLeases::new("the token cannot be sent"))?;
        bearer.set_sensitive(true);
        request
            .headers_mut()
            .insert(reqwest::header::AUTHORIZATION, bearer);
        let client = (self.connect)().map_err(NoLeases::new)?;
        let sent = client.execute(request).await;
        let mut response = sent.map_err(|error| NoLeases::new(error.without_url()))?;
        let status = response.status();
        if status == reqwest::StatusCode::UNAUTHORIZED {
            // The next question brings a new one.
            self.tokens.refused(&token);
        }
        if !status.is_success() {
            return Err(NoLeases::new(format!("the broker answered {status}")));
        }
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|_| NoLeases::new("the answer broke off"))?
        {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(NoLeases::new("the answer is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        // Not the source's words: they could quote a value.
        serde_json::from_slice(&body).map_err(|error| {
            NoLeases::new(format!("the answer is none (column {})", error.column()))
        })
    }
}

impl LeaseSource for BrokerLeases {
    fn ask<'a>(&'a self, question: &'a Question, wait: bool) -> Asking<'a> {
        Box::pin(self.get(question, wait))
    }
}
