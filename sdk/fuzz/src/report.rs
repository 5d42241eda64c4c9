//! A report, or a parcel of them: from a gateway that may have been taken over.

use lanyard_drift::parcel::{Packing, Parcel};
use lanyard_drift::{Baseline, Millis, Thresholds, TokenReport, judge};

use super::baseline::is_read_back as habits_are_read_back;
use super::desk;
use super::sample::{sample_baseline, sample_report};

/// Reads bytes as a report in its compact form and does with it what is ever done with one; whether it could
/// be read.
pub fn report(bytes: &[u8]) -> bool {
    let Ok(report) = TokenReport::from_bytes(bytes) else {
        return false;
    };
    assert_eq!(report.to_bytes(), bytes, "two ways to write one report");
    use_up(&report);
    true
}

/// Reads bytes as a report in JSON, as earlier gateways send it.
pub fn earlier_report(bytes: &[u8]) -> bool {
    let Ok(report) = serde_json::from_slice::<TokenReport>(bytes) else {
        return false;
    };
    if report.adds_up().is_ok() {
        let compact = TokenReport::from_bytes(&report.to_bytes()).map(|_| ());
        assert!(compact.is_ok(), "sound, and unreadable: {compact:?}");
    }
    use_up(&report);
    true
}

/// Reads bytes as a parcel, and packs it again.
pub fn parcel(bytes: &[u8]) -> bool {
    let Ok(parcel) = Parcel::read(bytes) else {
        return false;
    };
    let mut packing = Packing::default();
    for entry in &parcel.entries {
        let token = (entry.token, entry.digest);
        if !packing.add(token, entry.identity, &entry.report) {
            // Somebody packs more than we would.
            return true;
        }
    }
    let again = packing.sealed(parcel.run, parcel.number, parcel.words);
    assert_eq!(again, bytes, "two ways to write one parcel");
    true
}

fn use_up(report: &TokenReport) {
    let mut twice = report.clone();
    twice.merge(report);
    for window in [report, &twice] {
        assert!(is_read_back(window), "not what was written of it");
        judge_and_learn(window, Baseline::empty());
        judge_and_learn(window, sample_baseline().clone());
    }
    desk::visit(sample_baseline(), &[report, sample_report(), &twice]);
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

/// Windows are recorded as JSON.
fn is_read_back(report: &TokenReport) -> bool {
    let text = serde_json::to_vec(report).unwrap_or_default();
    serde_json::from_slice::<TokenReport>(&text).is_ok_and(|read| read == *report)
}
