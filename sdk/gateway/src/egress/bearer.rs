//! A bearer token for a client's secret: got once, kept until it is nearly over or the third party says 401.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Limited};
use lanyard_sdk::BootTime;
use lanyard_token::integration::{Injection, Upstream};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::answer::Problem;
use super::door::failed;
use super::inject::{read_token, token_request};
use super::scrub::Needles;
use super::shared::{Current, Shared};
use super::station::{Bearer, Held, Station};
use super::upstream::Versions;

/// How long a token endpoint may take.
const WITHIN: Duration = Duration::from_secs(10);
/// The longest answer of one that is read.
const MOST_ANSWERED: usize = 64 * 1024;

impl Held {
    /// The token that goes into a call; `None` where the value itself does. Callers that need one at the same moment wait
    /// for one request.
    pub(super) async fn bearer(
        &self,
        station: &Station,
        shared: &Shared,
        current: &Current,
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
        let mut kept = self.bearer.lock().await;
        let now = current.gateway.now().boot;
        if let Some(bearer) = kept.as_ref().filter(|bearer| now < bearer.until) {
            return Ok(Some(Arc::clone(bearer)));
        }
        let client_id = client_id.as_deref().or(self.reference.as_deref());
        let client_id = client_id.ok_or(Problem::Unusable)?;
        let asked = token_request(client_id, self.value.expose(), scope.as_deref());
        let asked = asked.map_err(|_| Problem::Unusable)?;
        let upstream: Upstream = token_url.parse().map_err(|_| Problem::Unusable)?;
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
        let client = shared.clients.make(&station.target, Versions::Both);
        let client = client.map_err(|_| Problem::Unusable)?;
        let asking = async {
            let answer = client
                .request(request)
                .await
                .map_err(|error| failed(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MOST_ANSWERED)
                .collect()
                .await;
            let body = body.map_err(|_| Problem::Unusable)?.to_bytes();
            Ok((status, Zeroizing::new(body.to_vec())))
        };
        let (status, body) = timeout(WITHIN, asking)
            .await
            .map_err(|_| Problem::TooSlow)??;
        let answered = status.is_success().then(|| read_token(&body)).flatten();
        let Some(answered) = answered else {
            tracing::error!(
                name: "lanyard.egress.no_token",
                { lanyard.integration = station.name(), http.response.status_code = status.as_u16() },
                "the token endpoint gave no token"
            );
            return Err(Problem::Unusable);
        };
        let lifetime = u64::try_from(answered.lifetime.as_millis()).unwrap_or(0);
        let texts = [self.value.expose(), answered.token.expose()];
        let bearer = Arc::new(Bearer {
            needles: Arc::new(Needles::of(texts)),
            token: answered.token,
            until: BootTime(now.0.saturating_add(lifetime)),
        });
        *kept = Some(Arc::clone(&bearer));
        Ok(Some(bearer))
    }

    /// The third party believes it no more.
    pub(super) async fn forget_bearer(&self) {
        *self.bearer.lock().await = None;
    }
}
