//! What the observer keeps, and what it lets go, at instants that the test chooses.

use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use lanyard_drift::Outcome;
use lanyard_token::testing::TestIssuer;
use lanyard_token::{Algorithm, Claims, Delegation, KeyUse, RootKey};

use super::*;
use crate::clock::{Clock, UnixMillis};
use crate::gateway::builder::Capacity;
use crate::gateway::{Decision, Gateway, Lease, Request, Route};

const ISSUER: &str = "https://broker.example";
const AUDIENCE: &str = "https://orders.example";
const NOW: u64 = 1_800_000_000;

#[derive(Default)]
struct SetClock(AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> Now {
        let millis = self.0.load(Ordering::SeqCst);
        Now {
            boot: BootTime(1_000 + millis),
            wall: UnixMillis(NOW * 1_000 + millis),
        }
    }
}

struct World {
    issuer: TestIssuer,
    clock: Arc<SetClock>,
    gateway: Gateway,
}

impl World {
    /// A gateway whose last reports are taken.
    fn new(capacity: usize) -> Self {
        let issuer = TestIssuer::new(Algorithm::EdDsa, ISSUER, AUDIENCE, NOW);
        let root = TestIssuer::new(Algorithm::EdDsa, ISSUER, AUDIENCE, NOW);
        let until = NOW + 86_400;
        let input = Delegation::signing_input(ISSUER, &issuer.key, KeyUse::Mint, NOW - 10, until);
        let pinned = RootKey::from_raw(root.key.raw()).unwrap();
        let delegation = Delegation::verify(&root.signed(input), &pinned, ISSUER, NOW).unwrap();
        let keys = std::iter::once(&delegation).collect();
        let clock = Arc::new(SetClock::default());
        let gateway = Gateway::builder()
            .dangerous()
            .without_revocation(ISSUER, AUDIENCE.parse().unwrap(), keys)
            .routes([Route::new(Method::GET, "/orders/{id}").object("id")])
            .unwrap()
            .drift(DriftMode::Enforce)
            .capacity(Capacity::tokens(capacity))
            .clock(Arc::clone(&clock) as Arc<dyn Clock>)
            .build();
        gateway.0.link.reporter_begins();
        Self {
            issuer,
            clock,
            gateway,
        }
    }

    fn at(&self, millis: u64) {
        self.clock.0.store(millis, Ordering::SeqCst);
    }

    fn call(&self, jti: u64, order: u64) -> Option<Lease> {
        let token = self.issuer.token_of(&Claims {
            jti: NodeId::from_u64(jti),
            ..self.issuer.claims.clone()
        });
        let path = format!("/orders/{order}");
        let request = Request::new(&Method::GET, &path);
        let decision = self.gateway.check(&token, &request, self.gateway.now());
        match decision {
            Decision::Allow(lease) => Some(lease),
            Decision::Deny(_) => None,
        }
    }

    fn observe(&self) {
        self.gateway.observe_now();
    }

    fn trackers(&self) -> usize {
        self.observe();
        self.gateway.0.observer.trackers()
    }

    /// The last reports that wait: token and calls.
    fn last_reports(&self) -> Vec<(u64, u64)> {
        let orphans = self.gateway.0.grants.take_orphans();
        assert_eq!(orphans.lost, 0);
        let told =
            |(grant, report): &(Arc<Grant>, TokenReport)| (grant.jti().as_u64(), report.calls());
        orphans.reports.iter().map(told).collect()
    }
}

#[test]
fn a_token_that_falls_silent_hands_over_a_last_report_and_costs_no_tracker() {
    let world = World::new(100);
    for order in [7, 4_711, 900] {
        assert!(world.call(9, order).is_some());
    }
    assert_eq!(world.trackers(), 1);
    for seconds in [60, 121, 123] {
        world.at(seconds * 1_000);
        world.observe();
    }
    assert_eq!(world.trackers(), 0);
    assert_eq!(world.last_reports(), [(9, 3)]);
    // It calls again and is watched again.
    assert!(world.call(9, 7).is_some());
    assert_eq!(world.trackers(), 1);
}

#[test]
fn a_token_that_calls_while_its_tracker_is_on_its_way_out_keeps_it() {
    let world = World::new(100);
    assert!(world.call(9, 7).is_some());
    world.observe();
    world.at(121_000);
    world.observe();
    assert!(world.call(9, 8).is_some());
    world.observe();
    world.at(123_000);
    assert_eq!(world.trackers(), 1);
    assert_eq!(world.last_reports(), []);
}

#[test]
fn a_walker_who_waits_half_a_minute_between_steps_is_still_one_walk() {
    let world = World::new(100);
    let walked = (0..9).take_while(|step| {
        world.at(step * 30_000);
        let passed = world.call(9, 100 + step).is_some();
        world.observe();
        passed
    });
    assert_eq!(walked.count(), 9);
    let grant = world.gateway.0.grants.all().remove(0);
    let mut reports = world.gateway.0.observer.reports(&[grant]);
    let (_, report) = reports.remove(0);
    let report = serde_json::to_value(&report).unwrap();
    assert_eq!(report["objects"][0][0][1]["habit"]["longest_run"], 9);
}

#[test]
fn more_active_tokens_than_trackers_push_out_those_silent_longest_and_hide_nothing() {
    let world = World::new(1_000);
    world.gateway.0.observer.keep_at_most(64);
    for token in 0..65_u64 {
        world.at(token);
        assert!(world.call(1_000 + token, 7).is_some());
    }
    assert_eq!(world.trackers(), 64 - 8 + 1);
    let mut told = world.last_reports();
    told.sort_unstable();
    let silent_longest: Vec<_> = (1_000..1_008).map(|token| (token, 1)).collect();
    assert_eq!(told, silent_longest);
}

#[test]
fn a_token_that_was_pushed_out_while_it_was_calling_loses_no_call() {
    let world = World::new(1_000);
    world.gateway.0.observer.keep_at_most(8);
    for turn in 0..5_u64 {
        for token in 1_000..1_032 {
            world.at(turn * 32 + token);
            assert!(world.call(token, 7).is_some());
        }
    }
    world.observe();
    assert_eq!(world.gateway.observations_dropped(), 0);
    let grants = world.gateway.0.grants.all();
    let here = world.gateway.0.observer.reports(&grants);
    let here: u64 = here.iter().map(|(_, report)| report.calls()).sum();
    let gone: u64 = world.last_reports().iter().map(|(_, calls)| calls).sum();
    assert_eq!(here + gone, 5 * 32);
}

#[test]
fn a_token_that_the_gateway_forgets_hands_over_its_last_report() {
    // One place in each shard.
    let world = World::new(16);
    for token in 1..=100 {
        assert!(world.call(token, 7).is_some());
        world.observe();
    }
    let kept = world.gateway.tokens_kept();
    assert!(kept <= 16);
    let last = world.last_reports();
    assert!(last.iter().all(|(_, calls)| *calls == 1));
    assert_eq!(last.len(), 100 - kept);
    assert_eq!(world.trackers(), kept);
}

#[test]
fn what_came_of_a_call_is_seen_after_its_gateway_forgot_the_token() {
    let world = World::new(16);
    let lease = world.call(1_000, 7).unwrap();
    let mut last = Vec::new();
    for token in 1.. {
        if last.contains(&(1_000, 1)) {
            break;
        }
        assert!(world.call(token, 7).is_some());
        world.observe();
        last.extend(world.last_reports());
    }
    let trackers = world.trackers();
    let outcome = Outcome {
        status: Some(200),
        request_bytes: None,
        response_bytes: Some(1 << 40),
    };
    lease.settle(&outcome, world.gateway.now());
    assert_eq!(world.trackers(), trackers + 1);
}

#[test]
fn calls_that_no_note_was_taken_of_still_count_towards_the_minute() {
    let world = World::new(100);
    assert!(world.call(9, 7).is_some());
    let grant = world.gateway.0.grants.all().remove(0);
    grant.accumulator.miss(Missed {
        calls: 500,
        bytes: 1 << 20,
    });
    assert!(world.call(9, 8).is_some());
    world.observe();
    let mut reports = world.gateway.0.observer.reports(&[grant]);
    let report = serde_json::to_value(reports.remove(0).1).unwrap();
    assert_eq!(report["calls"], 2);
    assert_eq!(report["response_bytes"], 1 << 20);
    assert_eq!(report["call_rate"]["peak"], 502);
}

#[test]
fn the_observer_ends_with_its_gateway() {
    let world = World::new(100);
    let bell = Arc::downgrade(&world.gateway.0.link.bell);
    assert!(bell.upgrade().is_some());
    drop(world);
    while bell.upgrade().is_some() {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_token_that_two_threads_take_turns_with_is_one_token_to_all_that_look() {
    const TURNS: u64 = 1_500;
    let world = World::new(100);
    let turn = AtomicU64::new(0);
    thread::scope(|scope| {
        for own in 0..2 {
            let (world, turn) = (&world, &turn);
            scope.spawn(move || {
                for round in 0..TURNS {
                    while turn.load(Ordering::Acquire) != round * 2 + own {
                        thread::yield_now();
                    }
                    assert!(world.call(9, 7).is_some());
                    if round % 500 == 0 {
                        world.observe();
                    }
                    turn.fetch_add(1, Ordering::AcqRel);
                }
            });
        }
    });
    world.observe();
    assert_eq!(world.gateway.tokens_kept(), 1);
    let grants = world.gateway.0.grants.all();
    let (_, report) = world.gateway.0.observer.reports(&grants).remove(0);
    assert_eq!(report.calls(), TURNS * 2);
    let rev = lanyard_token::Rev::new(0, 1).unwrap();
    world.gateway.feed().end(NodeId::from_u64(9), rev);
    assert!(world.call(9, 7).is_none());
}
