//! Secrets on the command line, and what commands print.

use std::path::Path;

use super::super::sinks::Secrets;
use super::{invented, lookalikes};
use crate::edge::harness::{Dev, lanyard, words};

/// The command line; each command's two outputs are sinks, but for the place that shows a key once.
pub(super) fn all(dev: &Dev, data: &Path, secrets: &mut Secrets) -> Vec<(String, String)> {
    let at = data.to_str().unwrap();
    let token_file = data.parent().unwrap().join("admin.token");
    std::fs::write(&token_file, dev.text("admin_token")).unwrap();
    let key_file = data.parent().unwrap().join("made.key");
    let wrong_file = data.parent().unwrap().join("wrong.token");
    let [wrong, _] = lookalikes(secrets, "a wrong token in a file");
    std::fs::write(&wrong_file, wrong).unwrap();
    let [lookalike, _] = lookalikes(secrets, "an argument");
    let password = invented(secrets, "a password in an address");
    let endpoint = format!("http://user:{password}@127.0.0.1:1");
    let secret = dev.text("client_secret").to_owned();
    let enrolment_file = data.parent().unwrap().join("enrolment.json");
    let admin_file = data.parent().unwrap().join("made.token");
    let (key_file, token_file, wrong_file, enrolment_file, admin_file) = (
        key_file.to_str().unwrap(),
        token_file.to_str().unwrap(),
        wrong_file.to_str().unwrap(),
        enrolment_file.to_str().unwrap(),
        admin_file.to_str().unwrap(),
    );
    let here = ["--data-dir", at];
    let there = [
        "--admin-url",
        dev.text("admin_url"),
        "--admin-token-file",
        token_file,
    ];
    let mut sinks = Vec::new();
    for (arguments, place) in [
        (vec!["identity", "list"], &here[..]),
        (vec!["identity", "show", "demo"], &here),
        (vec!["identity", "show", &secret], &here),
        (vec!["identity", "show", &lookalike], &here),
        (vec!["key", "list", "demo"], &there),
        (vec!["key", "add", "demo", "--out", key_file], &here),
        (
            vec![
                "gateway",
                "add",
                "door",
                "--owner",
                "dev",
                "--audience",
                "https://orders.example",
                "--out",
                enrolment_file,
            ],
            &here,
        ),
        (vec!["admin-token", "--out", admin_file], &here),
        (vec!["key", "revoke", &secret], &here),
        (vec!["token", "revoke", &secret], &here),
        (vec!["gateway", "list"], &there),
        (vec!["owner", "list"], &here),
        (vec!["owner", "add", &secret], &here),
        (vec!["signing-key", "list"], &here),
        (vec!["drift", "list"], &here),
        (vec!["status"], &here),
        (
            vec![
                "owner",
                "list",
                "--admin-url",
                dev.text("admin_url"),
                "--admin-token-file",
                wrong_file,
            ],
            &[],
        ),
        (vec!["config", "show"], &here),
        (vec!["config", "check"], &here),
    ] {
        for json in [false, true] {
            let mut command = lanyard(&[arguments.as_slice(), place].concat());
            command
                .env("RUST_LOG", "trace")
                .env("LANYARD_TELEMETRY__OTLP_ENDPOINT", &endpoint);
            if json {
                command.arg("--json");
            }
            let output = command.output().unwrap();
            let said = words(&output.stdout) + &words(&output.stderr);
            sinks.push((format!("lanyard {arguments:?}"), said));
        }
    }
    let made = std::fs::read_to_string(key_file).unwrap();
    secrets.plant("a key made by a command", made.trim().as_bytes());
    let enrolment: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(enrolment_file).unwrap()).unwrap();
    let gateway_key = enrolment["client_secret"].as_str().unwrap();
    secrets.plant("a gateway's key made by a command", gateway_key.as_bytes());
    let admin_token = std::fs::read_to_string(admin_file).unwrap();
    secrets.plant_token(
        "an administrator's token made by a command",
        admin_token.trim(),
    );
    sinks
}
