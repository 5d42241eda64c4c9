//! Reports of what was found where it does not belong: keys and tokens of ours end, credentials of third parties
//! are marked to be exchanged.
//!
//! Whoever holds a key may end it, so nobody has to say who they are. The answer is the same whatever was found, and comes
//! after the same time: what is known takes a durable write, and who reports guesses must not learn from a clock which
//! of them were right. So it says that a report was received, not that something was done; what is done is tried again
//! when the log does not take it. GitHub signs what its scanner sends, and is told what it was.

mod github;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, sleep_until};
use zeroize::{Zeroize, Zeroizing};

use super::begun::Begun;
use super::problem::Problem;
use super::wording;
use crate::issue::Issue;
use crate::issue::leaks::Leaked;
use crate::issue::limits::Network;
use crate::revoke::Revoke;
use crate::store::event::{By, Cause};
use crate::store::plain::is_plain_line;
use crate::vault::Vault;
pub use github::{GithubKeys, NoKeys};

/// The longest report.
const LONGEST: usize = 256 * 1_024;
/// The most of one report.
const MOST: usize = 100;
/// The longest place it was found at.
const LONGEST_PLACE: usize = 512;

/// When a report is answered, counted from when it came: some fifty times what a durable write takes, so that usually
/// everything is done by then.
const ANSWERED_AFTER: Duration = Duration::from_millis(250);
/// Pauses between tries to act on a report. A log that takes nothing for longer has stopped the broker.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(25),
];

/// Who acts on a report.
#[derive(Clone)]
pub struct Finders {
    /// Knows keys and tokens.
    pub issue: Arc<Issue>,
    /// Ends them.
    pub revoke: Arc<Revoke>,
    /// Knows credentials of third parties.
    pub vault: Arc<Vault>,
    /// Who signs reports of GitHub's scanner; none: its reports are refused.
    pub github: Option<Arc<GithubKeys>>,
    /// What is acted on while nobody waits for it.
    pub reports: Begun,
}

/// `POST /v1/leaks` and `POST /v1/leaks/github`, for the public listener.
pub fn routes(finders: Finders) -> Router {
    Router::new()
        .route("/v1/leaks", post(report))
        .route("/v1/leaks/github", post(of_github))
        .layer(DefaultBodyLimit::max(LONGEST))
        .with_state(finders)
}

/// One that was found; has no `Debug`.
pub struct Found {
    /// What.
    pub text: Zeroizing<String>,
    /// Where.
    pub at: Option<String>,
}

/// What came of a report.
#[derive(Debug, Default, Serialize)]
pub struct Came {
    /// Keys and tokens that were ended, or had been before.
    pub ours: usize,
    /// Credentials of third parties that are to be exchanged, by name.
    pub secrets: Vec<String>,
    /// What is neither.
    pub unknown: usize,
    /// Of each, whether it is one of both.
    #[serde(skip)]
    pub known: Vec<bool>,
}

impl Finders {
    /// Acts on a report.
    pub async fn act(&self, found: &[Found]) -> Result<Came, Problem> {
        let mut came = Came::default();
        for Found { text, at } in found {
            let at = at.as_deref().and_then(|at| place(at, found));
            let known = self.act_on(text, at, &mut came).await?;
            came.known.push(known);
        }
        Ok(came)
    }

    /// Acts on a report that nobody waits for.
    async fn act_on_its_own(self, found: Vec<Found>) {
        for pause in PAUSES {
            let Err(problem) = self.act(&found).await else {
                return;
            };
            tracing::error!(
                name: "lanyard.leak.failed",
                { lanyard.reason = problem.reason },
                "a report of a leak could not be acted on yet"
            );
            sleep(pause).await;
        }
        if self.act(&found).await.is_err() {
            tracing::error!(name: "lanyard.leak.lost", "a report of a leak was not acted on");
        }
    }

    /// Counts what one network reports; as much of it as it may, and when more.
    fn count(&self, found: &mut Vec<Found>, network: Network) -> Result<(), Problem> {
        for counted in 0..found.len() {
            if let Err(later) = self.issue.count_report(network) {
                found.truncate(counted);
                return Err(Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "temporarily_unavailable",
                    "too many reports",
                )
                .retry_after(later.retry_after)
                .because("leaks_rate"));
            }
        }
        Ok(())
    }

    async fn act_on(
        &self,
        text: &str,
        at: Option<String>,
        came: &mut Came,
    ) -> Result<bool, Problem> {
        let found_at = at.as_deref().unwrap_or("not said");
        match self.issue.leaked(text) {
            Some(Leaked::Living(node)) => {
                let cause = Cause::Leaked {
                    found_at: at.clone(),
                };
                self.revoke.revoke(&[node], cause, By::Broker).await?;
                tracing::error!(
                    name: "lanyard.leak.ended",
                    { lanyard.node = %node, found_at },
                    "a key or token was found where it does not belong, and ended"
                );
                came.ours += 1;
                return Ok(true);
            }
            Some(Leaked::Ended) => {
                came.ours += 1;
                return Ok(true);
            }
            None => {}
        }
        // The same value may be kept under several names.
        let found = self.vault.version_of(text).await?;
        if found.is_empty() {
            came.unknown += 1;
            return Ok(false);
        }
        for (secret, version) in found {
            if self.vault.leaked((secret, version), at.clone()).await? {
                tracing::error!(
                    name: "lanyard.leak.secret",
                    { lanyard.secret = %secret, version = version.0, found_at },
                    "a third party's credential was found where it does not belong: it is to be exchanged"
                );
            }
            let view = self.vault.show(&secret.to_string())?;
            came.secrets.push(view.name);
        }
        Ok(true)
    }
}

/// A place as it may stand in the log: without a query, and nothing at all where it holds what was found.
fn place(text: &str, found: &[Found]) -> Option<String> {
    let text = text.trim().split(['?', '#']).next().unwrap_or_default();
    // Also what is beside it in the report.
    if found.iter().any(|found| text.contains(found.text.trim())) {
        return None;
    }
    let text = wording::without_secrets(text);
    (!text.is_empty() && text.len() <= LONGEST_PLACE && is_plain_line(&text)).then_some(text)
}

/// A report as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    token: Option<String>,
    #[serde(default)]
    tokens: Vec<String>,
    url: Option<String>,
}

/// Reads a report; the body is wiped.
pub fn read(body: Bytes) -> Result<Vec<Found>, Problem> {
    let report = serde_json::from_slice::<Report>(&body);
    wipe(body);
    let Report { token, tokens, url } =
        report.map_err(|error| Problem::invalid_request(wording::of_json(&error)))?;
    let found = token.into_iter().chain(tokens).map(|text| Found {
        text: Zeroizing::new(text),
        at: url.clone(),
    });
    bounded(found.collect())
}

fn bounded(found: Vec<Found>) -> Result<Vec<Found>, Problem> {
    if (1..=MOST).contains(&found.len()) {
        return Ok(found);
    }
    let words = format!("a report has 1 to {MOST} of them: `token`, or `tokens`");
    Err(Problem::invalid_request(words).because("leaks_number"))
}

fn wipe(body: Bytes) {
    if let Ok(mut body) = body.try_into_mut() {
        body.zeroize();
    }
}

fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Problem> {
    body.map_err(|rejection| {
        let status = rejection.status();
        Problem::new(status, "invalid_request", "the body cannot be read").because("body")
    })
}

#[derive(Serialize)]
struct Received {
    received: usize,
}

async fn report(
    State(finders): State<Finders>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let answered = Instant::now() + ANSWERED_AFTER;
    let mut found = read(whole(body)?)?;
    let received = Received {
        received: found.len(),
    };
    let counted = match peer {
        Some(Extension(ConnectInfo(peer))) => {
            finders.count(&mut found, Network::of(peer.ip().to_canonical()))
        }
        None => Ok(()),
    };
    let reports = finders.reports.clone();
    reports.begin(finders.act_on_its_own(found));
    sleep_until(answered).await;
    counted?;
    let no_store = [(CACHE_CONTROL, "no-store")];
    Ok((StatusCode::ACCEPTED, no_store, Json(received)).into_response())
}

async fn of_github(
    State(finders): State<Finders>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = whole(body)?;
    let keys = finders.github.as_ref().ok_or_else(|| {
        Problem::new(
            StatusCode::FORBIDDEN,
            "access_denied",
            "this broker knows no key of GitHub's: `leaks.github_keys_file`",
        )
        .because("github_keys")
    })?;
    if !keys.have_signed(&headers, &body) {
        let words = "the signature is not GitHub's";
        return Err(
            Problem::new(StatusCode::FORBIDDEN, "access_denied", words).because("github_signature")
        );
    }
    let (found, types) = github::read(body)?;
    let (found, reports) = (bounded(found)?, finders.reports.clone());
    let came = reports
        .end(async move { finders.act(&found).await })
        .await?;
    let no_store = [(CACHE_CONTROL, "no-store")];
    Ok((no_store, Json(github::answer(types, &came.known))).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(texts: &[&str]) -> Vec<Found> {
        let each = texts.iter().map(|text| Found {
            text: Zeroizing::new((*text).to_owned()),
            at: None,
        });
        each.collect()
    }

    #[test]
    fn the_place_of_a_leak_is_told_without_its_query_and_never_with_what_was_found() {
        let values = found(&["sk_live_51Hx", " other-value\n"]);
        for (place_of, told) in [
            (
                "https://git.example/blob/main/config",
                Some("https://git.example/blob/main/config"),
            ),
            (
                " https://git.example/blob?token=sk_live_51Hx ",
                Some("https://git.example/blob"),
            ),
            (
                "https://git.example/blob#sk_live_51Hx",
                Some("https://git.example/blob"),
            ),
            ("https://git.example/sk_live_51Hx/raw", None),
            // What lies beside it in the same report.
            ("https://git.example/other-value", None),
            (
                "https://git.example/lyk_abcDEF012/raw",
                Some("https://git.example/***"),
            ),
            ("https://git.example/a\r\nlevel=error", None),
            ("?token=sk_live_51Hx", None),
        ] {
            assert_eq!(place(place_of, &values).as_deref(), told, "{place_of}");
        }
        let long = format!("https://git.example/{}", "a".repeat(LONGEST_PLACE));
        assert_eq!(place(&long, &values), None);
    }
}
