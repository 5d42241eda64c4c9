//! What callers write into names, headers and paths cannot forge a line of the log.

use reqwest::Method;
use serde_json::json;

use crate::edge::harness::{Dev, Running, client};

const FORGED: &str = "2026-01-01T00:00:00Z  INFO lanyard: forged";

#[tokio::test]
async fn a_record_is_one_line_whatever_callers_send() {
    for format in ["text", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev::start_with(
            folder.path(),
            &[
                ("RUST_LOG", "trace"),
                ("LANYARD_TELEMETRY__LOG_FORMAT", format),
            ],
        );
        let client = client(None);
        let issuer = dev.text("issuer").to_owned();
        let evil = [
            format!("a\n{FORGED}\n"),
            format!("a\r\n{FORGED}\r\n"),
            format!("\u{1b}[2J\u{1b}[1;1H{FORGED}"),
            format!("\u{9b}2J\u{2028}{FORGED}"),
            "${jndi:ldap://127.0.0.1/x}".to_owned(),
            "\",\"level\":\"ERROR\",\"x\":\"".to_owned(),
            "%n%s%x\0".to_owned(),
        ];
        for text in &evil {
            for member in [
                "client_id",
                "scope",
                "audience",
                "subject_token",
                "grant_type",
            ] {
                let form = [("grant_type", "client_credentials"), (member, text)];
                let request = client.post(format!("{issuer}/oauth/token")).form(&form);
                let _ = request.send().await;
                let request = client
                    .post(format!("{issuer}/oauth/token"))
                    .basic_auth(dev.text("client_id"), Some(dev.text("client_secret")))
                    .form(&form);
                let _ = request.send().await;
            }
            let path: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
            let request = client
                .get(format!("{issuer}/{path}"))
                .header("user-agent", text.replace(['\r', '\n', '\0', '\u{1b}'], ""));
            let _ = request.send().await;
            for (path, body) in [
                ("/v1/owners", json!({"name": text, "contact": text})),
                (
                    "/v1/identities",
                    json!({"name": text, "owner": text, "kind": "service", "tags": [text]}),
                ),
                ("/v1/identities/demo/keys", json!({"label": text})),
                ("/v1/identities/demo/enable", json!({"reason": text})),
                (
                    "/v1/revoke",
                    json!({"nodes": ["0000000000000001"], "reason": text}),
                ),
            ] {
                dev.admin(&client, Method::POST, path, body).await;
            }
            let path = format!("/v1/identities/{path}");
            dev.admin(&client, Method::GET, &path, json!(null)).await;
        }
        dev.running.signal("TERM");
        let said = dev.running.said_at_the_end();
        assert!(said.lines().count() > 20, "{said}");
        for line in said.split('\n').filter(|line| !line.is_empty()) {
            assert!(
                !line.contains(|c: char| c.is_control() || c == '\u{2028}'),
                "{line:?}"
            );
            if format == "json" {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_ne!(record["level"], "ERROR", "{line}");
            } else {
                assert!(is_record(line), "{line}");
            }
        }
    }
}

/// As our records begin: the time, a level. The forged one has a time before this broker's.
fn is_record(line: &str) -> bool {
    let mut parts = line.split_whitespace();
    let time = parts
        .next()
        .is_some_and(|time| time.ends_with('Z') && time.len() > FORGED.len() / 2);
    time && parts
        .next()
        .is_some_and(|level| ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&level))
}

#[test]
fn a_broken_setting_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["dev", "--data-dir", folder.path().to_str().unwrap()];
    let running = Running::start_with(
        &arguments,
        &[(
            "LANYARD_TELEMETRY__OTLP_ENDPOINT",
            "http://user:secret-of-mine@x",
        )],
    );
    let said = running.said_at_the_end();
    assert!(
        said.contains("telemetry.otlp_endpoint") && !said.contains("secret-of-mine"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}
