//! A dead chain cannot be extended, not even in a race: whoever mints while somebody revokes gets
//! nothing, or something that was born dead.

use std::sync::Arc;

use lanyard::issue::policy::Request;
use lanyard::issue::{Client, Exchange, Subject};
use lanyard::store::event::{By, Cause};
use lanyard::store::{Event, Store};
use lanyard_token::{Algorithm, Liveness, NodeId};

use super::world::{NO_LIMITS, ORDERS, World};

/// How many children race against the end of one ancestor.
const CHILDREN: usize = 4;

/// 10^4 races; more with `LANYARD_CASES`.
fn races() -> usize {
    std::env::var("LANYARD_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000)
}

/// One way to a token below the ancestors that are ended.
#[derive(Clone, Copy)]
enum Way {
    /// The holder exchanges the parent.
    Own,
    /// Somebody else exchanges the parent, and acts with the child.
    Acting,
    /// The holder asks with its key.
    Key,
}

async fn obtain(
    world: &World,
    way: Way,
    (holder, actor): (&Client, &Client),
    parent: &str,
) -> Option<String> {
    let orders = Request {
        audiences: vec![ORDERS.parse().unwrap()],
        ..Request::default()
    };
    let issued = match way {
        Way::Key => world.issue.client_credentials(holder, &orders, None).await,
        Way::Own | Way::Acting => {
            let client = if matches!(way, Way::Own) {
                holder
            } else {
                actor
            };
            let exchange = Exchange {
                client: Some(client),
                subject: Subject::AccessToken(parent),
                actor: None,
                request: &orders,
                address: None,
            };
            world.issue.exchange(exchange).await
        }
    };
    issued.ok().map(|issued| issued.token.expose().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_child_of_what_was_revoked_is_ever_accepted_at_or_after_the_revocation() {
    let world = Arc::new(World::with(NO_LIMITS, Algorithm::EdDsa).await);
    let (billing, agent) = (
        world.identity("billing").await,
        world.identity("agent").await,
    );
    let team = world.issue.find_owner("team").unwrap();
    let clients = Arc::new((world.client(&billing), world.client(&agent)));
    let (mut born_dead, mut refused, mut before) = (0, 0, 0);
    for round in 0..races().div_ceil(CHILDREN) {
        let parent = obtain(&world, Way::Key, (&clients.0, &clients.1), "").await;
        let parent = Arc::new(parent.expect("whoever was enabled again is served"));
        let jti = claims_of(&parent).jti;
        let ends = [jti, billing.credential, billing.id, team, agent.id];
        let end = ends[round % ends.len()];
        let minting = [Way::Own, Way::Acting, Way::Key, Way::Own].map(|way| {
            let (world, clients, parent) = (world.clone(), clients.clone(), parent.clone());
            tokio::spawn(
                async move { obtain(&world, way, (&clients.0, &clients.1), &parent).await },
            )
        });
        let ending = {
            let world = world.clone();
            tokio::spawn(async move {
                // Shift the moment, so that every interleaving gets its turn.
                for _ in 0..round % 8 {
                    tokio::task::yield_now().await;
                }
                world.store.append(vec![revoked(end)]).await.unwrap()
            })
        };
        let rev = ending.await.unwrap();
        // A gateway that knows nothing but this watermark.
        let mut gateway = Liveness::default();
        gateway.apply_watermark(end, rev);
        for child in minting {
            let Some(child) = child.await.unwrap() else {
                refused += 1;
                continue;
            };
            let claims = claims_of(&child);
            if claims.nodes().all(|node| node != end) {
                before += 1;
                assert!(world.lives(&child), "round {round}: it had no part in it");
                continue;
            }
            born_dead += 1;
            assert!(!world.lives(&child), "round {round}");
            assert!(
                gateway.check(claims.rev, claims.nodes()).is_err(),
                "round {round}"
            );
        }
        if end != jti {
            let enabled = world.issue.enable(end, By::Broker, None).await;
            enabled.unwrap();
        }
    }
    println!(
        "{born_dead} children were born dead, {refused} were refused, {before} had no part in the end"
    );
    assert!(born_dead > 0 && refused + born_dead + before == races().div_ceil(CHILDREN) * CHILDREN);
}

fn revoked(node: NodeId) -> Event {
    Event::Revoked {
        node,
        cause: Cause::Requested,
        by: By::Broker,
    }
}

fn claims_of(token: &str) -> lanyard_token::Claims {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .unwrap();
    lanyard_token::Claims::parse(&json).unwrap()
}
