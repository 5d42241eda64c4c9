//! The admin listener's door: a token of audience issuer + `/admin` with scope `lanyard:admin`, and then the policies,
//! which say what its holder may do here.
//!
//! This is the one place where that is decided, for every route of administration. On the Unix socket nobody asks
//! the policies: it is the way in when they are wrong.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::deed;
use super::ending::LONGEST_REVOCATION;
use crate::http::audited::{AdministeredBy, BODY_LIMIT, TurnedAway};
use crate::http::caller::{self, Administrator, Caller, Door};
use crate::http::duties::{About, Duties, Duty, Table};
use crate::http::problem::Problem;
use crate::issue::Issue;
use crate::issue::rights::{Administering, Deed, Forbidden, LastAdministrator};

/// The scope of administrators' tokens.
pub const ADMIN_SCOPE: &str = "lanyard:admin";

#[derive(Clone)]
struct Guard {
    issue: Arc<Issue>,
    table: Arc<Table>,
}

/// Lets in administrators' tokens for what the policies let their holders do, and names them to the handlers.
pub fn remote_administrators(duties: Duties, issue: Arc<Issue>) -> Router {
    let (routes, table) = duties.apart();
    let guard = Guard {
        issue,
        table: Arc::new(table),
    };
    routes.layer(middleware::from_fn_with_state(guard, door))
}

async fn door(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let now = guard.issue.now();
    let admitted = caller::admit(
        &*guard.issue,
        request.headers(),
        Door::Admin,
        ADMIN_SCOPE,
        now,
    );
    let caller = match admitted {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let route = request.extensions().get::<MatchedPath>();
    let duty = route.and_then(|route| guard.table.duty(request.method(), route.as_str()));
    let Some(duty) = duty else {
        // No handler has such a route, and without an administrator none would answer it.
        return next.run(request).await;
    };
    let (mut request, deed) = match deed(&guard.issue, duty, request).await {
        Ok(read) => read,
        Err(problem) => return problem.into_response(),
    };
    if let Err(forbidden) = may(&guard.issue, &caller, &deed, &request) {
        let mut response = Problem::from(forbidden).into_response();
        let away = TurnedAway(caller.identity);
        response.extensions_mut().insert(away);
        return response;
    }
    if duty.about.is_named_in_path() && deed.to.is_empty() && duty.action.gives() {
        // Whoever comes to be there meanwhile was not looked at.
        return Problem::not_found("there is no such owner or identity").into_response();
    }
    request.extensions_mut().insert(Administrator(caller.by()));
    let mut response = if guard.issue.may_end_administrators(&deed) {
        let _one_at_a_time = guard.issue.one_ending_at_a_time().await;
        match guard.issue.leaves_an_administrator(&deed) {
            Ok(()) => next.run(request).await,
            Err(last) => Problem::from(last).into_response(),
        }
    } else {
        next.run(request).await
    };
    response
        .extensions_mut()
        .insert(AdministeredBy(caller.by()));
    response
}

/// What the request would do; its body is read only where that says to whom.
async fn deed(issue: &Issue, duty: Duty, request: Request) -> Result<(Request, Deed), Problem> {
    let (mut parts, body) = request.into_parts();
    let name = RawPathParams::from_request_parts(&mut parts, &())
        .await
        .ok()
        .and_then(|params| params.iter().next().map(|(_, value)| value.to_owned()));
    if !duty.about.is_in_body() {
        let deed = deed::read(issue, duty, name.as_deref(), &[]);
        return Ok((Request::from_parts(parts, body), deed));
    }
    let longest = match duty.about {
        About::Nodes => LONGEST_REVOCATION,
        _ => BODY_LIMIT,
    };
    let body = to_bytes(body, longest).await.map_err(|_| {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request",
            format!("the body is longer than {longest} bytes, or breaks off"),
        )
        .because("body")
    })?;
    let deed = deed::read(issue, duty, name.as_deref(), &body);
    Ok((Request::from_parts(parts, Body::from(body)), deed))
}

fn may(issue: &Issue, caller: &Caller, deed: &Deed, request: &Request) -> Result<(), Forbidden> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let by = Administering {
        who: caller.identity,
        scopes: &caller.scopes,
        network: peer.map(|ConnectInfo(peer)| peer.ip().to_canonical()),
    };
    issue.may(by, deed)
}

/// What an administrator is told: the right that is missing, and nothing of the policies.
impl From<Forbidden> for Problem {
    fn from(forbidden: Forbidden) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "access_denied",
            forbidden.to_string(),
        )
        .because("administration_denied")
    }
}

impl From<LastAdministrator> for Problem {
    fn from(last: LastAdministrator) -> Self {
        Self::conflict(last.to_string()).because("last_administrator")
    }
}
