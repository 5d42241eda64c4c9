//! What becomes of a call that failed on its way.

use std::error::Error;
use std::io;

use http_body_util::LengthLimitError;

use super::answer::Problem;
use super::caller_body::{BrokenOff, of_the_body};
use super::upstream::Unreachable;

/// What a caller is told of a call that failed; the operator is told where it did.
pub(super) fn failed(error: &(dyn Error + 'static)) -> Problem {
    if is_caused_by::<LengthLimitError>(error) || is_caused_by::<BrokenOff>(error) {
        return of_the_body(error);
    }
    let reason = reason(error);
    tracing::warn!(
        name: "lanyard.egress.unreachable",
        { lanyard.reason = reason },
        "a third party cannot be reached"
    );
    Problem::Unreachable
}

/// Where it failed: of a closed set.
fn reason(error: &(dyn Error + 'static)) -> &'static str {
    match cause::<Unreachable>(error) {
        Some(Unreachable::Refused) => "address_refused",
        Some(Unreachable::Unresolved(_)) => "unresolved",
        Some(Unreachable::Connect(_)) => "connect",
        None if is_caused_by::<rustls::Error>(error) => "tls",
        None => "http",
    }
}

pub(super) fn is_caused_by<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    cause::<E>(error).is_some()
}

fn cause<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An error of the system names as its source the source of what is in it, and not what is in it.
        let within = error.downcast_ref().and_then(io::Error::get_ref);
        next = match within {
            Some(within) => Some(within),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use http::Request;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::super::upstream::{Clients, SystemResolver, Target, Versions};
    use super::*;

    #[tokio::test]
    async fn what_is_wrong_with_tls_is_told_apart_from_what_is_wrong_with_http() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(b"neither TLS nor HTTP\r\n\r\n").await;
            }
        });
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let target = Target {
            private: ["127.0.0.0/8".parse().unwrap()].into(),
            certificates: Some(made.cert.pem().into()),
        };
        let clients = Clients::new(Arc::new(SystemResolver));
        for (scheme, expected) in [("https", "tls"), ("http", "http")] {
            let client = clients.make(&target, Versions::Both).unwrap();
            let request = Request::get(format!("{scheme}://{address}/")).body(Body::empty());
            let error = client.request(request.unwrap()).await.unwrap_err();
            assert_eq!(reason(&error), expected, "{error:?}");
        }
    }
}
