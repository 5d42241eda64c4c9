//! A map of tokens that were decoded before: what people build when decoding becomes too slow. It is fast, and it
//! believes a token until it expires, whatever happened meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use lanyard_sdk::{Clock, SystemClock};

use super::decoding::{Decoder, bearer};

struct Remembering {
    decoder: Decoder,
    /// When each ends.
    seen: RwLock<HashMap<String, u64>>,
}

impl Remembering {
    fn believes(&self, token: &str) -> bool {
        let now = SystemClock.now().wall.seconds();
        let known = self
            .seen
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(token)
            .copied();
        if let Some(ends) = known {
            return now < ends;
        }
        let Some(claims) = self.decoder.decode(token) else {
            return false;
        };
        self.seen
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(token.to_owned(), claims.exp);
        true
    }
}

pub(super) fn before(answer: Router, decoder: Decoder) -> Router {
    let remembering = Remembering {
        decoder,
        seen: RwLock::default(),
    };
    answer.layer(middleware::from_fn_with_state(Arc::new(remembering), check))
}

async fn check(
    State(remembering): State<Arc<Remembering>>,
    request: Request,
    next: Next,
) -> Response {
    match bearer(request.headers()) {
        Some(token) if remembering.believes(token) => next.run(request).await,
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}
