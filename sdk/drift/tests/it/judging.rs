//! Verdicts.

use lanyard_drift::ladder::Abuse;
use lanyard_drift::{
    Absorption, Channel, Event, Family, HardRule, Level, Measure, Millis, Outcome, Role, Strength,
    TaskFit, Thresholds, TokenReport, judge, stable_hash,
};
use proptest::prelude::*;

use crate::world::{Dice, Identity, op, order, owner, stolen, usual};

/// A hundred calls of somebody who looks around with the owner's token.
fn explore(identity: &mut Identity) {
    for n in 0..100u64 {
        let event = stolen(Event::of(op(&format!("GET /admin/{}", n % 12))));
        identity.call(&event, 500);
    }
}

#[test]
fn a_walk_is_malicious_and_the_sentence_says_what_happened() {
    let mut identity = Identity::with_history(1_500);
    for id in 1..=40 {
        identity.call(&stolen(order(id)), 50);
    }
    let (_, verdict) = identity.judged();
    assert_eq!(verdict.level, Level::Malicious);
    assert!(matches!(
        verdict.hard_rule,
        Some(HardRule::EnumerationRun {
            observed: 40,
            bound: 30,
            ..
        })
    ));
    let sentence = verdict.sentence_with(|_| Some("GET /orders/{id}".to_owned()));
    assert!(
        sentence.starts_with(
            "malicious: it went through 40 neighbouring object numbers in a row on \
             `GET /orders/{id}` (the bound is 30, its own longest run 2); \
             all of its last 40 calls came from a network and a client it never used before; "
        ),
        "{sentence}"
    );
    assert!(
        sentence.ends_with("; judged by its last 40 calls, compared with 1,500 known before"),
        "{sentence}"
    );
}

#[test]
fn usual_work_is_benign_nearly_always_and_never_malicious() {
    let mut identity = Identity::with_history(2_000);
    let verdicts: Vec<_> = (0..300).map(|_| identity.usual_window()).collect();
    let alarms: Vec<_> = verdicts
        .iter()
        .filter(|verdict| verdict.level != Level::Benign)
        .map(|verdict| verdict.sentence())
        .collect();
    assert!(alarms.len() <= 15, "{} of 300: {alarms:#?}", alarms.len());
    assert!(
        verdicts
            .iter()
            .all(|verdict| verdict.level != Level::Malicious)
    );
    assert!(
        identity.refused.len() <= 15,
        "{} windows were not learned",
        identity.refused.len()
    );
}

#[test]
fn new_operations_from_a_new_network_and_client_are_two_witnesses() {
    let mut identity = Identity::with_history(3_000);
    explore(&mut identity);
    let (_, verdict) = identity.judged();
    assert_eq!(verdict.level, Level::Malicious, "{}", verdict.sentence());
    let strong = |family| {
        verdict
            .evidence
            .iter()
            .any(|found| found.family() == family && found.strength == Strength::Strong)
    };
    assert!(strong(Family::Sequence) && strong(Family::Source));
    assert_eq!(verdict.hard_rule, None);
}

#[test]
fn the_same_with_a_short_history_is_anomalous_at_most() {
    let mut identity = Identity::with_history(900);
    explore(&mut identity);
    let (_, verdict) = identity.judged();
    assert_eq!(verdict.level, Level::Anomalous, "{}", verdict.sentence());
}

#[test]
fn a_deployment_that_adds_a_busy_operation_is_anomalous_at_most() {
    for share in [5, 20, 50, 90] {
        let mut identity = Identity::with_history(3_000);
        for n in 0..100 {
            if n % 100 < share {
                identity.call(&owner(Event::of(op("GET /recommendations"))), 400);
            } else {
                identity.usual_call();
            }
        }
        let (_, verdict) = identity.judged();
        assert!(verdict.level <= Level::Anomalous, "{}", verdict.sentence());
        assert!(verdict.evidence.iter().any(|found| {
            found.measure == Measure::NewOperations && found.strength == Strength::Notable
        }));
    }
}

#[test]
fn what_is_called_is_a_witness_only_by_a_whole_window() {
    let strength = |calls: u64| {
        let mut identity = Identity::with_history(3_000);
        for n in 0..calls {
            identity.call(&owner(Event::of(op(&format!("odd {n}")))), 500);
        }
        let (_, verdict) = identity.judged();
        let order = verdict
            .evidence
            .into_iter()
            .find(|found| found.measure == Measure::OrderScore)
            .unwrap();
        let strong = identity.thresholds.order.strong;
        assert!(order.weight >= strong, "{calls} calls: {order:?}");
        order.strength
    };
    assert_eq!(strength(60), Strength::Notable);
    assert_eq!(strength(100), Strength::Strong);
}

#[test]
fn an_alarm_of_the_fast_detector_is_a_hint_and_never_a_witness_however_high() {
    let bar = Thresholds::default().sudden;
    let judged = |sum: f64| {
        let mut identity = Identity::with_history(3_000);
        for _ in 0..30 {
            identity.usual_call();
        }
        let _ = identity.tracker.alarm(sum);
        let (report, verdict) = identity.judged();
        // A report says so in whichever order reports come.
        let (mut early, mut late) = (TokenReport::empty(), report.clone());
        early.merge(&report);
        late.merge(&TokenReport::empty());
        assert_eq!(
            (early.alarm(), late.alarm()),
            (report.alarm(), report.alarm())
        );
        verdict
    };
    for sum in [0.0, f64::NAN, bar.notable - 1.0] {
        assert_eq!(judged(sum).level, Level::Benign, "{sum}");
    }
    for sum in [bar.notable, bar.strong * 100.0, f64::INFINITY] {
        let verdict = judged(sum);
        assert_eq!(verdict.level, Level::Anomalous, "{sum}");
        let [found] = verdict.evidence[..] else {
            panic!("{:?}", verdict.evidence)
        };
        assert_eq!(
            (found.measure, found.strength),
            (Measure::SuddenOrder, Strength::Notable)
        );
        assert_eq!(Abuse::of(&verdict), Some(Abuse::Change));
    }
}

#[test]
fn the_origin_of_a_sibling_is_not_new() {
    let mut identity = Identity::with_history(3_000);
    let mut sibling = Identity::new();
    for _ in 0..500 {
        let call = usual(&mut sibling.dice);
        sibling.call(&stolen(call), 400);
    }
    let _ = sibling.judge_and_learn();
    identity.call(&stolen(order(17)), 400);
    let (report, alone) = identity.judged();
    assert_eq!(alone.level, Level::Anomalous);
    let role = Role::of([&sibling.baseline]);
    let (baseline, thresholds) = (&identity.baseline, &identity.thresholds);
    let beside = judge(&report, baseline, role.as_ref(), thresholds, identity.now);
    assert_eq!(beside.level, Level::Benign, "{}", beside.sentence());
}

#[test]
fn a_new_network_alone_is_a_hint_and_both_together_a_witness() {
    let mut identity = Identity::with_history(3_000);
    let moved = Event {
        source: Some(stable_hash(b"10.9.9.0/24")),
        ..order(17)
    };
    identity.call(&moved, 400);
    let (_, verdict) = identity.judged();
    assert_eq!(verdict.level, Level::Anomalous);
    let found = verdict.evidence.first().unwrap();
    assert_eq!(
        (found.measure, found.strength),
        (Measure::NewNetwork, Strength::Notable)
    );

    identity.call(&stolen(order(17)), 400);
    let (_, verdict) = identity.judged();
    let found = verdict.evidence.first().unwrap();
    assert_eq!(
        (found.measure, found.strength),
        (Measure::NewNetworkAndClient, Strength::Strong)
    );
    assert_eq!(verdict.level, Level::Anomalous, "one family is one witness");
}

#[test]
fn a_copy_of_everything_shows_in_bytes_and_pace() {
    let mut identity = Identity::with_history(5_000);
    for _ in 0..100 {
        let event = usual(&mut identity.dice);
        identity.call(&event, 20);
        let outcome = Outcome {
            response_bytes: Some(5_000_000),
            ..Outcome::default()
        };
        identity.tracker.settle(&outcome, identity.now);
    }
    let (_, verdict) = identity.judged();
    let channels: Vec<_> = verdict
        .evidence
        .iter()
        .map(|found| found.channel())
        .collect();
    assert!(
        channels.contains(&Channel::Volume),
        "{}",
        verdict.sentence()
    );
    assert!(
        channels.contains(&Channel::Cadence),
        "{}",
        verdict.sentence()
    );
    assert_eq!(
        verdict.level,
        Level::Anomalous,
        "bytes and pace are one family"
    );
}

#[test]
fn probing_shows_in_the_answers() {
    let mut identity = Identity::with_history(2_000);
    for n in 0..60 {
        identity.now = Millis(identity.now.0 + 500);
        let event = usual(&mut identity.dice);
        identity.tracker.observe(&event, identity.now);
        let outcome = Outcome {
            status: Some(if n % 2 == 0 { 404 } else { 200 }),
            ..Outcome::default()
        };
        identity.tracker.settle(&outcome, identity.now);
    }
    let (_, verdict) = identity.judged();
    assert!(
        verdict
            .evidence
            .iter()
            .any(|found| found.channel() == Channel::Refusals),
        "{}",
        verdict.sentence()
    );
}

#[test]
fn absent_channels_never_produce_evidence() {
    let mut identity = Identity::with_history(3_000);
    for _ in 0..100 {
        let seen = usual(&mut identity.dice);
        identity.now = Millis(identity.now.0 + 300 + identity.dice.below(400));
        identity
            .tracker
            .observe(&Event::of(seen.operation), identity.now);
    }
    let (_, verdict) = identity.judged();
    assert_eq!(verdict.level, Level::Benign, "{}", verdict.sentence());
    assert_eq!(verdict.evidence, []);
}

#[test]
fn channels_absent_from_the_history_never_produce_evidence() {
    let mut identity = Identity::new();
    for _ in 0..30 {
        for _ in 0..100 {
            let seen = usual(&mut identity.dice);
            identity.now = Millis(identity.now.0 + 300 + identity.dice.below(400));
            identity
                .tracker
                .observe(&Event::of(seen.operation), identity.now);
        }
        identity.judge_and_learn();
    }
    for _ in 0..100 {
        let event = Event {
            object: None,
            ..stolen(usual(&mut identity.dice))
        };
        let pause = 300 + identity.dice.below(400);
        identity.call(&event, pause);
    }
    let (_, verdict) = identity.judged();
    assert_eq!(verdict.level, Level::Benign, "{}", verdict.sentence());
}

#[test]
fn leaving_the_task_is_malicious_from_the_first_call_and_a_spent_task_is_not() {
    for (fit, level) in [
        (TaskFit::OutsideDestination, Level::Malicious),
        (TaskFit::OutsideOperation, Level::Malicious),
        (TaskFit::CallsSpent, Level::Anomalous),
        (TaskFit::Inside, Level::Benign),
    ] {
        let mut identity = Identity::new();
        let event = Event {
            task: Some(fit),
            ..Event::of(op("send_money"))
        };
        identity.call(&event, 10);
        let (_, verdict) = identity.judged();
        assert_eq!(verdict.level, level, "{fit:?}");
    }
}

#[test]
fn an_operation_that_all_peers_use_surprises_less() {
    let young = Identity::with_history(3_000);
    let mut peers = vec![young.baseline.clone()];
    for seed in 2..6 {
        let mut peer = Identity::new();
        peer.dice = Dice::new(seed * 1_000_000);
        for n in 0..2_000 {
            peer.usual_call();
            peer.call(&owner(Event::of(op("GET /recommendations"))), 400);
            if n % 50 == 49 {
                peer.judge_and_learn();
            }
        }
        peers.push(peer.baseline);
    }
    let peers = Role::of(&peers);
    assert_eq!(peers.as_ref().map(Role::members), Some(5));
    let mut identity = young;
    for _ in 0..50 {
        identity.usual_call();
    }
    identity.call(&owner(Event::of(op("GET /recommendations"))), 400);
    let (report, alone) = identity.judged();
    let beside = judge(
        &report,
        &identity.baseline,
        peers.as_ref(),
        &identity.thresholds,
        identity.now,
    );
    let weight = |verdict: &lanyard_drift::Verdict| {
        verdict
            .evidence
            .iter()
            .find(|found| found.measure == Measure::NewOperations)
            .map_or(0.0, |found| found.weight)
    };
    assert!(weight(&alone) > weight(&beside), "{alone:#?} {beside:#?}");
}

#[test]
fn a_new_destination_after_many_old_ones_is_a_hint() {
    let mut identity = Identity::new();
    let send = |to: &[u8]| Event {
        destination: Some(stable_hash(to)),
        ..owner(Event::of(op("send_email")))
    };
    for _ in 0..30 {
        for n in 0..40u64 {
            let to = if n % 3 == 0 {
                "accounts.example"
            } else {
                "staff.example"
            };
            identity.call(&send(to.as_bytes()), 700);
        }
        identity.judge_and_learn();
    }
    identity.call(&send(b"staff.example"), 700);
    assert_eq!(identity.judged().1.level, Level::Benign);
    identity.call(&send(b"attacker.example"), 700);
    let (_, verdict) = identity.judged();
    assert_eq!(verdict.level, Level::Anomalous);
    let found = verdict.evidence.first().unwrap();
    assert_eq!(found.measure, Measure::NewDestinations);
    assert_eq!(found.family(), Family::Scope);
}

#[test]
fn a_known_destination_is_new_for_an_operation_that_never_went_there() {
    let mut identity = Identity::new();
    let to_host = |operation: &str| Event {
        destination: Some(stable_hash(b"shop.example")),
        ..owner(Event::of(op(operation)))
    };
    let to_bank = Event {
        destination: Some(stable_hash(b"bank.example")),
        ..owner(Event::of(op("pay")))
    };
    for _ in 0..30 {
        for _ in 0..20 {
            identity.call(&to_host("read_page"), 700);
            identity.call(&to_bank, 700);
        }
        identity.judge_and_learn();
    }
    identity.call(&to_host("pay"), 700);
    let (_, verdict) = identity.judged();
    let measures: Vec<_> = verdict.evidence.iter().map(|found| found.measure).collect();
    assert!(measures.contains(&Measure::NewDestinations), "{measures:?}");
}

#[test]
fn what_one_agent_of_a_role_did_once_is_not_usual_for_the_next() {
    let mut role = Identity::new();
    let send = |to: u64| Event {
        destination: Some(to),
        ..owner(Event::of(op("send_email")))
    };
    // Sessions of five people's tasks; in one of them something went to a stranger.
    for session in 0..60u64 {
        role.recycle();
        role.call(&send(session % 5), 700);
        if session == 20 {
            role.call(&send(666), 700);
        }
        let (report, _) = role.judged();
        let learned = role.baseline.absorb_cleared(&report);
        assert_eq!(learned, Absorption::Learned);
    }
    role.recycle();
    role.call(&send(3), 700);
    assert_eq!(role.judged().1.level, Level::Benign);
    role.call(&send(666), 700);
    assert_eq!(role.judged().1.level, Level::Anomalous);
}

#[test]
fn an_empty_report_is_benign() {
    let identity = Identity::with_history(1_000);
    let thresholds = Thresholds::default();
    let empty = TokenReport::empty();
    let verdict = judge(&empty, &identity.baseline, None, &thresholds, Millis(7));
    assert_eq!(verdict.level, Level::Benign);
    assert_eq!(verdict.since, Millis(7));
    assert_eq!(
        verdict.sentence(),
        "benign: 0 calls like the 1,000 known before"
    );
}

#[test]
fn thresholds_that_are_no_numbers_never_fire_and_never_panic() {
    let mut identity = Identity::with_history(2_000);
    let nan = lanyard_drift::Bar {
        notable: f64::NAN,
        strong: f64::NAN,
    };
    identity.thresholds = Thresholds {
        order: nan,
        operations: nan,
        enumeration: nan,
        volume: nan,
        cadence: nan,
        origin: nan,
        destination: nan,
        refusals: nan,
        ..Thresholds::default()
    };
    explore(&mut identity);
    let (_, verdict) = identity.judged();
    assert_eq!(verdict.level, Level::Benign);
}

#[test]
fn the_same_window_gets_the_same_verdict_every_time() {
    let mut identity = Identity::with_history(2_000);
    explore(&mut identity);
    let (report, verdict) = identity.judged();
    for _ in 0..5 {
        let again = judge(
            &report,
            &identity.baseline,
            None,
            &identity.thresholds,
            identity.now,
        );
        assert_eq!(again, verdict);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn below_a_thousand_own_calls_statistics_never_say_malicious(
        history in 0u64..10,
        calls in prop::collection::vec(
            (0u64..400, any::<u64>(), any::<u64>(), any::<u16>(), any::<u64>(), 0u64..100_000), 0..300),
    ) {
        let mut identity = Identity::with_history(history * 100);
        prop_assume!(identity.baseline.calls() < 1_000);
        for (operation, source, client, status, bytes, pause) in calls {
            let event = Event {
                source: Some(source),
                client: Some(client),
                ..Event::of(op(&format!("op {operation}")))
            };
            identity.now = Millis(identity.now.0.saturating_add(pause));
            identity.tracker.observe(&event, identity.now);
            let outcome = Outcome {
                status: Some(status),
                request_bytes: None,
                response_bytes: Some(bytes),
            };
            identity.tracker.settle(&outcome, identity.now);
        }
        let (_, verdict) = identity.judged();
        prop_assert_ne!(verdict.level, Level::Malicious);
        prop_assert!(verdict.evidence.iter().all(|found| found.weight.is_finite()
            && found.observed.is_finite() && found.expected.is_finite()));
    }
}
