use super::*;

fn op(n: u32) -> OperationId {
    OperationId::of(&format!("operation {n}"))
}

fn follow(habits: &mut Adaptive, from: OperationId, to: OperationId) {
    if let Some((from, to)) = habits.place(from).zip(habits.place(to)) {
        habits.follow(from, to, 1);
    }
}

fn call(habits: &mut Adaptive, before: Option<OperationId>, operation: OperationId) {
    habits.count(operation, 1);
    if let Some(before) = before {
        follow(habits, before, operation);
    }
}

/// Walks through `distinct` operations, over and over.
fn walked(distinct: u32, calls: u32) -> Adaptive {
    let mut habits = Adaptive::new();
    let mut before = None;
    for n in 0..calls {
        call(&mut habits, before, op(n % distinct));
        before = Some(op(n % distinct));
    }
    habits
}

#[test]
fn an_identity_fits_into_two_kibibytes_and_its_anchor_into_one() {
    assert!(size_of::<Adaptive>() <= 2_048, "{}", size_of::<Adaptive>());
    assert!(size_of::<Frozen>() <= 1_024, "{}", size_of::<Frozen>());
}

#[test]
fn calls_and_what_followed_them_are_counted() {
    let habits = walked(3, 90);
    assert_eq!(habits.total(), 90);
    assert_eq!(habits.distinct(), 3);
    let known = habits.operation(op(1));
    assert_eq!((known.count, known.successors), (30, 1));
    assert_eq!(habits.transition(op(1), op(2)), 30);
    assert_eq!(habits.transition(op(2), op(1)), 0);
    assert_eq!(habits.operation(op(9)), Known::default());
}

#[test]
fn a_flood_of_operations_takes_no_more_room_and_leaves_the_busy_ones() {
    let mut habits = walked(5, 10_000);
    for n in 0..100_000 {
        call(&mut habits, Some(op(0)), op(1_000 + n));
        if n % 10 == 0 {
            call(&mut habits, None, op(4));
            call(&mut habits, Some(op(4)), op(0));
        }
    }
    assert!(habits.operation(op(0)).count > 0);
    assert!(habits.transition(op(4), op(0)) > 0);
    assert!(usize::from(habits.distinct()) <= 144);
    assert!(habits.operation(op(0)).successors == u8::MAX);
}

#[test]
fn what_keeps_coming_back_wins_a_place_in_a_full_table() {
    let mut habits = walked(600, 6_000);
    let newcomer = op(50_000);
    for _ in 0..200 {
        call(&mut habits, None, newcomer);
    }
    assert!(habits.operation(newcomer).count > 0);
}

#[test]
fn a_count_that_would_overflow_ages_everything_by_half() {
    let habits = walked(2, 20_000);
    let count = habits.operation(op(0)).count;
    assert!((1_000..10_000).contains(&count), "{count}");
    assert!(habits.operation(op(1)).count.abs_diff(count) < 100);
    let followed = habits.transition(op(0), op(1));
    assert!(
        // Rounded two thousand times, once for each call: off by a tenth now and then.
        followed.abs_diff(u32::from(count)) < 600,
        "{followed} {count}"
    );
    let mut aged = habits.clone();
    aged.age();
    assert_eq!(aged.operation(op(0)).count, count.div_ceil(2));
    assert!(aged.total().abs_diff(habits.total() / 2) <= 1);
}

#[test]
fn what_was_seen_once_is_not_forgotten_by_ageing() {
    let mut habits = walked(2, 4_000);
    call(&mut habits, Some(op(0)), op(7));
    for _ in 0..20 {
        habits.age();
    }
    assert_eq!(habits.operation(op(7)).count, 1);
    assert_eq!(habits.transition(op(0), op(7)), 1);
    assert_eq!(habits.total(), 3);
}

#[test]
fn an_operation_takes_its_transitions_along_and_leaves_the_others() {
    let mut habits = walked(144, 144 * 5);
    let gone = |habits: &Adaptive| (0..144).find(|n| habits.operation(op(*n)).count == 0);
    assert_eq!(gone(&habits), None);
    let before: Vec<_> = habits.transitions().collect();
    for _ in 0..10 {
        call(&mut habits, None, op(1_000));
    }
    let gone = op(gone(&habits).unwrap());
    let left: Vec<_> = habits.transitions().collect();
    let kept = before
        .into_iter()
        .filter(|(from, to, _)| *from != gone && *to != gone);
    assert_eq!(left, kept.collect::<Vec<_>>());
}

#[test]
fn what_keeps_coming_back_is_kept_whatever_it_is_called() {
    for naming in 0..20 {
        let name = |n: u32| OperationId::of(&format!("operation {n}, naming {naming}"));
        let mut habits = Adaptive::new();
        for n in 0..400_u32 {
            call(&mut habits, None, name(n % 100));
            call(&mut habits, Some(name(n % 100)), name((n * 7 + 1) % 100));
        }
        for n in 0..100 {
            assert!(habits.operation(name(n)).count > 0, "naming {naming}, {n}");
        }
    }
}

#[test]
fn the_order_of_learning_leaves_no_trace() {
    let pairs: Vec<(u32, u32)> = (0..40).map(|n| (n, (n * 7 + 3) % 40)).collect();
    let learned = |pairs: &mut dyn Iterator<Item = &(u32, u32)>| {
        let mut habits = Adaptive::new();
        for (from, to) in pairs {
            call(&mut habits, None, op(*from));
            call(&mut habits, None, op(*to));
        }
        for n in 0..40 {
            follow(&mut habits, op(n), op((n * 7 + 3) % 40));
        }
        habits
    };
    assert_eq!(
        learned(&mut pairs.iter()),
        learned(&mut pairs.iter().rev()),
        "equal contents are equal bytes"
    );
}

#[test]
fn condensing_keeps_the_heaviest() {
    let mut habits = walked(4, 4_000);
    for n in 0..90 {
        call(&mut habits, Some(op(100 + n)), op(101 + n));
    }
    let anchor: Frozen = habits.condensed();
    assert_eq!(anchor.total(), habits.total());
    for n in 0..4 {
        assert_eq!(anchor.operation(op(n)), habits.operation(op(n)));
    }
    assert_eq!(
        anchor.transition(op(2), op(3)),
        habits.transition(op(2), op(3))
    );
}

#[test]
fn it_survives_the_wire_and_what_cannot_be_held_is_refused() {
    let habits = walked(60, 5_000);
    let text = serde_json::to_string(&habits).unwrap();
    assert_eq!(serde_json::from_str::<Adaptive>(&text).unwrap(), habits);
    for bad in [
        r#"{"operations":[[0,4,0]],"transitions":[],"total":4}"#,
        r#"{"operations":[[7,4,0],[7,4,0]],"transitions":[],"total":8}"#,
        r#"{"operations":[[7,4,0]],"transitions":[],"total":3}"#,
        r#"{"operations":[[8,4,0],[7,4,0]],"transitions":[],"total":8}"#,
        r#"{"operations":[[7,4,1]],"transitions":[[0,1,4]],"total":4}"#,
        r#"{"operations":[[7,4,1]],"transitions":[[1,0,4]],"total":4}"#,
        r#"{"operations":[[7,4,1]],"transitions":[[0,0,0]],"total":4}"#,
        r#"{"operations":[[7,4,1]],"transitions":[[0,0,65]],"total":4}"#,
        r#"{"operations":[[7,4,1]],"transitions":[[0,0,4],[0,0,4]],"total":4}"#,
        r#"{"operations":[],"transitions":[],"total":-1}"#,
        r#"{"operations":[],"transitions":[],"total":0,"more":1}"#,
    ] {
        assert!(serde_json::from_str::<Adaptive>(bad).is_err(), "{bad}");
    }
}

#[test]
fn of_a_window_that_may_be_the_owners_each_kind_of_call_is_learned_once() {
    let mut habits = walked(3, 90);
    let mut window = Sequence::new();
    for operation in [0, 1, 77] {
        window.operations.add(op(operation), &30);
    }
    window.transitions.add((op(0), op(77)), &30);
    window.transitions.add((op(0), op(1)), &30);
    habits.learn_kinds(&window);
    assert_eq!(habits.operation(op(0)).count, 31);
    assert_eq!(habits.operation(op(0)).successors, 2);
    assert_eq!(habits.transition(op(0), op(77)), 1);
    assert_eq!(habits.operation(op(77)).count, 1);
}
