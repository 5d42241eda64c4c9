//! Two hands on one token.

use lanyard_drift::ladder::Abuse;
use lanyard_drift::{Event, Level, Measure, Role, Strength, Verdict, judge, stable_hash};

use crate::world::{Identity, usual};

/// The same call by another client in the same network.
fn by_another_client(event: Event) -> Event {
    Event {
        client: Some(stable_hash(b"orders-service/2.0")),
        ..event
    }
}

/// So many calls; of every `turn` of them the last by another client.
fn taking_turns(identity: &mut Identity, calls: u64, turn: u64) {
    for n in 0..calls {
        let call = usual(&mut identity.dice);
        let call = if n % turn == turn - 1 {
            by_another_client(call)
        } else {
            call
        };
        identity.call(&call, 400);
    }
}

/// An identity that was moved from one client to the other, and so knows both.
fn moved() -> Identity {
    let mut identity = Identity::with_history(2_000);
    for _ in 0..3_000 {
        let call = usual(&mut identity.dice);
        identity.call(&by_another_client(call), 400);
        if identity.dice.below(100) == 0 {
            identity.judge_and_learn();
        }
    }
    identity.judge_and_learn();
    identity.recycle();
    identity
}

fn turns(verdict: &Verdict) -> Option<Strength> {
    let found = verdict.evidence.iter();
    found
        .filter(|found| found.measure == Measure::InterleavedOrigins)
        .map(|found| found.strength)
        .next()
}

#[test]
fn two_known_origins_that_take_turns_are_two_hands() {
    let mut identity = moved();
    taking_turns(&mut identity, 100, 4);
    let (_, verdict) = identity.judged();
    assert_eq!(turns(&verdict), Some(Strength::Strong));
    assert_eq!(verdict.level, Level::Anomalous, "one family is one witness");
    assert_eq!(Abuse::of(&verdict), Some(Abuse::Theft));
    let sentence = verdict.sentence();
    assert!(
        sentence.contains("48 times back to one it had left"),
        "{sentence}"
    );
}

#[test]
fn a_handover_between_two_known_origins_is_none() {
    let mut identity = moved();
    for n in 0..100 {
        let call = usual(&mut identity.dice);
        let call = if n < 50 {
            by_another_client(call)
        } else {
            call
        };
        identity.call(&call, 400);
    }
    let (_, verdict) = identity.judged();
    assert_eq!(verdict.level, Level::Benign, "{}", verdict.sentence());
}

#[test]
fn an_uplink_that_fails_twice_is_at_most_a_hint() {
    let mut identity = moved();
    taking_turns(&mut identity, 100, 40);
    let (_, verdict) = identity.judged();
    assert_eq!(turns(&verdict), Some(Strength::Notable));
    let mut identity = moved();
    taking_turns(&mut identity, 100, 60);
    let (_, verdict) = identity.judged();
    assert_eq!(turns(&verdict), None);
}

#[test]
fn who_always_takes_turns_goes_on_doing_so_and_so_does_its_role() {
    let mut pool = Identity::new();
    for _ in 0..30 {
        taking_turns(&mut pool, 100, 2);
        pool.judge_and_learn();
    }
    taking_turns(&mut pool, 100, 2);
    let (_, verdict) = pool.judged();
    assert_eq!(verdict.level, Level::Benign, "{}", verdict.sentence());

    let mut sibling = moved();
    taking_turns(&mut sibling, 100, 4);
    let (report, _) = sibling.judged();
    let role = Role::of([&pool.baseline]);
    let known = (&sibling.baseline, &sibling.thresholds);
    let beside = judge(&report, known.0, role.as_ref(), known.1, sibling.now);
    assert_eq!(turns(&beside), None, "{}", beside.sentence());
}

#[test]
fn a_history_that_never_knew_an_origin_cannot_say_that_turns_are_taken() {
    let mut identity = Identity::new();
    for _ in 0..2_000 {
        let call = Event {
            source: None,
            client: None,
            ..usual(&mut identity.dice)
        };
        identity.call(&call, 400);
    }
    identity.judge_and_learn();
    taking_turns(&mut identity, 100, 2);
    let (_, verdict) = identity.judged();
    assert_eq!(turns(&verdict), None, "{}", verdict.sentence());
}

#[test]
fn turns_survive_reports_in_between_and_reports_are_written_as_before_without_any() {
    let mut identity = moved();
    let mut whole = lanyard_drift::TokenReport::empty();
    for n in 0..40 {
        let call = usual(&mut identity.dice);
        let call = if n % 2 == 0 {
            by_another_client(call)
        } else {
            call
        };
        identity.call(&call, 400);
        whole.merge(&identity.tracker.report().unwrap());
    }
    let verdict = judge(
        &whole,
        &identity.baseline,
        None,
        &identity.thresholds,
        identity.now,
    );
    assert_eq!(turns(&verdict), Some(Strength::Strong));
    let text = serde_json::to_string(&whole).unwrap();
    assert!(text.contains("\"returns\":38"), "{text}");
    let (report, _) = Identity::with_history(100).judged();
    assert!(!serde_json::to_string(&report).unwrap().contains("returns"));
}
