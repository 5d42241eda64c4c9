//! What egress tells over OTLP, to a receiver that we did not write; and what becomes of calls when nobody takes it.

use std::net::TcpListener;
use std::time::Duration;

use axum::Router;
use futures::StreamExt;
use lanyard_telemetry::testing::Receiver;

use crate::process::Process;
use crate::support::serve;

fn value(at: usize, version: u64) -> String {
    format!("sk_live_{at}_{version}_4eC39HqLyjWD")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_is_a_span_with_identity_integration_operation_and_version() {
    let folder = tempfile::tempdir().unwrap();
    let Some(receiver) = Receiver::start(folder.path()) else {
        return;
    };
    let variables = receiver.variables();
    let upstream = serve(Router::new().fallback(|| async { "fine" })).await;
    let egress = Process::start(folder.path(), upstream, 2, value, &variables).await;
    for _ in 0..3 {
        assert_eq!(egress.call(0, "x?key=canary-in-a-query").await.0, 200);
    }
    assert_eq!(egress.call(1, "canary-in-a-path").await.0, 200);
    egress.leased.lock().unwrap().clear();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(egress.call(1, "x").await.0, 503);
    let log = tokio::task::spawn_blocking(move || egress.end());
    let log = log.await.unwrap();

    let received = receiver.end();
    let spans = received.got("traces");
    let of = |name: &str, status: &str| {
        spans
            .iter()
            .filter(|span| {
                span.has("Name", "lanyard.egress.call")
                    && span.has("lanyard.identity", "0000000000000002")
                    && span.has("lanyard.integration", name)
                    && span.has("lanyard.operation", "GET /v1/{what}")
                    && span.has("http.response.status_code", status)
            })
            .collect::<Vec<_>>()
    };
    let (first, second, refused) = (
        of("party-0", "200"),
        of("party-1", "200"),
        of("party-1", "503"),
    );
    assert_eq!(
        (first.len(), second.len(), refused.len()),
        (3, 1, 1),
        "{}",
        received.printed("traces")
    );
    assert!(
        first
            .iter()
            .all(|span| span.has("lanyard.secret.version", "1"))
    );
    assert!(refused[0].has("error.type", "no_lease"));
    assert!(refused[0].value("lanyard.secret.version").is_none());
    let calls = received.metric("lanyard.egress.calls");
    let mut calls = calls.points("lanyard.integration");
    calls.sort();
    assert_eq!(
        calls,
        [("party-0".to_owned(), 3), ("party-1".to_owned(), 1)]
    );
    received.metric("lanyard.egress.call.duration");
    let refused = received.metric("lanyard.egress.refused");
    assert_eq!(
        refused.points("lanyard.reason"),
        [("no_lease".to_owned(), 1)]
    );
    for place in ["traces", "metrics"] {
        assert!(received.printed(place).contains("lanyard-egress"));
    }
    for place in ["traces", "metrics", "logs"].map(|signal| received.printed(signal)) {
        assert!(
            !place.contains("canary") && !place.contains("sk_live"),
            "{place}"
        );
    }
    assert!(
        !log.contains("lanyard.egress.call\""),
        "a span went into the log too: {log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_waits_for_a_receiver_that_is_away_or_never_answers() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = serve(Router::new().fallback(|| async { "fine" })).await;
    // One takes connections and reads nothing; where the other was, nobody listens.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoints = [silent.local_addr().unwrap(), away.local_addr().unwrap()];
    drop(away);
    for endpoint in endpoints {
        let endpoint = format!("http://{endpoint}");
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), endpoint)];
        let egress = Process::start(folder.path(), upstream, 1, value, &variables).await;
        // More than is held: the rest is dropped.
        let calls = futures::stream::iter(0..6_000).map(|_| egress.call(0, "x"));
        let statuses = calls.buffer_unordered(16).map(|(status, _)| status);
        let answered = statuses
            .filter(|status| std::future::ready(*status == 200))
            .count();
        let answered = tokio::time::timeout(Duration::from_secs(120), answered).await;
        assert_eq!(answered.expect("calls wait"), 6_000);
        tokio::task::spawn_blocking(move || egress.end())
            .await
            .unwrap();
    }
}
