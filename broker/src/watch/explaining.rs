//! Everything behind one verdict, for somebody who has to decide about it.

use lanyard_drift::OperationId;
use lanyard_token::NodeId;
use serde::Serialize;

use super::Watch;
use super::opaque::unix;
use super::review::VerdictView;
use super::series::Point;
use super::state::Role;
use crate::clock::UnixMillis;

/// A verdict with the history it was put beside, and how its identity's windows went over time.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The verdict: one sentence, then observed against expected.
    #[serde(flatten)]
    pub verdict: VerdictView,
    /// The calls that weighed most.
    pub heaviest: Vec<Calls>,
    /// What stood behind it.
    pub history: Behind,
    /// The identity's windows, oldest first; the bar is at 1.
    pub series: Vec<Point>,
}

/// Calls of a window that look rather like somebody else's.
#[derive(Debug, Serialize)]
pub struct Calls {
    /// What was called right before, where that is known.
    pub after: Option<String>,
    /// What was called: its name, or else its number.
    pub operation: String,
    /// How often.
    pub calls: u32,
    /// Log-likelihood ratio in nats, others against itself.
    pub weight: f64,
}

/// The history behind a verdict.
#[derive(Debug, Serialize)]
pub struct Behind {
    /// Own calls that were known when it fell.
    pub calls: u64,
    /// Own calls that are known now.
    pub calls_now: u64,
    /// Since when the identity's habits are known; absent without habits.
    pub since: Option<UnixMillis>,
    /// Distinct operations that are known.
    pub operations: usize,
    /// Whether a frozen anchor stands beside the habits.
    pub anchored: bool,
    /// The role whose members are its peers.
    pub role: Option<Role>,
    /// How many peers are known, at most 32.
    pub peers: usize,
}

impl Watch {
    /// Explains one verdict.
    pub fn explain(&self, id: NodeId) -> Option<Explanation> {
        let verdict = self.verdict(id)?;
        let identity = verdict.identity;
        let habits = self.shards.habits(self.state.role(identity), identity);
        let name = |operation: OperationId| {
            let named = verdict.operations.iter().find(|n| n.operation == operation);
            named.map_or_else(|| operation.to_string(), |named| named.name.clone())
        };
        let heaviest = verdict.verdict.heaviest.iter();
        let heaviest = heaviest.map(|calls| Calls {
            after: calls.after.map(name),
            operation: name(calls.operation),
            calls: calls.calls,
            weight: calls.weight,
        });
        let history = Behind {
            calls: verdict.verdict.history,
            calls_now: habits.calls(),
            since: habits.span().map(|(since, _)| unix(since)),
            operations: habits.operations().count(),
            anchored: habits.has_anchor(),
            role: self.state.subject(identity).map(Role::from),
            peers: self.state.peers(identity, super::ROLE_MEMBERS).len(),
        };
        Some(Explanation {
            heaviest: heaviest.collect(),
            history,
            series: self.kept.lock().series.points(identity),
            verdict,
        })
    }
}
