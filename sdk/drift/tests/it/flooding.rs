//! Everything distinct, as often as it takes: the state stays as large as it was.
//!
//! `LANYARD_FLOOD=10000000` asks for a hundred times as many; in a build with `--release` that took 38 s on
//! two busy cores.

use lanyard_drift::desk::{Bench, Desk, Heard, Limits, Register, RoleId};
use lanyard_drift::ladder::SubjectId;
use lanyard_drift::{
    Baseline, Bounds, Event, Level, Millis, Object, Outcome, Thresholds, TokenReport, Tracker,
    stable_hash,
};

use crate::world::{Identity, op};

/// How many, unless somebody asks for more.
const ORDINARY: u64 = 100_000;
/// The largest report and the largest baseline that there can be, written down.
const MOST_WRITTEN: usize = 32 * 1024;
/// Calls that go into one report.
const REPORTED: u64 = 1_000;

fn how_many() -> u64 {
    let asked = std::env::var("LANYARD_FLOOD").ok();
    asked.map_or(ORDINARY, |number| {
        number.parse().expect("LANYARD_FLOOD is a number")
    })
}

/// Another operation, object, network, client and destination each time.
fn distinct(n: u64) -> Event {
    let named = |kind: &str| stable_hash(format!("{kind} {n}").as_bytes());
    Event {
        object: Some(Object {
            hash: named("object"),
            number: None,
        }),
        source: Some(named("network")),
        client: Some(named("client")),
        destination: Some(named("destination")),
        ..Event::of(op(&format!("GET /{n}")))
    }
}

fn written(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).unwrap().len()
}

#[test]
fn a_flood_of_distinct_everything_in_one_report_stays_small_and_counted() {
    let mut tracker = Tracker::new(Millis(0), Bounds::cold(&Thresholds::default()));
    let calls = how_many();
    for n in 0..calls {
        tracker.observe(&distinct(n), Millis(n));
        let outcome = Outcome {
            status: Some((n % 1_000) as u16),
            request_bytes: Some(n),
            response_bytes: Some(n),
        };
        tracker.settle(&outcome, Millis(n));
    }
    let report = tracker.report().unwrap();
    assert_eq!(report.calls(), calls);
    assert_eq!(report.operations().count(), 64, "the places of a tracker");
    assert!(written(&report) < MOST_WRITTEN, "{}", written(&report));
}

#[test]
fn a_flood_over_many_reports_leaves_a_baseline_as_large_as_it_was_and_the_habits_in_it() {
    let mut identity = Identity::with_history(5_000);
    let usual = op("GET /orders/{id}");
    let mut sum = TokenReport::empty();
    let calls = how_many();
    let mut tracker = Tracker::new(identity.now, Bounds::cold(&identity.thresholds));
    for n in 0..calls {
        tracker.observe(&distinct(n), identity.now.plus(n));
        if n % REPORTED == REPORTED - 1 {
            let report = tracker.report().unwrap();
            sum.merge(&report);
            // An operator who clears whatever comes is the worst case: all of it is learned.
            let _ = identity.baseline.absorb_cleared(&report);
        }
    }
    assert_eq!(sum.calls(), calls - calls % REPORTED);
    assert!(written(&sum) < MOST_WRITTEN, "{}", written(&sum));
    let baseline = &identity.baseline;
    assert_eq!(baseline.calls(), 5_000 + sum.calls());
    assert!(written(baseline) < MOST_WRITTEN, "{}", written(baseline));
    let read: Baseline = serde_json::from_slice(&serde_json::to_vec(baseline).unwrap()).unwrap();
    assert_eq!(read, *baseline);
    // What was used every day outlives a flood of a few times the history; for ever it cannot.
    if calls <= ORDINARY {
        let kept = baseline
            .operations()
            .any(|(operation, _)| operation == usual);
        assert!(kept, "the habit was washed away");
    }
}

/// Everybody is of one role, and that has no other members.
struct Alone(Thresholds);

impl Register for Alone {
    fn peers(&self, _: SubjectId) -> Vec<SubjectId> {
        Vec::new()
    }

    fn role(&self, _: SubjectId) -> RoleId {
        RoleId(1)
    }

    fn thresholds(&self, _: SubjectId) -> &Thresholds {
        &self.0
    }
}

#[test]
fn a_flood_of_agents_with_a_token_each_fills_a_desk_and_no_more_and_each_is_still_judged() {
    let register = Alone(Thresholds::default());
    let limits = Limits {
        identities: 100,
        windows: 200,
        copies: 100,
    };
    let mut desk = Desk::default();
    desk.keep_closed();
    let (agents, mut crowded_out) = (how_many(), 0);
    let mut tracker = Tracker::new(Millis(0), Bounds::cold(&register.0));
    tracker.observe(&Event::of(op("send")), Millis(0));
    let report = tracker.report().unwrap();
    for n in 0..agents {
        let heard = Heard {
            token: SubjectId(agents + n),
            identity: SubjectId(n),
            gateway: SubjectId(stable_hash(&n.to_le_bytes())),
        };
        let bench = Bench {
            register: &register,
            limits,
            now: Millis(n),
        };
        let sight = desk.look(&bench, heard, &report);
        assert_eq!(
            (sight.verdict.level, sight.verdict.calls),
            (Level::Benign, 1)
        );
        let _ = desk.close_if_full(&bench, heard.token);
        crowded_out += desk.take_tally().crowded_out;
    }
    // One gateway says all of it: nothing is kept twice.
    let sizes = Limits {
        copies: 0,
        ..limits
    };
    assert_eq!(desk.sizes(), sizes);
    // Each newcomer who finds no room for its habits, and none for its window, is counted for both.
    assert_eq!(crowded_out, (agents - 100) + (agents - 200));
}
