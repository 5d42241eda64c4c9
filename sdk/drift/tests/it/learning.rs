//! What becomes habit, and what does not.

use lanyard_drift::{
    Absorption, Baseline, Event, Level, Measure, Refusal, Role, Signal, Thresholds, TokenReport,
    judge,
};

use crate::world::{Dice, Identity, op, order, owner, stolen, usual};

#[test]
fn a_service_that_reads_page_after_page_by_habit_is_not_stopped() {
    let mut identity = Identity::new();
    for hour in 0..40u64 {
        let length = 300 + hour * 10;
        for id in 1..=length {
            let signal = identity.call(&order(id), 120);
            assert!(
                !matches!(signal, Signal::HardRule(_)),
                "hour {hour}, id {id}"
            );
            if id % 100 == 0 {
                identity.judge_and_learn();
            }
        }
        identity.now.0 += 3_600_000;
        identity.recycle();
    }
    let (_, verdict) = identity.judged();
    assert_ne!(verdict.level, Level::Malicious);
    assert!(identity.baseline.calls() > 10_000);
}

#[test]
fn a_walk_on_another_operation_than_the_habitual_one_is_stopped() {
    let mut identity = Identity::new();
    for _ in 0..10 {
        for id in 1..=300 {
            identity.call(&order(id), 120);
            if id % 100 == 0 {
                identity.judge_and_learn();
            }
        }
        identity.recycle();
    }
    let taken = (1..200u64)
        .take_while(|id| {
            let event = Event {
                operation: op("GET /users/{id}"),
                ..stolen(order(*id))
            };
            !matches!(identity.call(&event, 120), Signal::HardRule(_))
        })
        .count();
    assert_eq!(taken, 30);
}

#[test]
fn malicious_windows_are_never_learned() {
    let mut identity = Identity::with_history(1_500);
    let learned = |identity: &Identity| {
        let mut baseline = serde_json::to_value(&identity.baseline).unwrap();
        // What is believed about whoever calls is no habit.
        for belief in ["takeover", "pulse"] {
            baseline.as_object_mut().unwrap().remove(belief).unwrap();
        }
        baseline
    };
    let before = learned(&identity);
    for id in 1..=60 {
        identity.call(&stolen(order(id)), 50);
    }
    let (report, verdict) = identity.judged();
    assert_eq!(
        identity
            .baseline
            .absorb(&report, &verdict, &identity.thresholds),
        Absorption::Refused(Refusal::Malicious)
    );
    assert_eq!(learned(&identity), before);
}

#[test]
fn something_new_among_usual_calls_is_noticed_once_and_known_from_then_on() {
    let mut identity = Identity::with_history(4_000);
    let mut refused = 0;
    loop {
        for n in 0..100 {
            if n % 20 == 0 {
                identity.call(&owner(Event::of(op("GET /recommendations"))), 400);
            } else {
                identity.usual_call();
            }
        }
        if identity.judge_and_learn().level == Level::Benign {
            break;
        }
        refused += 1;
        assert!(refused < 100, "never learned");
    }
    assert_eq!(refused, 1);
    assert!(
        identity
            .baseline
            .operations()
            .any(|(operation, _)| operation == op("GET /recommendations"))
    );
}

#[test]
fn usual_calls_from_a_strange_origin_become_habit_after_a_dozen_windows() {
    let mut identity = Identity::with_history(4_000);
    let mut refused = 0;
    loop {
        for _ in 0..100 {
            let call = usual(&mut identity.dice);
            identity.call(&stolen(call), 400);
        }
        if identity.judge_and_learn().level == Level::Benign {
            break;
        }
        refused += 1;
        assert!(refused < 100, "never learned");
    }
    assert!((11..=13).contains(&refused), "{refused}");
}

#[test]
fn strange_calls_from_a_strange_origin_are_never_learned() {
    let mut identity = Identity::with_history(4_000);
    let before = identity.baseline.calls();
    for _ in 0..100 {
        for n in 0..100 {
            let call = Event::of(op(["GET /a", "GET /b", "GET /c", "GET /d"][n % 4]));
            identity.call(&stolen(call), 400);
        }
        assert_eq!(identity.judge_and_learn().level, Level::Malicious);
    }
    assert_eq!(identity.baseline.calls(), before);
}

#[test]
fn what_a_person_clears_is_learned_at_once() {
    let mut identity = Identity::with_history(2_000);
    let nightly = |identity: &mut Identity| {
        for id in 1..=200 {
            identity.call(&order(id), 50);
        }
        identity.judged()
    };
    let (report, verdict) = nightly(&mut identity);
    assert_eq!(verdict.level, Level::Malicious);
    assert_eq!(
        identity.baseline.absorb_cleared(&report),
        Absorption::Learned
    );
    identity.now.0 += 86_400_000;
    identity.recycle();
    let (_, verdict) = nightly(&mut identity);
    assert_eq!(verdict.hard_rule, None);
    assert_ne!(verdict.level, Level::Malicious);
}

/// A mix of ten known operations, of which the first five are the owner's share.
fn mixed(identity: &mut Identity, foreign_percent: u64) {
    for _ in 0..100 {
        let foreign = identity.dice.below(100) < foreign_percent;
        let n = identity.dice.below(5) + if foreign { 5 } else { 0 };
        identity.call(&owner(Event::of(op(&format!("op {n}")))), 500);
    }
}

#[test]
fn a_slow_ramp_moves_the_adaptive_counts_but_the_anchor_remembers() {
    let thresholds = Thresholds::default();
    let mut others = Identity::new();
    others.dice = Dice::new(77_000_000);
    for _ in 0..30 {
        mixed(&mut others, 95);
        others.judge_and_learn();
    }
    let mut identity = Identity::new();
    let window = |identity: &mut Identity, percent| {
        mixed(identity, percent);
        let report = identity.tracker.report().unwrap();
        let verdict = judge(
            &report,
            &identity.baseline,
            Role::of([&others.baseline]).as_ref(),
            &thresholds,
            identity.now,
        );
        let learned = identity.baseline.absorb(&report, &verdict, &thresholds);
        (verdict, learned)
    };
    for _ in 0..30 {
        let _ = window(&mut identity, 5);
    }
    assert!(identity.baseline.has_anchor());
    for step in 0..60 {
        let _ = window(&mut identity, 5 + step * 95 / 60);
    }
    let (verdict, learned) = window(&mut identity, 100);
    let _ = learned;
    assert!(
        verdict
            .evidence
            .iter()
            .any(|found| found.measure == Measure::Estrangement),
        "{}: {}",
        verdict.takeover.estrangement(),
        verdict.sentence()
    );
}

#[test]
fn a_window_that_fits_others_better_is_not_learned_once_there_is_history() {
    let mut identity = Identity::with_history(2_000);
    for n in 0..100u64 {
        identity.call(&owner(Event::of(op(&format!("odd {n}")))), 500);
    }
    let (report, mut verdict) = identity.judged();
    assert!(verdict.takeover.belief() > 3.9);
    verdict.level = Level::Benign;
    verdict.evidence.clear();
    assert_eq!(
        identity
            .baseline
            .absorb(&report, &verdict, &identity.thresholds),
        Absorption::Refused(Refusal::FitsOthers)
    );
}

#[test]
fn twins_of_a_role_keep_learning_and_a_masquerader_among_them_does_not() {
    let thresholds = Thresholds::default();
    let mut twins = [Identity::new(), Identity::new()];
    for (twin, seed) in twins.iter_mut().zip([11_000_000, 22_000_000]) {
        twin.dice = Dice::new(seed);
    }
    let mut refused = 0;
    for _ in 0..60 {
        for at in 0..2 {
            let peer = Role::of([&twins[1 - at].baseline]);
            let twin = &mut twins[at];
            for _ in 0..100 {
                twin.usual_call();
            }
            let report = twin.tracker.report().unwrap();
            let verdict = judge(
                &report,
                &twin.baseline,
                peer.as_ref(),
                &thresholds,
                twin.now,
            );
            let learned = twin.baseline.absorb(&report, &verdict, &thresholds);
            refused += u32::from(learned != Absorption::Learned);
        }
    }
    let [twin, other] = &mut twins;
    assert!(twin.baseline.calls() > 5_500 && other.baseline.calls() > 5_500);
    assert!(
        refused <= 4,
        "{refused} of 120 windows of twins were refused"
    );

    // Operations that the role knows, in a mix that neither twin ever had.
    for n in 0..100 {
        let event = match n % 10 {
            0..6 => owner(Event::of(op("POST /orders"))),
            6..9 => owner(Event::of(op("GET /health"))),
            _ => order(n * 7_919),
        };
        twin.call(&event, 500);
    }
    let report = twin.tracker.report().unwrap();
    let mut busy = other.baseline.clone();
    assert_eq!(busy.absorb_cleared(&report), Absorption::Learned);
    for _ in 0..20 {
        assert_eq!(busy.absorb_cleared(&report), Absorption::Learned);
    }
    let before = twin.baseline.calls();
    let role = Role::of([&busy]);
    let verdict = judge(
        &report,
        &twin.baseline,
        role.as_ref(),
        &thresholds,
        twin.now,
    );
    assert!(verdict.takeover.belief() > 3.9, "{:?}", verdict.takeover);
    let learned = twin.baseline.absorb(&report, &verdict, &thresholds);
    assert!(matches!(learned, Absorption::Refused(_)), "{learned:?}");
    assert_eq!(twin.baseline.calls(), before);
}

#[test]
fn an_empty_window_teaches_nothing() {
    let mut baseline = Baseline::empty();
    assert_eq!(
        baseline.absorb_cleared(&TokenReport::empty()),
        Absorption::Refused(Refusal::Empty)
    );
    assert_eq!(baseline, Baseline::empty());
    assert_eq!(baseline.span(), None);
}

#[test]
fn old_counts_age_so_a_busy_service_stays_adaptive() {
    let mut identity = Identity::with_history(3_000);
    for _ in 0..70 {
        for _ in 0..1_000 {
            identity.usual_call();
        }
        identity.judge_and_learn();
    }
    let counted: u64 = identity
        .baseline
        .operations()
        .map(|(_, count)| u64::from(count))
        .sum();
    assert!(
        identity.baseline.calls() > 66_000,
        "{}",
        identity.baseline.calls()
    );
    assert!(counted < 66_000, "{counted}");
}
