use std::fs;
use std::net::IpAddr;
use std::sync::LazyLock;

use lanyard_token::Audience;
use time::macros::datetime;

use super::super::{Broken, Proof};
use super::*;

const SCHEMA: &str = include_str!("../../../../policies/schema.cedarschema");

/// An administrator, with these labels.
struct Hand {
    owner: &'static str,
    tags: Vec<String>,
    kind: &'static str,
    audiences: Vec<Audience>,
    scopes: ScopeSet,
}

fn hand(tags: &[&str]) -> Hand {
    Hand {
        owner: "payments",
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        kind: "administrator",
        audiences: vec!["https://lanyard.example/admin".parse().unwrap()],
        scopes: "lanyard:admin".parse().unwrap(),
    }
}

fn party<'a>(name: &'a str, hand: &'a Hand) -> Party<'a> {
    Party {
        name,
        kind: hand.kind,
        owner: hand.owner,
        tags: &hand.tags,
        audiences: &hand.audiences,
        scopes: &hand.scopes,
        max_lifetime: 3_600,
        age_days: None,
        unused_days: None,
    }
}

impl Hand {
    fn act<'a>(&'a self, action: Action, on: On<'a>) -> Act<'a> {
        Act {
            who: party("alice", self),
            action,
            on,
            wider: false,
            scopes: &self.scopes,
            network: None,
            time: datetime!(2026-01-05 10:00 UTC),
        }
    }

    fn may(&self, action: Action, on: On<'_>) -> bool {
        let act = self.act(action, on);
        embedded().administer(&act).unwrap().is_allowed()
    }
}

/// What comes with the program, read once for all that is asked of it.
fn embedded() -> &'static Bundle {
    static READ: LazyLock<Bundle> = LazyLock::new(|| Bundle::embedded().unwrap());
    &READ
}

fn load(schema: &str, policies: &str) -> Result<Bundle, Broken> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("schema.cedarschema"), schema).unwrap();
    fs::create_dir(folder.path().join("own")).unwrap();
    fs::write(folder.path().join("own/policy.cedar"), policies).unwrap();
    Bundle::load(folder.path())
}

const WHOLE: &str =
    r#"@id("all") permit(principal, action in Lanyard::Action::"administer", resource)"#;

#[test]
fn an_administrator_without_a_role_does_everything_whatever_other_labels_it_has() {
    for tags in [&[][..], &["prod", "eu"], &["role.administrator"]] {
        for action in Action::ALL {
            assert!(hand(tags).may(*action, On::System), "{action} {tags:?}");
        }
    }
}

#[test]
fn a_role_that_nobody_knows_gives_nothing() {
    for action in Action::ALL {
        assert!(!hand(&["role.adminstrator"]).may(*action, On::System));
    }
}

#[test]
fn a_service_with_the_label_of_a_role_administers_nothing() {
    for role in [
        "administrator",
        "auditor",
        "security-responder",
        "team-lead",
        "deployer",
    ] {
        let service = Hand {
            kind: "service",
            ..hand(&[&format!("role.{role}")])
        };
        for action in Action::ALL {
            for on in [On::System, On::Owner("payments")] {
                assert!(!service.may(*action, on), "{role} {action}");
            }
        }
    }
}

#[test]
fn a_team_lead_administers_what_is_its_owners_and_no_wider_than_that() {
    let lead = hand(&["role.team-lead"]);
    let write = Action::IdentitiesWrite;
    assert!(lead.may(write, On::Owner("payments")));
    assert!(!lead.may(write, On::Owner("orders")));
    assert!(!lead.may(write, On::System));
    let wider = Act {
        wider: true,
        ..lead.act(write, On::Owner("payments"))
    };
    assert!(!embedded().administer(&wider).unwrap().is_allowed());
    let theirs = Hand {
        owner: "orders",
        kind: "service",
        ..hand(&[])
    };
    assert!(!lead.may(Action::KeysWrite, On::Identity(party("shop", &theirs))));
}

#[test]
fn every_action_of_the_schema_is_known_here() {
    let bundle = embedded();
    let groups = ["issue", "administer", "administer:read"];
    for entity in bundle.words.actions().iter() {
        let uid = entity.uid();
        let id: &str = uid.id().unescaped();
        let administers = bundle
            .words
            .actions()
            .is_ancestor_of(&bundle.words.action_called("administer"), &uid);
        assert!(
            !administers || groups.contains(&id) || id.parse::<Action>().is_ok(),
            "{id}"
        );
    }
}

#[test]
fn a_schema_that_lacks_an_action_is_refused_and_one_without_administration_is_not() {
    let lacking = SCHEMA.replace("\"owners:disable\",", "");
    let broken = load(&lacking, &format!("{WHOLE};")).unwrap_err();
    assert!(broken.words.contains("owners:disable"), "{broken}");

    let begin = SCHEMA.find("  // How somebody administers").unwrap();
    let old = format!("{}}}\n", &SCHEMA[..begin]);
    let issuing = r#"@id("none") forbid(principal, action, resource);"#;
    let bundle = load(&old, issuing).unwrap();
    let (full, auditor) = (hand(&[]), hand(&["role.auditor"]));
    let may = |hand: &Hand| {
        let act = hand.act(Action::OwnersWrite, On::System);
        bundle.administer(&act).unwrap().is_allowed()
    };
    assert!(may(&full), "the roles that come with Lanyard decide");
    assert!(!may(&auditor));
}

const REGISTERED: &str = include_str!("../../../../policies/registered/policy.cedar");

/// When somebody could mend things who has tokens for the admin listener.
fn mends(policies: &str) -> Mends {
    mends_from(policies, None, Around::Anywhere)
}

fn mends_from(policies: &str, network: Option<IpAddr>, around: Around) -> Mends {
    let bundle = load(SCHEMA, policies).unwrap();
    let full = hand(&[]);
    bundle.mends(&super::Hand {
        who: party("alice", &full),
        door: None,
        network,
        around,
        time: datetime!(2026-01-05 10:00 UTC),
    })
}

/// What keeps everybody from mending things at every hour.
fn locks_out(policies: &str) -> Option<LockedOut> {
    let mends = mends(policies);
    mends.locked_out.filter(|_| mends.hours.is_empty())
}

#[test]
fn a_forbid_without_exception_is_named_with_its_line() {
    let found = locks_out(&format!(
        "{WHOLE} when {{ principal.kind == \"administrator\" }};\n\n@id(\"nobody\")\nforbid(principal, action == Lanyard::Action::\"policy:reload\", resource);"
    ))
    .unwrap();
    assert!(found.place.unwrap().ends_with("policy.cedar:3"));
    assert!(
        found
            .words
            .contains("`nobody` forbids `policy:reload` to `alice`")
    );
}

#[test]
fn a_permit_that_is_missing_is_told_by_the_one_that_comes_nearest() {
    let found = locks_out(&format!(
        "{WHOLE} when {{ principal.roles.contains(\"root\") }};"
    ))
    .unwrap();
    assert!(found.place.unwrap().ends_with("policy.cedar:1"));
    assert!(found.words.contains("principal.roles"), "{}", found.words);
    let issuing = r#"@id("i") permit(principal, action == Lanyard::Action::"issue", resource) when { context.hour > 1 };"#;
    assert_eq!(locks_out(issuing).unwrap().place, None);
}

/// What keeps everybody from a token for the admin listener, whoever has these proofs.
fn shuts_out(policies: &str, proofs: &[Proof]) -> Option<LockedOut> {
    let roles = r#"@id("roles") permit(principal, action in Lanyard::Action::"administer", resource) when { principal.kind == "administrator" };"#;
    let bundle = load(SCHEMA, &format!("{policies}\n{roles}")).unwrap();
    let full = hand(&[]);
    let now = datetime!(2026-01-05 10:00 UTC);
    let mends = bundle.mends(&super::Hand {
        who: party("alice", &full),
        door: Some((&full.audiences[0], proofs)),
        network: None,
        around: Around::Anywhere,
        time: now,
    });
    mends.locked_out.filter(|_| mends.hours.is_empty())
}

#[test]
fn a_forbid_of_the_admin_listeners_tokens_is_named_with_its_line() {
    let forbid = "@id(\"none\") forbid(principal, action == Lanyard::Action::\"issue\", resource)\n\
                  when { principal.kind == \"administrator\" };\n";
    let found = shuts_out(&format!("{forbid}{REGISTERED}"), &[Proof::ApiKey]).unwrap();
    assert!(found.place.unwrap().ends_with("policy.cedar:1"));
    assert!(
        found.words.contains("`none` forbids `alice` a token"),
        "{}",
        found.words
    );
    assert_eq!(shuts_out(REGISTERED, &[Proof::ApiKey]), None);
}

#[test]
fn without_a_permit_of_the_admin_listeners_tokens_nothing_permits_one() {
    let found = shuts_out(&format!("{WHOLE};"), &[Proof::ApiKey]).unwrap();
    assert_eq!(found.place, None);
    assert_eq!(
        found.words,
        "nothing permits `alice` a token with `lanyard:admin` at `https://lanyard.example/admin`"
    );
    let others = REGISTERED.replace(
        "principal.audiences",
        "principal.kind != \"administrator\" && principal.audiences",
    );
    let found = shuts_out(&others, &[Proof::ApiKey]).unwrap();
    assert!(
        found.words.contains("principal.kind is \"administrator\""),
        "{}",
        found.words
    );
}

#[test]
fn what_an_administrator_proves_itself_with_is_known_and_where_from_is_not() {
    let forbid = |when: &str| {
        format!(
            "{REGISTERED}\n@id(\"none\") forbid(principal, action == Lanyard::Action::\"issue\", resource) when {{ {when} }};"
        )
    };
    let keys = forbid("principal.kind == \"administrator\" && context.proof == \"api_key\"");
    assert!(shuts_out(&keys, &[Proof::ApiKey]).is_some());
    assert_eq!(shuts_out(&keys, &[Proof::ApiKey, Proof::Oidc]), None);
    let elsewhere = forbid("!(context has network)");
    assert_eq!(shuts_out(&elsewhere, &[Proof::ApiKey]), None);
}

#[test]
fn circumstances_may_come_so_they_lock_nobody_out() {
    for circumstance in [
        r#"context has network && context.network.isInRange(ip("203.0.113.0/24"))"#,
        r#"context.time >= datetime("2030-01-01")"#,
    ] {
        assert_eq!(
            locks_out(&format!("{WHOLE} when {{ {circumstance} }};")),
            None
        );
        let forbid = format!(
            "{WHOLE} when {{ principal.kind == \"administrator\" }};
             @id(\"not\") forbid(principal, action in Lanyard::Action::\"administer\", resource) unless {{ {circumstance} }};"
        );
        assert_eq!(locks_out(&forbid), None);
    }
}

/// `WHOLE`, and a forbid of what it takes to mend things.
fn forbidden(when: &str) -> String {
    format!(
        "{WHOLE} when {{ principal.kind == \"administrator\" }};\n\
         @id(\"not\") forbid(principal, action in \
         [Lanyard::Action::\"policy:reload\", Lanyard::Action::\"administrators:write\"], resource) {when};"
    )
}

#[test]
fn a_forbid_that_holds_at_every_hour_locks_out_and_one_that_holds_at_some_tells_them() {
    for when in [
        "when { context.hour < 24 }",
        "when { context.hour >= 0 }",
        "when { context.hour < 12 || context.hour >= 12 }",
        "unless { context.scopes.contains(\"lanyard:policies\") }",
        "when { context.own || !context.own }",
    ] {
        let found = locks_out(&forbidden(when)).expect(when);
        assert!(
            found.words.contains("`not` forbids"),
            "{when}: {}",
            found.words
        );
        assert!(found.place.unwrap().ends_with("policy.cedar:2"));
    }
    let mends = mends(&forbidden(
        "unless { context.hour >= 8 && context.hour < 18 }",
    ));
    let closed = Hours::ALL.without(mends.hours).to_string();
    assert_eq!(closed, "0, 1, 2, 3, 4, 5, 6, 7, 18, 19, 20, 21, 22, 23");
    assert!(mends.locked_out.is_some());
}

#[test]
fn a_right_that_is_never_ones_own_or_never_wider_still_lets_somebody_mend() {
    for when in [
        "when { context.own }",
        "when { context.wider }",
        "when { !context.own && context.wider }",
    ] {
        assert_eq!(locks_out(&forbidden(when)), None, "{when}");
    }
    let own = format!("{WHOLE} when {{ context.own }};");
    let found = locks_out(&own).unwrap();
    assert!(found.words.contains("context.own"), "{}", found.words);
}

#[test]
fn where_from_counts_for_whoever_is_there_and_surely_takes_nothing_for_granted() {
    let office = forbidden(
        r#"unless { context has network && context.network.isInRange(ip("203.0.113.0/24")) }"#,
    );
    let from = |address: &str| mends_from(&office, Some(address.parse().unwrap()), Around::Here);
    assert_eq!(from("203.0.113.9").hours, Hours::ALL);
    assert!(from("198.51.100.9").hours.is_empty());
    assert_eq!(mends(&office).hours, Hours::ALL);
    assert!(mends_from(&office, None, Around::Surely).hours.is_empty());
    let plain = format!("{WHOLE};");
    assert_eq!(mends_from(&plain, None, Around::Surely).hours, Hours::ALL);
}

#[test]
fn an_owner_named_in_the_head_is_found_through_what_is_administered() {
    let bundle = load(
        SCHEMA,
        r#"@id("orders") permit(principal, action in Lanyard::Action::"administer", resource in Lanyard::Owner::"orders");"#,
    )
    .unwrap();
    let (full, theirs) = (
        hand(&[]),
        Hand {
            owner: "orders",
            kind: "service",
            ..hand(&[])
        },
    );
    let may = |on| {
        let act = full.act(Action::KeysWrite, on);
        bundle.administer(&act).unwrap().is_allowed()
    };
    assert!(may(On::Owner("orders")));
    assert!(may(On::Identity(party("shop", &theirs))));
    assert!(!may(On::Owner("payments")));
    assert!(!may(On::System));
}

#[test]
fn what_could_be_done_at_another_hour_from_elsewhere_could_still_be_done() {
    let give = Action::ApprovalsGive;
    let by_day = |conditions: &str| {
        let policies = format!(
            "@id(\"gives\") permit(principal, action == Lanyard::Action::\"approvals:give\", resource) {conditions};"
        );
        load(SCHEMA, &policies).unwrap()
    };
    let second = hand(&["role.second"]);
    // Asked at ten.
    let act = second.act(give, On::Owner("payments"));
    for (conditions, could) in [
        ("", true),
        ("when { context.hour >= 18 }", true),
        (
            "when { context has network && context.network.isInRange(ip(\"10.0.0.0/8\")) }",
            true,
        ),
        ("when { context.own }", true),
        ("unless { context.own }", false),
        ("when { principal.roles.contains(\"second\") }", true),
        ("when { principal.roles.contains(\"first\") }", false),
        (
            "when { principal.roles.contains(\"first\") && context.hour >= 18 }",
            false,
        ),
    ] {
        let bundle = by_day(conditions);
        // What is remembered is what was found, from wherever and whenever it is asked.
        for time in [act.time, act.time + time::Duration::hours(10)] {
            for network in [None, Some([192, 0, 2, 7].into())] {
                let act = Act {
                    time,
                    network,
                    ..act
                };
                assert_eq!(bundle.could_still(&act), could, "{conditions}");
            }
        }
    }
    // Whoever lost the role is not who had it.
    let by_role = by_day("when { principal.roles.contains(\"second\") }");
    for _ in 0..2 {
        assert!(by_role.could_still(&act));
        assert!(!by_role.could_still(&hand(&["role.first"]).act(give, On::Owner("payments"))));
        let other = second.act(Action::ApprovalsRead, On::Owner("payments"));
        assert!(
            !by_role.could_still(&other),
            "another act is another question"
        );
    }
    // Whose schema has no word of administration is as it was before there were roles.
    assert!(embedded().could_still(&hand(&[]).act(give, On::Owner("payments"))));
    assert!(!embedded().could_still(&hand(&["role.auditor"]).act(give, On::Owner("payments"))));
}
