//! Scores of windows: how well one threshold separates, and which.
//!
//! A window is flagged when its score is above the threshold. A rate is never exceeded: of the thresholds whose
//! share of false alarms is at most the rate, the lowest counts, and nothing is interpolated between two points.

use serde::Serialize;

/// What a false alarm costs, in misses (Maxion and Townsend, 2002).
const FALSE_ALARM_COSTS: f64 = 6.0;

/// The scores of windows, highest first, by what the windows were.
#[derive(Debug, Clone)]
pub(in crate::drift_eval) struct Roc {
    benign: Vec<f64>,
    hostile: Vec<f64>,
}

/// What one threshold achieves: shares from 0 to 1, the cost in percentage points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(in crate::drift_eval) struct Point {
    pub(in crate::drift_eval) hits: f64,
    pub(in crate::drift_eval) false_alarms: f64,
    pub(in crate::drift_eval) cost: f64,
}

impl Roc {
    pub(in crate::drift_eval) fn of(mut benign: Vec<f64>, mut hostile: Vec<f64>) -> Self {
        benign.sort_by(|left, right| right.total_cmp(left));
        hostile.sort_by(|left, right| right.total_cmp(left));
        Self { benign, hostile }
    }

    /// How often a hostile window scores higher than a benign one; a tie is half a win.
    pub(in crate::drift_eval) fn auc(&self) -> f64 {
        let wins: f64 = self
            .hostile
            .iter()
            .map(|score| {
                let higher = above(&self.benign, *score);
                let not_lower = self.benign.partition_point(|benign| benign >= score);
                let lower = self.benign.len() - not_lower;
                lower as f64 + (not_lower - higher) as f64 / 2.0
            })
            .sum();
        wins / (self.hostile.len() as f64 * self.benign.len() as f64)
    }

    /// The lowest threshold whose share of false alarms is at most `rate`.
    pub(in crate::drift_eval) fn threshold_at(&self, rate: f64) -> f64 {
        // A share that is a whole number of windows must not be lost to rounding.
        let allowed = (rate * self.benign.len() as f64 + 1e-9).floor();
        // Everything may be flagged once the list has no such place.
        self.benign
            .get(allowed as usize)
            .copied()
            .unwrap_or(f64::NEG_INFINITY)
    }

    pub(in crate::drift_eval) fn hits_at(&self, rate: f64) -> f64 {
        self.at(self.threshold_at(rate)).hits
    }

    pub(in crate::drift_eval) fn at(&self, threshold: f64) -> Point {
        let hits = share(above(&self.hostile, threshold), self.hostile.len());
        let false_alarms = share(above(&self.benign, threshold), self.benign.len());
        Point {
            hits,
            false_alarms,
            cost: 100.0 * ((1.0 - hits) + FALSE_ALARM_COSTS * false_alarms),
        }
    }

    /// The threshold that costs least: half way between two scores, so that it is not tied to either of them.
    pub(in crate::drift_eval) fn best_threshold(&self) -> f64 {
        let mut scores: Vec<f64> = self.benign.iter().chain(&self.hostile).copied().collect();
        scores.sort_by(f64::total_cmp);
        scores.dedup();
        let between = scores.windows(2).filter_map(|pair| match pair {
            [low, high] => Some(low + (high - low) / 2.0),
            _ => None,
        });
        // Flagging nothing is always possible, and the highest of equally cheap thresholds is kept.
        between.fold(f64::INFINITY, |best, threshold| {
            if self.at(threshold).cost < self.at(best).cost {
                threshold
            } else {
                best
            }
        })
    }

    /// The curve in steps, from nothing flagged to everything.
    pub(in crate::drift_eval) fn curve(&self) -> Vec<(f64, f64)> {
        let mut points = vec![(0.0, 0.0)];
        let mut reached = 0.0;
        for threshold in &self.benign {
            let point = self.at(*threshold);
            points.push((point.false_alarms, reached));
            points.push((point.false_alarms, point.hits));
            reached = point.hits;
        }
        points.extend([(1.0, reached), (1.0, 1.0)]);
        points
    }
}

/// How many of some scores, highest first, are above a threshold.
fn above(scores: &[f64], threshold: f64) -> usize {
    scores.partition_point(|score| *score > threshold)
}

/// A share; of nothing it is nothing.
pub(in crate::drift_eval) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roc() -> Roc {
        Roc::of(
            vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
            vec![0.95, 0.85, 0.5, 2.0],
        )
    }

    #[test]
    fn auc_agrees_with_a_count_by_hand() {
        // 2.0 beats all 10; 0.95 beats 9; 0.85 beats 8; 0.5 beats 4 and ties with one.
        assert!((roc().auc() - (10.0 + 9.0 + 8.0 + 4.5) / 40.0).abs() < 1e-12);
        assert_eq!(Roc::of(vec![1.0], vec![1.0]).auc(), 0.5);
    }

    #[test]
    fn a_rate_is_never_exceeded_and_never_left_unused() {
        assert_eq!(roc().hits_at(0.0), 0.25, "only 2.0 is above every owner");
        assert_eq!(roc().hits_at(0.1), 0.5, "1.0 may be flagged, 0.9 not");
        assert_eq!(
            roc().hits_at(0.199),
            0.5,
            "nothing between two points is claimed"
        );
        assert_eq!(roc().hits_at(0.2), 0.75);
        assert_eq!(roc().at(roc().threshold_at(0.2)).false_alarms, 0.2);
        assert_eq!(roc().hits_at(1.0), 1.0);
    }

    #[test]
    fn equal_scores_are_flagged_together_or_not_at_all() {
        let roc = Roc::of(vec![1.0, 1.0, 0.0, 0.0], vec![1.0, 0.5]);
        let point = roc.at(roc.threshold_at(0.25));
        assert_eq!((point.false_alarms, point.hits), (0.0, 0.0));
    }

    #[test]
    fn a_cost_is_the_misses_and_six_times_the_false_alarms_in_percent() {
        let point = roc().at(0.82);
        assert_eq!((point.hits, point.false_alarms), (0.75, 0.2));
        assert!((point.cost - (25.0 + 120.0)).abs() < 1e-9);
    }

    #[test]
    fn the_best_threshold_is_cheaper_than_all_others() {
        let roc = roc();
        let best = roc.at(roc.best_threshold()).cost;
        // Above 1.0: 75 % missed, no false alarm.
        assert!((best - 75.0).abs() < 1e-9);
        for step in 0..300 {
            assert!(roc.at(f64::from(step) / 100.0).cost >= best);
        }
    }

    #[test]
    fn the_curve_climbs_in_steps_and_ends_with_everything() {
        let curve = Roc::of(vec![1.0, 0.0], vec![2.0, 0.5]).curve();
        assert_eq!(
            curve,
            [
                (0.0, 0.0),
                (0.0, 0.0),
                (0.0, 0.5),
                (0.5, 0.5),
                (0.5, 1.0),
                (1.0, 1.0),
                (1.0, 1.0)
            ]
        );
    }

    #[test]
    fn where_flagging_never_pays_nothing_is_flagged() {
        let roc = Roc::of(vec![1.0; 3], vec![0.0; 3]);
        assert!((roc.at(roc.best_threshold()).cost - 100.0).abs() < 1e-9);
    }
}
