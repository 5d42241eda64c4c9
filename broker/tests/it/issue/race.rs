//! A dead chain cannot be extended, not even in a race.

use std::sync::Arc;

use lanyard::issue::policy::Request;
use lanyard::issue::{Exchange, Subject};
use lanyard_token::{Algorithm, Liveness};

use super::world::{NO_LIMITS, ORDERS, World};

/// 10^4 rounds; more with `LANYARD_CASES`.
fn rounds() -> usize {
    std::env::var("LANYARD_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_child_of_a_revoked_token_is_ever_accepted_at_or_after_the_revocation() {
    let world = Arc::new(World::with(NO_LIMITS, Algorithm::EdDsa).await);
    let billing = world.identity("billing").await;
    let client = Arc::new(world.client(&billing));
    let orders = Arc::new(Request {
        audiences: vec![ORDERS.parse().unwrap()],
        ..Request::default()
    });
    let (mut born, mut refused) = (0, 0);
    for round in 0..rounds() {
        let parent = world.issue.client_credentials(&client, &orders).await;
        let parent = Arc::new(parent.unwrap_or_else(|why| panic!("{why}")).token);
        let minting = {
            let (world, client, orders, parent) = (
                world.clone(),
                client.clone(),
                orders.clone(),
                parent.clone(),
            );
            tokio::spawn(async move {
                let exchange = Exchange {
                    client: Some(&client),
                    subject: Subject::AccessToken(parent.expose()),
                    actor: None,
                    request: &orders,
                    network: None,
                };
                world.issue.exchange(exchange).await.ok()
            })
        };
        let ending = {
            let (world, client, parent) = (world.clone(), client.clone(), parent.clone());
            tokio::spawn(async move {
                // Shift the moment, so that every interleaving gets its turn.
                for _ in 0..round % 8 {
                    tokio::task::yield_now().await;
                }
                world
                    .issue
                    .end(&client, parent.expose(), None)
                    .await
                    .unwrap()
                    .unwrap()
            })
        };
        let (child, ended) = (minting.await.unwrap(), ending.await.unwrap());
        assert!(!world.lives(parent.expose()));
        let Some(child) = child else {
            refused += 1;
            continue;
        };
        born += 1;
        assert!(!world.lives(child.token.expose()), "round {round}");
        // A gateway that knows nothing but this watermark refuses it too.
        let mut liveness = Liveness::default();
        liveness.apply_watermark(ended.node, ended.rev);
        let claims = claims_of(child.token.expose());
        assert!(
            liveness.check(claims.rev, claims.nodes()).is_err(),
            "round {round}"
        );
    }
    println!("{born} children were born dead, {refused} were refused");
    assert!(born > 0 || refused > 0);
}

fn claims_of(token: &str) -> lanyard_token::Claims {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .unwrap();
    lanyard_token::Claims::parse(&json).unwrap()
}
