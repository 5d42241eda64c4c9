//! The theft: somebody copies a bearer token and walks through object ids with it.

use std::time::Duration;

use http::StatusCode;
use lanyard_sdk::{Clock, Secret, SystemClock};
use serde_json::Value;

use super::Trouble;
use super::broker::Broker;

/// How far the thief got.
pub(super) struct Theft {
    pub(super) allowed: u64,
    /// When the other replica refused the token, Unix milliseconds.
    pub(super) refused_elsewhere_at: u64,
}

/// The verdict that ended it.
pub(super) struct Verdict {
    pub(super) at: u64,
    pub(super) sentence: String,
}

/// A thief in a hurry, but not in such a hurry that a rate limit would do.
const PAUSE: Duration = Duration::from_millis(15);
/// Nobody walks further; the demo would have failed long before.
const MOST: u64 = 5_000;

/// Walks through orders at one replica until it is refused there, then tries the other until it is refused there.
pub(super) async fn walk(
    http: &reqwest::Client,
    here: &str,
    elsewhere: &str,
    token: &Secret,
) -> Result<Theft, Trouble> {
    let mut allowed = 0;
    let mut order = 1;
    while steal(http, here, token, order).await? {
        allowed += 1;
        order += 1;
        if order > MOST {
            return Err(format!("the thief walked through {MOST} orders and nobody minded").into());
        }
        tokio::time::sleep(PAUSE).await;
    }
    while steal(http, elsewhere, token, order).await? {
        allowed += 1;
        order += 1;
        if order > MOST {
            return Err("the other replica never refused the stolen token".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(Theft {
        allowed,
        refused_elsewhere_at: SystemClock.now().wall.0,
    })
}

/// One order; whether the API gave it out.
async fn steal(
    http: &reqwest::Client,
    replica: &str,
    token: &Secret,
    order: u64,
) -> Result<bool, Trouble> {
    let response = http
        .get(format!("{replica}/orders/{order}"))
        .header("user-agent", "python-requests/2.32")
        .header("x-forwarded-for", "198.51.100.66")
        .bearer_auth(token.expose())
        .send()
        .await?;
    match response.status() {
        status if status.is_success() => Ok(true),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(false),
        status => Err(format!("the example API answered {status}").into()),
    }
}

/// The verdict about an identity that carried a response, newest first; waits for it a little.
pub(super) async fn verdict(broker: &Broker, identity: &str) -> Result<Verdict, Trouble> {
    for _ in 0..100 {
        let answer = broker
            .get(&format!("v1/drift/verdicts?identity={identity}&limit=100"))
            .await?;
        let verdicts = answer
            .get("verdicts")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        if let Some(found) = verdicts.rev().find(|verdict| recycled(verdict)) {
            let at = found
                .get("at")
                .and_then(Value::as_u64)
                .ok_or("the verdict has no time")?;
            let sentence = found
                .get("sentence")
                .and_then(Value::as_str)
                .ok_or("the verdict has no words")?;
            return Ok(Verdict {
                at,
                sentence: sentence.to_owned(),
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err("there is no verdict about the stolen token".into())
}

fn recycled(verdict: &Value) -> bool {
    let responses = verdict
        .get("responses")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    responses.into_iter().any(|taken| {
        taken.get("response").and_then(Value::as_str) == Some("recycle")
            && taken.get("enforced").and_then(Value::as_bool) == Some(true)
    })
}
