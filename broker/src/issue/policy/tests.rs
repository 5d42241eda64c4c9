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
        max_lifetime: 900,
    }
}

fn permitted() -> ScopeSet {
    "orders:read orders:write".parse().unwrap()
}

/// Policies that permit a few scopes everywhere.
fn permitting() -> impl FnOnce(&Wish<'_>) -> Result<Given, NotGiven> {
    let permitted = permitted();
    move |wish| {
        let given = |scopes| {
            Ok(Given {
                scopes,
                cap: None,
                policies: BTreeSet::new(),
            })
        };
        let Some(asked) = wish.scopes else {
            let within = wish.within.unwrap_or(&permitted);
            return given(permitted.intersection(within));
        };
        let inside = asked.intersection(&permitted);
        if inside == *asked || wish.partial && !inside.is_empty() {
            given(inside)
        } else {
            Err(NotGiven::default())
        }
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
    decide_at(request, parent, NOW)
}

fn decide_at(request: &Request, parent: Option<&Claims>, now: u64) -> Result<Granted, Denied> {
    let policies = permitting();
    decide(
        request,
        &allowance(),
        parent,
        Lifetimes::default(),
        now,
        policies,
    )
    .map_err(|denial| denial.why)
}

#[test]
fn who_asks_for_nothing_special_gets_all_scopes_for_five_minutes() {
    let granted = decide_now(&request("https://a.example"), None).unwrap();
    assert_eq!(granted.scopes, permitted());
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
fn whoever_takes_less_gets_what_parent_and_policies_have_of_it() {
    let mut narrow = request("https://a.example");
    narrow.scopes = Some("orders:read".parse().unwrap());
    let parent = claims(&decide_now(&narrow, None).unwrap());
    let mut wide = request("https://a.example");
    wide.scopes = Some("admin orders:read orders:write".parse().unwrap());
    wide.partial = true;
    let scopes = |parent| decide_now(&wide, parent).unwrap().scopes.to_string();
    assert_eq!(scopes(None), "orders:read orders:write");
    assert_eq!(scopes(Some(&parent)), "orders:read");
    wide.scopes = Some("admin orders:write".parse().unwrap());
    assert_eq!(decide_now(&wide, Some(&parent)), Err(Denied::Scope));
}

#[test]
fn a_lifetime_is_cut_to_the_identitys_the_domains_and_the_parents() {
    let mut long = request("https://a.example");
    long.lifetime = Some(u64::MAX);
    let parent = decide_now(&long, None).unwrap();
    assert_eq!(parent.expires_at, NOW + 900);
    let parent = claims(&parent);
    let later = decide_at(&long, Some(&parent), NOW + 890).unwrap();
    assert_eq!(later.expires_at, NOW + 900);
    let over = decide_at(&long, Some(&parent), NOW + 900);
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
        any::<bool>(),
    )
        .prop_map(|(audiences, scopes, lifetime, task, partial)| Request {
            audiences,
            scopes,
            lifetime,
            task,
            partial,
        })
}

fn some_allowance() -> impl Strategy<Value = Allowance> {
    (some_audiences(), 1_u64..=3_600).prop_map(|(audiences, max_lifetime)| Allowance {
        audiences,
        max_lifetime,
    })
}

/// What policies may answer at all: anything, asked for or not.
fn some_answer() -> impl Strategy<Value = Result<Given, NotGiven>> {
    let given =
        (some_scopes(), proptest::option::of(0_u64..5_000)).prop_map(|(scopes, cap)| Given {
            scopes,
            cap,
            policies: BTreeSet::new(),
        });
    prop_oneof![4 => given.prop_map(Ok), 1 => Just(Err(NotGiven::default()))]
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
    fn no_chain_of_exchanges_ever_widens_whatever_policies_say(
        allowance in some_allowance(),
        steps in proptest::collection::vec((some_request(), 0_u64..400, some_answer()), 1..7),
    ) {
        let lifetimes = Lifetimes::default();
        let mut parent: Option<Claims> = None;
        let mut now = NOW;
        for (request, pause, answer) in steps {
            now += pause;
            let policies = |_: &Wish<'_>| answer.clone();
            let Ok(granted) = decide(&request, &allowance, parent.as_ref(), lifetimes, now, policies) else { continue };
            let answer = answer.unwrap();
            prop_assert!(allowance.audiences.contains(&granted.audience));
            prop_assert!(granted.scopes.is_subset_of(&answer.scopes));
            prop_assert!(answer.cap.is_none_or(|cap| granted.expires_at - now <= cap));
            prop_assert!(granted.expires_at > now);
            prop_assert!(granted.expires_at - now <= allowance.max_lifetime.min(lifetimes.longest));
            if let Some(asked) = &request.scopes {
                prop_assert!(granted.scopes.is_subset_of(asked));
                prop_assert!(request.partial || granted.scopes == *asked);
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
