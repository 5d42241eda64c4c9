//! Both sequence detectors at once, as an operator has them: a window is flagged when the belief or the estrangement
//! is above its threshold. A fifth of the false alarms goes to the estrangement, which is slow and speaks seldom; the
//! rest to the belief, so that both together raise no more than was allowed.

use crate::drift_eval::metrics::windows::share;
use crate::drift_eval::people::Labels;
use crate::drift_eval::subject::Scored;

/// The part of the allowed false alarms that the estrangement may raise.
const SLOW_PART: f64 = 0.2;

/// The two thresholds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Armed {
    belief: f64,
    estrangement: f64,
}

impl Armed {
    /// Thresholds that together flag this share of the owners' windows.
    pub(super) fn at(scored: &[Scored], labels: &Labels, rate: f64) -> Self {
        let mut owners = windows(scored, labels, false);
        let allowed = (rate * owners.len() as f64) as usize;
        owners.sort_by(|left, right| right.1.total_cmp(&left.1));
        let slow = (rate * SLOW_PART * owners.len() as f64) as usize;
        let estrangement = owners.get(slow).map_or(f64::INFINITY, |owner| owner.1);
        let flagged = owners.iter().filter(|owner| owner.1 > estrangement).count();
        let mut rest: Vec<f64> = owners
            .iter()
            .filter(|owner| owner.1 <= estrangement)
            .map(|owner| owner.0)
            .collect();
        rest.sort_by(|left, right| right.total_cmp(left));
        let left = allowed.saturating_sub(flagged);
        Self {
            belief: rest.get(left).copied().unwrap_or(f64::INFINITY),
            estrangement,
        }
    }

    /// Share of the hostile windows that are flagged.
    pub(super) fn hits(self, scored: &[Scored], labels: &Labels) -> f64 {
        let hostile = windows(scored, labels, true);
        let hits = hostile.iter().filter(|window| self.flags(**window)).count();
        share(hits, hostile.len())
    }

    /// Whether a window, with its belief and its estrangement, is flagged.
    pub(super) fn flags(self, (belief, estrangement): (f64, f64)) -> bool {
        belief > self.belief || estrangement > self.estrangement
    }
}

fn windows(scored: &[Scored], labels: &Labels, hostile: bool) -> Vec<(f64, f64)> {
    let of = |person: &Scored| {
        let identity = person.identity.clone();
        let both = person.windows.iter().zip(&person.estranged).enumerate();
        let wanted =
            both.filter(move |(window, _)| labels.is_masquerade(&identity, *window) == hostile);
        wanted
            .map(|(_, (belief, estrangement))| (*belief, *estrangement))
            .collect::<Vec<_>>()
    };
    scored.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_together_flag_no_more_owners_than_was_allowed() {
        let scored = [Scored {
            identity: "a".to_owned(),
            windows: (0..1_000).map(f64::from).collect(),
            estranged: (0..1_000).rev().map(f64::from).collect(),
            calls: Vec::new(),
        }];
        let labels = Labels::of([("a".to_owned(), vec![false; 1_000])]);
        let armed = Armed::at(&scored, &labels, 0.05);
        let flagged = windows(&scored, &labels, false)
            .into_iter()
            .filter(|window| armed.flags(*window))
            .count();
        assert_eq!(flagged, 50);
        assert!(armed.flags((999.0, 0.0)) && armed.flags((0.0, 999.0)));
        assert!(!armed.flags((500.0, 500.0)));
    }
}
