//! What something costs as there is more of it: a line, not a point.

use serde::Serialize;

use super::What;

/// Every picture, and the part of the benchmarks that draws it.
pub(super) const DRAWN: [(&str, What); 7] = [
    ("gateway-connections", What::Gateway),
    ("gateway-waits", What::Gateway),
    ("broker-connections", What::Broker),
    ("broker-policies", What::Broker),
    ("revocation-waits", What::Revocation),
    ("revocation-gateways", What::Revocation),
    ("seen-tokens", What::Memory),
];

/// A picture's worth of figures.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Curve {
    /// The picture's file, without its ending.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What there is more of, to the right.
    pub(super) across: &'static str,
    /// What it costs, upwards.
    pub(super) up: &'static str,
    pub(super) lines: Vec<Line>,
}

/// One line of a picture.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

impl Curve {
    /// A picture of one line.
    pub(super) fn of(
        id: &'static str,
        title: &'static str,
        (across, up): (&'static str, &'static str),
        lines: Vec<Line>,
    ) -> Self {
        Self {
            id,
            title,
            across,
            up,
            lines,
        }
    }
}

impl Line {
    pub(super) fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
        }
    }
}
