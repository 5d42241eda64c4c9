use std::path::Path;

use serde_json::json;

use super::tests::{FLEET, fleet};
use super::*;

const STRIPE: &str = r#"
[[gateway]]
name = "egress-eu"
owner = "team"
audiences = ["https://egress.example"]
egress = true

[[integration]]
name = "stripe"
owner = "team"
gateways = ["egress-eu"]
upstream = "https://api.stripe.com"
[integration.inject]
kind = "header"
secret = "payments/stripe"
[[integration.rule]]
method = "GET"
template = "/v1/charges"
"#;

fn read(content: &str) -> Result<Desired, String> {
    let mut desired = Desired::default();
    desired.add(Path::new("fleet.toml"), FLEET)?;
    desired.add(Path::new("stripe.toml"), content)?;
    Ok(desired)
}

fn told(content: &str, present: &Present, prune: bool) -> Vec<String> {
    let steps = plan(&read(content).unwrap(), present, prune).unwrap();
    steps
        .iter()
        .map(|step| format!("{} {}", step.sign(), step.words()))
        .collect()
}

fn enrolled(scopes: &str) -> Present {
    let mut present = fleet();
    let mut gateway = present.identities[1].clone();
    gateway.name = "egress-eu".to_owned();
    gateway.audiences = vec!["https://egress.example".parse().unwrap()];
    gateway.scopes = scopes.parse().unwrap();
    present.identities.push(gateway);
    present
}

fn carried() -> Present {
    let mut present = enrolled("lanyard:egress lanyard:feed lanyard:report");
    let desired = read(STRIPE).unwrap();
    let there = json!({
        "name": "stripe", "owner": "team", "gateways": [{"name": "egress-eu", "allowed": true}],
        "integration": desired.integrations["stripe"].integration,
    });
    present.integrations = vec![serde_json::from_value(there).unwrap()];
    present
}

#[test]
fn an_integration_waits_for_its_gateway_and_is_then_made_once() {
    let words = told(STRIPE, &fleet(), false);
    assert!(words[0].contains("--egress --out FILE"), "{words:?}");
    assert_eq!(
        words[1],
        "! integration stripe: waits for egress-eu: enrol first, then apply again"
    );
    // Or is made at once, where the gateway is enrolled before.
    let desired = Desired {
        enrolments: Some("out".into()),
        ..read(STRIPE).unwrap()
    };
    let steps = plan(&desired, &fleet(), false).unwrap();
    assert!(matches!(
        &steps[..],
        [
            Step::Enrol { egress: true, .. },
            Step::CreateIntegration { .. }
        ]
    ));
    let present = enrolled("lanyard:egress lanyard:feed lanyard:report");
    let steps = plan(&read(STRIPE).unwrap(), &present, false).unwrap();
    let [Step::CreateIntegration { body, .. }] = &steps[..] else {
        panic!("{steps:?}")
    };
    assert_eq!(body["gateways"], json!(["egress-eu"]));
    assert!(told(STRIPE, &carried(), true).is_empty());
}

#[test]
fn a_change_reaches_the_gateways_that_are_there_while_another_is_waited_for() {
    let second = STRIPE.replace("[\"egress-eu\"]", "[\"egress-eu\", \"egress-us\"]");
    let second = second.replace("\"GET\"", "\"POST\"");
    let second = format!(
        "{second}[[gateway]]\nname = \"egress-us\"\nowner = \"team\"\n\
         audiences = [\"https://egress.example\"]\negress = true\n"
    );
    let words = told(&second, &carried(), false);
    let has = |part: &str| words.iter().any(|words| words.contains(part));
    assert!(
        has("! integration stripe: waits for egress-us"),
        "{words:?}"
    );
    assert!(has("rule `GET /v1/charges` taken away"), "{words:?}");
    assert!(!has("gateways egress-eu ->"), "{words:?}");
}

#[test]
fn what_differs_in_an_integration_is_said_rule_by_rule() {
    let changed = STRIPE
        .replace("api.stripe.com", "api.example.com")
        .replace("\"GET\"", "\"POST\"");
    let [words] = &told(&changed, &carried(), false)[..] else {
        panic!("one step")
    };
    for part in [
        "~ integration stripe: ",
        "upstream https://api.stripe.com -> https://api.example.com",
        "rule `GET /v1/charges` taken away",
        "rule `POST /v1/charges` added",
    ] {
        assert!(words.contains(part), "{words}");
    }
}

#[test]
fn only_pruning_removes_an_integration_and_before_its_gateway() {
    assert!(told("", &carried(), false).is_empty());
    assert_eq!(
        told("", &carried(), true),
        [
            "- integration stripe: removed",
            "- identity egress-eu: disabled"
        ]
    );
}

#[test]
fn a_gateways_egress_never_changes_and_an_integration_takes_one_that_has_it() {
    let plain = enrolled("lanyard:feed lanyard:report");
    let why = |content: &str, present: &Present| {
        plan(&read(content).unwrap(), present, false).unwrap_err()
    };
    let words = why(STRIPE, &plain);
    assert!(
        words.contains("enrolled without egress, and that never changes"),
        "{words}"
    );
    let off = STRIPE.replace("egress = true", "egress = false");
    assert!(why(&off, &carried()).contains("enrolled with egress"));
    assert!(why(&off, &fleet()).contains("`egress = true`"));
    let open = STRIPE.replace("egress = true", "");
    assert!(why(&open, &plain).contains("without --egress"));
    assert!(told(&open, &carried(), false).is_empty());
    let other = STRIPE.replace("[\"egress-eu\"]", "[\"nobody\"]");
    assert!(why(&other, &carried()).contains("neither in the files"));
}

#[test]
fn an_integration_that_cannot_be_meant_is_refused_with_its_place() {
    for (from, to, expected) in [
        ("upstream =", "uptsream =", "uptsream"),
        ("gateways = [\"egress-eu\"]", "gateways = []", "names none"),
        ("https://api", "http://api", "`http`"),
        ("\"GET\"", "\"CONNECT\"", ""),
        (
            "owner = \"team\"\ngateways",
            "owner = \"T\"\ngateways",
            "`owner`",
        ),
    ] {
        let words = read(&STRIPE.replacen(from, to, 1)).unwrap_err();
        assert!(
            words.starts_with("stripe.toml: integration `stripe`") && words.contains(expected),
            "{to}: {words}"
        );
    }
    let twice = STRIPE.split_once("[[integration]]").unwrap().1;
    let words = read(&format!("{STRIPE}\n[[integration]]{twice}")).unwrap_err();
    assert!(words.contains("it is there already"), "{words}");
}
