//! Something valid with every channel in it: what the strange is put beside, and where mutation begins.

use std::sync::LazyLock;

use lanyard_drift::desk::{Bench, Desk, Heard, Limits};
use lanyard_drift::ladder::SubjectId;
use lanyard_drift::parcel::Packing;
use lanyard_drift::{
    Baseline, Bounds, Event, Millis, Object, OperationId, Outcome, TaskFit, Thresholds,
    TokenReport, Tracker, stable_hash,
};

use super::desk::{IDENTITY, Pair};

/// Calls in a window.
const CALLS: u64 = 100;
/// Windows of the baseline: with four hours between them a week and a half, so that every hour of the
/// week is known, and the anchor is frozen.
const WINDOWS: u64 = 60;
/// Milliseconds from window to window.
const BETWEEN: u64 = 4 * 3_600_000;

static REPORT: LazyLock<TokenReport> = LazyLock::new(|| {
    let mut report = window(Millis(WINDOWS * BETWEEN), "GET /orders/{id}");
    report.merge(&window(Millis(WINDOWS * BETWEEN), "GET /invoices/{id}"));
    report
});

static BASELINE: LazyLock<Baseline> = LazyLock::new(|| {
    let register = Pair(Thresholds::default());
    let mut desk = Desk::default();
    for n in 1..=WINDOWS {
        let now = Millis(n * BETWEEN);
        let bench = Bench {
            register: &register,
            limits: Limits::default(),
            now,
        };
        let token = SubjectId(100 + n);
        let heard = Heard {
            token,
            identity: IDENTITY,
            gateway: SubjectId(7),
        };
        let _ = desk.look(&bench, heard, &window(now, "GET /orders/{id}"));
        let _ = desk.close_if_full(&bench, token);
    }
    desk.habits(IDENTITY).cloned().unwrap_or_default()
});

/// A report of two windows, one of them with an operation that the baseline does not know.
pub fn sample_report() -> &'static TokenReport {
    &REPORT
}

/// The habits of an identity after [`WINDOWS`] windows.
pub fn sample_baseline() -> &'static Baseline {
    &BASELINE
}

/// Two reports on their way, with a few words beside them.
pub fn sample_parcel() -> Vec<u8> {
    let mut packing = Packing::default();
    for token in 1..=2 {
        let packed = packing.add((SubjectId(token), [token as u8; 8]), IDENTITY, &REPORT);
        debug_assert!(packed);
    }
    packing.sealed(1 << 40, 3, br#"{"operations":["GET /orders/{id}"]}"#)
}

/// A minute's work of one token.
fn window(start: Millis, reading: &str) -> TokenReport {
    let mut tracker = Tracker::new(start, Bounds::cold(&Thresholds::default()));
    for n in 0..CALLS {
        let now = start.plus(n * 700);
        let id = stable_hash(&(start.0 + n).to_le_bytes()) % 5_000;
        let name = match id % 10 {
            0..6 => reading,
            6..8 => "POST /orders",
            8 => "GET /customers/{id}",
            _ => "send",
        };
        let event = Event {
            object: name.contains('{').then(|| Object::of(&id.to_string())),
            source: Some(stable_hash(b"10.1.2.0/24")),
            client: Some(stable_hash(b"orders/2.1")),
            destination: (name == "send").then(|| stable_hash(b"mail.example")),
            task: Some(TaskFit::Inside),
            ..Event::of(OperationId::of(name))
        };
        let _ = tracker.observe(&event, now);
        let outcome = Outcome {
            status: Some(if id.is_multiple_of(50) { 404 } else { 200 }),
            request_bytes: Some(200),
            response_bytes: Some(1_000 + id),
        };
        tracker.settle(&outcome, now);
    }
    tracker.report().unwrap_or_default()
}
