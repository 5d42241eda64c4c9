//! Folders that cannot be read: each names the file and the line, and exits 2.

use super::Copied;

/// What `check` says of a folder in which this was changed.
fn refused(file: &str, from: &str, to: &str) -> String {
    let folder = Copied::new();
    folder.replace(file, from, to);
    told(&folder)
}

fn told(folder: &Copied) -> String {
    let (code, told, said) = folder.policy(&["check"]);
    assert_eq!((code, told.as_str()), (2, ""), "{said}");
    said
}

#[test]
fn a_policy_that_does_not_parse_is_refused_at_its_line_and_column() {
    let said = refused(
        "ci-deploy/policy.cedar",
        "context.proof == \"oidc\" &&",
        "context.proof = \"oidc\" &&",
    );
    assert!(
        said.contains("policies/ci-deploy/policy.cedar:13:"),
        "{said}"
    );
}

#[test]
fn a_name_that_the_schema_does_not_know_is_refused_at_its_line() {
    let said = refused(
        "partner-webhook/policy.cedar",
        "principal.kind",
        "principal.knd",
    );
    assert!(
        said.contains("policies/partner-webhook/policy.cedar:10:"),
        "{said}"
    );
    assert!(said.contains("knd"), "{said}");
}

#[test]
fn a_number_where_a_word_belongs_is_refused_at_its_line() {
    let said = refused(
        "service-to-service/policy.cedar",
        "context.risk != \"none\"",
        "context.risk != \"none\" && context.hour == \"10\"",
    );
    assert!(
        said.contains("policies/service-to-service/policy.cedar:"),
        "{said}"
    );
}

#[test]
fn an_annotation_that_is_misspelt_is_refused_by_name() {
    let said = refused("break-glass/policy.cedar", "@max_ttl", "@max_tll");
    assert!(
        said.contains("policies/break-glass/policy.cedar:1"),
        "{said}"
    );
    assert!(said.contains("unknown annotation `@max_tll`"), "{said}");
}

#[test]
fn a_cap_that_is_no_lifetime_is_refused() {
    let said = refused("break-glass/policy.cedar", "\"15m\"", "\"a while\"");
    assert!(said.contains("`a while` is no lifetime"), "{said}");
}

#[test]
fn two_policies_of_one_name_are_refused_with_both_places() {
    let said = refused(
        "database-migration/policy.cedar",
        "@id(\"database-migration\")",
        "@id(\"ci-deploy\")",
    );
    assert!(
        said.contains("policies/database-migration/policy.cedar:1"),
        "{said}"
    );
    assert!(said.contains("policies/ci-deploy/policy.cedar:1"), "{said}");
}

#[test]
fn a_permit_that_a_forbid_always_covers_is_refused() {
    let folder = Copied::new();
    folder.append(
        "database-migration/policy.cedar",
        "\n@id(\"never\") @owner(\"storage\") @why(\"never\")\nforbid (\n  principal in \
         Lanyard::Tag::\"grant.database-migration\",\n  action == Lanyard::Action::\"issue\",\n  resource in \
         Lanyard::Audience::\"https://database.example\"\n);\n",
    );
    let said = told(&folder);
    assert!(
        said.contains("policies/database-migration/policy.cedar:1"),
        "{said}"
    );
    assert!(said.contains("`never`"), "{said}");
}

#[test]
fn a_schema_that_does_not_parse_is_refused_at_its_line() {
    let said = refused("schema.cedarschema", "proof: String,", "proof String,");
    assert!(said.contains("policies/schema.cedarschema:"), "{said}");
}

#[test]
fn a_case_that_does_not_parse_is_refused_at_its_line_and_column() {
    let said = refused(
        "break-glass/cases.json",
        "\"lifetime\": 3600",
        "\"lifetme\": 3600",
    );
    assert!(
        said.contains("policies/break-glass/cases.json:4:"),
        "{said}"
    );
    assert!(said.contains("lifetme"), "{said}");
}

#[test]
fn a_case_about_nobody_is_refused() {
    let said = refused(
        "break-glass/cases.json",
        "\"night-shift\"",
        "\"nightshift\"",
    );
    assert!(said.contains("speaks of `nightshift`"), "{said}");
}

#[test]
fn two_cases_of_one_name_are_refused() {
    let said = refused(
        "break-glass/cases.json",
        "\"alone it stays shut\"",
        "\"with two others\"",
    );
    assert!(
        said.contains("two cases are called `with two others`"),
        "{said}"
    );
}

#[test]
fn a_circumstance_that_is_no_request_is_refused() {
    let said = refused(
        "classes.json",
        "{\"risk\": \"anomalous\"",
        "{\"risk\": \"anomolous\"",
    );
    assert!(said.contains("policies/classes.json"), "{said}");
    assert!(said.contains("anomolous"), "{said}");
}

#[test]
fn an_error_is_one_line_of_json_when_json_was_asked_for() {
    let folder = Copied::new();
    folder.replace("break-glass/policy.cedar", "@max_ttl", "@max_tll");
    let (code, told, said) = folder.policy(&["check", "--json"]);
    assert_eq!((code, told.as_str()), (2, ""));
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(
        said["error"].as_str().unwrap().contains("@max_tll"),
        "{said}"
    );
}
