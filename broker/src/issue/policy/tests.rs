use lanyard_token::{Lineage, NodeId, Rev, Scope};
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_000_000;

fn audience_of(text: &str) -> Audience {
    text.parse().unwrap()
}

fn allowance() -> Allowance {
    Allowance {
        audiences: vec![
            audience_of("https://a.example"),
            audience_of("https://b.example"),
        ],
        scopes: "orders:read orders:write".parse().unwrap(),
        max_lifetime: 900,
    }
}

fn request(audience: &str) -> Request {
    Request {
        audiences: vec![audience_of(audience)],
        ..Request::default()
    }
}

fn claims(granted: &Granted) -> Claims {
    let node = NodeId::from_u64;
    Claims {
        iss: "https://broker.example".to_owned(),
        sub: node(2).to_string(),
        client_id: node(2).to_string(),
        aud: granted.audience.clone(),
        exp: granted.expires_at,
        iat: NOW,
        nbf: None,
        jti: node(9),
        scope: granted.scopes.clone(),
        rev: Rev::ZERO,
        lin: Lineage::of_credential(node(1), node(2), node(3)),
        act: None,
        cnf: None,
        authorization_details: granted.task.clone(),
        bsl: None,
    }
}

fn decide_now(request: &Request, parent: Option<&Claims>) -> Result<Granted, Denied> {
    decide(request, &allowance(), parent, Lifetimes::default(), NOW)
}

#[test]
fn who_asks_for_nothing_special_gets_all_scopes_for_five_minutes() {
    let granted = decide_now(&request("https://a.example"), None).unwrap();
    assert_eq!(granted.scopes, allowance().scopes);
    assert_eq!(granted.expires_at, NOW + 300);
}

#[test]
fn an_audience_may_be_left_out_when_there_is_only_one() {
    assert_eq!(decide_now(&Request::default(), None), Err(Denied::NoTarget));
    let parent = claims(&decide_now(&request("https://b.example"), None).unwrap());
    let child = decide_now(&Request::default(), Some(&parent)).unwrap();
    assert_eq!(child.audience, parent.aud);
}

#[test]
fn another_audience_than_the_parents_is_refused_though_the_identity_may_have_it() {
    let parent = claims(&decide_now(&request("https://b.example"), None).unwrap());
    assert_eq!(
        decide_now(&request("https://a.example"), Some(&parent)),
        Err(Denied::Target)
    );
    assert_eq!(
        decide_now(&request("https://c.example"), None),
        Err(Denied::Target)
    );
    let mut two = request("https://a.example");
    two.audiences.push(audience_of("https://b.example"));
    assert_eq!(decide_now(&two, None), Err(Denied::ManyTargets));
}

#[test]
fn a_scope_beyond_the_identity_or_the_parent_is_refused() {
    let mut narrow = request("https://a.example");
    narrow.scopes = Some("orders:read".parse().unwrap());
    let parent = claims(&decide_now(&narrow, None).unwrap());
    let mut wide = request("https://a.example");
    wide.scopes = Some("orders:read orders:write".parse().unwrap());
    assert_eq!(decide_now(&wide, Some(&parent)), Err(Denied::Scope));
    wide.scopes = Some("admin".parse().unwrap());
    assert_eq!(decide_now(&wide, None), Err(Denied::Scope));
}

#[test]
fn a_lifetime_is_cut_to_the_identitys_the_domains_and_the_parents() {
    let mut long = request("https://a.example");
    long.lifetime = Some(u64::MAX);
    let parent = decide_now(&long, None).unwrap();
    assert_eq!(parent.expires_at, NOW + 900);
    let parent = claims(&parent);
    let later = decide(
        &long,
        &allowance(),
        Some(&parent),
        Lifetimes::default(),
        NOW + 890,
    )
    .unwrap();
    assert_eq!(later.expires_at, NOW + 900);
    let over = decide(
        &long,
        &allowance(),
        Some(&parent),
        Lifetimes::default(),
        NOW + 900,
    );
    assert_eq!(over, Err(Denied::Lifetime));
}

#[test]
fn a_token_never_outlives_its_task() {
    let mut asked = request("https://a.example");
    asked.task = TaskScope::new(None, None, Some(3), Some(NOW + 7)).ok();
    assert_eq!(decide_now(&asked, None).unwrap().expires_at, NOW + 7);
    asked.task = TaskScope::new(None, None, None, Some(NOW)).ok();
    assert_eq!(decide_now(&asked, None), Err(Denied::TaskEnded));
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn some_names() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(NAMES.to_vec(), 0..=NAMES.len())
}

fn some_scopes() -> impl Strategy<Value = ScopeSet> {
    some_names().prop_map(|names| {
        names
            .iter()
            .map(|name| name.parse::<Scope>().unwrap())
            .collect()
    })
}

fn some_task() -> impl Strategy<Value = Option<TaskScope>> {
    let list = || {
        proptest::option::of(
            some_names().prop_map(|names| names.iter().map(|n| (*n).to_owned()).collect()),
        )
    };
    let parts = (
        list(),
        list(),
        proptest::option::of(0_u64..5),
        proptest::option::of(NOW..NOW + 5_000),
    );
    proptest::option::of(parts.prop_map(|(operations, destinations, calls, end)| {
        TaskScope::new(operations, destinations, calls, end).unwrap()
    }))
}

fn some_audiences() -> impl Strategy<Value = Vec<Audience>> {
    some_names().prop_map(|names| names.iter().map(|name| audience_of(name)).collect())
}

fn some_request() -> impl Strategy<Value = Request> {
    let lifetime = proptest::option::of(prop_oneof![1_u64..5_000, Just(u64::MAX)]);
    let audiences = prop_oneof![3 => Just(Vec::new()), 1 => some_audiences()];
    (
        audiences,
        proptest::option::weighted(0.3, some_scopes()),
        lifetime,
        some_task(),
    )
        .prop_map(|(audiences, scopes, lifetime, task)| Request {
            audiences,
            scopes,
            lifetime,
            task,
        })
}

fn some_allowance() -> impl Strategy<Value = Allowance> {
    (some_audiences(), some_scopes(), 1_u64..=3_600).prop_map(
        |(audiences, scopes, max_lifetime)| Allowance {
            audiences,
            scopes,
            max_lifetime,
        },
    )
}

fn cases() -> u32 {
    std::env::var("LANYARD_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn no_chain_of_exchanges_ever_widens(
        allowance in some_allowance(),
        steps in proptest::collection::vec((some_request(), 0_u64..400), 1..7),
    ) {
        let lifetimes = Lifetimes::default();
        let mut parent: Option<Claims> = None;
        let mut now = NOW;
        for (request, pause) in steps {
            now += pause;
            let Ok(granted) = decide(&request, &allowance, parent.as_ref(), lifetimes, now) else { continue };
            prop_assert!(allowance.audiences.contains(&granted.audience));
            prop_assert!(granted.scopes.is_subset_of(&allowance.scopes));
            prop_assert!(granted.expires_at > now);
            prop_assert!(granted.expires_at - now <= allowance.max_lifetime.min(lifetimes.longest));
            if let Some(asked) = &request.scopes {
                prop_assert_eq!(&granted.scopes, asked);
            }
            if let (Some(asked), Some(given)) = (&request.task, &granted.task) {
                prop_assert!(given.within(asked));
            }
            if let Some(parent) = &parent {
                prop_assert_eq!(&granted.audience, &parent.aud);
                prop_assert!(granted.scopes.is_subset_of(&parent.scope));
                prop_assert!(granted.expires_at <= parent.exp);
                if let Some(above) = &parent.authorization_details {
                    let given = granted.task.as_ref();
                    prop_assert!(given.is_some_and(|task| task.within(above)));
                }
            }
            parent = Some(claims(&granted));
        }
    }
}
