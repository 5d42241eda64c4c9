//! Tokens that are made to be revoked.

use std::time::Duration;

use reqwest::{Client, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::ProbeArgs;
use crate::cli::CliError;

/// A canary need not outlive its round by much: should this program die, it dies by itself.
const LIFETIME_SECONDS: u64 = 60;

/// The identity whose tokens are canaries.
pub(super) struct Nest {
    http: Client,
    token: Url,
    revoke: Url,
    id: String,
    secret: Zeroizing<String>,
    audience: Option<String>,
}

/// A live token; has no `Debug`.
pub(super) struct Canary(pub(super) Zeroizing<String>);

/// What the broker answered to its revocation.
#[derive(Debug, Deserialize)]
pub(super) struct Receipt {
    #[serde(default)]
    pub(super) confirmed: Vec<Confirmed>,
    #[serde(default)]
    pub(super) cut_off: Vec<Reader>,
    #[serde(skip)]
    answered: Option<Instant>,
}

/// A gateway by its own word.
#[derive(Debug, Deserialize)]
pub(super) struct Confirmed {
    #[serde(flatten)]
    pub(super) reader: Reader,
    /// After so many milliseconds of waiting.
    pub(super) ms: u64,
}

/// One process that reads the feed.
#[derive(Debug, Deserialize)]
pub(super) struct Reader {
    pub(super) gateway: String,
    #[serde(default)]
    pub(super) instance: String,
}

#[derive(Deserialize)]
struct Minted {
    access_token: String,
}

impl Receipt {
    /// How long the answer to the revocation took, all confirmations included.
    pub(super) fn answered_after(&self, sent: Instant) -> Duration {
        self.answered
            .map_or(Duration::ZERO, |answered| answered.duration_since(sent))
    }
}

impl Nest {
    pub(super) fn new(args: &ProbeArgs, http: Client) -> Result<Self, CliError> {
        let file = &args.client_secret_file;
        let secret = std::fs::read_to_string(file)
            .map(Zeroizing::new)
            .map_err(|error| CliError::cannot(format_args!("read `{}`", file.display()), &error))?;
        let mut issuer = args.issuer.clone();
        if !issuer.path().ends_with('/') {
            issuer.set_path(&format!("{}/", issuer.path()));
        }
        let at = |path: &str| issuer.join(path).map_err(|error| CliError::usage(&error));
        Ok(Self {
            http,
            token: at("oauth/token")?,
            revoke: at("oauth/revoke")?,
            id: args.client_id.clone(),
            secret: Zeroizing::new(secret.trim().to_owned()),
            audience: args.audience.clone(),
        })
    }

    /// A new canary.
    pub(super) async fn hatch(&self) -> Result<Canary, CliError> {
        let lifetime = LIFETIME_SECONDS.to_string();
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("requested_lifetime", lifetime.as_str()),
        ];
        if let Some(audience) = &self.audience {
            form.push(("audience", audience));
        }
        let minted: Minted = self.ask(&self.token, &form, "mint a canary").await?;
        Ok(Canary(Zeroizing::new(minted.access_token)))
    }

    /// Revokes it, and waits for what gateways say.
    pub(super) async fn end(&self, canary: &Canary) -> Result<Receipt, CliError> {
        let form = [("token", canary.0.as_str()), ("wait", "all")];
        let mut receipt: Receipt = self.ask(&self.revoke, &form, "revoke the canary").await?;
        receipt.answered = Some(Instant::now());
        Ok(receipt)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        what: &'static str,
    ) -> Result<T, CliError> {
        let request = self.http.post(url.clone());
        let request = request.basic_auth(&self.id, Some(self.secret.as_str()));
        let answer = request.form(form).send().await;
        let answer = answer.map_err(|error| CliError::cannot(what, &error.without_url()))?;
        read(answer, what).await
    }
}

async fn read<T: DeserializeOwned>(answer: Response, what: &str) -> Result<T, CliError> {
    let status = answer.status();
    if status.is_success() {
        let read = answer.json().await;
        return read.map_err(|error| CliError::cannot(what, &error.without_url()));
    }
    let problem: Value = answer.json().await.unwrap_or_default();
    let why = problem
        .get("error_description")
        .and_then(Value::as_str)
        .unwrap_or("no reason was given");
    Err(CliError::Refused {
        words: format!("cannot {what}: the broker answered {status}: {why}"),
        status: status.as_u16(),
    })
}
