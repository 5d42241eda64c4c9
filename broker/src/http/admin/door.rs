//! The admin listener's door: a token of audience issuer + `/admin` with scope `lanyard:admin`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};

use crate::clock::Clock;
use crate::http::audited::AdministeredBy;
use crate::http::caller::{self, Administrator, Door, Doorkeeper};

/// The scope of administrators' tokens.
pub const ADMIN_SCOPE: &str = "lanyard:admin";

#[derive(Clone)]
struct Guard {
    doorkeeper: Arc<dyn Doorkeeper>,
    clock: Arc<dyn Clock>,
}

/// Lets in administrators' tokens, and names their holders to the handlers.
pub fn remote_administrators(
    routes: Router,
    doorkeeper: Arc<dyn Doorkeeper>,
    clock: Arc<dyn Clock>,
) -> Router {
    routes.layer(middleware::from_fn_with_state(
        Guard { doorkeeper, clock },
        door,
    ))
}

async fn door(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let now = guard.clock.now();
    let caller = match caller::admit(
        &*guard.doorkeeper,
        request.headers(),
        Door::Admin,
        ADMIN_SCOPE,
        now,
    ) {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    request.extensions_mut().insert(Administrator(caller.by()));
    let mut response = next.run(request).await;
    response
        .extensions_mut()
        .insert(AdministeredBy(caller.by()));
    response
}
