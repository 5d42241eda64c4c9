//! A baseline: from a disk that rots, or from a backup of another house.

use lanyard_drift::{Baseline, Bounds, Event, Millis, Thresholds, TokenReport, Tracker, judge};

use super::desk;
use super::sample::{sample_baseline, sample_report};

/// Reads bytes as a baseline and does with it what is ever done with one; whether it could be read.
pub fn baseline(bytes: &[u8]) -> bool {
    let Ok(baseline) = serde_json::from_slice::<Baseline>(bytes) else {
        return false;
    };
    assert!(is_read_back(&baseline), "not what was written of it");
    let thresholds = Thresholds::default();
    carry(baseline.bounds(&thresholds));
    for window in [sample_report(), &TokenReport::empty()] {
        let mut learning = baseline.clone();
        let verdict = judge(window, &learning, None, &thresholds, Millis(0));
        desk::tell(&verdict);
        let _ = learning.absorb(window, &verdict, &thresholds);
        let _ = learning.absorb_cleared(window);
        learning.set_anchor();
        assert!(is_read_back(&learning), "learned, and unreadable");
    }
    let mut role = sample_baseline().clone();
    role.merge(&baseline);
    role.merge(&baseline);
    assert!(is_read_back(&role), "merged, and unreadable");
    desk::visit(&baseline, &[sample_report(), sample_report()]);
    true
}

/// The bounds go to gateways and meet calls there.
fn carry(bounds: Bounds) {
    let text = serde_json::to_vec(&bounds).unwrap_or_default();
    let read = serde_json::from_slice::<Bounds>(&text);
    assert!(read.is_ok_and(|read| read == bounds), "bounds that change");
    let mut tracker = Tracker::new(Millis(0), bounds);
    for (operation, _) in sample_baseline().operations() {
        let _ = tracker.observe(&Event::of(operation), Millis(1));
    }
}

pub(super) fn is_read_back(baseline: &Baseline) -> bool {
    let text = serde_json::to_vec(baseline).unwrap_or_default();
    serde_json::from_slice::<Baseline>(&text).is_ok_and(|read| read == *baseline)
}
