//! Written forms by name: what a name stands for never changes, so whoever has it need not ask again.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

use super::{Problem, Rooms, WatchError, knows};
use crate::http::caller::Caller;
use crate::store::event::ContentHash;
use crate::watch::Written;

/// A year (RFC 9111 knows no longer "for ever"), and in caches of the gateway alone.
const FOR_EVER: &str = "private, max-age=31536000, immutable";

pub(super) async fn role(
    State(rooms): State<Rooms>,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let gateway = rooms.admit(&headers)?;
    let Path(name) = name.map_err(|_| unknown())?;
    let name = named(&name).ok_or_else(unknown)?;
    by_name(&rooms, &gateway, &headers, (Written::Role, name))
}

/// A path segment that is a name and not an identity.
pub(super) fn named(text: &str) -> Option<ContentHash> {
    let text: StrDeserializer<'_, Error> = text.into_deserializer();
    ContentHash::deserialize(text).ok()
}

pub(super) fn by_name(
    rooms: &Rooms,
    gateway: &Caller,
    headers: &HeaderMap,
    (written, name): (Written, ContentHash),
) -> Result<Response, Problem> {
    let found = rooms.watch.portrait(gateway.identity, written, name);
    let bytes = found.map_err(WatchError::from)?.ok_or_else(unknown)?;
    let tag = name.to_string();
    let same = knows(headers, &tag);
    let about = [
        (CACHE_CONTROL, FOR_EVER.to_owned()),
        (ETAG, format!("\"{tag}\"")),
    ];
    Ok(if same {
        (StatusCode::NOT_MODIFIED, about).into_response()
    } else {
        (about, [(CONTENT_TYPE, "application/json")], bytes).into_response()
    })
}

/// The same answer for what is none of this gateway's business, does not exist, or is too old.
fn unknown() -> Problem {
    Problem::not_found("nothing of this name is at hand: ask about the identity")
}
