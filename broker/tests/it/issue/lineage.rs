//! The tree of what descends from what, and the ends that one feed entry each reach.

use lanyard::issue::lineage::tree::{Branch, Extent, Sort, State, Tree, tree};
use lanyard::store::event::{By, Cause};
use lanyard::store::{Event, Store};
use lanyard_token::NodeId;

use super::world::{Holder, ORDERS, World};

fn drawn(world: &World, node: NodeId, extent: Extent) -> Tree {
    let now = world.issue.now();
    let drawn = world
        .issue
        .state()
        .read(|book| tree(book, node, extent, now));
    drawn.expect("the node is known")
}

async fn child(world: &World, holder: &Holder, parent: &str) -> String {
    world
        .exchange(holder, parent, &[("audience", ORDERS)])
        .await
        .token()
}

fn count(branch: &Branch) -> usize {
    1 + branch.below.iter().map(count).sum::<usize>()
}

#[tokio::test]
async fn a_tree_goes_from_the_owner_down_to_the_last_token() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let parent = world.token(&billing).await;
    let first = child(&world, &billing, &parent).await;
    let second = child(&world, &billing, &first).await;
    let jti = |token: &str| world.claims(token).jti;

    let seen = drawn(&world, jti(&first), Extent::default());
    let above: Vec<NodeId> = seen.above.iter().map(|node| node.id).collect();
    let team = world.issue.find_owner("team").unwrap();
    assert_eq!(
        above,
        [team, billing.id, billing.credential, jti(&parent)],
        "owner first"
    );
    assert_eq!(seen.tree.live_tokens, 2, "itself and its child");
    assert_eq!(seen.tree.below.len(), 1);
    assert_eq!(seen.tree.below[0].node.id, jti(&second));

    let from_the_owner = drawn(&world, team, Extent::default());
    assert_eq!(count(&from_the_owner.tree), 6);
    assert_eq!(from_the_owner.tree.live_tokens, 3);
    assert_eq!(from_the_owner.tree.below[0].node.sort, Sort::Identity);
    let shallow = Extent {
        depth: 1,
        ..Extent::default()
    };
    let shallow = drawn(&world, team, shallow);
    assert_eq!(count(&shallow.tree), 2);
    assert_eq!(
        (
            shallow.tree.below[0].more,
            shallow.tree.below[0].live_tokens
        ),
        (1, 3),
        "what is not drawn is counted"
    );
}

#[tokio::test]
async fn many_children_are_counted_and_not_drawn() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    for _ in 0..30 {
        world.token(&billing).await;
    }
    let seen = drawn(&world, billing.credential, Extent::default());
    assert_eq!((seen.tree.below.len(), seen.tree.more), (20, 10));
    assert_eq!(seen.tree.live_tokens, 30);
}

#[tokio::test]
async fn each_node_says_how_it_is_and_because_of_what() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let parent = world.token(&billing).await;
    let below = child(&world, &billing, &parent).await;
    let (parent, below) = (world.claims(&parent).jti, world.claims(&below).jti);
    let node = |id: NodeId| drawn(&world, id, Extent::default()).tree.node;
    assert_eq!(node(below).state, State::Live);

    let revoked = Event::Revoked {
        node: parent,
        cause: Cause::Requested,
        by: By::Broker,
    };
    let rev = world.store.append(vec![revoked]).await.unwrap();
    assert_eq!(node(parent).state, State::Revoked);
    assert_eq!(node(parent).because, None);
    assert_eq!(
        (
            node(below).state,
            node(below).because,
            node(below).revoked_at
        ),
        (State::Revoked, Some(parent), Some(rev))
    );

    let other = world.token(&billing).await;
    let other = world.claims(&other).jti;
    let until = world.issue.now().plus_millis(10_000);
    let suspended = Event::Suspended {
        node: billing.credential,
        until,
        cause: Cause::Requested,
        by: By::Broker,
    };
    world.store.append(vec![suspended]).await.unwrap();
    assert_eq!(
        (node(other).state, node(other).because, node(other).until),
        (State::Suspended, Some(billing.credential), Some(until))
    );
    let team = world.issue.find_owner("team").unwrap();
    world.issue.disable(team, By::Broker, "left").await.unwrap();
    assert_eq!(
        (node(billing.id).state, node(billing.id).because),
        (State::Disabled, Some(team))
    );
    world.clock.advance_millis(400_000);
    assert_eq!(node(other).state, State::Expired);
}

#[tokio::test]
async fn the_tree_of_an_actor_counts_what_it_obtained_for_others() {
    let world = World::new().await;
    let (user, agent) = (world.identity("user").await, world.identity("agent").await);
    let theirs = world.token(&user).await;
    let acting = child(&world, &agent, &theirs).await;
    let claims = world.claims(&acting);
    assert_eq!(claims.act.as_ref().map(|act| act.sub()), Some(agent.id));
    let seen = drawn(&world, agent.id, Extent::default()).tree;
    assert_eq!((seen.live_tokens, seen.acting), (1, 1));
    let token = drawn(&world, claims.jti, Extent::default()).tree.node;
    assert_eq!(token.used_by, Some(agent.id));
    // And that is what its end ends.
    world
        .issue
        .disable(agent.id, By::Broker, "drifted")
        .await
        .unwrap();
    assert!(!world.lives(&acting));
    assert!(world.lives(&theirs));
    assert_eq!(
        drawn(&world, agent.id, Extent::default()).tree.live_tokens,
        0
    );
}

#[tokio::test]
async fn the_tree_counts_exactly_what_an_end_ends() {
    let world = World::new().await;
    let (user, agent) = (world.identity("user").await, world.identity("agent").await);
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let theirs = world.token(&user).await;
        tokens.push(child(&world, &agent, &theirs).await);
        tokens.push(theirs);
        tokens.push(world.token(&agent).await);
    }
    let alive = || tokens.iter().filter(|token| world.lives(token)).count();
    let first = world.claims(&tokens[1]).jti;
    for node in [first, agent.credential, user.id] {
        let said = drawn(&world, node, Extent::default()).tree.live_tokens;
        let before = alive();
        let revoked = Event::Revoked {
            node,
            cause: Cause::Requested,
            by: By::Broker,
        };
        let head = world.head();
        let rev = world.store.append(vec![revoked]).await.unwrap();
        assert_eq!(head.forward(1), Some(rev), "one entry");
        assert_eq!(before - alive(), said);
        assert!(said > 0);
    }
}
