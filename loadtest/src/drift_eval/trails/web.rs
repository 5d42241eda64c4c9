//! Scanners among the ordinary visitors of a web site.
//!
//! The habits are those of ordinary visitors together, as a client that many use. Where there is no earlier log,
//! every other visitor is learned from and the rest is judged.

use std::collections::BTreeMap;

use serde::Serialize;

use super::watch::{self, Identity, Window};
use crate::drift_eval::metrics::windows::share;
use crate::replay::{Call, Recording};

/// What became of them.
#[derive(Debug, Clone, Serialize)]
pub(in crate::drift_eval) struct Visitors {
    pub(in crate::drift_eval) scanners: usize,
    pub(in crate::drift_eval) scanners_flagged: usize,
    pub(in crate::drift_eval) scanner_windows: usize,
    pub(in crate::drift_eval) scanner_windows_flagged: f64,
    /// Calls of each flagged scanner up to the end of its first flagged window; the median. `null` when none was.
    pub(in crate::drift_eval) median_delay: Option<f64>,
    /// Ordinary visitors that were judged, and the share of them that was flagged at least once.
    pub(in crate::drift_eval) visitors: usize,
    pub(in crate::drift_eval) visitors_flagged: f64,
}

type ByIdentity<'a> = BTreeMap<&'a str, Vec<(usize, &'a Call)>>;

/// Learns from ordinary visitors, then judges others and the scanners.
pub(super) fn visitors(
    before: Option<&Recording>,
    ordinary: &Recording,
    scans: &Recording,
) -> Visitors {
    let mut usual = Identity::default();
    let everybody = watch::by_identity(&ordinary.calls);
    let (learned, judged) = match before {
        Some(before) => (watch::by_identity(&before.calls), everybody),
        None => by_turns(everybody),
    };
    for calls in learned.into_values() {
        usual.learn(&plain(&calls));
    }
    let judge = |calls: &Vec<(usize, &Call)>| usual.judge(&plain(calls));

    let scanners: Vec<Vec<Window>> = watch::by_identity(&scans.calls)
        .values()
        .map(judge)
        .collect();
    let mut delays: Vec<usize> = scanners
        .iter()
        .filter_map(|windows| windows.iter().find(|window| window.flagged))
        .map(|window| window.calls.end)
        .collect();
    delays.sort_unstable();
    let windows: Vec<&Window> = scanners.iter().flatten().collect();
    let noticed = judged
        .values()
        .filter(|calls| judge(calls).iter().any(|window| window.flagged))
        .count();
    Visitors {
        scanners: scanners.len(),
        scanners_flagged: delays.len(),
        scanner_windows: windows.len(),
        scanner_windows_flagged: share(
            windows.iter().filter(|window| window.flagged).count(),
            windows.len(),
        ),
        median_delay: delays.get(delays.len() / 2).map(|delay| *delay as f64),
        visitors: judged.len(),
        visitors_flagged: share(noticed, judged.len()),
    }
}

fn by_turns(everybody: ByIdentity<'_>) -> (ByIdentity<'_>, ByIdentity<'_>) {
    let mut learned = false;
    everybody.into_iter().partition(|_| {
        learned = !learned;
        learned
    })
}

fn plain<'a>(numbered: &[(usize, &'a Call)]) -> Vec<&'a Call> {
    numbered.iter().map(|(_, call)| *call).collect()
}
