//! A report: from a gateway that may have been taken over.

use lanyard_drift::{Baseline, Millis, Thresholds, TokenReport, judge};

use super::baseline::is_read_back as habits_are_read_back;
use super::desk;
use super::sample::{sample_baseline, sample_report};

/// Reads bytes as a report and does with it what is ever done with one; whether it could be read.
pub fn report(bytes: &[u8]) -> bool {
    let Ok(report) = serde_json::from_slice::<TokenReport>(bytes) else {
        return false;
    };
    let mut twice = report.clone();
    twice.merge(&report);
    for window in [&report, &twice] {
        assert!(is_read_back(window), "not what was written of it");
        judge_and_learn(window, Baseline::empty());
        judge_and_learn(window, sample_baseline().clone());
    }
    desk::visit(sample_baseline(), &[&report, sample_report(), &twice]);
    true
}

fn judge_and_learn(window: &TokenReport, mut baseline: Baseline) {
    let thresholds = Thresholds::default();
    let verdict = judge(window, &baseline, None, &thresholds, Millis(0));
    desk::tell(&verdict);
    let _ = baseline.absorb(window, &verdict, &thresholds);
    assert!(habits_are_read_back(&baseline), "learned, and unreadable");
    let _ = baseline.absorb_cleared(window);
    baseline.set_anchor();
    let _ = baseline.bounds(&thresholds);
    assert!(habits_are_read_back(&baseline), "cleared, and unreadable");
}

fn is_read_back(report: &TokenReport) -> bool {
    let text = serde_json::to_vec(report).unwrap_or_default();
    serde_json::from_slice::<TokenReport>(&text).is_ok_and(|read| read == *report)
}
