//! Decisions of a gateway, as a function.

use http::Method;
use lanyard_sdk::feed::FeedView;
use lanyard_sdk::gateway::Gateway;
use lanyard_sdk::{DriftMode, Request};
use lanyard_token::{Algorithm, NodeId, Rejection, Rev, TaskScope};

use crate::support::{AUDIENCE, ISSUER, World, at_millis, routes, trusted, twin};

#[test]
fn a_good_token_may_do_what_its_scopes_say() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let world = World::with(algorithm, DriftMode::Enforce);
        let token = world.token(9);
        // First seen, then seen.
        for _ in 0..2 {
            let lease = world.get(&token, "/orders/7").unwrap();
            assert_eq!(lease.token(), NodeId::from_u64(9));
            assert_eq!(lease.identity(), NodeId::from_u64(2));
        }
        let denial = world.check(&token, &Method::POST, "/orders").err().unwrap();
        assert_eq!(*denial.rejection(), Rejection::ScopeMissing);
        assert_eq!(
            denial.challenge().unwrap(),
            r#"Bearer error="insufficient_scope", scope="orders:write""#
        );
    }
}

#[test]
fn a_path_in_disguise_is_refused_before_anything_else() {
    let world = World::new();
    let token = world.token(9);
    assert!(world.get(&token, "/admin").is_ok());
    for path in [
        "/a/..;/admin",
        "/a/%2e%2e/admin",
        "/a/%252e%252e/admin",
        "//admin",
        "/admin%00",
        "/%61dmin",
        "/\\admin",
        "/admin;x=1",
        "/%c0%ae%c0%ae/admin",
        "/admin#x",
        "/./admin",
        "/admin/..",
        "/admin%2F",
        "",
    ] {
        for token in [token.as_str(), "junk"] {
            let denial = world.get(token, path).err().unwrap();
            assert_eq!(denial.outside().status, 400, "{path}");
        }
    }
    // Proper spellings of other paths are other paths, and no route is no entry.
    for path in ["/Admin", "/admin/", "/admin/x", "/nothing"] {
        let denial = world.get(&token, path).err().unwrap();
        assert_eq!(
            (denial.outside().status, *denial.rejection()),
            (403, Rejection::NoRoute),
            "{path}"
        );
    }
}

#[test]
fn revoking_any_node_of_a_token_ends_it_and_nothing_else() {
    for node in [1, 2, 3, 9] {
        let world = World::new();
        let (token, sibling) = (world.token(9), world.token(10));
        assert!(world.get(&token, "/orders").is_ok());
        assert!(world.get(&sibling, "/orders").is_ok());
        world
            .gateway
            .feed()
            .end(NodeId::from_u64(node), Rev::new(0, 5).unwrap());
        let denial = world.get(&token, "/orders").err().unwrap();
        assert_eq!(
            (denial.outside().status, *denial.rejection()),
            (401, Rejection::Revoked)
        );
        assert_eq!(world.get(&sibling, "/orders").is_ok(), node == 9);
        // Issued after the revocation: the identity was enabled again.
        let mut claims = world.claims(11);
        claims.rev = Rev::new(0, 5).unwrap();
        assert!(
            world
                .get(&world.issuer.token_of(&claims), "/orders")
                .is_ok()
        );
    }
}

#[test]
fn a_token_ends_at_its_second_and_not_before() {
    let world = World::new();
    let token = world.token(9);
    let request = Request::new(&Method::GET, "/orders");
    assert!(world.check_at(&token, &request, at_millis(0)).is_ok());
    assert!(world.check_at(&token, &request, at_millis(299_999)).is_ok());
    let denial = world
        .check_at(&token, &request, at_millis(300_000))
        .err()
        .unwrap();
    assert_eq!(*denial.rejection(), Rejection::Expired);
}

#[test]
fn without_any_snapshot_nobody_is_let_in_and_nobody_is_told_to_mint() {
    let world = World::new();
    let gateway = Gateway::builder()
        .shared_feed(ISSUER, AUDIENCE.parse().unwrap(), FeedView::new())
        .routes(routes())
        .unwrap()
        .drift(DriftMode::Enforce)
        .build();
    let unready = World {
        gateway,
        issuer: world.issuer,
    };
    let denial = unready.get(&unready.token(9), "/orders").err().unwrap();
    assert_eq!(denial.outside().status, 503);
    assert!(denial.outside().retry_after.is_some());
}

#[test]
fn an_old_feed_closes_strict_routes_and_leaves_normal_ones_open() {
    let world = World::new();
    // A feed that knows keys but never had a heartbeat is as old as can be.
    let view = FeedView::without_feed(trusted(&world.issuer.key));
    let gateway = Gateway::builder()
        .shared_feed(ISSUER, AUDIENCE.parse().unwrap(), view)
        .routes(routes())
        .unwrap()
        .drift(DriftMode::Enforce)
        .build();
    let old = World {
        gateway,
        issuer: world.issuer,
    };
    let token = old.token(9);
    assert!(old.get(&token, "/orders").is_ok());
    let denial = old.check(&token, &Method::POST, "/payments").err().unwrap();
    assert_eq!(
        (denial.outside().status, *denial.rejection()),
        (503, Rejection::Stale)
    );
    assert!(denial.outside().retry_after.is_some());

    // A place of the log that the feed has not reached: wait for it, on any route.
    let mut request = Request::new(&Method::GET, "/orders");
    request.min_rev = Rev::new(0, 7);
    let denial = old.check_at(&token, &request, at_millis(0)).err().unwrap();
    assert_eq!(
        (denial.outside().status, denial.outside().retry_after),
        (503, Some(1))
    );
    request.min_rev = Some(Rev::ZERO);
    assert!(old.check_at(&token, &request, at_millis(0)).is_ok());
}

#[test]
fn a_task_allows_its_operations_destinations_calls_and_time_alone() {
    let world = World::new();
    let list = |items: &[&str]| Some(items.iter().map(ToString::to_string).collect::<Vec<_>>());
    let task = TaskScope::new(
        list(&["GET /orders/{id}", "POST /mail"]),
        list(&["team@orders.example"]),
        Some(3),
        Some(crate::support::NOW + 60),
    );
    let mut claims = world.claims(9);
    claims.authorization_details = Some(task.unwrap());
    let token = world.issuer.token_of(&claims);
    let mail = |to: &str, millis| {
        let mut request = Request::new(&Method::POST, "/mail");
        request.query = Some(to);
        world
            .check_at(&token, &request, at_millis(millis))
            .map_err(|denial| *denial.rejection())
    };
    assert!(world.get(&token, "/orders/1").is_ok());
    assert!(mail("to=team@orders.example", 0).is_ok());
    assert_eq!(
        world.get(&token, "/orders").err().unwrap().outside().status,
        403
    );
    assert_eq!(
        mail("to=thief@elsewhere.example", 0).err(),
        Some(Rejection::OutsideTask)
    );
    assert_eq!(
        mail("to=team@orders.example&to=thief@elsewhere.example", 0).err(),
        Some(Rejection::Ambiguous)
    );
    assert_eq!(
        mail("to=team@orders.example", 60_000).err(),
        Some(Rejection::OutsideTask)
    );
    // What was refused took none of the three calls; the third is the last.
    assert!(world.get(&token, "/orders/2").is_ok());
    assert_eq!(
        *world.get(&token, "/orders/3").err().unwrap().rejection(),
        Rejection::OutsideTask
    );
}

/// Walks ids until refused, each call looked at before the next; how many calls went through.
fn walk(world: &World, texts: &[&str], calls: u64) -> u64 {
    (0..calls)
        .take_while(|n| {
            let text = texts[usize::try_from(*n).unwrap() % texts.len()];
            let path = format!("/orders/{}", 1_000 + n);
            let request = Request::new(&Method::GET, &path);
            let passed = world.check_at(text, &request, at_millis(n * 50)).is_ok();
            world.gateway.observe_now();
            passed
        })
        .count() as u64
}

#[test]
fn a_walk_through_ids_is_stopped_where_drift_is_enforced_and_watched_where_it_is_observed() {
    let world = World::new();
    let allowed = walk(&world, &[&world.token(9)], 1_000);
    assert!(allowed < 600, "{allowed} calls went through");
    // The token is in two hands: it ends for both, and its owner's client answers a 401 by minting anew.
    let denial = world.get(&world.token(9), "/orders").err().unwrap();
    assert_eq!(denial.outside().status, 401);
    assert!(
        world.get(&world.token(10), "/orders").is_ok(),
        "other tokens of the identity live on"
    );

    let world = World::with(Algorithm::Es256, DriftMode::Observe);
    assert_eq!(walk(&world, &[&world.token(9)], 1_000), 1_000);
}

#[test]
fn a_walk_is_stopped_by_the_gateway_itself_a_moment_after_it_broke_the_bound() {
    let world = World::new();
    let token = world.token(9);
    let began = std::time::Instant::now();
    let mut refused = None;
    for n in 0_u64.. {
        let path = format!("/orders/{}", 1_000 + n);
        let request = Request::new(&Method::GET, &path);
        refused = world.check_at(&token, &request, at_millis(n)).err();
        // It goes on far beyond the bound, until somebody looks at what it does.
        if refused.is_some() || began.elapsed() > std::time::Duration::from_secs(20) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_micros(100));
    }
    assert_eq!(
        refused.map(|denial| *denial.rejection()),
        Some(Rejection::Revoked)
    );
}

#[test]
fn a_token_that_may_not_be_ended_here_is_held_up_only_where_it_walks() {
    let world = World::new();
    for token in 20..23 {
        walk(&world, &[&world.token(token)], 1_000);
    }
    let token = world.token(23);
    let passed = walk(&world, &[&token], 1_000);
    let call = |path: &str, millis: u64| {
        let answer = world.check_at(
            &token,
            &Request::new(&Method::GET, path),
            at_millis(passed * 50 + millis),
        );
        world.gateway.observe_now();
        answer.map(drop).map_err(|denial| *denial.rejection())
    };
    let refused = Err(Rejection::OutsideBaseline);
    assert_eq!(call(&format!("/orders/{}", 1_001 + passed), 0), refused);
    assert_eq!(call("/orders", 0), Ok(()));
    // Whoever asks for something else is no longer walking: refused once more, then not.
    assert_eq!(call("/orders/900000", 10), refused);
    assert_eq!(call("/orders/700000", 20), Ok(()));
}

#[test]
fn calls_that_nobody_could_look_at_are_decided_and_counted() {
    let world = World::with(Algorithm::EdDsa, DriftMode::Observe);
    let token = world.token(9);
    let request = Request::new(&Method::GET, "/orders");
    let began = std::time::Instant::now();
    while world.gateway.observations_dropped() == 0 {
        assert!(world.check_at(&token, &request, at_millis(0)).is_ok());
        assert!(
            began.elapsed() < std::time::Duration::from_secs(60),
            "the journal is endless"
        );
    }
}

#[test]
fn when_every_token_walks_only_the_first_few_end_here() {
    // A deployment that makes every client walk looks like many thieves at once: the broker decides.
    let world = World::new();
    let ended = (20..30)
        .filter(|token| {
            let token = world.token(*token);
            walk(&world, &[&token], 1_000);
            let after = world.get(&token, "/orders").err();
            after.is_some_and(|denial| denial.outside().status == 401)
        })
        .count();
    assert_eq!(ended, 3);
}

#[test]
fn the_twin_of_a_signature_does_not_make_a_second_token() {
    let world = World::new();
    let alone = walk(&world, &[&world.token(8)], 1_000);
    let token = world.token(9);
    let twin = twin(&token);
    assert_ne!(token, twin);
    assert_eq!(walk(&world, &[&token, &twin], 1_000), alone);
    assert_eq!(
        world.gateway.tokens_kept(),
        2,
        "tokens 8 and 9, whatever their texts"
    );
}

#[test]
fn a_token_bound_to_a_key_is_no_bearer_token() {
    let world = World::new();
    let mut claims = world.claims(9);
    let thumbprint = world.issuer.key.thumbprint();
    claims.cnf = serde_json::from_value(serde_json::json!({ "jkt": thumbprint.as_str() })).ok();
    assert!(claims.cnf.is_some());
    let denial = world
        .get(&world.issuer.token_of(&claims), "/orders")
        .err()
        .unwrap();
    assert_eq!(
        (denial.outside().status, *denial.rejection()),
        (401, Rejection::Binding)
    );
}
