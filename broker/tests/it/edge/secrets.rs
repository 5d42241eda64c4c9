//! Secrets of third parties through the real binary: in by file or standard input, and never out.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Dev, client, json, lanyard, refused, run, words};

fn at(folder: &Path) -> [&str; 2] {
    ["--data-dir", folder.to_str().unwrap()]
}

/// Runs a command that reads `input`.
fn told(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = lanyard(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments has gone by then.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn a_secret_goes_in_and_stands_in_numbered_versions_of_which_one_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let dev = Dev::start(&data);
    let here = at(&data);
    let on = |arguments: &[&str]| json(&[arguments, &["--json"], &here].concat());
    let name = "payments/stripe/api-key";
    let file = folder.path().join("value");
    std::fs::write(&file, "sk_live_first\n").unwrap();
    let by_file = on(&[
        "secret",
        "put",
        name,
        "--owner",
        "dev",
        "--file",
        file.to_str().unwrap(),
    ]);
    assert_eq!(
        (&by_file["active"], &by_file["owner"]),
        (&json!(1), &json!("dev"))
    );
    let put = told(
        &[&["secret", "put", name, "--reference", "key-2"][..], &here].concat(),
        b"sk_live_second",
    );
    assert!(put.status.success(), "{}", words(&put.stderr));
    assert!(!words(&put.stdout).contains("sk_live") && words(&put.stdout).contains("key-2"));

    let shown = on(&["secret", "show", name]);
    let states: Vec<_> = shown["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| &version["state"])
        .collect();
    assert_eq!(states, ["draining", "active"]);
    assert_eq!(on(&["secret", "activate", name, "1"])["active"], 1);
    assert_eq!(
        on(&["secret", "retire", name, "2", "--reason", "leaked"])["versions"][1]["state"],
        "retired"
    );
    let who = on(&["secret", "who", name]);
    assert_eq!((&who["active"], &who["holders"]), (&json!(1), &json!([])));
    let before = on(&["secret", "who", name, "--at", "2001-01-01T00:00:00+01:00"]);
    assert_eq!(before["active"], Value::Null);

    on(&["owner", "add", "platform"]);
    on(&["owner", "transfer", "dev", "--to", "platform"]);
    assert_eq!(
        on(&["secret", "show", name])["owner"],
        "platform",
        "it went along"
    );
    on(&["secret", "transfer", name, "--to", "dev"]);
    on(&["owner", "disable", "dev", "--reason", "left"]);
    assert!(on(&["secret", "list"])["secrets"][0]["rotation_queued"].is_u64());
    let state = || {
        let list = run(&[&["secret", "list"][..], &here].concat());
        assert!(list.status.success(), "{}", words(&list.stderr));
        let list = words(&list.stdout);
        let line = list.lines().find(|line| line.contains(name));
        let columns = line.unwrap().split_whitespace().map(str::to_owned);
        columns.collect::<Vec<_>>()
    };
    assert_eq!(state()[1..4], ["dev", "active", "1"]);
    assert_eq!(
        on(&["secret", "retire", name, "--all"])["active"],
        Value::Null
    );
    assert_eq!(state()[1..4], ["dev", "retired", "-"]);

    dev.running.signal("TERM");
    assert_eq!(dev.running.wait(), Some(0));
    let _dev = Dev::start(&data);
    let list = on(&["secret", "list"]);
    assert_eq!(
        list["secrets"][0]["versions"].as_array().unwrap().len(),
        2,
        "{list}"
    );
}

#[test]
fn a_value_that_was_given_as_an_argument_is_refused_and_not_said_again() {
    for more in [
        &["team/key", "sk_live_in_argv"][..],
        &["team/key", "--value", "sk_live_in_argv"],
        &["team/key", "--value=sk_live_in_argv", "--json"],
    ] {
        let run = told(&[&["secret", "put"], more].concat(), b"");
        assert_eq!(run.status.code(), Some(2));
        let said = format!("{}{}", words(&run.stdout), words(&run.stderr));
        assert!(!said.contains("sk_live"), "{said}");
        assert!(
            said.contains("--file") && said.contains("standard input"),
            "{said}"
        );
    }
}

#[test]
fn what_cannot_be_kept_is_refused_without_being_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let _dev = Dev::start(folder.path());
    let here = at(folder.path());
    let put =
        |more: &[&str], input: &[u8]| told(&[&["secret", "put"], more, &here].concat(), input);
    let owner = ["team/key", "--owner", "dev"];
    for (input, why) in [
        (&b"sk_live\r\nX-Injected: 1"[..], "line break"),
        (b"sk_live\nmore\n", "line break"),
        (b"sk_live\0", "NUL"),
        (b"", "empty"),
        (b"\n", "empty"),
        (b"\xff\xfesk_live", "UTF-8"),
        (&[b'k'; 64 * 1024 + 1], "longer than"),
    ] {
        let output = put(&owner, input);
        assert_eq!(output.status.code(), Some(1), "{}", words(&output.stdout));
        let said = words(&output.stderr);
        assert!(said.contains(why), "{why}: {said}");
        assert!(
            !said.contains("sk_live") && !said.contains("kkkk"),
            "{said}"
        );
    }
    assert!(put(&owner, &[b'k'; 64 * 1024]).status.success());
    let missing = words(&put(&["other/key"], b"sk_live").stderr);
    assert!(missing.contains("say who answers for it"), "{missing}");
    let unknown = words(&put(&["other/key", "--owner", "nobody"], b"sk_live").stderr);
    assert!(unknown.contains("there is no owner `nobody`"), "{unknown}");

    // The value in the place of the name, and of an argument that does not exist.
    let said = refused(
        &[&["secret", "show", "sk_LIVE_51H8"], &here[..]].concat(),
        2,
    );
    assert!(!said.contains("51H8"), "{said}");
    assert_eq!(
        put(&["team/key", "sk_live_51H8"], b"").status.code(),
        Some(2)
    );
    for gone in ["get", "reveal", "cat"] {
        assert_eq!(put(&[], b"").status.code(), Some(2));
        refused(&[&["secret", gone, "team/key"], &here[..]].concat(), 2);
    }
    let said = refused(
        &[&["secret", "show", "team/nothing"], &here[..]].concat(),
        1,
    );
    assert!(said.contains("lanyard secret put"), "{said}");
}

#[tokio::test]
async fn documents_that_are_not_what_they_should_be_are_refused_at_the_door() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(folder.path());
    let client = client(None);
    let good = json!({"name": "team/key", "owner": "dev", "value": "sk_live_1"});
    let with = |member: &str, value: Value| {
        let mut document = good.clone();
        document[member] = value;
        document
    };
    for (document, status) in [
        (with("value", json!(4_711)), 400),
        (with("value", json!(["sk_live_1"])), 400),
        (with("value", Value::Null), 400),
        (with("pending", json!("sk_live_1")), 400),
        (with("sealed", json!("x")), 400),
        (with("name", json!("a/../b")), 400),
        (with("value", json!("k".repeat(65_537))), 400),
        (with("value", json!("\n".repeat(300_000))), 413),
        (with("reference", json!("two\nlines")), 400),
    ] {
        let (answered, answer) = dev
            .admin(&client, Method::POST, "/v1/secrets", document)
            .await;
        assert_eq!(answered, status, "{answer}");
        assert!(
            !answer.to_string().contains("sk_live_1") && !answer.to_string().contains("4711"),
            "{answer}"
        );
    }
    assert_eq!(
        dev.admin(&client, Method::POST, "/v1/secrets", good)
            .await
            .0,
        201
    );
    for (path, body, status) in [
        ("activate", json!({"version": 9}), 409),
        ("activate", json!({"version": 1}), 409),
        ("activate", json!({"version": -1}), 400),
        ("retire", json!({}), 400),
        ("retire", json!({"version": 1, "all": true}), 400),
        ("retire", json!({"version": 1}), 409),
        ("transfer", json!({"to": "nobody"}), 404),
    ] {
        let path = format!("/v1/secrets/team%2Fkey/{path}");
        let (answered, answer) = dev.admin(&client, Method::POST, &path, body).await;
        assert_eq!(answered, status, "{path}: {answer}");
    }
    let who = |query: &str| format!("/v1/secrets/team%2Fkey/who{query}");
    for (query, status) in [
        ("", 200),
        ("?at=0", 200),
        ("?at=noon", 400),
        ("?at=9999999999999", 400),
        ("?at=1&at=2", 400),
        ("?when=1", 400),
    ] {
        let (answered, answer) = dev
            .admin(&client, Method::GET, &who(query), Value::Null)
            .await;
        assert_eq!(answered, status, "{query}: {answer}");
    }
}
