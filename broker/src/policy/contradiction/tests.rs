use time::macros::datetime;

use super::super::{Bundle, lint};

const SCHEMA: &str = include_str!("../../../../policies/schema.cedarschema");
const ISSUE: &str = r#"principal, action == Lanyard::Action::"issue", resource"#;

fn load(policies: &str) -> Result<Bundle, String> {
    let sent = Bundle::sent(SCHEMA.to_owned(), policies.to_owned());
    sent.map_err(|broken| broken.to_string())
}

/// One permit of tokens with these conditions.
fn under(conditions: &str) -> Result<Bundle, String> {
    load(&format!("@id(\"one\")\npermit({ISSUE})\n{conditions};"))
}

#[test]
fn conditions_that_exclude_each_other_are_refused_with_both_and_the_line() {
    let told = under(r#"when { context.proof == "oidc" && context.proof == "api_key" }"#);
    let told = told.unwrap_err();
    assert!(told.contains(":1: `one` never applies:"), "{told}");
    assert!(
        told.contains(
            r#"`context.proof == "oidc"` and `context.proof == "api_key"` are never so together"#
        ),
        "{told}"
    );
    let told = under("when { context.hour > 5 } unless { context.hour >= 2 }").unwrap_err();
    assert!(
        told.contains("`context.hour > 5` and `context.hour < 2` are never so together"),
        "{told}"
    );
    for conditions in [
        r#"when { principal.name == "a" && principal.name == "b" }"#,
        r#"when { principal.name == "a" } unless { principal.name == "a" }"#,
        r#"when { ["a", "b"].contains(principal.name) && principal.name == "c" }"#,
        r#"when { principal.name == "a" && principal.name != "a" }"#,
        "when { context.hour < 5 && context.hour > 8 }",
        "when { context.hour < 5 && 5 <= context.hour }",
        "when { context.hour > 23 }",
        "when { context.hour >= 8 } unless { context.hour > 7 }",
        r#"when { context.time < datetime("2026-01-01") && context.time >= datetime("2026-02-01T00:00:00Z") }"#,
        r#"when { principal in Lanyard::Owner::"a" && principal.owner == "b" }"#,
        r#"when { principal in Lanyard::Tag::"kind:agent" && principal.kind == "service" }"#,
        r#"when { resource in Lanyard::Audience::"https://a.example" && resource.audience == "https://b.example" }"#,
        r#"when { resource == Lanyard::Scope::"https://a.example#read" && resource.name == "write" }"#,
        r#"when { principal.tags.contains("a") && !principal.tags.contains("a") }"#,
        r#"when { context.risk != "none" && context.risk != "anomalous" && context.risk != "malicious" }"#,
        r#"when { (context.hour < 3 || context.hour > 20) && context.hour > 5 && context.hour < 15 }"#,
        r#"when { if context.hour < 3 then context.hour > 4 else context.hour < 2 }"#,
    ] {
        let told = under(conditions).expect_err(conditions);
        assert!(told.contains("never applies"), "{conditions}: {told}");
    }
}

#[test]
fn conditions_that_leave_something_are_accepted() {
    for conditions in [
        "",
        "when { context.hour >= 5 && context.hour < 6 }",
        "when { context.hour < 5 || context.hour > 8 }",
        "unless { context.hour < 5 && context.hour > 3 }",
        r#"when { principal in Lanyard::Tag::"a" && principal in Lanyard::Tag::"b" }"#,
        r#"when { principal.tags.contains("a") && principal.tags.contains("b") }"#,
        r#"when { resource != Lanyard::Scope::"https://a.example#read" && resource.audience == "https://a.example" }"#,
        r#"when { context.risk != "none" && context.risk != "anomalous" }"#,
        r#"when { principal.name == "a" || principal.name == "b" }"#,
        r#"when { context.lifetime > 10 && context.lifetime < 12 }"#,
        r#"when { context has oidc && context.oidc.subject like "a*" && context.oidc.subject like "*b" }"#,
    ] {
        if let Err(told) = under(conditions) {
            panic!("{conditions}: {told}");
        }
    }
}

#[test]
fn a_head_and_a_condition_may_exclude_each_other_too() {
    let told = load(
        r#"@id("one") permit(principal == Lanyard::Identity::"a", action == Lanyard::Action::"issue", resource)
           when { principal.name == "b" };"#,
    );
    let told = told.unwrap_err();
    assert!(told.contains("never applies"), "{told}");
}

#[test]
fn a_forbid_whose_conditions_follow_from_a_permits_leaves_nothing_of_it() {
    let both = |permit: &str, forbid: &str| {
        load(&format!(
            "@id(\"yes\") permit({ISSUE}) when {{ {permit} }};\n@id(\"no\") forbid({ISSUE}) when {{ {forbid} }};"
        ))
    };
    for (permit, forbid) in [
        (
            r#"context.proof == "oidc""#,
            r#"context.proof != "api_key""#,
        ),
        ("context.hour < 4", "context.hour < 8"),
        (
            r#"principal.kind == "agent" && context.hour < 4"#,
            r#"principal in Lanyard::Tag::"kind:agent""#,
        ),
    ] {
        let told = both(permit, forbid).expect_err(permit);
        assert!(told.contains("`yes` permits nothing: `no`"), "{told}");
    }
    both("context.hour < 8", "context.hour < 4").unwrap();
    both(r#"context.proof == "oidc""#, r#"context.risk != "none""#).unwrap();
}

#[test]
fn a_word_that_never_comes_is_refused_with_its_own_line() {
    for (condition, told) in [
        (
            r#"context.proof == "api-key""#,
            "compares `context.proof` with `api-key`, which it never is: api_key, oidc, mtls, access_token, socket",
        ),
        (r#"context.risk != "malicous""#, "with `malicous`"),
        (
            r#"["none", "dpopp"].contains(context.binding)"#,
            "with `dpopp`",
        ),
        (r#""servise" == principal.kind"#, "with `servise`"),
        (
            r#"context has actor && context.actor.kind == "agnt""#,
            "with `agnt`",
        ),
        (r#"context.grant == "exchange""#, "with `exchange`"),
        (
            "context.hour == 24",
            "with `24`, which it never is: from 0 to 23",
        ),
        (
            r#"principal in Lanyard::Tag::"kind:agnt""#,
            "is about kind `agnt`, which nobody is",
        ),
    ] {
        for keyword in ["when", "unless"] {
            let found = under(&format!("{keyword} {{\n  true &&\n  {condition}\n}}"));
            let found = found.expect_err(condition);
            assert!(found.contains(told), "{condition}: {found}");
            assert!(found.contains(":5: `one`"), "{condition}: {found}");
        }
    }
    let told = load(
        "@id(\"step\") @response(\"suspend\")\npermit(principal, action == Lanyard::Action::\"respond\", resource)\n\
         when { context.level == \"bad\" };",
    );
    let told = told.unwrap_err();
    assert!(told.contains("with `bad`"), "{told}");
}

#[test]
fn a_scope_or_an_audience_that_nobody_can_ask_for_is_refused_wherever_it_stands() {
    for (strange, shown) in [
        ("re\u{430}d", "re\u{430}d"),
        ("rea\u{ff44}", "rea\u{ff44}"),
        (r"read\u{200b}", "read\u{200b}"),
        ("read\u{a0}write", "read\u{a0}write"),
        ("read\twrite", "read\twrite"),
        ("*", "*"),
        ("+read", "+read"),
        ("READ", "READ"),
        ("read write", "read write"),
    ] {
        for condition in [
            format!("resource.name == \"{strange}\""),
            format!("[\"read\", \"{strange}\"].contains(resource.name)"),
            format!("principal.scopes.contains(\"{strange}\")"),
            format!("resource == Lanyard::Scope::\"https://a.example#{strange}\""),
        ] {
            let told = under(&format!("when {{\n  {condition}\n}}")).expect_err(&condition);
            assert!(told.contains(shown), "{condition}: {told}");
            assert!(told.contains("which it never is") || told.contains("which there never is"));
        }
    }
    let told = under("when {\n  resource.name == \"re\u{430}d\"\n}").unwrap_err();
    assert!(told.contains(":4: `one`"), "{told}");
    for head in [
        "resource == Lanyard::Scope::\"read\"",
        "resource == Lanyard::Scope::\"https://\u{430}.example#read\"",
        "resource in Lanyard::Audience::\"https://\u{430}.example\"",
    ] {
        let told = load(&format!(
            "@id(\"one\")\npermit(principal, action == Lanyard::Action::\"issue\", {head});"
        ));
        assert!(told.unwrap_err().contains("which there never is"), "{head}");
    }
    for fine in [
        r#"resource.name == """#,
        r#"resource.name like "orders:*""#,
        r#"resource == Lanyard::Scope::"https://a.example#""#,
    ] {
        under(&format!("when {{ {fine} }}")).unwrap_or_else(|told| panic!("{fine}: {told}"));
    }
    load(
        r#"@id("use") permit(principal, action == Lanyard::Action::"use", resource) when { resource.name == "Payments/Stripe" };"#,
    )
    .unwrap();
}

#[test]
fn a_permit_whose_time_is_over_is_told_and_one_whose_time_comes_is_not() {
    let over = |conditions: &str| {
        let bundle = under(conditions).unwrap();
        let found = lint::over(&bundle, datetime!(2026-06-01 12:00:00.5 UTC));
        found.into_iter().map(|finding| finding.words).next()
    };
    let told = over(r#"when { context.time < datetime("2026-05-01") }"#).unwrap();
    assert_eq!(told, "`one` permits nothing any more: its time is over");
    assert!(over(r#"unless { context.time >= datetime("2026-06-01T12:00:00Z") }"#).is_some());
    assert_eq!(
        over(r#"when { context.time < datetime("2026-06-02") }"#),
        None
    );
    assert_eq!(
        over(r#"when { context.time > datetime("2027-01-01") }"#),
        None
    );
    assert_eq!(over(""), None);
}
