//! A bearer token for a client's secret: got once, kept until it is nearly over or the third party says 401.
//!
//! **What goes wrong and what then.** The server is slow or away: who waits at the same moment waits for one request, and
//! hears of its failure with the one who asked; for a moment after it nobody asks again. The third party believes a token no
//! more: the next call gets another one. A caller knows calls that are always answered with 401: a young token stays, so
//! that it cannot have one asked for with every call.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Limited};
use lanyard_sdk::{BootTime, Secret};
use lanyard_token::integration::{Injection, Upstream};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;
use tracing::Instrument;
use zeroize::Zeroizing;

use super::answer::Problem;
use super::door::Door;
use super::failure::failed;
use super::inject::{Answered, TokenRequest, read_token, token_request};
use super::scrub::Needles;
use super::station::{Held, Leased, Station};
use super::upstream::Versions;

/// How long a token endpoint may take.
const ASKING: Duration = Duration::from_secs(10);
/// How long a call waits for a token at most: for another call's question that was left, and for its own.
const WITHIN: Duration = Duration::from_secs(12);
/// How long nobody asks again after a failure: calls that come meanwhile would fail alike, one after the other.
const FAILED_FOR: Duration = Duration::from_secs(1);
/// A token that says it is over at once is used for so long, or each call asked for one.
const SHORTEST: Duration = Duration::from_secs(1);
/// A token that is younger is not thrown away for a 401: so often a caller may have one asked for.
const YOUNG: Duration = Duration::from_secs(10);
/// The longest answer of a token endpoint that is read.
const MOST_ANSWERED: usize = 64 * 1024;

/// What is known of the token for one version of a secret.
#[derive(Default)]
pub(super) struct Bearers {
    kept: Option<Arc<Bearer>>,
    /// The last question failed, and nobody asks again until then.
    failed: Option<(Problem, BootTime)>,
}

/// A token that was got with a client's secret.
pub(super) struct Bearer {
    pub(super) token: Secret,
    /// Those of the client's secret, and the token's.
    pub(super) needles: Arc<Needles>,
    got: BootTime,
    until: BootTime,
}

impl Bearers {
    /// What needs no question.
    fn known(&self, now: BootTime) -> Option<Result<Arc<Bearer>, Problem>> {
        if let Some(bearer) = self.kept.as_ref().filter(|bearer| now < bearer.until) {
            return Some(Ok(Arc::clone(bearer)));
        }
        let failed = self.failed.filter(|(_, until)| now < *until);
        failed.map(|(problem, _)| Err(problem))
    }

    /// The third party said 401 to this token.
    fn forget(&mut self, refused: &Arc<Bearer>, now: BootTime) {
        let is_it = |kept: &Arc<Bearer>| Arc::ptr_eq(kept, refused);
        if now.since(refused.got) >= YOUNG && self.kept.as_ref().is_some_and(is_it) {
            self.kept = None;
        }
    }
}

impl Held {
    /// The third party believes it no more.
    pub(super) fn forget_bearer(&self, refused: &Arc<Bearer>, now: BootTime) {
        // Whoever holds it is asking for another one.
        if let Ok(mut bearers) = self.bearer.try_lock() {
            bearers.forget(refused, now);
        }
    }
}

impl Door {
    /// The token that goes into a call; `None` where the value itself does. Callers that need one at the same moment wait
    /// for one request.
    pub(super) async fn bearer(
        &self,
        station: &Arc<Station>,
        leased: &Leased,
    ) -> Result<Option<Arc<Bearer>>, Problem> {
        let Injection::OauthClientCredentials {
            client_id,
            token_url,
            scope,
            ..
        } = station.integration().injection()
        else {
            return Ok(None);
        };
        let held = Arc::clone(&leased.held);
        let getting = async {
            let bearers = Arc::clone(&held.bearer).lock_owned().await;
            let now = self.current.gateway.now().boot;
            if let Some(known) = bearers.known(now) {
                return known.map(Some);
            }
            // It may have ended while another call asked.
            if !self.holds(station, leased) {
                return Err(Problem::NoLease);
            }
            let client_id = client_id.as_deref().or(held.reference.as_deref());
            let client_id = client_id.ok_or(Problem::Unusable)?;
            let request = token_request(client_id, held.value.expose(), scope.as_deref());
            let request = request.map_err(|_| Problem::Unusable)?;
            let (door, station) = (self.clone(), Arc::clone(station));
            let url = token_url.clone();
            // By itself: a question whose caller has gone is answered all the same, or he could have one asked after the
            // other.
            let asking = async move {
                let asked = timeout(ASKING, door.ask_for_token(&station, &url, request)).await;
                let asked = asked.unwrap_or(Err(Problem::TooSlow));
                door.remember(bearers, &held, asked, now)
            };
            let asked = tokio::spawn(asking.in_current_span()).await;
            asked.unwrap_or(Err(Problem::Unusable)).map(Some)
        };
        timeout(WITHIN, getting)
            .await
            .unwrap_or(Err(Problem::TooSlow))
    }

    fn remember(
        &self,
        mut bearers: OwnedMutexGuard<Bearers>,
        held: &Held,
        asked: Result<Answered, Problem>,
        began: BootTime,
    ) -> Result<Arc<Bearer>, Problem> {
        let now = self.current.gateway.now().boot;
        match asked {
            Ok(answered) => {
                let bearer = Arc::new(bearer(held, answered, began, now));
                bearers.kept = Some(Arc::clone(&bearer));
                bearers.failed = None;
                Ok(bearer)
            }
            Err(problem) => {
                bearers.failed = Some((problem, later(now, FAILED_FOR)));
                Err(problem)
            }
        }
    }

    async fn ask_for_token(
        &self,
        station: &Station,
        url: &str,
        asked: TokenRequest,
    ) -> Result<Answered, Problem> {
        let upstream: Upstream = url.parse().map_err(|_| Problem::Unusable)?;
        let mut request = Request::new(Body::from(asked.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = upstream
            .to_string()
            .parse()
            .map_err(|_| Problem::Unusable)?;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, asked.authorization);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        let client = self
            .shared
            .clients
            .make(&station.token_endpoint, Versions::Both);
        let client = client.map_err(|error| {
            tracing::error!(
                name: "lanyard.egress.no_token",
                { lanyard.integration = station.name(), error = &error as &dyn std::error::Error },
                "the token endpoint cannot be called"
            );
            Problem::Unusable
        })?;
        let answer = client.request(request).await.map_err(|error| {
            // Whoever reads that somebody cannot be reached would look at the upstream.
            tracing::error!(
                name: "lanyard.egress.no_token",
                { lanyard.integration = station.name() },
                "the token endpoint cannot be reached"
            );
            failed(&error)
        })?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MOST_ANSWERED)
            .collect()
            .await;
        let body = Zeroizing::new(body.map_err(|_| Problem::Unusable)?.to_bytes().to_vec());
        let answered = status.is_success().then(|| read_token(&body)).flatten();
        answered.ok_or_else(|| {
            tracing::error!(
                name: "lanyard.egress.no_token",
                { lanyard.integration = station.name(), http.response.status_code = status.as_u16() },
                "the token endpoint gave no token"
            );
            Problem::Unusable
        })
    }
}

fn bearer(held: &Held, answered: Answered, asked: BootTime, came: BootTime) -> Bearer {
    let texts = [held.value.expose(), answered.token.expose()];
    Bearer {
        needles: Arc::new(Needles::of(texts)),
        token: answered.token,
        got: asked,
        until: later(asked, answered.lifetime).max(later(came, SHORTEST)),
    }
}

fn later(moment: BootTime, by: Duration) -> BootTime {
    let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    BootTime(moment.0.saturating_add(by))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got_at(seconds: u64) -> Arc<Bearer> {
        Arc::new(Bearer {
            token: Secret::new("a-token-of-a-third-party"),
            needles: Arc::new(Needles::of([])),
            got: at(seconds),
            until: at(seconds + 300),
        })
    }

    fn at(seconds: u64) -> BootTime {
        BootTime(seconds * 1_000)
    }

    #[test]
    fn a_caller_that_is_told_401_again_and_again_throws_no_young_token_away() {
        let first = got_at(100);
        let mut bearers = Bearers {
            kept: Some(Arc::clone(&first)),
            failed: None,
        };
        for second in 100..110 {
            bearers.forget(&first, at(second));
            assert!(bearers.known(at(second)).is_some(), "{second}");
        }
        bearers.forget(&first, at(110));
        assert!(bearers.known(at(110)).is_none());
    }

    #[test]
    fn a_401_to_an_earlier_token_says_nothing_of_this_one() {
        let (earlier, kept) = (got_at(10), got_at(100));
        let mut bearers = Bearers {
            kept: Some(kept),
            failed: None,
        };
        bearers.forget(&earlier, at(200));
        assert!(bearers.known(at(200)).is_some());
    }

    #[test]
    fn a_failure_is_known_for_a_moment() {
        let bearers = Bearers {
            kept: None,
            failed: Some((Problem::TooSlow, at(101))),
        };
        let known = bearers.known(at(100)).map(|known| known.map(|_| ()));
        assert_eq!(known, Some(Err(Problem::TooSlow)));
        assert!(bearers.known(at(101)).is_none());
    }
}
