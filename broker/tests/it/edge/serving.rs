//! `lanyard serve`: what it demands, and TLS that changes under it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::harness::{Running, client, json, refused, run, words};

const EXAMPLE: &str = include_str!("../../../../deploy/lanyard.toml");

/// The example configuration, moved into a folder and onto free ports.
pub(super) fn configuration(folder: &Path, change: impl Fn(&str) -> String) -> String {
    let path = folder.to_str().unwrap();
    for (noun, name) in [("seal", "seal.key"), ("root", "root.key")] {
        let file = folder.join(name);
        if !file.exists() {
            assert!(
                run(&[noun, "init", file.to_str().unwrap()])
                    .status
                    .success()
            );
        }
    }
    let text = EXAMPLE
        .replace("/var/lib/lanyard", &format!("{path}/data"))
        .replace("/etc/lanyard/tls", path)
        .replace("/etc/lanyard", path)
        .replace("0.0.0.0:8420", "127.0.0.1:0")
        .replace("127.0.0.1:8421", "127.0.0.1:0");
    let file = folder.join("lanyard.toml");
    std::fs::write(&file, change(&text)).unwrap();
    file.to_str().unwrap().to_owned()
}

pub(super) fn certificate(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.pem()
}

pub(super) fn port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub(super) async fn until(what: &str, running: &Running, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{what} never happened: {}",
            running.said()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_configuration_whose_keys_or_anchor_cannot_be_used_is_refused_before_a_log_is_made() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let nowhere = folder.path().join("nowhere");
    let file = configuration(folder.path(), |text| {
        let anchor = format!("anchor_file = \"{}/anchor\" #", nowhere.display());
        text.replace("#: anchor_file", &anchor)
    });
    let checked = ["config", "check", "--config", &file];
    assert!(refused(&checked, 2).contains("`store.anchor_file` lies in"));
    assert!(refused(&["serve", "--config", &file], 1).contains("`store.anchor_file` lies in"));
    assert!(!folder.path().join("data/segments").exists());
    std::fs::create_dir(&nowhere).unwrap();
    assert!(run(&checked).status.success());

    let (seal, root) = (
        folder.path().join("seal.key"),
        folder.path().join("root.key"),
    );
    std::fs::rename(&root, folder.path().join("away")).unwrap();
    assert!(refused(&checked, 2).contains("lanyard root init"));
    std::fs::rename(folder.path().join("away"), &root).unwrap();
    std::fs::set_permissions(&seal, std::fs::Permissions::from_mode(0o444)).unwrap();
    assert!(refused(&checked, 2).contains("chmod 0400"));
}

#[test]
fn an_issuer_on_a_private_address_is_found_before_a_broker_starts() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let with = |issuers: &str, private_too: &str| {
        configuration(folder.path(), |text| {
            text.replace(
                "#: issuers = \"https://token.actions.githubusercontent.com\"",
                &format!("issuers = \"{issuers}\""),
            )
            .replace(
                "private_addresses = false",
                &format!("private_addresses = {private_too}"),
            )
        })
    };
    let check = |file: &str| run(&["config", "check", "--config", file]);
    let local = "https://10.0.0.1:7";
    let file = with(local, "false");
    let said = refused(&["config", "check", "--config", &file], 2);
    assert!(
        said.contains(local) && said.contains("federation.private_addresses"),
        "{said}"
    );
    assert!(check(&with(local, "true")).status.success());
    assert!(
        check(&with(
            "https://token.actions.githubusercontent.com",
            "false"
        ))
        .status
        .success()
    );
}

#[tokio::test]
async fn certificates_change_without_a_restart_and_bad_ones_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let first = certificate(folder.path());
    let port = port();
    let file = configuration(folder.path(), |text| {
        text.replacen(
            "listen = \"127.0.0.1:0\"",
            &format!("listen = \"127.0.0.1:{port}\""),
            1,
        )
        .replace(
            "https://lanyard.example.com",
            &format!("https://localhost:{port}"),
        )
    });
    assert_eq!(
        json(&["--json", "config", "check", "--config", &file])["ok"],
        true
    );
    let running = Running::start(&["serve", "--config", &file]);
    let url = format!("https://localhost:{port}/livez");
    let works = async |pem: &str| {
        client(Some(pem))
            .get(&url)
            .send()
            .await
            .is_ok_and(|answer| answer.status() == 200)
    };
    until("the first certificate", &running, async || {
        works(&first).await
    })
    .await;
    let metadata = client(Some(&first))
        .get(format!(
            "https://localhost:{port}/.well-known/oauth-authorization-server"
        ))
        .send()
        .await
        .unwrap();
    assert_eq!(
        metadata.json::<serde_json::Value>().await.unwrap()["issuer"],
        format!("https://localhost:{port}")
    );

    let second = certificate(folder.path());
    running.signal("HUP");
    until("the second certificate", &running, async || {
        works(&second).await
    })
    .await;
    assert!(!works(&first).await);

    std::fs::write(folder.path().join("cert.pem"), "not a certificate").unwrap();
    running.signal("HUP");
    until("the refusal", &running, async || {
        running.said().contains("holds no certificate")
    })
    .await;
    assert!(works(&second).await, "the old certificate stays in use");

    std::fs::write(&file, "lisen = 1").unwrap();
    running.signal("HUP");
    until("the refusal", &running, async || {
        running.said().contains("unknown setting `lisen`")
    })
    .await;
    assert!(works(&second).await);
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
}

#[tokio::test]
async fn policies_change_on_a_signal_without_a_gap_and_broken_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pem = certificate(folder.path());
    let port = port();
    let bundle = folder.path().join("policies");
    std::fs::create_dir_all(bundle.join("grant")).unwrap();
    let schema = include_str!("../../../../policies/schema.cedarschema");
    std::fs::write(bundle.join("schema.cedarschema"), schema).unwrap();
    let put = |condition: &str| {
        let policy = format!(
            "@id(\"grant\") @owner(\"team\") @why(\"w\")\n\
             permit(principal, action == Lanyard::Action::\"issue\", resource)\nwhen {{ {condition} }};\n"
        );
        std::fs::write(bundle.join("grant/policy.cedar"), policy).unwrap();
    };
    let read_only = "resource.name == \"orders:read\"";
    put("true");
    let file = configuration(folder.path(), |text| {
        text.replacen("127.0.0.1:0", &format!("127.0.0.1:{port}"), 1)
            .replace(
                "https://lanyard.example.com",
                &format!("https://localhost:{port}"),
            )
            .replace("#: bundle", "bundle")
    });
    let running = Running::start(&["serve", "--config", &file]);
    let http = client(Some(&pem));
    let live = format!("https://localhost:{port}/livez");
    until("the start", &running, async || {
        http.get(&live).send().await.is_ok()
    })
    .await;
    let data = folder.path().join("data");
    let administer = |arguments: &[&str]| {
        json(
            &[
                &["--json"],
                arguments,
                &["--data-dir", data.to_str().unwrap()],
            ]
            .concat(),
        )
    };
    administer(&["owner", "add", "team"]);
    let orders = "https://orders.example";
    administer(&[
        "identity",
        "add",
        "billing",
        "--owner",
        "team",
        "--audience",
        orders,
    ]);
    let key = administer(&["key", "add", "billing"]);
    let ask = async |scope: &str| {
        let request = http
            .post(format!("https://localhost:{port}/oauth/token"))
            .basic_auth(
                key["client_id"].as_str().unwrap(),
                key["client_secret"].as_str(),
            )
            .form(&[("grant_type", "client_credentials"), ("scope", scope)]);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask("orders:write").await, 200);

    put(read_only);
    running.signal("HUP");
    until("the narrower policies", &running, async || {
        // What both allow is given at every moment.
        assert_eq!(ask("orders:read").await, 200);
        ask("orders:write").await == 400
    })
    .await;

    put("resource.nam == 1");
    running.signal("HUP");
    until("the refusal", &running, async || {
        assert_eq!(ask("orders:read").await, 200);
        running.said().contains("grant/policy.cedar:")
    })
    .await;
    assert_eq!(
        ask("orders:write").await,
        400,
        "the last good ones stay in force"
    );
    assert_eq!(ask("orders:read").await, 200);

    put("true");
    running.signal("HUP");
    until("the wider policies", &running, async || {
        ask("orders:write").await == 200
    })
    .await;
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
}

#[test]
fn what_a_broker_needs_is_demanded_by_name() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let seal = format!("key_file = \"{}/seal.key\"", folder.path().display());
    for (from, to, expected) in [
        (seal.as_str(), "", "`seal.key_file` is not set"),
        ("seal.key\"", "missing.key\"", "lanyard seal init"),
        (
            "seal.key\"",
            "data/seal.key\"",
            "`seal.key_file` lies inside `data_dir`",
        ),
        (
            "root_key_file",
            "#: root_key_file",
            "`trust.root_key_file` is not set",
        ),
        (
            "behind_proxy",
            "behind_proxi",
            "unknown setting `behind_proxi`",
        ),
        ("issuer =", "#: issuer =", "`issuer` is not set"),
        ("cert_file", "#: cert_file", "`tls.cert_file` is not set"),
        ("/cert.pem", "/none.pem", "cannot read"),
    ] {
        std::fs::create_dir_all(folder.path().join("data")).unwrap();
        let file = configuration(folder.path(), |text| text.replacen(from, to, 1));
        let output = run(&["serve", "--config", &file]);
        let said = words(&output.stderr);
        assert!(
            matches!(output.status.code(), Some(1 | 2)) && said.contains(expected),
            "{from}: {said}"
        );
    }
    let file = configuration(folder.path(), |text| {
        text.replacen("listen = \"127.0.0.1:0\"", "listen = \"0.0.0.0:0\"", 1)
            .replace("cert_file", "#: cert_file")
            .replace("\nkey_file", "\n#: key_file")
    });
    let said = refused(&["serve", "--config", &file], 2);
    assert!(
        said.contains("`listen`") && said.contains("behind_proxy"),
        "{said}"
    );
    let said = refused(&["serve", "--config", "/nonexistent/lanyard.toml"], 2);
    assert!(said.contains("cannot read the configuration"), "{said}");
}

#[test]
fn every_value_says_where_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), str::to_owned);
    let shown = super::harness::lanyard(&[
        "config",
        "show",
        "--json",
        "--config",
        &file,
        "--listen",
        "127.0.0.1:9",
    ])
    .env("LANYARD_TOKENS__LIFETIME", "60")
    .output()
    .unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let origin = |key: &str| {
        let rows = shown["settings"].as_array().unwrap();
        rows.iter().find(|row| row["setting"] == key).unwrap()["origin"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(origin("listen"), "--listen");
    assert_eq!(origin("tokens.lifetime"), "LANYARD_TOKENS__LIFETIME");
    assert_eq!(origin("issuer"), file);
    assert_eq!(origin("store.anchor_file"), "not set");
}

#[tokio::test]
async fn another_user_of_this_machine_does_not_administer() {
    use std::os::unix::fs::PermissionsExt;
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n");
    let setpriv = Command::new("setpriv").arg("--version").output().is_ok();
    if !(root && setpriv) {
        assert!(
            std::env::var_os("CI").is_none() || !root,
            "setpriv is missing"
        );
        println!(
            "SKIPPED: another user was not tried at the Unix socket, because this needs root and setpriv"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let _dev = super::harness::Dev::start(&folder.path().join("data"));
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap()
    };
    let binary = folder.path().join("lanyard");
    std::fs::copy(env!("CARGO_BIN_EXE_lanyard"), &binary).unwrap();
    open(folder.path(), 0o755);
    open(&folder.path().join("data"), 0o755);
    let socket = folder.path().join("data/admin.sock");
    let as_nobody = || {
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&binary)
            .args(["owner", "list", "--socket"])
            .arg(&socket)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        words(&output.stderr)
    };
    let said = as_nobody();
    assert!(
        said.contains("cannot reach the broker"),
        "the file system stops it: {said}"
    );
    open(&socket, 0o666);
    let said = as_nobody();
    assert!(
        said.contains("only the broker's own user and root"),
        "and if it did not, the broker would: {said}"
    );
}
