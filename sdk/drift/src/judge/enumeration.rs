//! Objects: runs of neighbouring numbers and distinct objects in a minute, below the hard bound.
//!
//! **Catches** the walk that has used half of the bound, and a busy minute of objects that the
//! history of that operation does not explain. **Misses** a slow walk in random order. **Warms up**
//! with ten minutes in which the operation was used; until then only the distance to the bound
//! counts. **Recovers** as habits are learned. Why grade towards the bound instead of a likelihood: a
//! run is not chance, it is a program, and what matters is how far this one has come. The first half
//! of the way says nothing, because lists are read from the start.

use super::Case;
use crate::evidence::{Evidence, Measure};
use crate::thresholds::Bar;

/// The one or two most telling operations.
pub(super) fn objects(case: &Case<'_>) -> Vec<Evidence> {
    let bounds = case.baseline.bounds(case.thresholds);
    let bar = case.thresholds.enumeration;
    let (mut run, mut distinct) = (None, None);
    for (operation, used) in case.report.objects.entries() {
        let bound = bounds.object(*operation);
        let habit = case.baseline.objects.get(*operation);
        let longest = used.habit.longest_run;
        let usual = habit.map_or(0, |habit| habit.longest_run);
        let found = Evidence::weigh(
            Measure::LongestRun,
            (f64::from(longest), f64::from(usual)),
            graded(f64::from(longest), f64::from(bound.run), bar),
            bar,
        );
        run = heavier(run, found.map(|found| found.on(*operation)));

        let peak = used.habit.distinct.peak();
        let minutes = used.habit.distinct.minutes().saturating_add(1);
        let least = case.thresholds.minimum_minutes;
        let surprise = habit.and_then(|habit| habit.distinct.surprise(peak, minutes, least));
        let (expected, weight) = match surprise {
            Some(surprise) => (surprise.expected, surprise.weight),
            None => {
                let usual = habit.map_or(0, |habit| habit.distinct.peak());
                let limit = f64::from(bound.distinct);
                (usual as f64, graded(peak as f64, limit, bar))
            }
        };
        let found = Evidence::weigh(
            Measure::DistinctObjects,
            (peak as f64, expected),
            weight,
            bar,
        );
        distinct = heavier(distinct, found.map(|found| found.on(*operation)));
    }
    run.into_iter().chain(distinct).collect()
}

/// Nothing up to half of the bound, notable from there, strong at the bound.
fn graded(observed: f64, bound: f64, bar: Bar) -> f64 {
    let way = observed / bound.max(1.0);
    if way <= 0.5 {
        0.0
    } else {
        bar.notable + (bar.strong - bar.notable) * (way.min(1.0) - 0.5) * 2.0
    }
}

fn heavier(left: Option<Evidence>, right: Option<Evidence>) -> Option<Evidence> {
    match (left, right) {
        (Some(left), Some(right)) if right.weight > left.weight => Some(right),
        (None, right) => right,
        (left, _) => left,
    }
}
