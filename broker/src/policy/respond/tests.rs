use lanyard_drift::ladder::Steps;
use lanyard_token::{Audience, ScopeSet};
use time::macros::datetime;

use super::*;
use crate::policy::trial::Kind;

const SCHEMA: &str = include_str!("../../../../policies/schema.cedarschema");
const HEAD: &str = r#"principal, action == Lanyard::Action::"respond", resource"#;

fn load(policies: &str) -> Result<Bundle, Broken> {
    Bundle::of(&Sources::sent(SCHEMA.to_owned(), policies.to_owned()))
}

fn broken(policies: &str) -> String {
    load(policies).unwrap_err().to_string()
}

/// Somebody of this kind, owner and name.
struct Somebody {
    name: String,
    owner: &'static str,
    kind: Kind,
    tags: Vec<String>,
    audiences: Vec<Audience>,
    scopes: ScopeSet,
}

impl Somebody {
    fn called(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            owner: "payments",
            kind: Kind::Service,
            tags: vec!["prod".to_owned()],
            audiences: Vec::new(),
            scopes: ScopeSet::default(),
        }
    }

    fn drift(&self, abuse: Abuse, rung: Rung) -> Drift<'_> {
        Drift {
            subject: Party {
                name: &self.name,
                kind: self.kind.word(),
                owner: self.owner,
                tags: &self.tags,
                audiences: &self.audiences,
                scopes: &self.scopes,
                max_lifetime: 300,
                age_days: None,
                unused_days: None,
            },
            abuse,
            rung,
            hard_rule: false,
            families: 2,
            gateways: 2,
            own_calls: 5_000,
            tokens_live: Some(3),
            time: datetime!(2026-01-05 10:00 UTC),
        }
    }
}

fn step(bundle: &Bundle, rung: Rung) -> Choice {
    let billing = Somebody::called("billing");
    bundle.step(&billing.drift(Abuse::Theft, rung), &|_| false)
}

fn ids(ids: &BTreeSet<String>) -> Vec<&str> {
    ids.iter().map(String::as_str).collect()
}

#[test]
fn what_came_with_the_program_is_the_table_of_the_ladder_for_everybody() {
    let (bundle, mut table) = (Bundle::embedded().unwrap(), Table::default());
    for kind in [Kind::Service, Kind::Integration, Kind::Agent] {
        for abuse in Abuse::ALL {
            for rung in Rung::ALL {
                for hard_rule in [false, true] {
                    let somebody = Somebody {
                        kind,
                        ..Somebody::called("a")
                    };
                    let drift = Drift {
                        hard_rule,
                        ..somebody.drift(abuse, rung)
                    };
                    let question = lanyard_drift::ladder::Question {
                        identity: Default::default(),
                        abuse,
                        rung,
                        hard_rule,
                        families: 2,
                        gateways: 2,
                        own_calls: 5_000,
                    };
                    let expected = table.step(&question, Default::default());
                    let choice = bundle.step(&drift, &|_| false);
                    assert_eq!(choice.step, expected, "{kind:?} {abuse:?} {rung:?}");
                    assert!(!choice.policies.is_empty() && choice.faults.is_empty());
                }
            }
        }
    }
}

#[test]
fn the_strictest_permit_counts_and_a_forbid_leaves_the_next_milder_step() {
    let bundle = load(&format!(
        r#"@id("a") @response("recycle") permit({HEAD});
        @id("b") @response("revoke") permit({HEAD}) when {{ context.rung == "then" }};
        @id("c") @response("suspend") permit({HEAD}) when {{ context.rung == "then" }};
        @id("d") @response("suspend") forbid({HEAD}) when {{ context.families < 3 }};"#
    ))
    .unwrap();
    let first = step(&bundle, Rung::First);
    assert_eq!(
        (first.step, ids(&first.policies)),
        (Response::Recycle, vec!["a"])
    );
    let then = step(&bundle, Rung::Then);
    assert_eq!(
        (then.step, ids(&then.policies)),
        (Response::Narrow, vec!["b", "c", "d"])
    );
}

#[test]
fn what_nothing_permits_is_written_down() {
    let bundle = load(&format!(
        r#"@id("a") @response("recycle") permit({HEAD}) when {{ context.rung == "then" }};"#
    ))
    .unwrap();
    let choice = step(&bundle, Rung::First);
    assert_eq!(choice.step, Response::Observe);
    assert!(choice.policies.is_empty());
}

#[test]
fn a_policy_that_fails_leaves_the_answer_to_the_table() {
    let bundle = load(&format!(
        r#"@id("a") @response("revoke") permit({HEAD});
        @id("b") @response("recycle") forbid({HEAD}) when {{ context.own_calls * 9223372036854775807 > 0 }};"#
    ))
    .unwrap();
    let choice = step(&bundle, Rung::First);
    assert_eq!(choice.step, Response::Recycle);
    assert!(
        choice.policies.is_empty() && choice.faults.len() == 1,
        "{choice:?}"
    );
}

#[test]
fn a_permit_whose_cap_is_met_asks_for_the_next_milder_step_and_another_may_ask_for_more() {
    let bundle = load(&format!(
        r#"@id("capped") @response("suspend") @cap("1/min") permit({HEAD});
        @id("always") @response("narrow") permit({HEAD}) when {{ context.rung == "first" }};"#
    ))
    .unwrap();
    let billing = Somebody::called("billing");
    let drift = billing.drift(Abuse::Theft, Rung::Again);
    assert_eq!(bundle.step(&drift, &|_| false).step, Response::Suspend);
    let choice = bundle.step(&drift, &|rule| rule.id == "capped");
    assert_eq!(
        (choice.step, ids(&choice.capped)),
        (Response::Narrow, vec!["capped"])
    );
}

#[test]
fn a_cap_is_counted_by_owner_where_it_says_so_and_over_its_time() {
    use lanyard_drift::Millis;
    let bundle = load(&format!(
        r#"@id("each") @response("suspend") @cap("1/min/owner") permit({HEAD});
        @id("all") @response("narrow") @cap("2/hour") permit({HEAD});"#
    ))
    .unwrap();
    let (each, all) = (bundle.rule("each").unwrap(), bundle.rule("all").unwrap());
    let mut ledger = ledger::Ledger::default();
    let at = Millis(10_000_000);
    assert!(!ledger.is_full(each, "payments", at));
    ledger.spend(each, "payments", at);
    ledger.spend(all, "payments", at);
    assert!(ledger.is_full(each, "payments", at.plus(59_999)));
    assert!(!ledger.is_full(each, "payments", at.plus(60_000)));
    assert!(!ledger.is_full(each, "storage", at));
    assert!(!ledger.is_full(all, "storage", at));
    ledger.spend(all, "storage", at);
    assert!(ledger.is_full(all, "anybody", at.plus(3_599_999)));
    assert!(!ledger.is_full(all, "anybody", at.plus(3_600_000)));
    assert!(
        !ledger.is_full(all, "anybody", Millis(5)),
        "a clock that was set back"
    );
}

#[test]
fn a_canary_is_there_for_its_share_of_identities_and_says_for_whom_it_is_not() {
    let bundle = load(&format!(
        r#"@id("old") @response("recycle") permit({HEAD});
        @id("new") @response("suspend") @canary("10%") permit({HEAD});"#
    ))
    .unwrap();
    let (mut met, mut unmet) = (0, 0);
    for number in 0..2_000 {
        let somebody = Somebody::called(&format!("service-{number}"));
        let choice = bundle.step(&somebody.drift(Abuse::Theft, Rung::First), &|_| false);
        match choice.step {
            Response::Suspend => {
                assert_eq!(ids(&choice.in_share), ["new"]);
                met += 1;
            }
            Response::Recycle => {
                assert_eq!(ids(&choice.not_in_share), ["new"]);
                assert_eq!(ids(&choice.policies), ["old"]);
                unmet += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((140..260).contains(&met), "{met} of {}", met + unmet);
}

#[test]
fn whoever_is_forbidden_everything_is_still_answered() {
    let bundle = load(&format!(
        r#"@id("a") @response("suspend") permit({HEAD});
        @id("off") forbid(principal == Lanyard::Identity::"billing", action, resource);"#
    ))
    .unwrap();
    assert_eq!(step(&bundle, Rung::First).step, Response::Suspend);
}

#[test]
fn a_bundle_without_a_word_about_responses_has_those_of_the_program() {
    let bundle = load(r#"@id("a") permit(principal, action, resource);"#).unwrap();
    assert_eq!(step(&bundle, Rung::Again).step, Response::Suspend);
    assert!(!bundle.has_responses() && bundle.response_rule("response.suspend").is_some());
}

#[test]
fn what_stands_above_a_policy_of_responses_is_refused_at_its_line() {
    let wrong = [
        (
            r#"@response("throttle")"#,
            "permit",
            "`throttle` is no response",
        ),
        (
            r#"@response("recycle") @canary("0%")"#,
            "permit",
            "`0%` is no share",
        ),
        (
            r#"@response("recycle") @canary("150%")"#,
            "permit",
            "`150%` is no share",
        ),
        (
            r#"@response("recycle") @cap("5")"#,
            "permit",
            "`5` is no cap",
        ),
        (
            r#"@response("recycle") @cap("5/min")"#,
            "forbid",
            "`@cap` stands on a forbid",
        ),
        (
            r#"@response("recycle") @override("a, b")"#,
            "permit",
            "names nobody who may override",
        ),
        (r#"@response("observe")"#, "forbid", "a forbid of `observe`"),
        ("", "permit", "without `@response`"),
    ];
    for (above, effect, words) in wrong {
        let error = broken(&format!(
            "// first\n@id(\"a\") {above}\n{effect}({HEAD});\n"
        ));
        assert!(error.starts_with("policy.cedar:2: "), "{above}: {error}");
        assert!(error.contains(words), "{above}: {error}");
    }
    let on_tokens = r#"principal, action == Lanyard::Action::"issue", resource"#;
    for above in [
        r#"@response("recycle")"#,
        r#"@cap("5/min")"#,
        r#"@canary("5%")"#,
    ] {
        let error = broken(&format!("@id(\"a\") {above} permit({on_tokens});"));
        assert!(error.contains("is not about responses"), "{above}: {error}");
    }
}

#[test]
fn a_kind_of_abuse_or_a_member_that_there_is_not_is_refused() {
    let head = HEAD.replace("resource", r#"resource == Lanyard::Abuse::"thefft""#);
    let error = broken(&format!(
        "@id(\"a\") @response(\"recycle\")\npermit({head});"
    ));
    assert!(error.contains("thefft"), "{error}");
    let error = broken(&format!(
        "@id(\"a\") @response(\"recycle\")\npermit({HEAD}) when {{ context.familiy > 2 }};"
    ));
    assert!(error.contains("familiy"), "{error}");
}

#[test]
fn a_permit_that_a_forbid_leaves_nothing_of_is_a_contradiction_and_a_milder_one_is_not() {
    let permit = format!("@id(\"a\") @response(\"suspend\") permit({HEAD});\n");
    for (step, refused) in [("recycle", true), ("suspend", true), ("revoke", false)] {
        let loaded = load(&format!(
            "{permit}@id(\"no\") @response(\"{step}\") forbid({HEAD});"
        ));
        assert_eq!(loaded.is_err(), refused, "{step}");
    }
}
