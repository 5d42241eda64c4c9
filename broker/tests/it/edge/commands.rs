//! The command line against a running broker, and without one.

use std::os::unix::fs::PermissionsExt;

use super::harness::{Dev, client, json, lanyard, refused, run, words};

#[tokio::test]
async fn administration_works_through_the_socket_without_any_secret() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let at = ["--json", "--data-dir", folder.path().to_str().unwrap()];
    let call = |arguments: &[&str]| json(&[arguments, &at].concat());

    let owner = call(&["owner", "add", "payments", "--contact", "pay@example.com"]);
    assert_eq!(owner["name"], "payments");
    let identity = call(&[
        "identity",
        "add",
        "billing",
        "--owner",
        "payments",
        "--audience",
        "https://orders.example",
        "--scope",
        "orders:read",
        "--tag",
        "prod",
    ]);
    let id = identity["id"].as_str().unwrap();
    let names = |list: &serde_json::Value| {
        list.as_array()
            .unwrap()
            .iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(names(&call(&["owner", "list"])["owners"]).contains(&"payments".to_owned()));
    assert!(names(&call(&["identity", "list"])["identities"]).contains(&"billing".to_owned()));
    assert_eq!(call(&["identity", "show", "billing"])["id"], id);
    assert_eq!(
        call(&["owner", "show", "payments"])["contact"],
        "pay@example.com"
    );

    let shown = call(&["policy", "show"]);
    assert_eq!(shown["by"], "broker");
    assert!(shown["since"].is_u64() && shown["policies"].as_u64() > Some(0));
    let read = call(&["policy", "reload"]);
    assert_eq!(read["bundle"], shown["bundle"]);
    assert!(read["by"]["socket"]["uid"].is_u64(), "{read}");

    let file = folder.path().join("billing.key");
    let made = call(&[
        "key",
        "add",
        "billing",
        "--label",
        "ci",
        "--out",
        file.to_str().unwrap(),
    ]);
    assert!(
        made.get("client_secret").is_none(),
        "what went to a file is not printed: {made}"
    );
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let secret = std::fs::read_to_string(&file).unwrap();
    let http = client(None);
    assert_eq!(dev.token(&http, id, secret.trim()).await.0, 200);
    let said = refused(
        &[
            "key",
            "add",
            "billing",
            "--out",
            file.to_str().unwrap(),
            "--data-dir",
            at[2],
        ],
        1,
    );
    assert!(said.contains("exists already"), "{said}");
    let keys = call(&["key", "list", "billing"]);
    assert_eq!(
        keys["keys"].as_array().unwrap().len(),
        1,
        "no key was made for a file that cannot be written"
    );

    call(&[
        "key",
        "revoke",
        made["credential"].as_str().unwrap(),
        "--reason",
        "rotated",
    ]);
    assert_eq!(dev.token(&http, id, secret.trim()).await.0, 401);

    let enrolment = call(&[
        "gateway",
        "add",
        "edge",
        "--owner",
        "payments",
        "--audience",
        "https://orders.example",
    ]);
    for member in ["issuer", "root", "client_id", "client_secret", "audiences"] {
        assert!(!enrolment[member].is_null(), "{member} in {enrolment}");
    }
    assert_eq!(names(&call(&["gateway", "list"])["gateways"]), ["edge"]);
    call(&["owner", "disable", "payments", "--reason", "closed"]);
    assert_eq!(call(&["owner", "show", "payments"])["disabled"], true);
    call(&["owner", "enable", "payments"]);
    call(&["identity", "disable", "billing"]);
    call(&["identity", "enable", "billing"]);
    assert!(
        call(&["drift", "list"])["verdicts"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let deploying = [
        "drift",
        "deploy",
        "--identity",
        "billing",
        "--for",
        "2h",
        "--reason",
        "release 7",
    ];
    assert_eq!(call(&deploying)["members"], 1);
    assert_eq!(
        call(&["drift", "list"])["deployments"][0]["role"]["tags"],
        serde_json::json!(["prod"])
    );
    let by_role = ["drift", "deploy", "--role", "service+prod", "--for", "30m"];
    assert_eq!(call(&by_role)["members"], 1);
    assert!(call(&["drift", "budget"]).get("set").is_none());
    let budget = call(&["drift", "budget", "--share", "2.5%"]);
    assert_eq!(budget["goal"]["share"], 0.025);
    let would = call(&["drift", "would", "--days", "1", "--mode", "enforce"]);
    assert_eq!(would["rehearsal"]["windows"], 0);
    assert_eq!(
        call(&["drift", "thresholds"])["thresholds"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let windows = run(&["drift", "windows", "--days", "1", "--data-dir", at[2]]);
    assert!(
        windows.status.success() && windows.stdout.is_empty(),
        "{windows:?}"
    );
    assert!(
        call(&["signing-key", "list"])["keys"]
            .as_array()
            .unwrap()
            .len()
            >= 2
    );
    call(&["signing-key", "rotate"]);
    call(&["token", "revoke", "0000010000000001"]);
    assert_eq!(call(&["status"])["ready"], true);
}

#[tokio::test]
async fn administration_works_from_afar_with_a_token_from_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let file = folder.path().join("admin.token");
    let made = run(&[
        "admin-token",
        "--out",
        file.to_str().unwrap(),
        "--data-dir",
        folder.path().to_str().unwrap(),
    ]);
    assert!(made.status.success(), "{}", words(&made.stderr));
    let (url, path) = (dev.text("admin_url"), file.to_str().unwrap());
    let owners = json(&[
        "owner",
        "list",
        "--json",
        "--admin-url",
        url,
        "--admin-token-file",
        path,
    ]);
    assert!(!owners["owners"].as_array().unwrap().is_empty());
    let from_variable = lanyard(&["owner", "list", "--admin-url", url])
        .env("LANYARD_ADMIN_TOKEN", dev.text("admin_token"))
        .output()
        .unwrap();
    assert!(
        words(&from_variable.stdout).starts_with("ID "),
        "{}",
        words(&from_variable.stderr)
    );

    let again = lanyard(&["admin-token", "--data-dir", folder.path().to_str().unwrap()])
        .env("LANYARD_ADMIN_URL", url)
        .output()
        .unwrap();
    assert!(
        words(&again.stdout).starts_with("eyJ"),
        "it goes through the socket: {}",
        words(&again.stderr)
    );
    let nowhere = folder.path().join("nowhere");
    let said = refused(&["admin-token", "--data-dir", nowhere.to_str().unwrap()], 1);
    assert!(
        said.contains("works only through the Unix socket: give --socket or --data-dir"),
        "{said}"
    );
    let public = dev.text("issuer");
    let said = refused(
        &[
            "owner",
            "list",
            "--admin-url",
            public,
            "--admin-token-file",
            path,
        ],
        1,
    );
    assert!(
        said.contains("is not an admin listener (usually port 8421)"),
        "{said}"
    );
    std::fs::write(&file, "wrong").unwrap();
    let said = refused(
        &[
            "owner",
            "list",
            "--admin-url",
            url,
            "--admin-token-file",
            path,
        ],
        1,
    );
    assert!(
        said.contains("lanyard admin-token"),
        "the next step is named: {said}"
    );
    let said = refused(
        &[
            "owner",
            "list",
            "--admin-url",
            "http://lanyard.example",
            "--admin-token-file",
            path,
        ],
        2,
    );
    assert!(said.contains("use https"), "{said}");
}

#[tokio::test]
async fn mistakes_are_answered_in_words_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path());
    let at = ["--data-dir", folder.path().to_str().unwrap()];
    for (arguments, code, expected) in [
        (vec!["owner", "add", "dev"], 1, "exists already"),
        (vec!["owner", "add", "Not A Name"], 1, "`name`"),
        (
            vec!["identity", "show", "nobody"],
            1,
            "there is no identity `nobody`",
        ),
        (
            vec!["identity", "show", "../owners"],
            2,
            "neither an id nor a name",
        ),
        (
            vec!["key", "revoke", "0000000000000001"],
            1,
            "there is no key",
        ),
        (
            vec!["owner", "show", "nobody"],
            1,
            "see `lanyard owner list`",
        ),
        (
            vec!["identity", "show", "nobody"],
            1,
            "see `lanyard identity list`",
        ),
        (
            vec!["drift", "show", "0000000000000001"],
            1,
            "see `lanyard drift list`",
        ),
        (
            vec!["drift", "explain", "0000000000000001"],
            1,
            "see `lanyard drift list`",
        ),
        (vec!["drift", "deploy", "--for", "1h"], 2, "--role"),
        (
            vec!["drift", "deploy", "--role", "gateway", "--for", "1h"],
            2,
            "does not begin with",
        ),
        (
            vec!["drift", "deploy", "--role", "service+none", "--for", "1h"],
            1,
            "no identity plays this role",
        ),
        (
            vec!["drift", "deploy", "--role", "service", "--for", "25h"],
            1,
            "1 to 86400 seconds",
        ),
        (vec!["drift", "would", "--days", "0"], 1, "`days` is 1 to"),
        (
            vec!["drift", "would", "--thresholds", "/nowhere.toml"],
            1,
            "cannot read",
        ),
        (vec!["drift", "budget", "--share", "80%"], 1, "at most 0.5"),
        (vec!["token", "revoke", "a.b.c"], 2, "that is a secret"),
        (
            vec!["token", "revoke", "xx"],
            2,
            "`xx` is no token id: 16 lower-case hexadecimal digits",
        ),
        (vec!["signing-key", "compromise", "x"], 1, "key id"),
        (vec!["identity", "lst"], 2, "'list'"),
    ] {
        let said = refused(&[arguments.as_slice(), &at].concat(), code);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn an_id_that_was_never_given_is_revoked_but_not_taken_for_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path());
    let at = ["--data-dir", folder.path().to_str().unwrap()];
    let id = "ffffffffffffffff";
    let ended = run(&[["token", "revoke", id, "--json"].as_slice(), &at].concat());
    assert_eq!(ended.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(answer["unknown"], serde_json::json!([id]));
    assert!(answer["rev"].is_u64(), "{answer}");
    let said = words(&ended.stderr);
    assert!(
        said.contains("no token with this id was ever issued here"),
        "{said}"
    );

    let ended = run(&[["token", "revoke", id].as_slice(), &at].concat());
    let text = words(&ended.stdout);
    let rev = text.lines().find(|line| line.starts_with("rev ")).unwrap();
    assert!(
        rev.split_whitespace().nth(1).unwrap().starts_with("1:"),
        "{text}"
    );
    let status = words(&run(&[["status"].as_slice(), &at].concat()).stdout);
    let head = status
        .lines()
        .find(|line| line.starts_with("head "))
        .unwrap();
    assert!(
        head.split_whitespace().nth(1).unwrap().starts_with("1:"),
        "{status}"
    );
    let rotated = words(&run(&[["signing-key", "rotate"].as_slice(), &at].concat()).stdout);
    let from = rotated
        .lines()
        .find(|line| line.starts_with("signs_from "))
        .unwrap();
    assert!(from.ends_with('Z'), "{rotated}");
}

#[tokio::test]
async fn errors_are_one_line_of_json_when_json_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path());
    let at = ["--json", "--data-dir", folder.path().to_str().unwrap()];
    for (arguments, code, status, expected) in [
        (vec!["identity", "show", "nobody"], 1, Some(404), "nobody"),
        (vec!["identity", "show", "../owners"], 2, None, "neither"),
        (vec!["identity", "lst"], 2, None, "unrecognized subcommand"),
    ] {
        let said = refused(&[arguments.as_slice(), &at].concat(), code);
        assert_eq!(said.lines().count(), 1, "{said}");
        let told: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert!(told["error"].as_str().unwrap().contains(expected), "{said}");
        assert_eq!(told["status"].as_u64(), status, "{said}");
    }
}

#[test]
fn a_usage_line_does_not_ask_for_what_a_variable_gave() {
    let output = lanyard(&["owner", "show"])
        .env("LANYARD_DATA_DIR", "/nowhere")
        .output()
        .unwrap();
    let said = words(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("Usage: lanyard owner show") && !said.contains("--data-dir"),
        "{said}"
    );
}

#[test]
fn a_broker_that_cannot_start_names_the_next_command() {
    let said = refused(&["serve"], 2);
    assert!(
        said.contains("`--config FILE` (see deploy/lanyard.toml)")
            && said.contains("`lanyard dev`"),
        "{said}"
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let said = refused(
        &[
            "dev",
            "--listen",
            &address,
            "--admin-listen",
            "127.0.0.1:0",
            "--data-dir",
            folder.path().to_str().unwrap(),
        ],
        1,
    );
    assert!(
        said.contains("`--listen 127.0.0.1:0 --admin-listen 127.0.0.1:0`"),
        "{said}"
    );
}

#[test]
fn without_a_broker_the_next_command_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let said = refused(
        &[
            "identity",
            "list",
            "--data-dir",
            folder.path().to_str().unwrap(),
        ],
        1,
    );
    assert!(
        said.contains("lanyard dev") && said.contains("--data-dir"),
        "{said}"
    );
}

#[test]
fn every_command_explains_itself() {
    for arguments in [
        vec![],
        vec!["serve"],
        vec!["dev"],
        vec!["seal", "init"],
        vec!["root", "init"],
        vec!["owner", "add"],
        vec!["identity", "add"],
        vec!["key", "add"],
        vec!["gateway", "add"],
        vec!["token", "revoke"],
        vec!["signing-key", "compromise"],
        vec!["drift", "list"],
        vec!["store", "check"],
        vec!["backup"],
        vec!["restore"],
        vec!["config", "show"],
        vec!["status"],
        vec!["admin-token"],
        vec!["completion"],
    ] {
        let output = run(&[arguments.as_slice(), &["--help"]].concat());
        assert!(output.status.success(), "{arguments:?}");
        assert!(
            words(&output.stdout).contains("Usage: lanyard"),
            "{arguments:?}"
        );
    }
    let help = words(&run(&["serve", "--help"]).stdout);
    for flag in [
        "--config",
        "--listen",
        "--admin-listen",
        "--data-dir",
        "LANYARD_LISTEN",
        "LANYARD_DATA_DIR",
    ] {
        assert!(help.contains(flag), "{flag} in {help}");
    }
    assert_eq!(run(&[]).status.code(), Some(2), "nothing was asked for");
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(
            words(&run(&["completion", shell]).stdout).contains("lanyard"),
            "{shell}"
        );
    }
}

#[test]
fn completions_may_be_read_in_part() {
    let mut child = lanyard(&["completion", "bash"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", words(&ended.stderr));
    assert!(ended.stderr.is_empty(), "{}", words(&ended.stderr));
}

#[test]
fn keys_are_made_once_and_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (seal, root) = (
        folder.path().join("seal.key"),
        folder.path().join("root.key"),
    );
    let (seal, root) = (seal.to_str().unwrap(), root.to_str().unwrap());
    assert!(run(&["seal", "init", seal]).status.success());
    let made = json(&["--json", "root", "init", root]);
    assert!(made["root"].as_str().unwrap().len() >= 43, "{made}");
    for file in [seal, root] {
        assert_eq!(
            std::fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o400
        );
    }
    for (noun, file) in [("seal", seal), ("root", root)] {
        let before = std::fs::read(file).unwrap();
        assert_eq!(
            refused(&[noun, "init", file], 1),
            format!("error: `{file}` exists already and was left alone\n")
        );
        assert_eq!(std::fs::read(file).unwrap(), before);
    }
}

#[tokio::test]
async fn a_running_brokers_log_is_checked_copied_and_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let dev = Dev::start(&data);
    let http = client(None);
    let token = dev.demo_token(&http).await;
    let at = ["--json", "--data-dir", data.to_str().unwrap()];
    json(&[["backup", copy.to_str().unwrap()].as_slice(), &at].concat());
    let late = dev.demo_token(&http).await;
    let (id, secret) = (
        dev.text("client_id").to_owned(),
        dev.text("client_secret").to_owned(),
    );
    dev.running.signal("TERM");
    assert_eq!(dev.running.wait(), Some(0));
    json(&[["store", "check"].as_slice(), &at].concat());

    let restore = ["restore", copy.to_str().unwrap()];
    let said = refused(&[restore.as_slice(), &at].concat(), 1);
    assert!(said.contains("--accept-rollback"), "{said}");
    let restored = json(&[restore.as_slice(), &["--accept-rollback"], &at].concat());
    assert_eq!(restored["new_epoch"], 2, "{restored}");
    let dev = Dev::start(&data);
    for dead in [&token, &late] {
        assert!(
            !dev.is_active(&http, dead, (&id, &secret)).await,
            "every token of before is dead"
        );
    }
    assert_eq!(
        dev.token(&http, &id, &secret).await.0,
        200,
        "and its owner gets a new one"
    );
}
