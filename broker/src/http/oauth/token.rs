//! `POST /oauth/token`: client credentials (RFC 6749 section 4.4) and token exchange (RFC 8693).

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use lanyard_token::{Audience, ScopeSet, TaskScope};
use serde::Serialize;

use super::form::{Form, Submitted};
use super::{Doors, answer, client};
use crate::http::problem::Problem;
use crate::issue::policy::{Denied, Request};
use crate::issue::proof::api_key::ApiKey;
use crate::issue::{Exchange, Issued, Refused, Subject};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const API_KEY: &str = "urn:lanyard:params:oauth:token-type:api_key";

pub(super) async fn post(
    State(doors): State<Doors>,
    submitted: Submitted,
) -> Result<Response, Problem> {
    answer(&doors, &submitted).await
}

async fn answer(doors: &Doors, submitted: &Submitted) -> Result<Response, Problem> {
    match submitted.form.require("grant_type")? {
        "client_credentials" => client_credentials(doors, submitted).await,
        TOKEN_EXCHANGE => exchange(doors, submitted).await,
        _ => {
            // Whoever asks for something else still has to be somebody.
            client::authenticate(&doors.issue, submitted).await?;
            Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "use client_credentials or token exchange",
            ))
        }
    }
}

async fn client_credentials(doors: &Doors, submitted: &Submitted) -> Result<Response, Problem> {
    let client = client::require(&doors.issue, submitted).await?;
    let request = request(&submitted.form)?;
    let issued = doors
        .issue
        .client_credentials(&client, &request, client::address(submitted))
        .await
        .map_err(|why| answer::refused(&why))?;
    Ok(respond(&issued, &request, None))
}

async fn exchange(doors: &Doors, submitted: &Submitted) -> Result<Response, Problem> {
    let client = client::authenticate(&doors.issue, submitted).await?;
    let form = &submitted.form;
    let subject = subject(form)?;
    if let (Subject::AccessToken(_), None) = (subject, &client) {
        return Err(answer::refused(&Refused::NoClient));
    }
    let actor = actor(form)?;
    let issued_type = match form.get("requested_token_type") {
        None | Some(ACCESS_TOKEN) => ACCESS_TOKEN,
        Some(JWT) => JWT,
        Some(_) => {
            return Err(
                Problem::invalid_request("`requested_token_type` is access_token or jwt")
                    .because("requested_token_type"),
            );
        }
    };
    let request = request(form)?;
    let address = client::address(submitted);
    let exchange = Exchange {
        client: client.as_ref(),
        subject,
        actor,
        request: &request,
        address,
    };
    let issued = doors
        .issue
        .exchange(exchange)
        .await
        .map_err(|why| subject_refused(&why, subject, &client))?;
    Ok(respond(&issued, &request, Some(issued_type)))
}

/// A key that is shown as a subject token is refused as a subject token, unless it was also how the
/// client said who it is.
fn subject_refused(
    why: &Refused,
    subject: Subject<'_>,
    client: &Option<crate::issue::Client>,
) -> Problem {
    match (why, subject, client) {
        (Refused::MalformedKey | Refused::Client(_), Subject::ApiKey(_), None) => {
            Problem::invalid_request("the subject token is not acceptable").because(why.reason())
        }
        (Refused::MalformedKey, Subject::ApiKey(_), Some(_)) => {
            Problem::invalid_request("the subject token is not acceptable").because(why.reason())
        }
        _ => answer::refused(why),
    }
}

fn subject(form: &Form) -> Result<Subject<'_>, Problem> {
    let token = form.require("subject_token")?;
    match form.require("subject_token_type")? {
        ACCESS_TOKEN | JWT => Ok(Subject::AccessToken(token)),
        API_KEY => Ok(Subject::ApiKey(token)),
        _ => Err(
            Problem::invalid_request("`subject_token_type` is access_token, jwt or api_key")
                .because("subject_token_type"),
        ),
    }
}

/// RFC 8693 section 2.1: both or neither.
fn actor(form: &Form) -> Result<Option<&str>, Problem> {
    match (form.get("actor_token"), form.get("actor_token_type")) {
        (None, None) => Ok(None),
        (Some(token), Some(ACCESS_TOKEN | JWT)) if !ApiKey::is_meant(token) => Ok(Some(token)),
        (Some(_), Some(_)) => Err(Problem::invalid_request(
            "`actor_token_type` is access_token or jwt",
        )
        .because("actor_token_type")),
        (Some(_), None) => {
            Err(Problem::invalid_request("`actor_token_type` is missing")
                .because("actor_token_type"))
        }
        (None, Some(_)) => Err(Problem::invalid_request(
            "`actor_token_type` comes with `actor_token`",
        )
        .because("actor_token_type")),
    }
}

/// What is asked for, in types that cannot be wrong.
pub(super) fn request(form: &Form) -> Result<Request, Problem> {
    let bad =
        |error, description: String| Problem::new(StatusCode::BAD_REQUEST, error, description);
    let scopes = form.get("scope").map(str::parse::<ScopeSet>).transpose();
    let task = form
        .get("authorization_details")
        .map(TaskScope::parse)
        .transpose();
    Ok(Request {
        audiences: audiences(form)?,
        scopes: scopes.map_err(|error| bad("invalid_scope", error.to_string()))?,
        lifetime: form.get("requested_lifetime").map(lifetime).transpose()?,
        task: task.map_err(|error| bad("invalid_authorization_details", error.to_string()))?,
        partial: partial(form)?,
    })
}

/// Whether what is allowed is taken when not everything is (RFC 6749 section 3.3: the answer's `scope` says
/// what it is).
fn partial(form: &Form) -> Result<bool, Problem> {
    match form.get("partial_scope") {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => {
            Err(Problem::invalid_request("`partial_scope` is true or false")
                .because("partial_scope"))
        }
    }
}

/// `audience` and `resource` together, each target once.
fn audiences(form: &Form) -> Result<Vec<Audience>, Problem> {
    let refused = || answer::refused(&Refused::Denied(Denied::Target));
    let mut audiences: Vec<Audience> = Vec::new();
    let named = form.all("audience").map(|text| (text, false));
    let located = form.all("resource").map(|text| (text, true));
    for (text, is_resource) in named.chain(located) {
        // RFC 8707 section 2: an absolute URI without a fragment.
        if is_resource && (text.contains('#') || url::Url::parse(text).is_err()) {
            return Err(refused());
        }
        let audience: Audience = text.parse().map_err(|_| refused())?;
        if !audiences.contains(&audience) {
            audiences.push(audience);
        }
    }
    Ok(audiences)
}

/// Seconds, at least one; more than any token may live is cut later, and the answer says so.
fn lifetime(text: &str) -> Result<u64, Problem> {
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    // Twenty digits may be too many for the number, never for the wish.
    match text.parse().unwrap_or(u64::MAX) {
        seconds if digits && seconds > 0 => Ok(seconds),
        _ => Err(
            Problem::invalid_request("`requested_lifetime` is a number of seconds")
                .because("requested_lifetime"),
        ),
    }
}

#[derive(Serialize)]
struct Body<'a> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_token_type: Option<&'static str>,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a ScopeSet>,
}

fn respond(
    issued: &Issued,
    request: &Request,
    issued_token_type: Option<&'static str>,
) -> Response {
    let body = Body {
        access_token: issued.token.expose(),
        issued_token_type,
        token_type: "Bearer",
        expires_in: issued.expires_in,
        // RFC 6749 section 5.1: required when it is not what was asked for.
        scope: (request.scopes.as_ref() != Some(&issued.scope)).then_some(&issued.scope),
    };
    let no_store = [
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
    ];
    (no_store, Json(body)).into_response()
}
