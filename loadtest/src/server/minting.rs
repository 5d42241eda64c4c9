//! A token endpoint as small as one can be: it knows one client, signs with `jsonwebtoken` and a key parsed once, and
//! keeps nothing. What it gives could never be revoked.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use lanyard_sdk::{Clock, SystemClock};
use serde_json::{Value, json};

use super::{AUDIENCE, SCOPE, signing};

struct Mint {
    key: EncodingKey,
    header: Header,
}

pub(super) fn endpoint() -> Result<Router, Box<dyn std::error::Error>> {
    let key = signing::install()?;
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some("at+jwt".to_owned());
    header.kid = Some("0".repeat(43));
    let mint = Mint { key, header };
    Ok(Router::new()
        .route("/oauth/token", post(token))
        .with_state(Arc::new(mint)))
}

async fn token(State(mint): State<Arc<Mint>>, form: String) -> Result<Json<Value>, StatusCode> {
    if !form.contains("grant_type=client_credentials") {
        return Err(StatusCode::BAD_REQUEST);
    }
    let now = SystemClock.now().wall.seconds();
    let claims = json!({
        "iss": "https://broker.example", "sub": "0000010000000007", "client_id": "0000010000000007",
        "aud": AUDIENCE, "exp": now + 300, "iat": now, "jti": "0000010000000042", "scope": SCOPE,
    });
    let token = jsonwebtoken::encode(&mint.header, &claims, &mint.key)
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Json(json!({
        "access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": SCOPE,
    })))
}
