//! `lanyard policy tighten`, through the real command; what it writes is applied by `patch`.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::Copied;
use crate::edge::harness::words;

const REGISTRATIONS: &str = "\
[[owner]]
name = \"payments\"

# What the shop pays with.
[[identity]]
name = \"billing\"
owner = \"payments\"
kind = \"service\"
audiences = [\"https://orders.example\", \"https://stock.example\"]
scopes = [
    \"orders:read\",
    \"orders:refund\", # for the helpdesk
    \"orders:write\",
]

[[identity]]
name = \"reports\"
owner = \"payments\"
kind = \"service\"
audiences = [\"https://orders.example\"]
scopes = [\"orders:read\"]
";

/// A line of `lanyard policy requests` on a day of January.
fn line(identity: &Value, day: u32, request: Value, source: &str) -> String {
    let mut whole = json!({
        "identity": identity["name"],
        "audience": identity["audiences"][0],
        "time": format!("2026-01-{day:02}T09:00:00Z"),
    });
    let members = request.as_object().unwrap().clone();
    whole.as_object_mut().unwrap().extend(members);
    json!({
        "count": 10, "identity": identity, "request": whole, "since": "2025-03-01T00:00:00Z", "source": source,
    })
    .to_string()
}

fn billing() -> Value {
    json!({
        "name": "billing", "owner": "payments", "kind": "service",
        "audiences": ["https://orders.example", "https://stock.example"],
        "scopes": ["orders:read", "orders:refund", "orders:write"],
    })
}

/// Everybody's tokens have everything, gateways see reading only; on the 25th somebody refunds after all.
fn month() -> String {
    let mut lines = Vec::new();
    for day in 1..=30 {
        lines.push(line(&billing(), day, json!({}), "asked"));
        let used = json!({"scopes": ["orders:read"]});
        lines.push(line(&billing(), day, used, "gateway"));
    }
    let refund = json!({"scopes": ["orders:refund"]});
    lines.push(line(&billing(), 25, refund, "gateway"));
    lines.join("\n")
}

fn folder_with(files: &[(&str, &str)]) -> Copied {
    let folder = Copied::new();
    for (name, text) in files {
        fs::write(folder.home.path().join(name), text).unwrap();
    }
    folder
}

fn read(folder: &Copied, name: &str) -> String {
    fs::read_to_string(folder.home.path().join(name)).unwrap()
}

/// As a person would who agrees with every line.
fn patch(folder: &Copied, file: &str) {
    let ran = Command::new("patch")
        .args(["-p1", "--input", file])
        .current_dir(folder.home.path())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", words(&ran.stdout));
}

const TIGHTEN: [&str; 6] = [
    "tighten",
    "--requests",
    "requests.jsonl",
    "--days",
    "20",
    "--until",
];

#[test]
fn registrations_lose_what_was_not_used_each_with_its_reason_and_the_patch_applies() {
    let folder = folder_with(&[
        ("identities.toml", REGISTRATIONS),
        ("requests.jsonl", &month()),
    ]);
    let arguments = [
        "2026-01-21",
        "-f",
        "identities.toml",
        "--out",
        "tighten.patch",
    ];
    let (code, told, said) = folder.policy(&[&TIGHTEN[..], &arguments].concat());
    assert_eq!(code, 0, "{said}");
    for expected in [
        "1 of 1 identity lose 3 rights",
        "reports",
        "of 210 later requests that were given, 10 would be refused",
        "orders:refund (never used before)",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    patch(&folder, "tighten.patch");
    let why =
        "taken out: not used on any of the 20 days before 2026-01-21, never as far as is known";
    assert_eq!(
        read(&folder, "identities.toml"),
        format!(
            "\
[[owner]]
name = \"payments\"

# What the shop pays with.
[[identity]]
name = \"billing\"
owner = \"payments\"
kind = \"service\"
# https://stock.example {why}
audiences = [\"https://orders.example\"]
scopes = [
    \"orders:read\",
    # orders:refund {why}; 200 tokens had it
    # orders:write {why}; 200 tokens had it
]

[[identity]]
name = \"reports\"
owner = \"payments\"
kind = \"service\"
audiences = [\"https://orders.example\"]
scopes = [\"orders:read\"]
"
        )
    );
    // The same, asked in another way: who would have been refused had this been in force all the time.
    let diff = [
        "diff",
        "policies",
        "policies",
        "--requests",
        "requests.jsonl",
        "--registrations",
        "identities.toml",
        "--json",
    ];
    let (code, told, said) = folder.policy(&diff);
    assert_eq!(code, 1, "{said}");
    let told: Value = serde_json::from_str(&told).unwrap();
    let denied = told["changed"].as_array().unwrap().iter();
    let denied: Vec<_> = denied
        .filter(|change| change["ways"][0] == "newly_denied")
        .map(|change| change["recorded"]["request"]["time"].as_str().unwrap())
        .collect();
    assert_eq!(denied, ["2026-01-25T09:00:00Z"]);
    // Once it is taken there is nothing left to take.
    let (_, again, _) = folder.policy(&[&TIGHTEN[..], &arguments[..3]].concat());
    assert_eq!(again.trim(), "", "{again}");
}

#[test]
fn without_a_file_to_write_the_patch_is_what_is_printed() {
    let folder = folder_with(&[
        ("identities.toml", REGISTRATIONS),
        ("requests.jsonl", &month()),
    ]);
    let arguments = ["2026-01-21", "-f", "identities.toml"];
    let (code, printed, said) = folder.policy(&[&TIGHTEN[..], &arguments].concat());
    assert_eq!(code, 0);
    assert!(printed.starts_with("--- a/identities.toml\n+++ b/identities.toml\n@@ "));
    assert!(said.contains("lose 3 rights"), "{said}");
    let only = [
        "2026-01-21",
        "-f",
        "identities.toml",
        "--identity",
        "reports",
    ];
    let (code, printed, _) = folder.policy(&[&TIGHTEN[..], &only].concat());
    assert_eq!((code, printed.trim()), (0, ""));
}

fn pipeline() -> Value {
    json!({
        "name": "deploy-bot", "owner": "platform", "kind": "service", "tags": ["grant.ci-deploy"],
        "audiences": ["https://deploy.example"], "scopes": [],
    })
}

fn releases() -> String {
    let oidc = json!({
        "issuer": "https://token.actions.githubusercontent.com",
        "subject": "repo:example/shop:ref:refs/heads/main",
    });
    let lines = (1..=20).map(|day| {
        let request = json!({"scopes": ["release:write"], "proof": "oidc", "oidc": oidc});
        line(&pipeline(), day, request, "asked")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_permit_loses_the_scopes_that_nobody_used_by_it_and_its_folder_stays_in_order() {
    let folder = folder_with(&[("requests.jsonl", &releases())]);
    let arguments = [
        "2026-01-21",
        "--bundle",
        "policies",
        "--out",
        "tighten.patch",
    ];
    let (code, told, said) = folder.policy(&[&TIGHTEN[..], &arguments].concat());
    assert_eq!(code, 0, "{said}");
    for expected in [
        "1 of 10 permits lose 1 scope that nobody used by them; 2 cases come out otherwise",
        "they do not list the scopes they give: ",
        "they gave nothing, and may be for the day on which nothing else helps: ",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    patch(&folder, "tighten.patch");
    let policy = read(&folder, "policies/ci-deploy/policy.cedar");
    assert!(
        policy.contains(
            "// release:read taken out: not used on any of the 20 days before 2026-01-21, never as far as is known\n\
             when { [\"release:write\"].contains(resource.name) }"
        ),
        "{policy}"
    );
    let page = read(&folder, "policies/ci-deploy/README.md");
    assert!(
        page.contains("- `ci-deploy`: release:read taken out"),
        "{page}"
    );
    for in_order in [
        &["check"][..],
        &["test", "--strict"],
        &["matrix", "--check"],
    ] {
        let (code, told, said) = folder.policy(in_order);
        assert_eq!(code, 0, "{in_order:?}: {told}{said}");
    }
    let matrix = read(&folder, "policies/matrix.txt");
    let pipeline = matrix.lines().filter(|line| line.starts_with("pipeline"));
    let pipeline: String = pipeline.collect();
    assert!(pipeline.contains("release:write") && !pipeline.contains("release:read"));
    let original = super::ours();
    let diff = [
        "diff",
        original.to_str().unwrap(),
        "policies",
        "--requests",
        "requests.jsonl",
    ];
    let (_, told, _) = folder.policy(&diff);
    assert!(told.starts_with("0 of 200 recorded requests"), "{told}");
}

#[test]
fn what_cannot_be_looked_at_is_said_in_words() {
    let folder = folder_with(&[
        ("identities.toml", REGISTRATIONS),
        ("requests.jsonl", "{\"count\": 1}\n"),
        ("broken.toml", "[[identity]]\nname = 7\n"),
        ("empty.jsonl", ""),
    ]);
    let file = ["-f", "identities.toml"];
    for (arguments, word) in [
        (vec!["--requests", "empty.jsonl"], "--bundle"),
        (
            [&file[..], &["--requests", "nowhere.jsonl"]].concat(),
            "cannot read `nowhere.jsonl`",
        ),
        (
            [&file[..], &["--requests", "requests.jsonl"]].concat(),
            "requests.jsonl:1:",
        ),
        (
            vec!["-f", "broken.toml", "--requests", "empty.jsonl"],
            "broken.toml: line 2",
        ),
        (
            vec!["--bundle", "nowhere", "--requests", "empty.jsonl"],
            "no folder `nowhere`",
        ),
        (
            [&file[..], &["--requests", "empty.jsonl", "--days", "0"]].concat(),
            "1 to 120",
        ),
        (
            [&file[..], &["--requests", "empty.jsonl", "--days", "121"]].concat(),
            "1 to 120",
        ),
        (
            [
                &file[..],
                &["--requests", "empty.jsonl", "--until", "yesterday"],
            ]
            .concat(),
            "2026-01-21",
        ),
    ] {
        let (code, told, said) = folder.policy(&[&["tighten"], &arguments[..]].concat());
        assert_eq!((code, told.as_str()), (2, ""), "{arguments:?}");
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
    let quiet = [&["tighten"], &file[..], &["--requests", "empty.jsonl"]].concat();
    let (code, told, said) = folder.policy(&quiet);
    assert_eq!((code, told.trim()), (0, ""));
    assert!(said.contains("no request speaks of them"), "{said}");
}
