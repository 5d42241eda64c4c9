use super::*;
use crate::baseline::Baseline;
use crate::bigrams::Adaptive;
use crate::event::{Event, Millis};
use crate::role::Role;
use crate::thresholds::Thresholds;
use crate::tracker::Tracker;

fn op(name: &str) -> OperationId {
    OperationId::of(name)
}

fn close(left: f64, right: f64) {
    assert!((left - right).abs() < 1e-9, "{left} against {right}");
}

/// An identity that makes these calls, one after the other.
fn identity(calls: &[&str]) -> Baseline {
    let mut tracker = Tracker::new(Millis(0), Baseline::empty().bounds(&Thresholds::default()));
    for (now, call) in calls.iter().enumerate() {
        tracker.observe(&Event::of(op(call)), Millis(now as u64));
    }
    let mut baseline = Baseline::empty();
    let learned = baseline.absorb_cleared(&tracker.report().unwrap());
    assert_eq!(learned, crate::Absorption::Learned);
    baseline
}

fn block(before: Option<&str>, calls: &[&str]) -> Block {
    let mut block = Block::after(before.map(op));
    for call in calls {
        block.push(op(call), Millis(0));
    }
    block
}

/// By hand. Itself: a a b a b a: a 4, b 2; a→a 1, a→b 2, b→a 2. One peer: a c c b, another: c a c.
#[test]
fn the_formula_agrees_with_a_calculation_by_hand() {
    let own = identity(&["a", "a", "b", "a", "b", "a"]);
    let peers = [identity(&["a", "c", "c", "b"]), identity(&["c", "a", "c"])];
    let role = Role::of(&peers).unwrap();
    let model = Model {
        own: &own.sequence,
        peers: Some(role.others()),
    };
    // Seven calls of the peers: a 2, b 1, c 4. p0: a 2.5/3, b 1.5/3, c 2.5/3.
    let undivided = |count: f64, p0: f64| (count + 50.0 * p0) / 57.0;
    let (a, b, c) = (
        undivided(2.0, 2.5 / 3.0),
        undivided(1.0, 0.5),
        undivided(4.0, 2.5 / 3.0),
    );
    let mass = a + b + c;
    let (q_a, q_b, q_c) = (a / mass, b / mass, c / mass);
    let others = role.others();
    close(others.single(others.used(op("a"))), q_a);
    // N = 6, T = 2: strength + d T = 11.
    let p1_b = (1.5 + 11.0 * q_b) / 16.0;
    let p1_c = 11.0 * q_c / 16.0;
    close(model.ratio(None, op("b")), (q_b / p1_b).ln());
    close(model.ratio(None, op("c")), (q_c / p1_c).ln());
    // From a: itself 4 calls and 2 successors; the peers 2 calls and 1 successor, c, twice.
    let p2_ab = (1.5 + 2.0 * p1_b) / 5.0;
    let q2_ab = 5.5 * q_b / 7.0;
    close(model.ratio(Some(op("a")), op("b")), (q2_ab / p2_ab).ln());
    let p2_ac = 2.0 * p1_c / 5.0;
    let q2_ac = (1.5 + 5.5 * q_c) / 7.0;
    close(model.ratio(Some(op("a")), op("c")), (q2_ac / p2_ac).ln());
    // And a block is the sum of its calls.
    let calls = block(None, &["b", "a", "b"]);
    let p1_a = (3.5 + 11.0 * q_a) / 16.0;
    let p2_ba = (1.5 + 1.5 * p1_a) / 3.0;
    let q2_ba = 5.0 * q_a / 6.0;
    let by_hand = (q_b / p1_b).ln() + (q2_ba / p2_ba).ln() + (q2_ab / p2_ab).ln();
    close(model.block(&calls), by_hand);
    close(model.window(&[calls]).unwrap(), by_hand * 100.0 / 3.0);
}

#[test]
fn a_twin_of_its_peers_looks_like_itself() {
    let names: Vec<String> = (0..40).map(|n| format!("op {n}")).collect();
    let calls: Vec<&str> = (0..4_000).map(|n| names[n * n / 7 % 40].as_str()).collect();
    let (own, twin) = (identity(&calls), identity(&calls));
    let role = Role::of([&twin]).unwrap();
    let model = Model {
        own: &own.sequence,
        peers: Some(role.others()),
    };
    let blocks: Vec<Block> = calls.chunks(10).map(|calls| block(None, calls)).collect();
    let score = model.window(&blocks).unwrap();
    assert!((-20.0..=8.0).contains(&score), "{score}");
}

#[test]
fn without_history_nothing_is_told_apart() {
    let own = Adaptive::new();
    let model = Model {
        own: &own,
        peers: None,
    };
    let calls = block(None, &["a", "b", "a", "b"]);
    close(model.window(&[calls]).unwrap(), 0.0);
    assert_eq!(model.window(&[]), None);
}

#[test]
fn no_single_call_and_no_single_block_decides() {
    let own = identity(&["a"; 5_000]);
    let model = Model {
        own: &own.sequence,
        peers: None,
    };
    close(model.ratio(Some(op("a")), op("z")), 6.0);
    close(
        model.block(&block(
            Some("a"),
            &["z", "a", "z", "a", "z", "y", "x", "z", "y", "x"],
        )),
        20.0,
    );
    close(model.block(&block(Some("a"), &["z", "y"])), 4.0);
    assert!(model.block(&block(Some("a"), &["a"; 10])) < -50.0);
}
