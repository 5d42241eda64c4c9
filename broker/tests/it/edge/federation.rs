//! A pipeline without a key, and an agent that asks for approval, through the commands people type.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json as value};

use super::harness::{Dev, answer, client, json, lanyard, refused, words};
use crate::issue::issuer::{Issuer, MAIN};
use lanyard::clock::{Clock, SystemClock};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// So many seconds the clocks of issuers may differ; what is signed in the first of them is not believed.
const LEEWAY: u64 = 5;

/// Returns when a broker that has started already believes what is signed so many seconds later.
async fn started_before(leeway: u64) {
    let now = || SystemClock.now().seconds();
    let began = now();
    while now() <= began + leeway {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn show(dev: &Dev, issuer: &Issuer) -> (u16, Value) {
    let now = SystemClock.now().seconds();
    // By a clock that is ahead.
    let claims = value!({
        "iss": issuer.url, "sub": MAIN, "aud": dev.text("issuer"), "iat": now + LEEWAY, "exp": now + 300,
        "jti": uuid::Uuid::new_v4().to_string(),
    });
    let token = issuer.token(&claims);
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", token.as_str()),
    ];
    let request = client(None).post(format!("{}/oauth/token", dev.text("issuer")));
    let (status, answer) = answer(request.form(&form)).await;
    (status.as_u16(), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trust_is_made_listed_drawn_ended_and_enabled_by_hand() {
    let issuer = Issuer::new().await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let dev = Dev::start_with(
        &data,
        &[
            ("LANYARD_FEDERATION__ISSUERS", issuer.url.as_str()),
            ("LANYARD_FEDERATION__PRIVATE_ADDRESSES", "true"),
        ],
    );
    started_before(0).await;
    let (data, demo) = (data.to_str().unwrap(), dev.text("client_id"));
    let call = |arguments: &[&str]| json(&[&["--json"], arguments, &["--data-dir", data]].concat());
    assert_eq!(show(&dev, &issuer).await.0, 401, "nobody is trusted yet");
    let trust = [
        "key",
        "trust",
        demo,
        "--issuer",
        &issuer.url,
        "--subject",
        MAIN,
    ];
    let made = call(&trust);
    assert_eq!(
        (&made["kind"], &made["subject"]),
        (&value!("oidc"), &value!(MAIN))
    );
    let id = made["id"].as_str().unwrap();
    assert_eq!(show(&dev, &issuer).await.0, 200);

    let keys = call(&["key", "list", demo]);
    let kinds: Vec<&Value> = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["kind"])
        .collect();
    assert_eq!(kinds, ["api_key", "oidc"]);
    let drawn = call(&["lineage", "show", id]);
    assert_eq!(drawn["tree"]["name"], MAIN);
    assert_eq!(drawn["tree"]["live_tokens"], 1);

    call(&["key", "revoke", id, "--reason", "the repository moved"]);
    assert_eq!(call(&["lineage", "show", id])["tree"]["live_tokens"], 0);
    assert_eq!(show(&dev, &issuer).await.0, 401);
    call(&["key", "enable", id]);
    assert_eq!(show(&dev, &issuer).await.0, 200);

    let at = ["--data-dir", data];
    let again = refused(&[trust.as_slice(), &at].concat(), 1);
    assert!(again.contains("exists already"), "{again}");
    let wide = [
        "key",
        "trust",
        demo,
        "--issuer",
        &issuer.url,
        "--subject",
        "repo:*",
    ];
    let wide = refused(&[wide.as_slice(), &at].concat(), 1);
    assert!(wide.contains("letter for letter"), "{wide}");
    let stranger = [
        "key",
        "trust",
        demo,
        "--issuer",
        "https://stranger.example",
        "--subject",
        "x",
    ];
    let stranger = refused(&[stranger.as_slice(), &at].concat(), 1);
    assert!(stranger.contains("federation.issuers"), "{stranger}");
    let nothing = refused(
        &[["key", "enable", "00000000000000ff"].as_slice(), &at].concat(),
        1,
    );
    assert!(nothing.contains("there is no key"), "{nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_issuers_token_is_believed_by_its_own_discovery_document_and_keys() {
    let Some(npm) = npm() else {
        println!(
            "SKIPPED: no token of oidc-provider was shown, because it is not installed (loadtest/peers)"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let free = || {
        std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port()
    };
    let port = free();
    let issuer = format!("http://localhost:{port}");
    let dev = Dev::start_with(
        &data,
        &[
            ("LANYARD_FEDERATION__ISSUERS", issuer.as_str()),
            ("LANYARD_FEDERATION__PRIVATE_ADDRESSES", "true"),
        ],
    );
    // Node looks for packages beside the program.
    std::os::unix::fs::symlink(npm.join("node_modules"), folder.path().join("node_modules"))
        .unwrap();
    let program = folder.path().join("issuer.mjs");
    std::fs::write(&program, include_str!("federation/issuer.mjs")).unwrap();
    let node = std::process::Command::new("node")
        .arg(&program)
        .args([&port.to_string(), dev.text("issuer"), MAIN])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _node = Killed(node);
    let demo = dev.text("client_id");
    let trust = [
        "--json",
        "key",
        "trust",
        demo,
        "--issuer",
        &issuer,
        "--subject",
        MAIN,
    ];
    json(&[trust.as_slice(), &["--data-dir", data.to_str().unwrap()]].concat());
    started_before(LEEWAY).await;
    let http = client(None);
    let form = [
        ("grant_type", "client_credentials"),
        ("resource", dev.text("issuer")),
    ];
    let began = std::time::Instant::now();
    let theirs = loop {
        let request = http
            .post(format!("{issuer}/token"))
            .basic_auth("client", Some("secret"));
        match request.form(&form).send().await {
            Ok(answer) => break answer.json::<Value>().await.unwrap(),
            Err(error) => assert!(began.elapsed().as_secs() < 30, "it does not start: {error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let theirs = theirs["access_token"]
        .as_str()
        .unwrap_or_else(|| panic!("{theirs}"));
    let shown = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", theirs),
    ];
    let request = http.post(format!("{}/oauth/token", dev.text("issuer")));
    let (status, ours) = answer(request.form(&shown)).await;
    assert_eq!(status, 200, "{ours}");
}

/// A process that does not outlive its test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where oidc-provider is installed, if it is.
fn npm() -> Option<PathBuf> {
    let place = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
    let cache = place("XDG_CACHE_HOME").or_else(|| Some(place("HOME")?.join(".cache")));
    let peers = place("LANYARD_PEERS").or_else(|| Some(cache?.join("lanyard/peers")))?;
    let npm = peers.join("npm");
    npm.join("node_modules/oidc-provider")
        .exists()
        .then_some(npm)
}

#[test]
fn issuers_that_cannot_be_trusted_keep_a_broker_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    for (issuers, expected) in [
        ("http://issuer.example", "`federation.issuers`"),
        ("https://127.0.0.1:7", "federation.private_addresses"),
        ("https://[::ffff:10.0.0.1]", "federation.private_addresses"),
        ("https://0x7f.1", "federation.private_addresses"),
        (
            "https://a.example=https://169.254.169.254/keys",
            "federation.private_addresses",
        ),
    ] {
        let output = lanyard(&["dev", "--data-dir", data, "--listen", "127.0.0.1:0"])
            .args(["--admin-listen", "127.0.0.1:0"])
            .env("LANYARD_FEDERATION__ISSUERS", issuers)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(!output.status.success(), "{issuers}");
        let said = words(&output.stderr);
        assert!(said.contains(expected), "{issuers}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_asks_with_its_own_key_and_waits_until_somebody_decided() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let dev = Dev::start(&data);
    let (data, demo) = (data.to_str().unwrap().to_owned(), dev.text("client_id"));
    let key = folder.path().join("agent.key");
    std::fs::write(&key, dev.text("client_secret")).unwrap();
    let call =
        |arguments: &[&str]| json(&[&["--json"], arguments, &["--data-dir", &data]].concat());
    let shown = call(&["identity", "show", demo]);
    let audience = shown["audiences"][0].as_str().unwrap().to_owned();
    let ask = |broker: &str, more: &[&str]| {
        let usual = [
            "--json",
            "approval",
            "ask",
            "--broker",
            broker,
            "--client-id",
            demo,
            "--key-file",
            key.to_str().unwrap(),
            "--audience",
            &audience,
            "--scope",
            "refunds:write",
            "--reason",
            "refund 4711",
            "--for",
            "600",
        ];
        let mut command = lanyard(&[usual.as_slice(), more].concat());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    };
    for (decision, code) in [("approve", 0), ("deny", 1)] {
        let waiting = ask(dev.text("issuer"), &["--wait"]).spawn().unwrap();
        let asked = loop {
            let all = call(&["approval", "list"]);
            let open = all["approvals"]
                .as_array()
                .unwrap()
                .iter()
                .find(|one| one["state"] == "asked")
                .cloned();
            if let Some(open) = open {
                break open;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        let (id, hash) = (
            asked["id"].as_str().unwrap(),
            asked["hash"].as_str().unwrap(),
        );
        match decision {
            "approve" => call(&["approval", "approve", id, "--hash", hash]),
            _ => call(&["approval", "deny", id, "--reason", "not today"]),
        };
        let output = waiting.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{}",
            words(&output.stderr)
        );
        let last: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(last["shown"], asked["shown"], "both read the same");
    }
    let output = ask(dev.text("issuer"), &["--lifetime", "7200"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output.stderr).contains("`lifetime` is 1 to 3600"));
    let output = ask("http://broker.example", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(words(&output.stderr).contains("use https"));
}
