//! A body that is still being sent: what was sent of it is with the third party before the rest exists.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use bytes::Bytes;
use futures::StreamExt;
use futures::channel::mpsc;
use http::Version;
use tokio::time::timeout;

use crate::support::{HEADER, VALUE, World, http, party, serve};

/// Until what was sent has to be there: long, since nothing else comes of a body that waits for its end.
const LONGEST: Duration = Duration::from_secs(20);
const HALF: &str = "the first half, ";
const REST: &str = "and the rest";

/// Tells of each part of a body when it comes.
async fn telling(State(told): State<mpsc::UnboundedSender<Bytes>>, request: Request) -> String {
    let head = format!(
        "{:?} {:?}",
        request.version(),
        request.headers().get("content-length")
    );
    let mut parts = request.into_body().into_data_stream();
    while let Some(part) = parts.next().await {
        told.unbounded_send(part.unwrap()).unwrap();
    }
    head
}

/// A third party that is spoken to in this version, and how it is written down.
async fn third_party(version: Version, inject: &str) -> (String, mpsc::UnboundedReceiver<Bytes>) {
    let (told, hears) = mpsc::unbounded();
    let router = Router::new().fallback(telling).with_state(told);
    if version == Version::HTTP_11 {
        return (party(serve(router).await, inject, ""), hears);
    }
    let (pem, upstream) = crate::tls::serving(router).await;
    let written = party(upstream, inject, &format!("certificates = '''{pem}'''"));
    let named = format!("https://localhost:{}", upstream.port());
    (
        written.replace(&format!("http://{upstream}"), &named),
        hears,
    )
}

/// Everything that came until there is as much as that.
async fn heard(hears: &mut mpsc::UnboundedReceiver<Bytes>, length: usize) -> String {
    let mut heard = Vec::new();
    while heard.len() < length {
        let part = timeout(LONGEST, hears.next()).await;
        heard.extend(part.expect("it did not come").unwrap());
    }
    String::from_utf8(heard).unwrap()
}

/// Speaks HTTP/2 alone, over TLS.
fn http_2((address, pem): (SocketAddr, String)) -> (reqwest::Client, String) {
    // Another one may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([certificate])
        .http2_prior_knowledge();
    let base = format!("https://localhost:{}", address.port());
    (client.build().unwrap(), base)
}

#[tokio::test]
async fn half_a_body_is_with_the_third_party_before_the_rest_is_sent() {
    let unsigned = "kind = \"aws-sigv4\"\nsecret = \"s\"\nregion = \"r\"\nservice = \"s3\"";
    for inject in [HEADER, unsigned] {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let (written, mut hears) = third_party(version, inject).await;
            let world = World::new(&written).await;
            let with_reference = world.change(|script| {
                let lease = script.leases.get_mut("party").unwrap();
                *lease = (1002, 2, Some("AKIDEXAMPLE".to_owned()), VALUE.to_owned());
            });
            with_reference.await;
            let (client, base) = if version == Version::HTTP_11 {
                (http(), format!("http://{}", world.address))
            } else {
                http_2(world.behind_tls())
            };
            let (sends, body) = mpsc::unbounded::<std::io::Result<&str>>();
            let call = client
                .post(format!("{base}/party/v1/x"))
                .bearer_auth(world.token("party:use"))
                .body(reqwest::Body::wrap_stream(body));
            let call = tokio::spawn(call.send());
            sends.unbounded_send(Ok(HALF)).unwrap();
            assert_eq!(heard(&mut hears, HALF.len()).await, HALF, "{version:?}");
            assert!(!call.is_finished());
            sends.unbounded_send(Ok(REST)).unwrap();
            drop(sends);
            assert_eq!(heard(&mut hears, REST.len()).await, REST, "{version:?}");
            let answer = call.await.unwrap().unwrap();
            assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
            // Nobody knew how long it would be.
            assert_eq!(answer.text().await.unwrap(), format!("{version:?} None"));
        }
    }
}
