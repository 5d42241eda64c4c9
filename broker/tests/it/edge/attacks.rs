//! Attacks on a running broker from outside, and mistakes that would help them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::harness::{Dev, client, json as printed, refused};

#[tokio::test]
async fn connections_that_never_begin_do_not_keep_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let doors = ["issuer", "admin_url"].map(|door| dev.text(door).replace("http://", ""));
    let cut = tokio::task::spawn_blocking(move || {
        let mut open = Vec::new();
        for door in &doors {
            for said in ["", "P", "PRI * HTTP/2.0\r\n"] {
                let mut connection = TcpStream::connect(door).unwrap();
                connection.write_all(said.as_bytes()).unwrap();
                let patience = Some(Duration::from_secs(30));
                connection.set_read_timeout(patience).unwrap();
                open.push((door.clone(), said, connection));
            }
        }
        for (door, said, mut connection) in open {
            // The end of the connection, not our patience's.
            let ended = connection.read(&mut [0; 64]);
            assert!(
                !matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock),
                "{door} still waits after {said:?}"
            );
        }
    });
    cut.await.unwrap();
}

#[tokio::test]
async fn administration_reads_strictly_and_always_answers_in_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let http = client(None);
    let owners = async || {
        dev.admin(&http, Method::GET, "/v1/owners", Value::Null)
            .await
    };
    let before = owners().await;
    for body in [
        json!(["intruder", "by position"]),
        json!({"name": "intruder", "contact": "two\u{2028}lines"}),
        json!({"name": "intruder", "contact": "turned \u{202e}dnuora"}),
        json!({"name": "intruder", "contact": "\u{1b}[31m"}),
        json!({"name": "intruder", "more": 1}),
        json!("intruder"),
        json!(null),
    ] {
        let (status, answer) = dev.admin(&http, Method::POST, "/v1/owners", body).await;
        assert_eq!(
            (status.as_u16(), &answer["error"]),
            (400, &json!("invalid_request")),
            "{answer}"
        );
    }
    for path in [
        "/v1/owners/%ff",
        "/v1/identities/%ff/keys",
        "/v1/drift/verdicts/%ff",
    ] {
        let (status, answer) = dev.admin(&http, Method::GET, path, Value::Null).await;
        assert_eq!(
            (status.as_u16(), &answer["error"]),
            (400, &json!("invalid_request")),
            "{answer}"
        );
    }
    let (_, keys) = dev
        .admin(&http, Method::GET, "/v1/signing-keys", Value::Null)
        .await;
    let kid = keys["keys"][0]["kid"].as_str().unwrap();
    let compromise = format!("/v1/signing-keys/{kid}/compromise");
    for reason in ["\u{1b}[31m".to_owned(), "x".repeat(513)] {
        let reason = json!({ "reason": reason });
        let (status, answer) = dev.admin(&http, Method::POST, &compromise, reason).await;
        assert_eq!(status.as_u16(), 400, "{answer}");
    }
    assert_eq!(owners().await, before);
}

#[tokio::test]
async fn a_token_of_a_megabyte_is_a_bad_token_and_a_broken_body_is_not_a_large_one() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let http = client(None);
    let ask = async |path: &str, body: String| {
        let answer = http
            .post(format!("{}{path}", dev.text("issuer")))
            .basic_auth(dev.text("client_id"), Some(dev.text("client_secret")))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let long = "a".repeat(1024 * 1024);
    let form = format!("token={long}&token_type_hint=x");
    assert_eq!(
        ask("/oauth/introspect", form.clone()).await,
        (200, r#"{"active":false}"#.to_owned())
    );
    assert_eq!(ask("/oauth/revoke", form).await, (200, String::new()));
    let exchange = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token_type=urn:ietf:params:oauth:token-type:access_token";
    let short = ask("/oauth/token", format!("{exchange}&subject_token=a.b.c")).await;
    assert_eq!(short.0, 400);
    assert_eq!(
        ask("/oauth/token", format!("{exchange}&subject_token={long}")).await,
        short
    );
    assert_eq!(
        ask("/oauth/introspect", "a=1&".repeat(600_000)).await.0,
        413
    );

    let address = dev.text("issuer").replace("http://", "");
    let broken = tokio::task::spawn_blocking(move || {
        let mut connection = TcpStream::connect(address).unwrap();
        connection
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let head = "POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
        connection.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    let broken = broken.await.unwrap();
    assert!(broken.starts_with("HTTP/1.1 400 "), "{broken}");
}

#[tokio::test]
async fn keys_that_are_gone_are_asked_for_and_not_made_anew_beside_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    dev.running.signal("TERM");
    assert_eq!(dev.running.wait(), Some(0));
    let data = folder.path().to_str().unwrap();
    for name in ["seal.key", "root.key"] {
        let (key, aside) = (folder.path().join(name), folder.path().join("aside"));
        std::fs::rename(&key, &aside).unwrap();
        let said = refused(&["dev", "--json", "--data-dir", data], 1);
        assert!(
            said.contains(name) && said.contains("put the key back"),
            "{said}"
        );
        assert!(!key.exists(), "no other key took its place");
        std::fs::rename(&aside, &key).unwrap();
    }
    drop(Dev::start(folder.path()));
}

#[tokio::test]
async fn a_backup_into_the_log_itself_leaves_nothing_there() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let at = ["--data-dir", folder.path().to_str().unwrap()];
    for inside in [
        "segments/copy",
        "segments/deep/copy",
        "segments/../segments/copy",
    ] {
        let target = folder.path().join(inside);
        let said = refused(
            &[["backup", target.to_str().unwrap()].as_slice(), &at].concat(),
            1,
        );
        assert!(said.contains("among the segments"), "{said}");
        assert!(!target.exists() && !folder.path().join("segments/deep").exists());
    }
    let copy = folder.path().join("copy");
    let at = ["--json", "--data-dir", folder.path().to_str().unwrap()];
    printed(&[["backup", copy.to_str().unwrap()].as_slice(), &at].concat());
    drop(dev);
}
