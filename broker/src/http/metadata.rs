//! What anybody may know: metadata (RFC 8414), keys (RFC 7517), the root's words, whom to write to.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header;
use serde_json::{Value, json};

use crate::issue::Issue;

/// How long verifiers may keep keys: new ones are published twice as long before they sign.
const KEYS_MAX_AGE: &str = "public, max-age=600";

/// The routes of the public listener. `security_contact` is a URI as RFC 9116 wants it (`mailto:…`,
/// `https://…`), `security_expires` when the file should no longer be trusted (RFC 3339); without
/// them there is no security.txt.
pub fn routes(issue: Arc<Issue>, security: Option<SecurityContact>) -> Router {
    let router = Router::new()
        .route("/.well-known/oauth-authorization-server", get(metadata))
        .route("/.well-known/openid-configuration", get(metadata))
        .route("/.well-known/jwks.json", get(jwks))
        .route("/v1/keys", get(delegations))
        .with_state(issue);
    match security {
        None => router,
        Some(contact) => {
            let text: Arc<str> = contact.to_text().into();
            router.route(
                "/.well-known/security.txt",
                get(move || security_txt(Arc::clone(&text))),
            )
        }
    }
}

/// Whom to tell of a weakness (RFC 9116).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityContact {
    /// A URI: `mailto:…` or `https://…`.
    pub contact: url::Url,
    /// When the word should no longer be trusted.
    pub expires: time::OffsetDateTime,
}

impl SecurityContact {
    fn to_text(&self) -> String {
        let format = time::format_description::well_known::Rfc3339;
        let expires = self.expires.format(&format).unwrap_or_default();
        format!(
            "Contact: {}\nExpires: {expires}\nPreferred-Languages: en\n",
            self.contact
        )
    }
}

async fn metadata(State(issue): State<Arc<Issue>>) -> Response {
    (
        [(header::CACHE_CONTROL, KEYS_MAX_AGE)],
        Json(describe(issue.issuer())),
    )
        .into_response()
}

async fn jwks(State(issue): State<Arc<Issue>>) -> Response {
    ([(header::CACHE_CONTROL, KEYS_MAX_AGE)], Json(issue.jwks())).into_response()
}

/// Without a cache: a gateway asks when it meets a key it does not know.
async fn delegations(State(issue): State<Arc<Issue>>) -> Response {
    let body = json!({ "issuer": issue.issuer(), "delegations": issue.delegations() });
    ([(header::CACHE_CONTROL, "no-cache")], Json(body)).into_response()
}

async fn security_txt(text: Arc<str>) -> Response {
    (
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        text.to_string(),
    )
        .into_response()
}

/// RFC 8414 section 2; the same under OpenID Connect's name, where most libraries look first. There
/// is no authorization endpoint: nobody here has a browser.
fn describe(issuer: &str) -> Value {
    let at = |path: &str| format!("{issuer}{path}");
    let methods = json!(["client_secret_basic", "client_secret_post"]);
    json!({
        "issuer": issuer,
        "token_endpoint": at("/oauth/token"),
        "revocation_endpoint": at("/oauth/revoke"),
        "introspection_endpoint": at("/oauth/introspect"),
        "jwks_uri": at("/.well-known/jwks.json"),
        "grant_types_supported": ["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "authorization_details_types_supported": ["lanyard_task"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [],
    })
}
