//! WebSockets (RFC 6455), where an integration allows them: HTTP/1.1 on both sides, and over when the token is, or the lease
//! of the value that one was opened with.
//!
//! What a third party sends is searched like any answer: a mask of the same length leaves its frames whole. Compression of
//! frames is not offered, since it would hide what is looked for.

mod frames;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, request};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use lanyard_token::integration::Budget;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};

use self::frames::Frames;
use super::answer::Problem;
use super::door::{Call, Door, Prepared};
use super::headers::clean_answer;
use super::hold::Hold;
use super::meter::Meter;
use super::scrub::Needles;
use super::upstream::Versions;

/// What is read at once from a third party.
const BUFFER: usize = 16 * 1024;

/// Whether a call wants to become a WebSocket.
pub(super) fn is_asked_for(parts: &request::Parts) -> bool {
    parts.headers.get_all(UPGRADE).iter().any(|value| {
        value
            .as_bytes()
            .trim_ascii()
            .to_ascii_lowercase()
            .starts_with(b"websocket")
    })
}

/// Opens one.
pub(super) async fn open(door: &Door, mut call: Call) -> Result<Response, Problem> {
    let is_plain = call.parts.method == Method::GET && call.parts.version == Version::HTTP_11;
    let caller = call.parts.extensions.remove::<OnUpgrade>();
    let (Some(caller), true) = (caller, is_plain) else {
        return Err(Problem::WebSocket);
    };
    let nothing = Bytes::new();
    let headers = call.parts.headers.clone();
    let Prepared {
        mut request,
        needles,
        bearer,
    } = door
        .outgoing(
            &call.parts,
            headers,
            &call.station,
            &call.leased,
            Some(&nothing),
        )
        .await?;
    let asked = [
        SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_VERSION,
        SEC_WEBSOCKET_PROTOCOL,
    ];
    keep(&call.parts.headers, request.headers_mut(), &asked);
    upgrade(request.headers_mut());
    let client = door
        .shared
        .clients
        .make(&call.station.target, Versions::One);
    let client = client.map_err(|_| Problem::Unusable)?;
    let request = request.map(|()| Body::empty());
    let mut answer = door
        .call_out(&client, request, &call.station, &call.leased, bearer)
        .await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let hold = Hold {
            door: door.clone(),
            station: call.station,
            leased: call.leased,
        };
        return door.answer(answer, hold, needles, call.place);
    }
    let third_party = hyper::upgrade::on(&mut answer);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answered = [SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL];
    keep(answer.headers(), response.headers_mut(), &answered);
    let injection = call.station.integration().injection();
    let found = clean_answer(response.headers_mut(), injection, &needles);
    door.shared.meter.scrubbed(found);
    upgrade(response.headers_mut());
    let door = door.clone();
    tokio::spawn(async move {
        let meter = &door.shared.meter;
        let both = async {
            let (Ok(caller), Ok(third_party)) = tokio::join!(caller, third_party) else {
                return;
            };
            let budget = call.station.integration().budget();
            carry(caller, third_party, &needles, meter, budget).await;
        };
        tokio::select! {
            () = both => {}
            ended = call.verified.ended() => tracing::info!(
                name: "lanyard.stream.ended",
                { lanyard.identity = %call.verified.identity(), lanyard.reason = %ended.0 },
                "a WebSocket ended with its token"
            ),
            () = door.lease_over(&call.station, Arc::clone(&call.leased)) => tracing::info!(
                name: "lanyard.stream.ended",
                { lanyard.identity = %call.verified.identity(), lanyard.reason = "lease" },
                "a WebSocket ended with the lease of its credential"
            ),
        }
        // Held until here: the place among calls under way, and the value that is looked for.
        drop(call);
    });
    Ok(response)
}

/// Carries both ways until one side is done, or has used up its bytes.
async fn carry(
    caller: Upgraded,
    third_party: Upgraded,
    needles: &Needles,
    meter: &Meter,
    budget: &Budget,
) {
    let (from_caller, mut to_caller) = split(TokioIo::new(caller));
    let (from_party, mut to_party) = split(TokioIo::new(third_party));
    let mut from_caller = from_caller.take(budget.request_bytes.unwrap_or(u64::MAX));
    let mut from_party = from_party.take(budget.response_bytes.unwrap_or(u64::MAX));
    let out = copy(&mut from_caller, &mut to_party);
    let back = async {
        let mut frames = Frames::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = match from_party.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(read) => buffer.get(..read).unwrap_or_default(),
            };
            let clean = frames.push(needles, read);
            meter.scrubbed(frames.found());
            let clean = match clean {
                Ok(clean) => clean,
                Err(error) => {
                    tracing::info!(name: "lanyard.egress.cut", { lanyard.reason = %error }, "a WebSocket was cut off");
                    break;
                }
            };
            if to_caller.write_all(&clean).await.is_err() {
                return;
            }
        }
        // Whoever is gone misses nothing.
        let _ = to_caller.shutdown().await;
    };
    tokio::select! {
        _ = out => {}
        () = back => {}
    }
}

fn keep(from: &HeaderMap, to: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        if let Some(value) = from.get(name) {
            to.insert(name, value.clone());
        }
    }
}

fn upgrade(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}
