//! A change of policies: the matrix in review, and what recorded requests would come to.

use std::fs;

use super::{Copied, ours};

/// Lives twice as long.
fn with_a_longer_cap() -> Copied {
    let folder = Copied::new();
    folder.replace(
        "ci-deploy/policy.cedar",
        "@max_ttl(\"10m\")",
        "@max_ttl(\"20m\")",
    );
    folder
}

#[test]
fn a_matrix_is_stale_until_it_is_written_again() {
    let folder = with_a_longer_cap();
    let (code, told, said) = folder.policy(&["matrix", "--check"]);
    assert_eq!(code, 1);
    assert!(said.contains("is stale"), "{said}");
    let changed: Vec<_> = told
        .lines()
        .map(|line| line.split_whitespace().take(5).collect::<Vec<_>>())
        .collect();
    assert_eq!(changed.len(), 4, "{told}");
    assert_eq!(
        changed[0],
        [
            "-",
            "pipeline",
            "https://deploy.example",
            "release:read",
            "10m"
        ]
    );
    assert_eq!(
        changed[2],
        [
            "+",
            "pipeline",
            "https://deploy.example",
            "release:read",
            "20m"
        ]
    );
    let (code, told, _) = folder.policy(&["matrix"]);
    assert_eq!(code, 0, "{told}");
    let (code, told, _) = folder.policy(&["matrix", "--check"]);
    assert_eq!(
        (code, told.as_str()),
        (0, "policies/matrix.txt is current\n")
    );
}

#[test]
fn a_matrix_says_which_permits_it_does_not_show() {
    let folder = Copied::new();
    folder.replace("classes.json", "\"grant.database-migration\"", "\"other\"");
    folder.policy(&["matrix"]);
    let text = fs::read_to_string(folder.file("matrix.txt")).unwrap();
    assert!(
        text.contains("\n# `database-migration` permits nothing here: no class meets it under any of these circumstances\n"),
        "{text}"
    );
}

#[test]
fn the_same_policies_do_not_differ() {
    let folder = Copied::new();
    let (code, told, said) = folder.policy(&["diff", ours().to_str().unwrap(), "policies"]);
    assert_eq!(code, 0, "{told}{said}");
    assert!(told.contains("the matrices differ in 0 places"), "{told}");
}

#[test]
fn a_difference_is_told_by_the_matrices_without_any_recording() {
    let folder = with_a_longer_cap();
    let (code, told, _) = folder.policy(&["diff", ours().to_str().unwrap(), "policies"]);
    assert_eq!(code, 1);
    assert_eq!(
        told,
        "no recorded requests were given\n\
         the matrices differ in 2 places\n\
         CLASS     AUDIENCE                SCOPE          WHEN       BEFORE  AFTER\n\
         pipeline  https://deploy.example  release:read   oidc-main  600 s   1200 s\n\
         pipeline  https://deploy.example  release:write  oidc-main  600 s   1200 s\n"
    );
}

#[test]
fn what_administrators_could_do_and_which_secrets_gateways_would_get_is_told_too() {
    let folder = Copied::new();
    folder.replace(
        "administration/policy.cedar",
        "Lanyard::Action::\"approvals:ask\"],",
        "Lanyard::Action::\"approvals:give\"],",
    );
    folder.replace(
        "egress/policy.cedar",
        "\nwhen { resource.owner == context.integration_owner };",
        ";",
    );
    let (code, told, said) = folder.policy(&["diff", ours().to_str().unwrap(), "policies"]);
    assert_eq!(code, 1, "{told}{said}");
    let expected = "\
the matrices differ in 0 places
what administrators may do differs in 2 places
CLASS      ACTION          BEFORE  AFTER
team-lead  approvals:ask   own     nobody
team-lead  approvals:give  nobody  own
which gateways are given which secrets differs in 4 places
CLASS   SECRET                   INTEGRATION  BEFORE  AFTER
egress  others                   others       denied  given
egress  others                   own          denied  given
egress  own                      others       denied  given
egress  payments/stripe/api-key  shop-stripe  denied  given
";
    assert!(told.ends_with(expected), "{told}");
    // The other way round, and for programs.
    let (_, told, _) = folder.policy(&["diff", "policies", ours().to_str().unwrap(), "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        told["administration"][0]["after"],
        serde_json::json!(["own"])
    );
    assert_eq!(told["uses"][0]["given"], false);
}

#[test]
fn what_a_class_may_no_longer_do_at_all_is_one_line_for_each_act() {
    let (before, after) = (Copied::new(), Copied::new());
    before.replace(
        "egress/policy.cedar",
        "\nwhen { resource.owner == context.integration_owner };",
        ";",
    );
    after.replace("egress/policy.cedar", "kind:gateway", "grant.egress");
    after.replace(
        "administration/policy.cedar",
        "principal.roles.isEmpty() || ",
        "",
    );
    let before = before.file("");
    let (_, told, said) = after.policy(&["diff", before.to_str().unwrap(), "policies"]);
    let lines: Vec<_> = told
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for expected in [
        "administrator owners:write any nobody",
        "egress any any given denied",
        "egress payments/stripe/api-key stripe given denied",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{told}{said}");
    }
}

const REQUESTS: &str = r#"
{"count": 7, "identity": {"name": "billing", "owner": "payments", "kind": "service", "audiences": ["https://orders.example"], "scopes": ["orders:read"]}, "request": {"identity": "billing"}}
{"count": 3, "identity": {"name": "shipper", "owner": "partners", "kind": "integration", "tags": ["grant.partner-webhook"], "audiences": ["https://webhooks.example"]}, "request": {"identity": "shipper", "scopes": ["events:write"], "network": "198.51.100.7"}}
{"identity": {"name": "shipper", "owner": "partners", "kind": "integration", "tags": ["grant.partner-webhook"], "audiences": ["https://webhooks.example"]}, "request": {"identity": "shipper", "scopes": ["events:read"], "network": "198.51.100.7"}}
{"count": 2, "identity": {"name": "migrations", "owner": "storage", "kind": "service", "tags": ["grant.database-migration"], "audiences": ["https://database.example"]}, "request": {"identity": "migrations", "scopes": ["schema:migrate"], "lifetime": 3600, "time": "2026-02-01T02:00:00Z", "approvals": ["alice"]}}
"#;

#[test]
fn recorded_requests_tell_who_would_lose_and_who_would_gain() {
    let folder = Copied::new();
    folder.replace(
        "partner-webhook/policy.cedar",
        "#events:write",
        "#events:read",
    );
    folder.replace("database-migration/policy.cedar", "30m", "10m");
    let requests = folder.home.path().join("requests.jsonl");
    fs::write(&requests, REQUESTS).unwrap();
    let before = ours();
    let (code, told, _) = folder.policy(&[
        "diff",
        before.to_str().unwrap(),
        "policies",
        "--requests",
        requests.to_str().unwrap(),
    ]);
    assert_eq!(code, 1);
    let expected = "\
6 of 13 recorded requests would come out otherwise
HOW             COUNT  IDENTITY    AUDIENCE  BEFORE                 AFTER
newly denied    3      shipper     -         events:write 300 s     denied
newly allowed   1      shipper     -         denied                 events:read 300 s
other lifetime  2      migrations  -         schema:migrate 1800 s  schema:migrate 600 s
";
    assert!(told.starts_with(expected), "{told}");
}

#[test]
fn a_recording_that_cannot_be_read_names_its_line() {
    let folder = Copied::new();
    let requests = folder.home.path().join("requests.jsonl");
    fs::write(&requests, format!("{REQUESTS}{{\"identity\": 7}}\n")).unwrap();
    let before = ours();
    let (code, _, said) = folder.policy(&[
        "diff",
        before.to_str().unwrap(),
        "policies",
        "--requests",
        "requests.jsonl",
    ]);
    assert_eq!(code, 2);
    assert!(said.contains("requests.jsonl:6:"), "{said}");
}
