//! Several judges over one log.

use std::collections::BTreeSet;
use std::sync::Arc;

use lanyard::store::event::Response;
use lanyard::watch::intake::Report;
use lanyard::watch::{Mode, Policy, Watch, WatchConfig};
use lanyard_token::NodeId;

use super::world::*;

fn enforcing() -> WatchConfig {
    WatchConfig {
        policy: Policy {
            mode: Mode::Enforce,
            ..Policy::default()
        },
        ..WatchConfig::default()
    }
}

/// Another broker's room over the same log.
fn second_judge(world: &World) -> Arc<Watch> {
    let (watch, refused) = Watch::open(
        world.state.clone(),
        world.store.clone(),
        world.clock.clone(),
        Box::new(Shelf::default()),
        enforcing(),
    );
    assert!(refused.is_none());
    watch
}

/// The same report to both.
async fn tell_both(world: &World, second: &Watch, body: &str) {
    assert_eq!(world.send(GATEWAY, body).await.0, 200);
    let report = Report::parse(body.as_bytes()).unwrap();
    second.report(node(GATEWAY), report).await.unwrap();
}

#[tokio::test]
async fn two_judges_of_one_window_say_one_verdict_and_act_once() {
    let world = World::with(enforcing()).await;
    let second = second_judge(&world);
    let token = world.issue(SERVICE).await;
    let mut agent = world.cold_tracker();
    world.leave_task(&mut agent);
    let body = world.body(vec![token.entry(&agent.report().unwrap())]);
    tell_both(&world, &second, &body.to_string()).await;
    assert_eq!(world.verdicts().len(), 1);
    assert_eq!(world.revoked().len(), 1);
    let history = world.state.history(node(SERVICE));
    assert_eq!((history.recycled.len(), history.drifted.len()), (1, 1));
}

#[tokio::test]
async fn a_verdict_that_two_judges_wrote_at_the_same_time_counts_once() {
    let world = World::with(enforcing()).await;
    let token = world.issue(SERVICE).await;
    let mut agent = world.cold_tracker();
    world.leave_task(&mut agent);
    world
        .report(GATEWAY, &token, &agent.report().unwrap())
        .await;
    // What the other judge had on its way: the same events, once more.
    use lanyard::store::{Event, Store};
    let said: Vec<Event> = world
        .log()
        .into_iter()
        .skip_while(|event| !matches!(event, Event::Judged(_)))
        .collect();
    assert!(said.len() >= 3, "{said:?}");
    world.store.append(said).await.unwrap();
    let verdicts = world.state.verdicts(None, 10);
    assert_eq!(verdicts.len(), 1);
    let recycled = |taken: &&lanyard::watch::state::Taken| taken.response == Response::Recycle;
    assert_eq!(verdicts[0].responses.iter().filter(recycled).count(), 1);
    let history = world.state.history(node(SERVICE));
    assert_eq!((history.recycled.len(), history.drifted.len()), (1, 1));
}

#[tokio::test]
async fn of_two_live_brokers_that_hear_everything_one_judges_each_identity() {
    let world = World::with(enforcing()).await;
    let second = second_judge(&world);
    world.watch.share_with(1, vec![1, 2]);
    second.share_with(2, vec![1, 2]);
    let mut judged = BTreeSet::new();
    for identity in 0xd00..0xd20 {
        world.create_service(identity).await;
        let token = world.issue(identity).await;
        let mut agent = world.cold_tracker();
        world.leave_task(&mut agent);
        let body = world.body(vec![token.entry(&agent.report().unwrap())]);
        let body = body.to_string();
        world.send(GATEWAY, &body).await;
        let by_first: BTreeSet<NodeId> = world.verdicts().iter().map(|v| v.identity).collect();
        if by_first.contains(&node(identity)) {
            judged.insert(identity);
        }
        let report = Report::parse(body.as_bytes()).unwrap();
        second.report(node(GATEWAY), report).await.unwrap();
    }
    assert_eq!(world.verdicts().len(), 0x20, "each by exactly one");
    assert!((4..28).contains(&judged.len()), "{}", judged.len());
    // One goes: the other one judges everybody, from the next report on.
    second.share_with(2, vec![2]);
    for identity in judged {
        let token = world.issue(identity).await;
        let mut agent = world.cold_tracker();
        world.leave_task(&mut agent);
        let body = world.body(vec![token.entry(&agent.report().unwrap())]);
        let report = Report::parse(body.to_string().as_bytes()).unwrap();
        let before = world.verdicts().len();
        second.report(node(GATEWAY), report).await.unwrap();
        assert_eq!(world.verdicts().len(), before + 1);
    }
}
