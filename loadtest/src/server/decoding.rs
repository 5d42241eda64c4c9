//! `jsonwebtoken` before the answer, as good as its users make it: the key parsed once, issuer, audience and expiry
//! checked, the scope looked for.

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};

use super::{AUDIENCE, SCOPE};

/// What a service reads of a token.
#[derive(serde::Deserialize)]
pub(super) struct Claims {
    pub(super) exp: u64,
    scope: String,
}

/// A key and what is demanded of tokens.
pub(super) struct Decoder {
    key: DecodingKey,
    validation: Validation,
}

impl Decoder {
    /// With the key the issuer publishes.
    pub(super) async fn of(issuer: &str) -> Result<Self, Box<dyn Error>> {
        lanyard_token::testing::install_reference_provider();
        let http = crate::broker::http()?;
        let url = format!("{issuer}/.well-known/oauth-authorization-server");
        let metadata: serde_json::Value = http.get(url).send().await?.json().await?;
        let jwks = metadata
            .get("jwks_uri")
            .and_then(serde_json::Value::as_str)
            .ok_or("the issuer publishes no keys")?;
        let keys: JwkSet = http.get(jwks).send().await?.json().await?;
        let key = keys.keys.first().ok_or("the issuer has no key")?;
        let algorithm = key
            .common
            .key_algorithm
            .and_then(|name| name.to_string().parse().ok())
            .ok_or("the key has no algorithm")?;
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[AUDIENCE]);
        Ok(Self {
            key: DecodingKey::from_jwk(key)?,
            validation,
        })
    }

    /// The claims of a token that is good for the answer.
    #[expect(
        clippy::disallowed_methods,
        reason = "it is the baseline here, not the policy"
    )]
    pub(super) fn decode(&self, token: &str) -> Option<Claims> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation).ok()?;
        let allowed = claims.claims.scope.split(' ').any(|scope| scope == SCOPE);
        allowed.then_some(claims.claims)
    }
}

/// The bearer's token.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

pub(super) fn before(answer: Router, decoder: Decoder) -> Router {
    answer.layer(middleware::from_fn_with_state(Arc::new(decoder), check))
}

async fn check(State(decoder): State<Arc<Decoder>>, request: Request, next: Next) -> Response {
    match bearer(request.headers()).and_then(|token| decoder.decode(token)) {
        Some(_) => next.run(request).await,
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}
