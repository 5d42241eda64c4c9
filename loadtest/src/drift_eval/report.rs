//! What was measured, as JSON and as a table.

use std::collections::BTreeMap;

use serde::Serialize;

use super::agents::{self, Shares};
use super::metrics::calls::Caught;
use super::metrics::windows::Point;
use super::schonlau;
use super::state::State;
use super::trails::{CloudTrail, Visitors};

pub(super) mod table;

/// Everything. A part whose recording was missing is absent.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) schonlau: Option<Schonlau>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agentdojo: Option<Agents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cloudtrail: Option<CloudTrail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) web: Option<Visitors>,
    pub(super) state: State,
}

/// The masquerade data. With two directions the figures are their mean; runs and their delays are pooled, and the
/// worst quarter is the worst of both.
#[derive(Debug, Serialize)]
pub(super) struct Schonlau {
    #[serde(flatten)]
    pub(super) figures: Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    directions: Option<Directions>,
}

#[derive(Debug, Serialize)]
struct Directions {
    a_to_b: Figures,
    b_to_a: Figures,
}

#[derive(Debug, Serialize)]
pub(super) struct Figures {
    auc: f64,
    hits_at: Shelf<f64>,
    fixed: Point,
    best: Point,
    /// Absent while the engine has no score for each call.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_request: Option<Shelf<PerRequest>>,
    /// The sum of the fast detector at one false alarm in 10,000 calls of the population, in nats.
    alarm_level: f64,
    poisoning: Shelf<f64>,
    cold_start: Shelf<f64>,
    budget: Shelf<Paging>,
}

/// Figures by the name of what they were measured at.
type Shelf<T> = BTreeMap<&'static str, T>;

#[derive(Debug, Clone, Serialize)]
struct PerRequest {
    runs_caught: f64,
    /// `null` when no run was caught.
    median_delay: Option<f64>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Paging {
    realised: f64,
    worst_quarter: f64,
}

/// The agent sessions. With two directions the sessions are pooled.
#[derive(Debug, Serialize)]
pub(super) struct Agents {
    task_scope: Shares,
    /// The same with a scope that restricts reading as well.
    task_scope_every_operation: Shares,
    role_only: Shares,
    #[serde(skip)]
    sessions: (usize, usize, usize),
    #[serde(skip)]
    without_scope: usize,
}

impl Schonlau {
    /// Of one direction, or of both.
    pub(super) fn of(found: &[schonlau::Found]) -> Option<Self> {
        match found {
            [] => None,
            [only] => Some(Self {
                figures: Figures::of(only),
                directions: None,
            }),
            [a_to_b, b_to_a, ..] => Some(Self {
                figures: Figures::mean(a_to_b, b_to_a),
                directions: Some(Directions {
                    a_to_b: Figures::of(a_to_b),
                    b_to_a: Figures::of(b_to_a),
                }),
            }),
        }
    }
}

impl Figures {
    fn of(found: &schonlau::Found) -> Self {
        Self {
            auc: found.auc,
            hits_at: found.hits_at.clone(),
            fixed: found.fixed,
            best: found.best,
            per_request: found.per_request.as_ref().map(|rates| {
                let one =
                    |(rate, caught): (&&'static str, &Caught)| (*rate, PerRequest::of(caught));
                rates.iter().map(one).collect()
            }),
            alarm_level: found.alarm_level,
            poisoning: found.poisoning.clone(),
            cold_start: found.cold_start.clone(),
            budget: found
                .budget
                .iter()
                .map(|(budget, paging)| {
                    let shares = Paging {
                        realised: paging.realised,
                        worst_quarter: paging.worst_quarter,
                    };
                    (*budget, shares)
                })
                .collect(),
        }
    }

    fn mean(a: &schonlau::Found, b: &schonlau::Found) -> Self {
        let (left, right) = (Self::of(a), Self::of(b));
        let pooled = |(rate, caught): (&&'static str, &Caught)| {
            let other = b.per_request.as_ref().and_then(|rates| rates.get(rate));
            let both = other.map_or_else(|| caught.clone(), |other| caught.clone().pooled(other));
            (*rate, PerRequest::of(&both))
        };
        Self {
            auc: middle(left.auc, right.auc),
            hits_at: mean_of(&left.hits_at, &right.hits_at, middle),
            fixed: mean_point(left.fixed, right.fixed),
            best: mean_point(left.best, right.best),
            per_request: a
                .per_request
                .as_ref()
                .map(|rates| rates.iter().map(pooled).collect()),
            alarm_level: middle(left.alarm_level, right.alarm_level),
            poisoning: mean_of(&left.poisoning, &right.poisoning, middle),
            cold_start: mean_of(&left.cold_start, &right.cold_start, middle),
            budget: left
                .budget
                .iter()
                .map(|(budget, one)| {
                    let other = right.budget.get(budget).copied().unwrap_or(*one);
                    (*budget, one.with(other, schonlau::number(budget) / 100.0))
                })
                .collect(),
        }
    }
}

impl PerRequest {
    fn of(caught: &Caught) -> Self {
        Self {
            runs_caught: caught.share(),
            median_delay: caught.median_delay(),
        }
    }
}

impl Paging {
    /// The mean share, and the quarter of either that is furthest from the budget: two that miss it on different
    /// sides do not make a good one.
    fn with(self, other: Self, budget: f64) -> Self {
        let far = |paging: &Self| (paging.worst_quarter - budget).abs();
        let worst = if far(&other) > far(&self) {
            other
        } else {
            self
        };
        Self {
            realised: middle(self.realised, other.realised),
            worst_quarter: worst.worst_quarter,
        }
    }
}

impl Agents {
    pub(super) fn of(found: &agents::Found) -> Self {
        Self {
            task_scope: found.task_scope(),
            task_scope_every_operation: found.every_operation(),
            role_only: found.role_only(),
            sessions: found.sessions(),
            without_scope: found.without_scope,
        }
    }
}

fn middle(left: f64, right: f64) -> f64 {
    f64::midpoint(left, right)
}

fn mean_point(left: Point, right: Point) -> Point {
    Point {
        hits: middle(left.hits, right.hits),
        false_alarms: middle(left.false_alarms, right.false_alarms),
        cost: middle(left.cost, right.cost),
    }
}

/// Entry by entry; one that the other side lacks stays as it is.
fn mean_of<T: Copy>(
    left: &BTreeMap<&'static str, T>,
    right: &BTreeMap<&'static str, T>,
    mean: impl Fn(T, T) -> T,
) -> BTreeMap<&'static str, T> {
    left.iter()
        .map(|(name, value)| {
            let both = right.get(name).map_or(*value, |other| mean(*value, *other));
            (*name, both)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_quarter_of_two_directions_is_the_one_further_from_the_budget() {
        let paging = |worst_quarter| Paging {
            realised: worst_quarter,
            worst_quarter,
        };
        let both = paging(0.01).with(paging(0.07), 0.05);
        assert_eq!(both.worst_quarter, 0.01);
        assert!((both.realised - 0.04).abs() < 1e-12);
    }
}
