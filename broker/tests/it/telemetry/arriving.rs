//! Mint, refuse, deny, drift and revoke arrive at a collector under the names we promise.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::receiver::Receiver;
use crate::edge::harness::{Dev, answer, client, lanyard, words};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const FLOOD: usize = 5_000;

fn start(folder: &std::path::Path, receiver: &Receiver) -> Dev {
    let variables = receiver.variables();
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    Dev::start_with(folder, &variables)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_mint_to_revocation_arrives_as_spans_events_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let Some(receiver) = Receiver::start(folder.path()) else {
        return;
    };
    let dev = start(&folder.path().join("data"), &receiver);
    let client = client(None);
    let token_url = format!("{}/oauth/token", dev.text("issuer"));
    let (id, secret) = (
        dev.text("client_id").to_owned(),
        dev.text("client_secret").to_owned(),
    );
    let (id, secret) = (id.as_str(), secret.as_str());
    let mint = || {
        client
            .post(&token_url)
            .basic_auth(id, Some(secret))
            .form(&[("grant_type", "client_credentials")])
    };
    // The caller asks that its trace is not kept; that is not the caller's to say.
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-00");
    let (status, minted) = answer(mint().header("traceparent", traceparent)).await;
    assert_eq!(status, 200, "{minted}");
    let (_, second) = answer(mint()).await;
    let revoke = client
        .post(format!("{}/oauth/revoke", dev.text("issuer")))
        .basic_auth(id, Some(secret))
        .form(&[("token", minted["access_token"].as_str().unwrap())]);
    assert_eq!(answer(revoke).await.0, 200);
    let body = json!({"tokens": [second["access_token"]], "reason": "found in a log"});
    assert_eq!(
        dev.admin(&client, Method::POST, "/v1/revoke", body).await.0,
        200
    );
    assert_eq!(dev.token(&client, id, "lyk_wrong").await.0, 401);
    let odd = Method::from_bytes(b"INVENTED").unwrap();
    let strange = client.request(odd, format!("{}/nowhere", dev.text("issuer")));
    assert_eq!(answer(strange).await.0, 404);
    dev.running.signal("TERM");
    assert_eq!(dev.running.wait(), Some(0));
    let received = receiver.end();

    // Everything had to be sent before the process ended.
    let spans = received.got("traces");
    let minting = spans
        .iter()
        .find(|span| span.has("Trace ID", TRACE))
        .expect("the caller's trace goes on");
    for (name, value) in [
        ("Name", "POST /oauth/token"),
        ("Kind", "SPAN_KIND_SERVER"),
        ("Parent ID", "b7ad6b7169203331"),
        ("http.request.method", "POST"),
        ("http.route", "/oauth/token"),
        ("http.response.status_code", "200"),
        ("network.protocol.version", "1.1"),
    ] {
        assert!(minting.has(name, value), "{name} in {minting:?}");
    }
    let refused = spans
        .iter()
        .find(|span| span.has("http.response.status_code", "401"));
    assert!(refused.unwrap().has("lanyard.reason", "malformed_key"));
    let strange = spans
        .iter()
        .find(|span| span.has("http.request.method", "_OTHER"));
    assert!(strange.unwrap().has("Name", "HTTP unmatched"));

    let issued = received.events("lanyard.token.issued");
    let issued = issued.iter().find(|record| record.has("Trace ID", TRACE));
    let issued = issued.expect("the event belongs to its request's trace");
    assert!(issued.has("Span ID", minting.value("ID").unwrap()));
    assert!(issued.has("lanyard.identity", id));
    let jti = issued.value("lanyard.credential.id").unwrap();
    let complete = received.events("lanyard.log.token_issued");
    assert!(
        complete
            .iter()
            .any(|record| record.has("lanyard.credential.id", jti))
    );
    let refusals = received.events("lanyard.token.refused");
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert!(refusals[0].has("lanyard.reason", "malformed_key"));
    let reasons: Vec<_> = received.events("lanyard.revoked");
    for reason in ["requested", "administrator"] {
        assert!(
            reasons
                .iter()
                .any(|record| record.has("lanyard.reason", reason)),
            "{reason} in {reasons:?}"
        );
    }
    let logs = received.printed("logs");
    assert!(logs.contains("service.name: Str(lanyard)") && logs.contains("service.instance.id"));

    let count = |metric: &str, label: &str| -> BTreeMap<String, u64> {
        received.metric(metric).points(label).into_iter().collect()
    };
    assert_eq!(
        count("lanyard.tokens.issued", "lanyard.grant")["client_credentials"],
        2
    );
    assert_eq!(
        count("lanyard.requests.refused", "lanyard.reason")["malformed_key"],
        1
    );
    let revocations = count("lanyard.revocations", "lanyard.cause");
    assert_eq!(
        (revocations["requested"], revocations["administrator"]),
        (1, 1)
    );
    let duration = received.metric("http.server.request.duration");
    assert!(duration.has("Unit", "s"), "{duration:?}");
    assert!(
        duration
            .points("http.request.method")
            .contains(&("_OTHER".to_owned(), 1))
    );
    assert!(duration.points("http.route").iter().all(|(route, _)| {
        route == "unmatched" || route.starts_with("/v1/") || route.starts_with("/oauth/")
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_is_a_few_records_and_a_whole_count() {
    let folder = tempfile::tempdir().unwrap();
    let Some(receiver) = Receiver::start(folder.path()) else {
        return;
    };
    let dev = start(&folder.path().join("data"), &receiver);
    let url = format!("{}/v1/feed/snapshot", dev.text("issuer"));
    // The harness's own client makes a connection for each request; this one keeps them.
    drop(client(None));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let callers = (0..20).map(|_| {
        let (client, url) = (client.clone(), url.clone());
        tokio::spawn(async move {
            for n in 0..FLOOD / 20 {
                let request = client.get(&url).header("user-agent", format!("flood {n}"));
                assert_eq!(request.send().await.unwrap().status(), 401);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let page = client
        .get(format!("{}/metrics", dev.text("admin_url")))
        .bearer_auth(dev.text("admin_token"));
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(
        page.contains(&format!(
            "lanyard_refused_total{{reason=\"no_token\"}} {FLOOD}"
        )),
        "{page}"
    );
    dev.running.signal("TERM");
    assert_eq!(dev.running.wait(), Some(0));
    let received = receiver.end();
    let records = received.events("lanyard.request.refused");
    assert!(
        (1..=3).contains(&records.len()),
        "one a minute: {}",
        records.len()
    );
    let refused = received.metric("lanyard.requests.refused");
    assert_eq!(
        refused.points("lanyard.reason"),
        [("no_token".to_owned(), FLOOD as u64)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_theft_arrives_as_verdict_response_revocation_and_denials() {
    let folder = tempfile::tempdir().unwrap();
    let Some(receiver) = Receiver::start(folder.path()) else {
        return;
    };
    let output = tokio::task::spawn_blocking({
        let variables = receiver.variables();
        let place = folder.path().to_owned();
        move || {
            lanyard(&["demo", "--json", "--calls", "1000"])
                .envs(variables)
                .env("TMPDIR", place)
                .output()
                .unwrap()
        }
    })
    .await
    .unwrap();
    assert!(output.status.success(), "{}", words(&output.stderr));
    let measured: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        measured["verdict"]
            .as_str()
            .is_some_and(|words| !words.is_empty())
    );

    let received = receiver.end();
    let verdicts = received.events("lanyard.drift.verdict");
    let told = verdicts
        .iter()
        .find(|record| record.has("lanyard.reason", measured["verdict"].as_str().unwrap()));
    let told = told.unwrap_or_else(|| panic!("{} in {verdicts:?}", measured["verdict"]));
    assert!(
        told.value("lanyard.identity").is_some()
            && told.value("Trace ID").is_some_and(|id| !id.is_empty())
    );
    let verdict = told.value("lanyard.verdict").unwrap();
    let responses = received.events("lanyard.response");
    assert!(
        responses
            .iter()
            .any(|record| record.has("lanyard.verdict", verdict)
                && record.has("lanyard.decision", "recycle")
                && record.has("lanyard.enforced", "true")),
        "{responses:?}"
    );
    let ended = received.events("lanyard.revoked");
    assert!(
        ended
            .iter()
            .any(|record| record.has("lanyard.reason", "recycled")),
        "{ended:?}"
    );
    let denials = received.events("lanyard.request.denied");
    assert!(
        denials
            .iter()
            .any(|record| record.has("lanyard.decision", "deny")),
        "{denials:?}"
    );
    assert!(denials.len() < 20, "sampled per reason: {}", denials.len());
    for (metric, label) in [
        ("lanyard.drift.verdicts", "lanyard.level"),
        ("lanyard.drift.responses", "lanyard.response"),
    ] {
        assert!(
            !received.metric(metric).points(label).is_empty(),
            "{metric}"
        );
    }
}
