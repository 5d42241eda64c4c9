//! Reports and baselines put together from parts.

use lanyard_drift::{
    Baseline, Bounds, Event, Millis, Object, Outcome, TaskFit, Thresholds, TokenReport, Tracker,
};
use proptest::prelude::*;

use crate::world::op;

/// Reports within the places of the tables, with every channel now present, now absent.
fn reports() -> impl Strategy<Value = TokenReport> {
    let call = (
        0u64..20,
        prop::option::of((0u64..8, 0u64..500)),
        // Three networks and three clients, or none: fifteen origins, within the sixteen places.
        prop::option::of(0u64..3),
        prop::option::of(0u64..3),
        prop::option::of(0u8..4),
        prop::option::of((any::<u16>(), 0u64..1_000_000)),
        0u64..90_000,
    );
    prop::collection::vec(call, 0..60).prop_map(|calls| {
        let mut now = Millis(1_000_000);
        let mut tracker = Tracker::new(now, Bounds::cold(&Thresholds::default()));
        for (operation, object, source, client, task, outcome, pause) in calls {
            now = Millis(now.0 + pause);
            // Few enough operations, and transitions, to have places after three merges.
            let operation = object.map_or(operation % 8, |(operation, _)| operation);
            let event = Event {
                object: object.map(|(_, id)| Object::of(&id.to_string())),
                source,
                client,
                task: task.map(|fit| match fit {
                    0 => TaskFit::OutsideOperation,
                    1 => TaskFit::CallsSpent,
                    _ => TaskFit::Inside,
                }),
                ..Event::of(op(&format!("op {operation}")))
            };
            tracker.observe(&event, now);
            if let Some((status, bytes)) = outcome {
                tracker.settle(
                    &Outcome {
                        status: Some(status),
                        request_bytes: None,
                        response_bytes: Some(bytes),
                    },
                    now,
                );
            }
        }
        tracker.report().unwrap_or_default()
    })
}

fn merged(left: &TokenReport, right: &TokenReport) -> TokenReport {
    let mut sum = left.clone();
    sum.merge(right);
    sum
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn reports_merge_in_any_order_and_any_grouping(a in reports(), b in reports(), c in reports()) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &TokenReport::empty()), a);
    }

    #[test]
    fn a_role_is_the_same_in_whatever_order_its_members_join(a in reports(), b in reports(), c in reports()) {
        let member = |report: &TokenReport| {
            let mut baseline = Baseline::empty();
            let _ = baseline.absorb_cleared(report);
            baseline
        };
        let (a, b, c) = (member(&a), member(&b), member(&c));
        let role = |members: [&Baseline; 3]| {
            let mut role = Baseline::empty();
            for member in members {
                role.merge(member);
            }
            role
        };
        let one = role([&a, &b, &c]);
        prop_assert_eq!(&one, &role([&c, &a, &b]));
        prop_assert_eq!(one.identities(), a.identities() + b.identities() + c.identities());
        prop_assert_eq!(one.calls(), a.calls() + b.calls() + c.calls());
    }

    #[test]
    fn a_report_survives_the_wire(report in reports()) {
        let text = serde_json::to_string(&report).unwrap();
        prop_assert_eq!(&serde_json::from_str::<TokenReport>(&text).unwrap(), &report);
        prop_assert_eq!(report.adds_up(), Ok(()));
        prop_assert_eq!(TokenReport::from_bytes(&report.to_bytes()), Ok(report));
    }

    #[test]
    fn merged_reports_survive_the_wire_too(a in reports(), b in reports()) {
        let both = merged(&a, &b);
        prop_assert_eq!(both.adds_up(), Ok(()));
        let read = TokenReport::from_bytes(&both.to_bytes()).unwrap();
        prop_assert_eq!(read.calls(), both.calls());
        prop_assert_eq!(read.operations().collect::<Vec<_>>(), both.operations().collect::<Vec<_>>());
    }
}

#[test]
fn merging_beyond_the_places_keeps_totals_exact() {
    let report = |prefix: &str| {
        let mut tracker = Tracker::new(Millis(0), Bounds::cold(&Thresholds::default()));
        let mut sum = TokenReport::empty();
        for n in 0..1_000u64 {
            tracker.observe(&Event::of(op(&format!("{prefix} {n}"))), Millis(n));
            if n % 50 == 49 {
                sum.merge(&tracker.report().unwrap());
            }
        }
        sum
    };
    let both = merged(&report("left"), &report("right"));
    assert_eq!(both.calls(), 2_000);
    assert_eq!(both.operations().count(), 128);
}
