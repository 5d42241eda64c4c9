//! Policies about how old an identity is, and how long unused, tried without a broker.

use std::fs;

use serde_json::json;

use super::{Copied, ours};

const TOO_OLD: &str = r#"
@id("too-old")
@owner("platform")
@why("nobody remembers what it was for")
forbid (principal, action == Lanyard::Action::"issue", resource)
when { principal has age_days && principal.age_days > 365 };

@id("forgotten")
@owner("platform")
@why("whoever comes back after a month says so first")
forbid (principal, action == Lanyard::Action::"issue", resource)
when { principal has unused_days && principal.unused_days > 30 };
"#;

/// Our folder with policies about age, and three identities of other ages.
fn folder() -> Copied {
    let folder = Copied::new();
    folder.append("registered/policy.cedar", TOO_OLD);
    let file = folder.file("fixtures/identities.json");
    let mut identities: Vec<serde_json::Value> =
        serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for (name, age, unused) in [
        ("relic", 366, 0),
        ("sleeper", 100, 31),
        ("regular", 365, 30),
    ] {
        identities.push(json!({
            "name": name, "owner": "payments", "kind": "service", "audiences": ["https://orders.example"],
            "scopes": ["orders:read"], "age_days": age, "unused_days": unused,
        }));
    }
    fs::write(&file, json!(identities).to_string()).unwrap();
    folder
}

#[test]
fn a_case_speaks_of_an_identity_of_some_age() {
    let folder = folder();
    let file = folder.file("registered/cases.json");
    let mut cases: Vec<serde_json::Value> =
        serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for (name, expect) in [
        (
            "relic",
            json!({"decision": "deny", "policies": ["too-old"]}),
        ),
        (
            "sleeper",
            json!({"decision": "deny", "policies": ["forgotten"]}),
        ),
        (
            "regular",
            json!({"decision": "allow", "scopes": ["orders:read"]}),
        ),
        ("billing", json!({"decision": "allow"})),
    ] {
        let request = json!({"identity": name, "scopes": ["orders:read"]});
        cases.push(
            json!({"name": format!("the age of {name}"), "request": request, "expect": expect}),
        );
    }
    fs::write(&file, json!(cases).to_string()).unwrap();
    let (code, told, said) = folder.policy(&["test", "--strict"]);
    assert_eq!(code, 0, "{told}{said}");
}

#[test]
fn a_recorded_request_is_tried_with_the_age_it_was_made_at() {
    let folder = folder();
    let recorded = |age: u64| {
        let identity = json!({
            "name": "shipper", "owner": "payments", "kind": "service", "audiences": ["https://orders.example"],
            "scopes": ["orders:read"], "age_days": age, "unused_days": 0,
        });
        let request = json!({"identity": "shipper", "scopes": ["orders:read"]});
        json!({"count": 2, "identity": identity, "request": request}).to_string()
    };
    let lines = format!("{}\n{}\n", recorded(365), recorded(366));
    fs::write(folder.home.path().join("requests.jsonl"), lines).unwrap();
    let before = ours();
    let (code, told, said) = folder.policy(&[
        "diff",
        before.to_str().unwrap(),
        "policies",
        "--requests",
        "requests.jsonl",
    ]);
    assert_eq!(code, 1, "{said}");
    assert!(told.starts_with("2 of 4 recorded requests"), "{told}");
    assert!(told.contains("newly denied"), "{told}");
}
