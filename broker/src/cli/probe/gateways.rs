//! Protected routes, asked until they refuse.

use std::time::Duration;

use http::StatusCode;
use reqwest::{Client, Url};
use tokio::time::{Instant, sleep};

use super::canary::Canary;
use crate::cli::CliError;

/// Between two questions: a latency is known to this and the way there. Shorter would be a load of its own.
const AGAIN: Duration = Duration::from_millis(2);

/// A route behind one gateway.
pub(super) struct Door {
    url: Url,
    http: Client,
}

/// When one gateway refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// Host and port, for the label: paths and queries may be a secret.
    pub(super) gateway: String,
    /// From when the revocation was sent; nothing when it still let the canary in.
    pub(super) after: Option<Duration>,
}

impl Door {
    pub(super) const fn new(url: Url, http: Client) -> Self {
        Self { url, http }
    }

    /// Before all canaries: a door that lets in whoever comes refuses no canary either, which is no fault of a
    /// revocation. One that does not answer now may be away for a moment.
    pub(super) async fn is_guarded(&self) -> Result<(), CliError> {
        match self.http.get(self.url.clone()).send().await {
            Ok(answer) if answer.status().is_success() => Err(CliError::Usage(format!(
                "`{}` lets in who has no token: this route is not behind a gateway, or its gateway does not guard it",
                self.place()
            ))),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Before: a door that is shut anyway, or missing, measures nothing.
    pub(super) async fn lets_in(&self, canary: &Canary) -> Result<(), CliError> {
        let status = self.ask(canary).await.map_err(|error| {
            CliError::cannot(
                format_args!("ask the gateway at `{}`", self.place()),
                &error,
            )
        })?;
        if status.is_success() {
            return Ok(());
        }
        Err(CliError::Failed(format!(
            "the gateway at `{}` answers {status} to a live canary: give a route that the identity may GET",
            self.place()
        )))
    }

    /// Asks until it is refused.
    pub(super) async fn refuses(
        &self,
        canary: &Canary,
        sent: Instant,
        patience: Duration,
    ) -> Refused {
        let gateway = self.place();
        while sent.elapsed() < patience {
            // A gateway that does not answer does not refuse.
            if let Ok(StatusCode::UNAUTHORIZED) = self.ask(canary).await {
                let after = Some(sent.elapsed());
                return Refused { gateway, after };
            }
            sleep(AGAIN).await;
        }
        Refused {
            gateway,
            after: None,
        }
    }

    async fn ask(&self, canary: &Canary) -> Result<StatusCode, reqwest::Error> {
        let request = self
            .http
            .get(self.url.clone())
            .bearer_auth(canary.0.as_str());
        let answer = request.send().await.map_err(reqwest::Error::without_url)?;
        Ok(answer.status())
    }

    fn place(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}
