//! How far each identity's windows went, over time: what a plot and a sparkline are drawn from.
//!
//! The newest [`KEPT`] points per identity. Saved with the habits; a crash costs the last minute.

use std::collections::{HashMap, VecDeque};

use lanyard_drift::Level;
use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;

/// Points per identity: with a window of 100 calls every few minutes, a day or two; some 12 KiB.
const KEPT: usize = 512;
/// A point this far out is as far out as any: JSON has no infinities, and a plot no use for them.
const FURTHEST: f64 = 1e6;

/// One closed window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When it closed.
    pub at: UnixMillis,
    /// How far its strongest finding went, in multiples of its bar: from 1 on it is not benign.
    pub reach: f64,
    /// What was said of it.
    pub level: Level,
    /// The last verdict that was written down while it was open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<NodeId>,
}

/// The points of all identities.
#[derive(Debug, Default)]
pub(super) struct Series {
    of: HashMap<NodeId, VecDeque<Point>>,
}

impl Series {
    /// With what was saved last.
    pub(super) fn of(saved: Vec<(NodeId, Vec<Point>)>) -> Self {
        let bounded = |points: Vec<Point>| {
            let first = points.len().saturating_sub(KEPT);
            points.into_iter().skip(first).collect()
        };
        let of = saved.into_iter();
        Self {
            of: of
                .map(|(identity, points)| (identity, bounded(points)))
                .collect(),
        }
    }

    /// Adds a window. Of at most `identities`: the rest has no plot.
    pub(super) fn add(&mut self, identity: NodeId, mut point: Point, identities: usize) {
        if !self.of.contains_key(&identity) && self.of.len() >= identities {
            return;
        }
        // Three digits: more is not to be seen.
        point.reach = (point.reach.clamp(0.0, FURTHEST) * 1_000.0).round() / 1_000.0;
        let points = self.of.entry(identity).or_default();
        if points.len() >= KEPT {
            points.pop_front();
        }
        points.push_back(point);
    }

    /// The points of one identity, oldest first.
    pub(super) fn points(&self, identity: NodeId) -> Vec<Point> {
        let points = self.of.get(&identity);
        points.map_or_else(Vec::new, |points| points.iter().copied().collect())
    }

    /// As it is saved: in the order of ids.
    pub(super) fn saved(&self) -> Vec<(NodeId, Vec<Point>)> {
        let mut saved: Vec<_> = self
            .of
            .keys()
            .map(|identity| (*identity, self.points(*identity)))
            .collect();
        saved.sort_unstable_by_key(|(identity, _)| *identity);
        saved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at: u64, reach: f64) -> Point {
        Point {
            at: UnixMillis(at),
            reach,
            level: Level::Benign,
            verdict: None,
        }
    }

    #[test]
    fn the_newest_points_are_kept_and_read_back() {
        let (mut series, node) = (Series::default(), NodeId::from_u64(1));
        for at in 0..600 {
            series.add(node, point(at, 0.123_456), 10);
        }
        let points = series.points(node);
        assert_eq!((points.len(), points[0]), (KEPT, point(88, 0.123)));
        let text = serde_json::to_string(&series.saved()).unwrap();
        let read = Series::of(serde_json::from_str(&text).unwrap());
        assert_eq!(read.points(node), points);
    }

    #[test]
    fn what_is_infinite_is_drawn_at_the_edge_and_a_crowd_has_bounds() {
        let mut series = Series::default();
        for n in 0..20 {
            series.add(NodeId::from_u64(n), point(1, f64::INFINITY), 10);
        }
        assert_eq!(series.of.len(), 10);
        assert_eq!(series.points(NodeId::from_u64(3))[0].reach, FURTHEST);
        assert_eq!(series.points(NodeId::from_u64(13)), []);
    }
}
