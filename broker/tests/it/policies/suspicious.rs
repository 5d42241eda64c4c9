//! What parses and fits the schema, and is refused all the same: exit code 1, each finding at its place.

use std::fs;

use super::Copied;

const PIN: &str = "context.oidc.subject == \"repo:example/shop:ref:refs/heads/main\"";

fn found(folder: &Copied) -> String {
    let (code, told, said) = folder.policy(&["check"]);
    assert_eq!(code, 1, "{told}{said}");
    assert!(said.contains("finding"), "{said}");
    told
}

#[test]
fn a_pattern_for_an_oidc_subject_is_refused() {
    for pattern in ["repo:*", "repo:example/shop:*", "*"] {
        let folder = Copied::new();
        let to = format!("context.oidc.subject like \"{pattern}\"");
        folder.replace("ci-deploy/policy.cedar", PIN, &to);
        let told = found(&folder);
        assert!(
            told.contains(
                "policies/ci-deploy/policy.cedar:1: `ci-deploy` takes a pattern for `context.oidc.subject`"
            ),
            "{pattern}: {told}"
        );
    }
}

#[test]
fn a_pattern_for_an_oidc_subject_is_found_wherever_it_hides() {
    for hidden in [
        format!("({PIN} || context.oidc.subject like \"repo:*\")"),
        format!("!({PIN} && !(context.oidc.subject like \"repo:*\"))"),
        format!("(if {PIN} then true else context.oidc.subject like \"repo:*\")"),
    ] {
        let folder = Copied::new();
        folder.replace("ci-deploy/policy.cedar", PIN, &hidden);
        let told = found(&folder);
        assert!(told.contains("takes a pattern"), "{hidden}: {told}");
    }
}

#[test]
fn a_star_that_is_compared_letter_for_letter_is_told() {
    let folder = Copied::new();
    folder.replace(
        "ci-deploy/policy.cedar",
        PIN,
        "context.oidc.subject == \"repo:*\"",
    );
    let told = found(&folder);
    assert!(told.contains("a `*` stands for itself"), "{told}");
}

#[test]
fn oidc_without_a_pinned_subject_or_issuer_is_refused() {
    for (without, unpinned) in [
        (PIN, "context.oidc.subject"),
        (
            "context.oidc.issuer == \"https://token.actions.githubusercontent.com\"",
            "context.oidc.issuer",
        ),
    ] {
        let folder = Copied::new();
        folder.replace("ci-deploy/policy.cedar", without, "context.hour >= 0");
        let told = found(&folder);
        assert!(told.contains(&format!("pin `{unpinned}`")), "{told}");
    }
}

#[test]
fn a_subject_that_is_only_one_of_two_ways_in_is_not_pinned() {
    let folder = Copied::new();
    let either = format!("({PIN} || context.hour == 3)");
    folder.replace("ci-deploy/policy.cedar", PIN, &either);
    assert!(found(&folder).contains("pin `context.oidc.subject`"));
}

#[test]
fn subjects_out_of_a_written_list_are_pinned() {
    let folder = Copied::new();
    let listed = "[\"repo:example/shop:ref:refs/heads/main\", \"repo:example/shop:ref:refs/tags/v1\"]\
                  .contains(context.oidc.subject)";
    folder.replace("ci-deploy/policy.cedar", PIN, listed);
    let (code, told, said) = folder.policy(&["check"]);
    assert_eq!(code, 0, "{told}{said}");
}

#[test]
fn a_grant_without_its_page_or_its_cases_is_told() {
    let folder = Copied::new();
    fs::remove_file(folder.file("break-glass/README.md")).unwrap();
    fs::remove_file(folder.file("registered/cases.json")).unwrap();
    let told = found(&folder);
    assert!(
        told.contains("policies/break-glass/README.md: is missing"),
        "{told}"
    );
    assert!(
        told.contains("policies/registered/cases.json: is missing"),
        "{told}"
    );
}

#[test]
fn policies_under_which_no_administrator_gets_a_token_are_told() {
    let folder = Copied::new();
    fs::remove_dir_all(folder.file("registered")).unwrap();
    let told = found(&folder);
    let nothing = "policies: every administrator would be locked out: nothing permits";
    assert!(told.contains(nothing), "{told}");

    let folder = Copied::new();
    folder.append(
        "registered/policy.cedar",
        "\n@id(\"shut\") @owner(\"platform\") @why(\"it was Friday\")\n\
         forbid (principal, action == Lanyard::Action::\"issue\", resource) when { principal.kind == \"administrator\" };\n",
    );
    let told = found(&folder);
    let line = "policies/registered/policy.cedar:16: every administrator would be locked out: `shut` forbids";
    assert!(told.contains(line), "{told}");
}

#[test]
fn a_lock_out_at_every_hour_is_a_finding_and_one_at_some_hours_a_warning() {
    let with = |when: &str| {
        let folder = Copied::new();
        folder.append(
            "administration/policy.cedar",
            &format!(
                "\n@id(\"hours\") @owner(\"platform\") @why(\"it was Friday\")\n\
                 forbid (principal, action == Lanyard::Action::\"administrators:write\", resource) {when};\n"
            ),
        );
        folder
    };
    let told = found(&with("when { context.hour < 24 }"));
    assert!(
        told.contains("every administrator would be locked out: `hours` forbids"),
        "{told}"
    );
    let (code, told, said) = with("when { context.hour < 3 }").policy(&["check"]);
    assert_eq!(code, 0, "{told}{said}");
    assert!(
        told.contains("warning: every administrator is locked out at some hours (UTC: 0, 1, 2): `hours` forbids"),
        "{told}"
    );
}

#[test]
fn a_permit_whose_time_is_over_is_a_warning() {
    let folder = Copied::new();
    folder.append(
        "break-glass/policy.cedar",
        "\n@id(\"old-night\") @owner(\"platform\") @why(\"a night long ago\")\n\
         permit (principal in Lanyard::Tag::\"grant.break-glass\", action == Lanyard::Action::\"issue\", resource)\n\
         when { context.time < datetime(\"2026-01-06T00:00:00Z\") };\n",
    );
    let (code, told, said) = folder.policy(&["check"]);
    assert_eq!(code, 0, "{told}{said}");
    assert!(
        told.contains("warning: `old-night` permits nothing any more: its time is over"),
        "{told}"
    );
}

#[test]
fn a_policy_without_owner_or_reason_is_told() {
    let folder = Copied::new();
    folder.replace("registered/policy.cedar", "@owner(\"platform\")\n", "");
    let told = found(&folder);
    assert!(told.contains("`registered` has no `@owner`"), "{told}");
}

#[test]
fn a_permit_for_everybody_is_told() {
    let folder = Copied::new();
    folder.append(
        "registered/policy.cedar",
        "\n@id(\"all\") @owner(\"platform\") @why(\"it was Friday\")\npermit (principal, action, resource);\n",
    );
    assert!(found(&folder).contains("`all` permits everything to everybody"));
}

#[test]
fn an_audience_that_the_catalogue_does_not_know_is_told() {
    let folder = Copied::new();
    folder.replace(
        "partner-webhook/policy.cedar",
        "https://webhooks.example#events:write",
        "https://webhook.example#events:write",
    );
    let told = found(&folder);
    assert!(
        told.contains("is about `https://webhook.example#events:write`"),
        "{told}"
    );
}

#[test]
fn more_policies_than_a_decision_should_look_at_are_told_and_are_no_fault() {
    let folder = Copied::new();
    let (code, _, said) = folder.policy(&["check"]);
    assert_eq!((code, said.as_str()), (0, ""));
    for number in 0..101 {
        folder.append(
            "ci-deploy/policy.cedar",
            &format!(
                "\n@id(\"everybody-{number}\") @owner(\"platform\") @why(\"w\")\npermit (principal, action == \
                 Lanyard::Action::\"issue\", resource) when {{ principal.name == \"nobody-{number}\" }};\n"
            ),
        );
    }
    let (code, told, said) = folder.policy(&["check"]);
    assert_eq!(code, 0, "{told}{said}");
    assert!(said.contains("warning: a decision can look at 1"), "{said}");
}
