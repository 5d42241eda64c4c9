//! The accumulator on the request path.

use lanyard_drift::{
    Baseline, Bounds, Event, HardRule, Level, Millis, Object, Outcome, Reason, Signal, TaskFit,
    Thresholds, TokenReport, Tracker,
};

use crate::world::{Dice, Identity, op, order, owner, stolen, usual};

fn cold() -> Tracker {
    Tracker::new(Millis(0), Bounds::cold(&Thresholds::default()))
}

#[test]
fn a_thief_who_walks_ids_on_a_copied_token_is_refused_within_thirty_one_requests() {
    let mut identity = Identity::with_history(1_500);
    let mut taken = 0;
    let rule = loop {
        // The owner goes on with its work in between.
        assert!(!matches!(identity.usual_call(), Signal::HardRule(_)));
        match identity.call(&stolen(order(taken + 1)), 40) {
            Signal::HardRule(rule) => break rule,
            _ => taken += 1,
        }
        assert!(taken < 100, "never refused");
    };
    assert!(taken <= 31, "{taken} orders were taken");
    assert!(matches!(
        rule,
        HardRule::EnumerationRun { bound: 30, operation, .. } if operation == op("GET /orders/{id}")
    ));
    // Starting again elsewhere does not help.
    let again = (0..20)
        .filter(|n| {
            !matches!(
                identity.call(&stolen(order(4_000 + n)), 40),
                Signal::HardRule(_)
            )
        })
        .count();
    assert!(again <= 8, "{again} more were taken");
}

#[test]
fn a_thief_who_takes_scattered_ids_is_refused_once_a_minute_holds_too_many() {
    let mut identity = Identity::with_history(10_000);
    let mut dice = Dice::new(99);
    let taken = (0..5_000)
        .take_while(|_| {
            let event = stolen(order(1 + dice.below(1_000_000_000)));
            !matches!(identity.call(&event, 10), Signal::HardRule(_))
        })
        .count();
    assert!(taken < 1_500, "{taken} orders were taken");
}

#[test]
fn a_walk_slower_than_the_reports_is_still_one_walk() {
    let mut identity = Identity::with_history(1_500);
    let taken = (1..100)
        .take_while(|id| {
            let signal = identity.call(&stolen(order(*id)), 90_000);
            identity.judged();
            identity.judged();
            !matches!(signal, Signal::HardRule(_))
        })
        .count();
    assert_eq!(taken, 30);
}

#[test]
fn a_walk_spread_over_many_operations_is_still_one_walk() {
    let mut identity = Identity::with_history(1_500);
    let operations: Vec<_> = (0..40)
        .map(|n| op(&format!("GET /thing{n}/{{id}}")))
        .collect();
    let refused = (1..=100u64).any(|id| {
        operations.iter().any(|operation| {
            let event = Event {
                object: Some(Object::of(&id.to_string())),
                ..stolen(Event::of(*operation))
            };
            matches!(identity.call(&event, 5), Signal::HardRule(_))
        })
    });
    assert!(refused);
}

#[test]
fn usual_work_never_meets_a_hard_rule_cold_or_warm() {
    let mut identity = Identity::new();
    for window in 0..100 {
        for _ in 0..100 {
            assert!(!matches!(identity.usual_call(), Signal::HardRule(_)));
        }
        identity.judge_and_learn();
        if window % 7 == 0 {
            identity.recycle();
        }
    }
}

#[test]
fn a_service_with_rare_bursts_is_not_stopped_in_one_of_them() {
    let mut identity = Identity::new();
    for minute in 0..300 {
        let burst = minute % 17 == 16;
        for _ in 0..if burst { 1_000 } else { 30 } {
            let event = usual(&mut identity.dice);
            let signal = identity.call(&event, if burst { 20 } else { 2_000 });
            assert!(!matches!(signal, Signal::HardRule(_)), "minute {minute}");
        }
        identity.now.0 += 60_000;
        let verdict = identity.judge_and_learn();
        assert_ne!(verdict.level, Level::Malicious, "{}", verdict.sentence());
        let late = minute >= 150;
        assert!(
            !late || verdict.level == Level::Benign,
            "{}",
            verdict.sentence()
        );
        if minute % 5 == 0 {
            identity.recycle();
        }
    }
}

#[test]
fn a_busy_bulk_reader_may_start_cold_and_go_on_warm() {
    let mut identity = Identity::new();
    for minute in 0..30 {
        for _ in 0..600 {
            let event = order(1 + identity.dice.below(10_000_000));
            let signal = identity.call(&event, 95);
            assert!(!matches!(signal, Signal::HardRule(_)), "minute {minute}");
        }
        identity.judge_and_learn();
        identity.recycle();
    }
}

#[test]
fn a_call_outside_the_task_is_refused_at_once_on_the_first_call() {
    let operation = op("send_email");
    let mut event = Event::of(operation);
    event.task = Some(TaskFit::OutsideOperation);
    let rule = HardRule::TaskOperation { operation };
    assert_eq!(cold().observe(&event, Millis(1)), Signal::HardRule(rule));
    event.task = Some(TaskFit::OutsideDestination);
    let rule = HardRule::TaskDestination { operation };
    assert_eq!(cold().observe(&event, Millis(1)), Signal::HardRule(rule));
    event.task = Some(TaskFit::CallsSpent);
    assert_eq!(
        cold().observe(&event, Millis(1)),
        Signal::HardRule(HardRule::TaskCalls)
    );
    event.task = Some(TaskFit::Inside);
    assert!(!matches!(
        cold().observe(&event, Millis(1)),
        Signal::HardRule(_)
    ));
}

#[test]
fn news_is_worth_a_report_once_and_then_quiet() {
    let mut identity = Identity::with_history(2_000);
    let event = owner(Event::of(op("DELETE /orders/{id}")));
    let news = Signal::ReportNow(Reason::NewOperation);
    assert_eq!(identity.call(&event, 500), news);
    assert_eq!(identity.call(&event, 500), Signal::Quiet);
    identity.judged();
    assert_eq!(identity.call(&event, 500), Signal::Quiet);
    assert_eq!(
        identity.call(&stolen(order(77)), 500),
        Signal::ReportNow(Reason::NewOrigin)
    );
}

#[test]
fn a_known_service_at_work_is_quiet() {
    let mut identity = Identity::with_history(3_000);
    let loud = (0..500)
        .filter(|_| identity.usual_call() != Signal::Quiet)
        .count();
    assert_eq!(loud, 0);
}

#[test]
fn half_way_to_the_bound_the_broker_hears_of_it() {
    let mut identity = Identity::with_history(2_000);
    let signals: Vec<_> = (1..=20)
        .map(|id| identity.call(&order(id), 500))
        .filter(|signal| *signal != Signal::Quiet)
        .collect();
    assert_eq!(signals, [Signal::ReportNow(Reason::Enumeration)]);
}

#[test]
fn a_quiet_tracker_has_nothing_to_report_and_reports_add_up() {
    let mut tracker = cold();
    assert_eq!(tracker.report(), None);
    let mut dice = Dice::new(5);
    let mut sum = TokenReport::empty();
    for n in 0..1_000u64 {
        tracker.observe(&usual(&mut dice), Millis(n * 700));
        if n % 37 == 0 {
            sum.merge(&tracker.report().unwrap());
        }
    }
    sum.merge(&tracker.report().unwrap_or_default());
    assert_eq!(tracker.report(), None);

    let mut whole = cold();
    let mut dice = Dice::new(5);
    for n in 0..1_000u64 {
        whole.observe(&usual(&mut dice), Millis(n * 700));
    }
    let whole = whole.report().unwrap();
    assert_eq!(sum.calls(), 1_000);
    assert_eq!(sum.span(), whole.span());
    assert!(sum.operations().eq(whole.operations()));
    let orders = op("GET /orders/{id}");
    assert_eq!(sum.distinct_objects(orders), whole.distinct_objects(orders));
    assert_eq!(sum.longest_run(orders), whole.longest_run(orders));
}

#[test]
fn a_gateway_that_sees_no_answers_reports_no_bytes_and_not_zero_bytes() {
    let mut tracker = cold();
    tracker.observe(&order(1), Millis(1));
    let report = tracker.report().unwrap();
    assert_eq!(report.bytes(), None);
    assert_eq!(report.responses().total(), 0);
    assert_eq!(report.distinct_objects(op("POST /orders")), None);
    tracker.settle(
        &Outcome {
            response_bytes: Some(0),
            ..Outcome::default()
        },
        Millis(2),
    );
    assert_eq!(tracker.report().unwrap().bytes(), Some((0, 0)));
}

#[test]
fn state_has_a_fixed_size() {
    // Per active token (its tables take more as they fill), per report, per identity (an anchor adds 1 KiB).
    let sizes = (
        size_of::<Tracker>(),
        size_of::<TokenReport>(),
        size_of::<Baseline>(),
        size_of::<Bounds>(),
    );
    assert!(sizes.0 <= 704, "{sizes:?}");
    assert!(cold().bytes() <= 704, "no tables before the first call");
    assert!(sizes.1 <= 9 * 1024, "{sizes:?}");
    assert!(sizes.2 <= 4_640, "{sizes:?}");
    assert!(sizes.3 <= 512, "{sizes:?}");
}

#[test]
fn a_tracker_takes_memory_for_what_its_token_does_and_is_bounded() {
    let mut idle = cold();
    for n in 0..1_000 {
        let now = Millis(n * 1_000);
        idle.observe(&order(n % 3), now);
    }
    assert!(idle.bytes() <= 2_304, "{}", idle.bytes());
    let mut busy = cold();
    for n in 0..10_000_u64 {
        let event = Event {
            source: Some(n),
            client: Some(n),
            destination: Some(n),
            ..Event::of(op(&format!("GET /{}", n * 7_919 % 1_009)))
        };
        let event = Event {
            object: order(n).object,
            ..event
        };
        busy.observe(&event, Millis(n));
    }
    assert!(busy.bytes() <= 8 * 1_024, "{}", busy.bytes());
}

#[test]
fn time_that_stands_still_or_runs_backwards_or_leaps_panics_nowhere() {
    let mut tracker = cold();
    let mut dice = Dice::new(3);
    for now in [5, 5, 0, u64::MAX, 0, 60_000, u64::MAX, u64::MAX, 1] {
        for _ in 0..50 {
            tracker.observe(&usual(&mut dice), Millis(now));
            let outcome = Outcome {
                status: Some(now as u16),
                request_bytes: Some(u64::MAX),
                response_bytes: Some(u64::MAX),
            };
            tracker.settle(&outcome, Millis(now));
        }
    }
    let report = tracker.report().unwrap();
    assert_eq!(report.calls(), 450);
    assert_eq!(report.bytes(), Some((u64::MAX, u64::MAX)));
    assert!(report.span().is_some());
}

#[test]
fn new_bounds_take_effect_while_the_token_lives() {
    let identity = Identity::with_history(1_500);
    let mut tracker = cold();
    let walk = |tracker: &mut Tracker, ids: std::ops::Range<u64>| {
        ids.filter(|id| {
            let signal = tracker.observe(&order(*id), Millis(id * 100));
            matches!(signal, Signal::HardRule(_))
        })
        .count()
    };
    assert_eq!(walk(&mut tracker, 1..20), 0);
    tracker.set_bounds(identity.baseline.bounds(&identity.thresholds));
    assert!(walk(&mut tracker, 20..60) > 0);
}
