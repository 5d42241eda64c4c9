use std::collections::BTreeSet;

use super::*;
use crate::world::calendar::{DAY, MINUTE, midnight};
use crate::world::{Audience, Fleet};

/// A world one day old, and its attacks.
fn scene(seed: u64) -> (World, Vec<Attack>) {
    let mut world = World::new(seed, &Fleet::SMALL, 2);
    while world.due().is_some_and(|at| at < midnight(1)) {
        world.next_call();
    }
    let attacks = cast(&world, seed, midnight(1));
    (world, attacks)
}

fn strikes(seed: u64, class: Class, most: usize) -> (World, usize, Vec<Strike>) {
    let (world, attacks) = scene(seed);
    let mut attack = attacks
        .into_iter()
        .find(|attack| attack.class == class)
        .expect("every class is cast");
    let mut now = attack.begins;
    let mut strikes = Vec::new();
    while strikes.len() < most
        && let Some(strike) = attack.strike(&world, now)
    {
        now = strike.at;
        strikes.push(strike);
    }
    (world, attack.victim, strikes)
}

fn numbers(strikes: &[Strike]) -> Vec<u64> {
    let numbers = strikes
        .iter()
        .filter_map(|strike| strike.event.object?.number);
    numbers.collect()
}

#[test]
fn every_class_attacks_once_and_nobody_is_attacked_twice() {
    for seed in [1, 2, 3] {
        let (_, attacks) = scene(seed);
        let victims: BTreeSet<usize> = attacks.iter().map(|attack| attack.victim).collect();
        assert_eq!(
            (attacks.len(), victims.len()),
            (Class::ALL.len(), Class::ALL.len())
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_strikes() {
    let (_, _, first) = strikes(4, Class::Theft, 100);
    let (_, _, again) = strikes(4, Class::Theft, 100);
    let (_, _, other) = strikes(5, Class::Theft, 100);
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn the_fast_walk_takes_object_after_object_within_minutes() {
    let (_, _, strikes) = strikes(1, Class::EnumerateFast, 600);
    let numbers = numbers(&strikes);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    let took = strikes[599].at.since(strikes[0].at);
    assert!(took < 6 * MINUTE, "{took} ms");
}

#[test]
fn the_slow_walk_asks_twice_a_minute_and_the_shuffled_one_in_no_order() {
    let (_, _, slow) = strikes(1, Class::EnumerateSlow, 121);
    let took = slow[120].at.since(slow[0].at);
    assert!((55 * MINUTE..65 * MINUTE).contains(&took), "{took} ms");
    let (_, _, shuffled) = strikes(1, Class::EnumerateShuffled, 121);
    let numbers = numbers(&shuffled);
    let near = numbers
        .windows(2)
        .filter(|pair| pair[0].abs_diff(pair[1]) <= 4);
    assert!(near.count() < 3);
    let distinct: BTreeSet<_> = numbers.iter().collect();
    assert!(distinct.len() > 115);
}

#[test]
fn slow_exfiltration_calls_like_the_owner_and_lasts_for_days() {
    let (world, victim, strikes) = strikes(2, Class::Exfiltrate, 100_000);
    let habits = world.habits(victim).expect("the victim works");
    let ids: BTreeSet<_> = habits
        .operations()
        .iter()
        .filter_map(|index| world.catalogue().get(*index))
        .map(|known| known.id)
        .collect();
    assert!(
        strikes
            .iter()
            .all(|strike| ids.contains(&strike.event.operation))
    );
    assert!(
        strikes
            .iter()
            .all(|strike| strike.event.client == Some(habits.client))
    );
    let lasted = strikes[strikes.len() - 1].at.since(strikes[0].at);
    assert!(lasted > 2 * DAY, "{lasted} ms");
    assert!(
        (2_000..40_000).contains(&strikes.len()),
        "{}",
        strikes.len()
    );
}

#[test]
fn the_more_patient_exfiltration_takes_half_of_that() {
    let whole = strikes(2, Class::Exfiltrate, 100_000).2.len() as f64;
    let half = strikes(2, Class::ExfiltrateHalf, 100_000).2.len() as f64;
    let share = half / whole;
    assert!((0.25..0.9).contains(&share), "{half} of {whole}");
}

#[test]
fn a_scraper_is_broad_and_in_a_hurry() {
    let (_, _, strikes) = strikes(1, Class::Scrape, 1_000);
    let distinct: BTreeSet<_> = numbers(&strikes).into_iter().collect();
    assert!(distinct.len() > 700, "{}", distinct.len());
    assert!(strikes[999].at.since(strikes[0].at) < 6 * MINUTE);
}

#[test]
fn a_thief_is_elsewhere_and_a_replayer_is_beside_the_owner() {
    let (world, victim, theft) = strikes(1, Class::Theft, 50);
    assert!(
        theft
            .iter()
            .all(|strike| strike.event.source != world.network(victim))
    );
    let mut copied = 0;
    for seed in 1..9 {
        let (world, victim, replay) = strikes(seed, Class::Replay, 5);
        assert!(
            replay
                .iter()
                .all(|strike| strike.event.source == world.network(victim))
        );
        let client = world.habits(victim).map(|habits| habits.client);
        copied += usize::from(replay[0].event.client == client);
    }
    assert!((1..8).contains(&copied), "{copied} of 8 copy the client");
}

#[test]
fn probing_tries_what_the_owner_never_calls_and_is_mostly_refused() {
    let (world, victim, strikes) = strikes(1, Class::Probe, 200);
    let own = world.habits(victim).expect("the victim works").operations();
    let own: BTreeSet<_> = own
        .iter()
        .filter_map(|index| world.catalogue().get(*index))
        .map(|known| known.id)
        .collect();
    assert!(
        strikes
            .iter()
            .all(|strike| !own.contains(&strike.event.operation))
    );
    let refused = strikes
        .iter()
        .filter(|strike| strike.outcome.status == Some(403));
    assert!(refused.count() > 100);
}

#[test]
fn a_hijacked_agent_sends_to_a_stranger_which_a_task_scope_tells_at_once() {
    for (class, scoped) in [(Class::HijackScoped, true), (Class::HijackUnscoped, false)] {
        let (world, victim, strikes) = strikes(1, class, 20);
        let known = &world.habits(victim).expect("the victim works").destinations;
        let sent: Vec<_> = strikes.iter().filter(|strike| strike.takes).collect();
        assert!((3..=6).contains(&sent.len()));
        for strike in sent {
            assert!(
                strike
                    .event
                    .destination
                    .is_some_and(|to| !known.contains(&to))
            );
            assert_eq!(strike.event.task.is_some(), scoped);
            assert_ne!(strike.event.task, Some(TaskFit::Inside));
        }
    }
}

#[test]
fn poisoning_begins_with_the_owners_calls_and_ends_with_its_own() {
    let (_, _, strikes) = strikes(1, Class::Poison, 100_000);
    let share = |part: &[Strike]| {
        part.iter().filter(|strike| strike.takes).count() as f64 / part.len() as f64
    };
    let (first, last) = (&strikes[..200], &strikes[strikes.len() - 200..]);
    assert!(share(first) < 0.1, "{}", share(first));
    assert!(share(last) > 0.9, "{}", share(last));
}

#[test]
fn a_forger_makes_a_token_for_every_few_calls() {
    let (_, _, strikes) = strikes(1, Class::Forge, 1_000);
    let tokens = strikes.iter().filter(|strike| strike.renews).count();
    assert_eq!((strikes.len(), tokens), (60, 20));
    assert!(strikes[0].renews);
}

#[test]
fn a_lying_gateway_lies_alone_about_whom_it_serves_and_whom_it_does_not() {
    for (class, served) in [(Class::LieServed, true), (Class::LieUnserved, false)] {
        let (world, victim, strikes) = strikes(1, class, 100);
        let gateways: BTreeSet<u8> = strikes.iter().map(|strike| strike.gateway).collect();
        assert_eq!(gateways.len(), 1);
        let audience = Audience::of(world.identities()[victim].kind);
        let serves = audience.gateways().contains(&strikes[0].gateway);
        assert_eq!(serves, served);
    }
}

#[test]
fn framing_by_a_copied_token_is_as_loud_as_can_be() {
    let (_, _, strikes) = strikes(1, Class::FrameToken, 200);
    assert!(
        strikes
            .iter()
            .any(|strike| strike.outcome.status == Some(403))
    );
    assert!(strikes[199].at.since(strikes[0].at) < 2 * MINUTE);
    assert!(strikes.iter().all(|strike| !strike.takes));
}
