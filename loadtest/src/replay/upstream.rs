//! The service behind the gateway: answers what was recorded.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::serve::ListenerExt;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::net::{TcpListener, TcpStream};

/// The recorded status of this call.
pub(super) const STATUS_HEADER: &str = "x-recorded-status";
/// The recorded size of the answer to this call; absent when none was recorded.
pub(super) const BYTES_HEADER: &str = "x-recorded-bytes";

/// On every answer of the service, so that it can be told from an answer of the gateway.
pub(super) const REPLAYED_HEADER: &str = "x-replayed";

/// Bodies are cut here: one recorded download must not take the machine's memory.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// Starts it on a free loopback port; ends with the runtime.
pub(super) async fn start() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let service = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener.tap_io(undelayed), service).await });
    Ok(address)
}

/// Small answers leave at once instead of waiting for company, which would measure the kernel's patience.
pub(super) fn undelayed(stream: &mut TcpStream) {
    // A connection that just broke is the service's to notice.
    let _ = stream.set_nodelay(true);
}

async fn answer(headers: HeaderMap) -> Response {
    let number = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok())
    };
    let status = number(STATUS_HEADER)
        .and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok())
        .unwrap_or(StatusCode::OK);
    let bytes = number(BYTES_HEADER).unwrap_or(0).min(MAX_BODY);
    let mut response = Response::new(Body::from(vec![b'.'; bytes]));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(REPLAYED_HEADER, HeaderValue::from_static("1"));
    response
}
