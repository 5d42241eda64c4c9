//! One identity's storm is its own.

use lanyard::issue::limits::LimitSettings;
use lanyard_token::Algorithm;

use super::world::{Holder, NO_LIMITS, ORDERS, World};

const FORM: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("audience", ORDERS)];

#[tokio::test]
async fn a_storm_is_refused_for_its_identity_and_nobody_else() {
    let limits = LimitSettings {
        identity_per_second: 1,
        identity_burst: 10,
        ..NO_LIMITS
    };
    let world = World::with(limits, Algorithm::Es256).await;
    let (loud, quiet) = (world.identity("loud").await, world.identity("quiet").await);
    let mut refused = 0;
    for _ in 0..60 {
        let answer = world.post("/oauth/token", Some(&loud), &FORM).await;
        if answer.status != 200 {
            answer.assert_error(429, "too_many_requests");
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=10).contains(&wait));
            refused += 1;
        }
    }
    assert!(refused >= 30, "{refused} refused");
    for _ in 0..5 {
        assert_eq!(
            world.post("/oauth/token", Some(&quiet), &FORM).await.status,
            200
        );
    }
}

#[tokio::test]
async fn guessing_is_slowed_for_the_network_but_good_clients_of_it_are_served() {
    let limits = LimitSettings {
        failures_per_second: 1,
        failures_burst: 5,
        ..NO_LIMITS
    };
    let world = World::with(limits, Algorithm::Es256).await;
    let (billing, other) = (
        world.identity("billing").await,
        world.identity("other").await,
    );
    let guess = Holder {
        secret: other.secret.clone(),
        ..billing.clone()
    };
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(world.post("/oauth/token", Some(&guess), &FORM).await.status);
    }
    assert!(
        statuses.iter().all(|status| matches!(status, 401 | 429)),
        "{statuses:?}"
    );
    assert!(
        statuses.iter().filter(|status| **status == 429).count() >= 15,
        "{statuses:?}"
    );
    assert_eq!(
        world
            .post("/oauth/token", Some(&billing), &FORM)
            .await
            .status,
        200
    );
    let junk = Holder {
        secret: "lyk_junk".to_owned(),
        ..billing
    };
    world
        .post("/oauth/token", Some(&junk), &FORM)
        .await
        .assert_error(401, "invalid_client");
}
