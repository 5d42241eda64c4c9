//! `lanyard policy explain`.

use std::fs;

use super::Copied;

#[test]
fn a_denial_names_the_first_condition_that_does_not_hold() {
    let (code, told, _) =
        Copied::new().policy(&["explain", "--case", "another branch brings out nothing"]);
    assert_eq!(code, 0);
    let expected = "\
denied: nothing permits it
release:write at https://deploy.example: not given
  no forbid  ci-deploy-long-lived-key  it is not so that `context.proof == \"api_key\"` (context.proof is \"oidc\")
  no permit  ci-deploy                 it is not so that `context.oidc.subject == \"repo:example/shop:ref:refs/heads/main\"` (context.oidc.subject is \"repo:example/shop:ref:refs/heads/feature\")
  no permit  ci-deploy-rollback        what is asked for is not scope `https://deploy.example#release:rollback`
";
    assert!(told.starts_with(expected), "{told}");
    assert!(
        told.contains("policies about others (`--all` lists them)"),
        "{told}"
    );
}

#[test]
fn whoever_names_no_scope_is_told_of_every_scope_there_is() {
    let case = "whoever names no scope gets all that the policies give";
    let (code, told, said) = Copied::new().policy(&["explain", "--case", case]);
    assert_eq!(code, 0, "{said}");
    for line in [
        "allowed: release:read release:write for 300 s by ci-deploy",
        "release:read at https://deploy.example: given",
        "release:rollback at https://deploy.example: not given",
    ] {
        assert!(told.lines().any(|told| told == line), "{told}");
    }
}

#[test]
fn a_forbid_is_named_beside_the_permit_it_overrides() {
    let (_, told, _) = Copied::new().policy(&[
        "explain",
        "--identity",
        "reader",
        "--audience",
        "https://mcp.example",
        "--scope",
        "documents:write",
    ]);
    assert!(
        told.starts_with("denied by read-only-agent-changes-nothing\n"),
        "{told}"
    );
    let forbids = told.find("  forbids").unwrap();
    assert!(forbids < told.find("  permits").unwrap(), "{told}");
}

#[test]
fn a_binding_that_is_demanded_and_not_there_is_told() {
    let (_, told, _) = Copied::new().policy(&["explain", "--case", "writing needs a bound token"]);
    assert!(
        told.contains(
            "it counts only for tokens bound with `dpop`, and this one's binding is `none`"
        ),
        "{told}"
    );
}

#[test]
fn a_binding_that_no_broker_checks_is_explained_as_if_it_were_not_there() {
    let folder = Copied::new();
    let asked = [
        "explain",
        "--identity",
        "checkout",
        "--audience",
        "https://orders.example",
        "--scope",
        "orders:write",
        "--binding",
        "dpop",
    ];
    let (_, told, _) = folder.policy(&asked);
    assert!(
        told.starts_with("denied: nothing permits it\nno broker checks the binding `dpop` yet"),
        "{told}"
    );
    let matrix = fs::read_to_string(folder.file("matrix.txt")).unwrap();
    assert!(
        matrix.contains(
            "# `checkout-writes-orders` permits nothing here: it counts for bound tokens only"
        ),
        "{matrix}"
    );
}

#[test]
fn somebody_who_is_only_described_can_be_asked_for() {
    let folder = Copied::new();
    let request = [
        "explain",
        "--json",
        "--kind",
        "agent",
        "--tag",
        "grant.read-only-agent",
        "--audience",
        "https://mcp.example",
        "--scope",
        "tools:list",
        "--lifetime",
        "3600",
        "--task",
        r#"{"operations": ["GET /tools"], "calls": 5}"#,
    ];
    let (code, told, said) = folder.policy(&request);
    assert_eq!(code, 0, "{said}");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["outcome"]["decision"], "allow");
    assert_eq!(told["outcome"]["lifetime"], 900);
    assert_eq!(
        told["outcome"]["policies"],
        serde_json::json!(["read-only-agent"])
    );
    let without_calls = request.map(|argument| {
        if argument.starts_with('{') {
            r#"{"operations": ["GET /tools"]}"#
        } else {
            argument
        }
    });
    let (_, told, _) = folder.policy(&without_calls);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let policies = told["scopes"][0]["policies"].as_array().unwrap();
    let permit = policies
        .iter()
        .find(|policy| policy["id"] == "read-only-agent")
        .unwrap();
    let because = permit["because"].as_str().unwrap();
    assert!(
        because.starts_with("it is not so that `context.task has calls`"),
        "{because}"
    );
}

#[test]
fn another_audience_is_told_before_any_policy() {
    let (_, told, _) = Copied::new().policy(&[
        "explain",
        "--identity",
        "billing",
        "--audience",
        "https://deploy.example",
        "--scope",
        "release:read",
    ]);
    assert!(told.contains("no policy was asked"), "{told}");
}

#[test]
fn whoever_is_not_there_and_whatever_is_ambiguous_is_a_wrong_question() {
    let folder = Copied::new();
    let (code, _, said) = folder.policy(&["explain", "--identity", "nobody"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("nobody is called `nobody`"), "{said}");
    let (code, _, said) = folder.policy(&["explain", "--case", "is refused"]);
    assert_eq!(code, 2);
    assert!(
        said.contains("several cases are called `is refused`"),
        "{said}"
    );
    let (code, _, said) = folder.policy(&["explain", "--case", "no such case"]);
    assert_eq!(code, 2);
    assert!(said.contains("no case is called"), "{said}");
    let (code, _, said) =
        folder.policy(&["explain", "--identity", "billing", "--proof", "password"]);
    assert_eq!(code, 2);
    assert!(said.contains("expected one of `api_key`"), "{said}");
}
