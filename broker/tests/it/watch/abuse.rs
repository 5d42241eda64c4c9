//! Thieves, through reports, to what happens to their tokens.

use lanyard::clock::Clock;
use lanyard::issue::IssueState;
use lanyard::policy::Risk;
use lanyard::store::event::{Cause, Response};
use lanyard::store::{Projection, Store};
use lanyard::watch::{Caps, Mode, Policy, WatchConfig};
use lanyard_drift::Level;
use lanyard_token::Rev;

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

#[tokio::test]
async fn a_copied_bearer_token_that_walks_ids_is_recycled_and_the_owner_goes_on() {
    let world = World::new().await;
    world.learn(SERVICE).await;
    let stolen = world.issue(SERVICE).await;
    let mut thief = world.tracker(SERVICE).await;
    let got = world.walk(&mut thief);
    assert!(got < 60, "the thief got {got} objects");
    world
        .report(GATEWAY, &stolen, &thief.report().unwrap())
        .await;

    let verdict = world.verdicts().pop().unwrap();
    assert_eq!(
        (verdict.token, verdict.verdict.level),
        (stolen.jti, Level::Malicious)
    );
    assert_eq!(world.revoked(), [(stolen.jti, Cause::Recycled(verdict.id))]);
    assert!(
        world.responses().contains(&(Response::Recycle, true)),
        "a hard rule acts in observe mode"
    );
    assert!(
        verdict.sentence().contains("neighbouring object numbers"),
        "{}",
        verdict.sentence()
    );

    // The room that issues reads the same log: policies see it.
    let issue = IssueState::new();
    for record in world.store.read(Rev::ZERO, 10_000).unwrap() {
        issue.apply(&record);
    }
    let now = world.clock.now();
    let risk = issue.read(|book| book.risk(node(SERVICE), now));
    assert_eq!(risk, Risk::Malicious);

    let minted_anew = world.issue(SERVICE).await;
    let mut owner = world.tracker(SERVICE).await;
    world.ordinary(&mut owner, 101);
    let answer = world
        .report(GATEWAY, &minted_anew, &owner.report().unwrap())
        .await;
    assert_eq!(answer["accepted"], 1);
    assert_eq!(
        world.revoked().len(),
        1,
        "the owner's new token is left alone"
    );
    assert!(world.state.is_alive(minted_anew.jti));
}

#[tokio::test]
async fn what_a_dead_token_did_is_refused_and_teaches_nothing() {
    let world = World::new().await;
    world.learn(SERVICE).await;
    let stolen = world.issue(SERVICE).await;
    let mut thief = world.tracker(SERVICE).await;
    world.walk(&mut thief);
    world
        .report(GATEWAY, &stolen, &thief.report().unwrap())
        .await;
    let before = world.watch.identity(node(SERVICE)).unwrap().calls;
    world.masquerade(&mut thief, 300);
    let answer = world
        .report(GATEWAY, &stolen, &thief.report().unwrap())
        .await;
    assert_eq!(answer["refused"], 1);
    assert_eq!(world.watch.identity(node(SERVICE)).unwrap().calls, before);
    assert_eq!(world.verdicts().len(), 1);
}

#[tokio::test]
async fn statistics_are_only_written_down_in_observe_mode() {
    let world = World::new().await;
    world.learn(SERVICE).await;
    let stolen = world.issue(SERVICE).await;
    let mut thief = world.tracker(SERVICE).await;
    world.masquerade(&mut thief, 90);
    world
        .report(GATEWAY, &stolen, &thief.report().unwrap())
        .await;
    let verdict = world.verdicts().pop().unwrap();
    assert_eq!(
        verdict.verdict.level,
        Level::Malicious,
        "{}",
        verdict.sentence()
    );
    assert!(world.responses().contains(&(Response::Recycle, false)));
    assert!(world.revoked().is_empty());
    assert!(world.state.is_alive(stolen.jti));
}

#[tokio::test]
async fn statistics_of_one_gateway_suspend_but_never_revoke() {
    let world = World::with(enforcing()).await;
    world.learn(SERVICE).await;
    for _ in 0..6 {
        let token = world.issue(SERVICE).await;
        let mut thief = world.tracker(SERVICE).await;
        world.masquerade(&mut thief, 90);
        world
            .report(GATEWAY, &token, &thief.report().unwrap())
            .await;
    }
    let causes: Vec<_> = world.revoked();
    assert!(
        causes
            .iter()
            .all(|(_, cause)| matches!(cause, Cause::Recycled(_))),
        "{causes:?}"
    );
    assert_eq!(
        world.suspended(),
        [credential(SERVICE)],
        "once, and not prolonged"
    );
}

/// A token whose calls come by two gateways: by each of them, what this many strange calls come to.
async fn through_two_gateways(world: &World, strange: [u64; 2]) {
    let token = world.issue(SERVICE).await;
    let mut reports = Vec::new();
    for calls in strange {
        let mut tracker = world.tracker(SERVICE).await;
        world.ordinary(&mut tracker, 5);
        world.masquerade(&mut tracker, calls);
        reports.push(tracker.report().unwrap());
    }
    // In one moment, as from one thief: a token that ended is reported in vain.
    let entries = |report| world.body(vec![token.entry(report)]).to_string();
    let [first, second] = [entries(&reports[0]), entries(&reports[1])];
    world.send(SECOND_GATEWAY, &first).await;
    world.send(GATEWAY, &second).await;
    world.clock.advance_millis(60_000);
}

#[tokio::test]
async fn an_ordinary_report_of_an_honest_gateway_lends_no_word_to_another() {
    let world = World::with(enforcing()).await;
    world.learn(SERVICE).await;
    for _ in 0..4 {
        through_two_gateways(&world, [0, 90]).await;
    }
    let verdict = world.verdicts().pop().unwrap();
    assert_eq!(verdict.verdict.level, Level::Malicious);
    assert_eq!(verdict.gateways, [node(SECOND_GATEWAY), node(GATEWAY)]);
    assert_eq!(verdict.carried_by(), [node(GATEWAY)]);
    assert_eq!(world.suspended(), [credential(SERVICE)]);
    let recycled = |(_, cause): &(_, Cause)| matches!(cause, Cause::Recycled(_));
    assert!(
        world.revoked().iter().all(recycled),
        "{:?}",
        world.revoked()
    );
}

#[tokio::test]
async fn two_gateways_that_each_see_two_families_revoke_the_credential_after_recycling() {
    let world = World::with(enforcing()).await;
    world.learn(SERVICE).await;
    // The first token is gone with the first report; the next two come by another gateway each.
    for strange in [[90, 0], [90, 0], [0, 90]] {
        through_two_gateways(&world, strange).await;
    }
    let revoked = world.revoked();
    let last = revoked.last().unwrap();
    let ended = matches!(last, (node, Cause::Drift(_)) if *node == credential(SERVICE));
    assert!(ended, "{revoked:?}");
}

/// Tokens minted one after the other, with each of which somebody walks at one of these gateways.
async fn walks(world: &World, gateways: &[u64]) {
    world.learn(SERVICE).await;
    for gateway in gateways {
        let token = world.issue(SERVICE).await;
        let mut thief = world.tracker(SERVICE).await;
        world.walk(&mut thief);
        world
            .report(*gateway, &token, &thief.report().unwrap())
            .await;
        world.clock.advance_millis(1_000);
    }
}

#[tokio::test]
async fn a_thief_with_the_key_loses_it_once_two_gateways_saw_it_come_back() {
    let world = World::new().await;
    walks(&world, &[GATEWAY, GATEWAY, SECOND_GATEWAY]).await;
    let ended: Vec<_> = world.revoked().into_iter().map(|(node, _)| node).collect();
    assert_eq!(ended.last(), Some(&credential(SERVICE)), "{ended:?}");
    assert_eq!(ended.len(), 3);
    let sibling = world.issue(SIBLING).await;
    assert!(world.state.is_alive(sibling.jti));
}

#[tokio::test]
async fn a_walk_that_one_gateway_alone_tells_of_pauses_the_key_and_a_person_is_told_how_to_end_it()
{
    let world = World::new().await;
    walks(&world, &[GATEWAY; 3]).await;
    assert_eq!(world.suspended(), [credential(SERVICE)]);
    let last = world.verdicts().pop().unwrap();
    let (_, shown) = world.get(&format!("/v1/drift/verdicts/{}", last.id)).await;
    let sentence = shown["waiting"]["sentence"].as_str().unwrap();
    let command = format!("lanyard key revoke {}", credential(SERVICE));
    let gateway = format!("the word of gateway `n{GATEWAY:x}` alone");
    assert!(sentence.contains(&gateway), "{sentence}");
    assert!(sentence.ends_with(&command), "{sentence}");
    assert_eq!(world.responses().last(), Some(&(Response::Suspend, true)));

    // It goes on after the pause: recycled, not paused a second time within the hour.
    world.clock.advance_millis(900_000);
    walks(&world, &[GATEWAY; 3]).await;
    assert_eq!(world.suspended(), [credential(SERVICE)]);
    let recycled = |(_, cause): &(_, Cause)| matches!(cause, Cause::Recycled(_));
    assert!(
        world.revoked().iter().all(recycled),
        "{:?}",
        world.revoked()
    );
}

#[tokio::test]
async fn a_gateway_that_an_administrator_trusts_alone_ends_a_key_by_a_hard_rule() {
    let world = World::new().await;
    walks(&world, &[SOLE_GATEWAY; 3]).await;
    let ended: Vec<_> = world.revoked().into_iter().map(|(node, _)| node).collect();
    assert_eq!(ended.last(), Some(&credential(SERVICE)), "{ended:?}");
    assert!(world.suspended().is_empty());
}

#[tokio::test]
async fn an_agent_that_leaves_its_task_again_is_suspended() {
    let world = World::new().await;
    for _ in 0..2 {
        let token = world.issue(SERVICE).await;
        let mut agent = world.cold_tracker();
        world.leave_task(&mut agent);
        world
            .report(GATEWAY, &token, &agent.report().unwrap())
            .await;
        world.clock.advance_millis(1_000);
    }
    assert_eq!(world.suspended(), [credential(SERVICE)]);
    let until = match world.log().pop() {
        Some(lanyard::store::Event::Suspended { until, .. }) => until.0,
        other => panic!("{other:?}"),
    };
    use lanyard::clock::Clock;
    assert!(until <= world.clock.now().0 + 900_000);
}

#[tokio::test]
async fn caps_hold_when_everybody_drifts_at_once() {
    let caps = Caps {
        recycles: 5,
        ..Caps::default()
    };
    let world = World::with(WatchConfig {
        caps,
        ..WatchConfig::default()
    })
    .await;
    let mut tokens = Vec::new();
    for _ in 0..9 {
        tokens.push(world.issue(SERVICE).await);
    }
    for token in tokens {
        let mut agent = world.cold_tracker();
        world.leave_task(&mut agent);
        world
            .report(GATEWAY, &token, &agent.report().unwrap())
            .await;
    }
    assert_eq!(world.revoked().len(), 5);
    assert!(world.watch.counters().capped.get() > 0);
    assert!(world.responses().contains(&(Response::Alert, true)));
}

#[tokio::test]
async fn the_same_verdict_is_not_written_down_again_at_once() {
    let world = World::new().await;
    world.learn(SERVICE).await;
    let stolen = world.issue(SERVICE).await;
    let mut thief = world.tracker(SERVICE).await;
    for _ in 0..9 {
        world.masquerade(&mut thief, 10);
        let before = world.clock.clone();
        world
            .report(GATEWAY, &stolen, &thief.report().unwrap())
            .await;
        // Judging goes by the clock of the calls, quiet by the broker's: hold that one still.
        use lanyard::clock::{Clock, UnixMillis};
        before.set(UnixMillis(before.now().0 - 10_000));
    }
    let verdicts = world.verdicts();
    assert!(
        verdicts.len() <= 2,
        "at most one per level: {}",
        verdicts.len()
    );
    assert!(!verdicts.is_empty());
}

#[tokio::test]
async fn probing_is_narrowed_and_clearing_gives_the_owner_a_token_that_is_not() {
    let world = World::with(enforcing()).await;
    world.learn(SERVICE).await;
    let token = world.issue(SERVICE).await;
    let mut tracker = world.tracker(SERVICE).await;
    world.probe(&mut tracker);
    world
        .report(GATEWAY, &token, &tracker.report().unwrap())
        .await;
    let verdict = world.verdicts().pop().unwrap();
    assert!(
        world.responses().contains(&(Response::Narrow, true)),
        "{:?}: {}",
        world.responses(),
        verdict.sentence()
    );
    assert!(world.state.is_alive(token.jti), "narrowed, not ended");
    let (_, shown) = world
        .get(&format!("/v1/drift/verdicts/{}", verdict.id))
        .await;
    assert_eq!(shown["abuse"], "probing");

    let path = format!("/v1/drift/verdicts/{}/clear", verdict.id);
    let (status, answer) = world.post(&path, r#"{"reason":"our own scanner"}"#).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(world.revoked(), [(token.jti, Cause::Recycled(verdict.id))]);
    let history = world.state.history(node(SERVICE));
    assert!(history.recycled.is_empty() && history.narrowed.is_empty());
}

#[tokio::test]
async fn whoever_goes_on_probing_with_a_narrowed_token_loses_it() {
    let world = World::with(enforcing()).await;
    world.learn(SERVICE).await;
    let token = world.issue(SERVICE).await;
    let mut tracker = world.tracker(SERVICE).await;
    for _ in 0..2 {
        world.probe(&mut tracker);
        world
            .report(GATEWAY, &token, &tracker.report().unwrap())
            .await;
        world.clock.advance_millis(20_000);
    }
    assert!(world.responses().contains(&(Response::Narrow, true)));
    assert!(!world.state.is_alive(token.jti));
    assert!(world.suspended().is_empty());
}
