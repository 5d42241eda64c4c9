use std::collections::{BTreeMap, BTreeSet};

use super::calendar::{BEGIN, DAY, HOUR, MINUTE, day, midnight, time_of_day};
use super::role::Manner;
use super::*;

fn calls(seed: u64, days: u64) -> (World, Vec<Call>) {
    let mut world = World::new(seed, &Fleet::SMALL, days);
    let calls = std::iter::from_fn(|| world.next_call()).collect();
    (world, calls)
}

fn of(world: &World, calls: &[Call], manner: Manner) -> Vec<Call> {
    let works_so = |call: &&Call| {
        let role = world.identities()[call.identity].role;
        world.roles()[role].manner == manner
    };
    calls.iter().filter(works_so).copied().collect()
}

#[test]
fn a_seed_gives_the_same_calls_again_and_another_seed_gives_others() {
    let (_, first) = calls(1, 1);
    let (_, again) = calls(1, 1);
    let (_, other) = calls(2, 1);
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert!(first.is_sorted_by_key(|call| call.at));
    assert!((40_000..250_000).contains(&first.len()), "{}", first.len());
}

#[test]
fn services_follow_the_day_and_the_week() {
    let (world, calls) = calls(3, 7);
    let services = of(&world, &calls, Manner::Requests);
    let within = |from: u64, until: u64, weekend: bool| {
        let hours = services.iter().filter(|call| {
            let hour = time_of_day(call.at) / HOUR;
            (from..until).contains(&hour) && (day(call.at) >= 5) == weekend
        });
        hours.count() as f64 / if weekend { 2.0 } else { 5.0 }
    };
    let (noon, night, weekend) = (
        within(12, 16, false),
        within(1, 5, false),
        within(12, 16, true),
    );
    assert!(noon > 3.0 * night, "{noon} against {night}");
    assert!(
        (0.3..0.75).contains(&(weekend / noon)),
        "{weekend} of {noon}"
    );
}

#[test]
fn every_way_of_working_is_there_and_each_kind_of_identity() {
    let (world, calls) = calls(4, 2);
    for manner in [
        Manner::Requests,
        Manner::Job,
        Manner::Polling,
        Manner::Webhooks,
        Manner::Export,
        Manner::Sessions,
    ] {
        let count = of(&world, &calls, manner).len();
        assert!(count > 100, "{count} of {manner:?}");
    }
    let kinds: BTreeSet<Kind> = world.identities().iter().map(|known| known.kind).collect();
    assert_eq!(kinds.len(), 3);
}

#[test]
fn a_partner_of_two_networks_is_in_both_at_once_and_a_replica_in_one() {
    let mut pools = 0;
    for seed in 1..5 {
        let (world, calls) = calls(seed, 1);
        for (identity, known) in world.identities().iter().enumerate() {
            let mine = calls.iter().filter(|call| call.identity == identity);
            let sources: Vec<_> = mine.map(|call| call.event.source).collect();
            let changes = sources.windows(2).filter(|pair| pair[0] != pair[1]).count();
            let two = BTreeSet::from_iter(&sources).len() > 1;
            if known.kind == Kind::Integration && two {
                pools += 1;
                assert!(4 * changes > sources.len(), "{changes} changes");
            } else {
                assert!(20 * changes < sources.len().max(20), "{changes} changes");
            }
        }
    }
    assert!(pools > 0);
}

#[test]
fn jobs_walk_in_order_and_in_bursts() {
    let (world, calls) = calls(5, 1);
    let jobs = of(&world, &calls, Manner::Job);
    let one = jobs[0].identity;
    let mine: Vec<&Call> = jobs.iter().filter(|call| call.identity == one).collect();
    let numbers = mine.iter().filter_map(|call| call.event.object?.number);
    let numbers: Vec<u64> = numbers.collect();
    let steps = numbers
        .windows(2)
        .filter(|pair| pair[1] == pair[0] + 1)
        .count();
    assert!(
        steps * 10 > numbers.len() * 9,
        "{steps} of {}",
        numbers.len()
    );
    let mut minutes = BTreeMap::new();
    for call in &mine {
        *minutes.entry(call.at.since(BEGIN) / MINUTE).or_insert(0) += 1;
    }
    assert!(minutes.len() < 24 * 4, "{} busy minutes", minutes.len());
}

#[test]
fn a_month_ends_with_a_larger_export() {
    let (world, calls) = calls(6, 9);
    let exports = of(&world, &calls, Manner::Export);
    let on = |wanted| exports.iter().filter(|call| day(call.at) == wanted).count();
    assert!(on(7) > 3 * on(6), "{} and {}", on(7), on(6));
}

#[test]
fn while_a_backend_fails_calls_are_repeated() {
    let (_, calls) = calls(7, 4);
    let failed = calls.iter().filter(|call| call.outcome.status == Some(503));
    let mut minutes = BTreeMap::new();
    for call in failed {
        *minutes.entry(call.at.since(BEGIN) / MINUTE).or_insert(0) += 1;
    }
    let worst = minutes.values().max().copied().unwrap_or_default();
    assert!(worst > 20, "the worst minute has {worst} failures");
    let repeated = calls.windows(2).filter(|pair| {
        pair[0].outcome.status == Some(503)
            && pair[0].identity == pair[1].identity
            && pair[0].event.operation == pair[1].event.operation
    });
    assert!(repeated.count() > 50);
}

#[test]
fn a_deployment_reaches_all_replicas_within_minutes_with_another_client() {
    let (world, calls) = calls(8, 6);
    let (role, release) = world
        .roles()
        .iter()
        .enumerate()
        .find_map(|(n, role)| {
            let second = role.releases.get(1)?;
            (role.manner == Manner::Requests).then_some((n, second))
        })
        .expect("some service is deployed in six days");
    let mut moved = BTreeMap::new();
    for call in &calls {
        let mine = world.identities()[call.identity].role == role;
        if mine && call.event.client == Some(release.habits.client) {
            moved.entry(call.identity).or_insert(call.at);
        }
    }
    assert_eq!(moved.len(), Fleet::SMALL.replicas);
    for at in moved.values() {
        assert!(*at >= release.at && at.since(release.at) < 30 * MINUTE);
    }
    assert!(world.deployments() > 5);
}

#[test]
fn sessions_of_agents_have_tasks_and_tokens_of_their_own() {
    let (world, calls) = calls(9, 2);
    let sessions = of(&world, &calls, Manner::Sessions);
    let numbers: BTreeSet<(usize, u32)> = sessions
        .iter()
        .map(|call| (call.identity, call.session))
        .collect();
    assert!(numbers.len() > 100, "{} sessions", numbers.len());
    assert!(sessions.iter().any(|call| call.event.task.is_some()));
    assert!(sessions.iter().any(|call| call.event.task.is_none()));
    assert!(sessions.iter().any(|call| call.event.destination.is_some()));
}

#[test]
fn the_world_ends_when_it_was_said_to() {
    let (_, calls) = calls(10, 1);
    let last = calls.last().expect("somebody calls");
    assert!(last.at < midnight(1));
    assert!(last.at > BEGIN.plus(DAY - HOUR));
}

#[test]
fn agents_go_through_gateways_of_their_own() {
    let (world, calls) = calls(11, 1);
    for call in calls {
        let agent = world.identities()[call.identity].kind == Kind::Agent;
        let audience = if agent {
            Audience::Tools
        } else {
            Audience::Shop
        };
        assert!(audience.gateways().contains(&call.gateway));
    }
}
