//! What the judge says, and how a person reads it.

use serde::{Deserialize, Serialize};

use crate::cusum::Pulse;
use crate::event::{Millis, OperationId};
use crate::evidence::{Evidence, Level, Strength};
use crate::model::Contribution;
use crate::signal::HardRule;
use crate::takeover::Takeover;

mod findings;
mod sentence;

/// A judgement of one window of calls, with everything that led to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What it comes to.
    pub level: Level,
    /// What speaks against the window, strongest first. Empty for a benign one.
    pub evidence: Vec<Evidence>,
    /// The most telling hard rule that was broken.
    pub hard_rule: Option<HardRule>,
    /// Calls in the window.
    pub calls: u64,
    /// Calls behind the baseline.
    pub history: u64,
    /// Time of the window's first call.
    pub since: Millis,
    /// When it was judged.
    pub judged_at: Millis,
    /// What is believed about the identity after this window. What may be learned of the window
    /// follows from it.
    #[serde(default)]
    pub takeover: Takeover,
    /// What a usual block of its calls comes to, after this window.
    #[serde(default)]
    pub pulse: Pulse,
    /// The calls that weighed most in the order score, heaviest first, a handful; none for a benign
    /// window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heaviest: Vec<Contribution>,
}

impl Verdict {
    /// One sentence a person understands, with the numbers. Operations appear as ids.
    #[must_use]
    pub fn sentence(&self) -> String {
        self.sentence_with(|_| None)
    }

    /// The same sentence with the names that the caller knows for operations. The caller answers
    /// for names being fit for display.
    #[must_use]
    pub fn sentence_with(&self, name: impl Fn(OperationId) -> Option<String>) -> String {
        sentence::of(self, &name)
    }

    /// The same with more evidence, which makes it anomalous if nothing else does.
    pub(crate) fn with(mut self, more: impl Iterator<Item = Evidence>) -> Self {
        let before = self.evidence.len();
        self.evidence.extend(more);
        if self.evidence.len() > before {
            self.level = self.level.max(Level::Anomalous);
            // What was there stays first among equals.
            self.evidence
                .sort_by_key(|found| std::cmp::Reverse(found.strength));
        }
        self
    }

    /// How much it says, to be compared with another verdict on the same calls: its level, its strongest
    /// witness, how many pieces of evidence there are.
    pub(crate) fn gravity(&self) -> (Level, Option<Strength>, usize) {
        let strongest = self.evidence.iter().map(|found| found.strength).max();
        (self.level, strongest, self.evidence.len())
    }

    /// The operations that the verdict speaks of; some may come twice.
    pub fn operations(&self) -> impl Iterator<Item = OperationId> + '_ {
        let rule = self.hard_rule.and_then(HardRule::operation);
        let found = self.evidence.iter().filter_map(|found| found.operation);
        let calls = self.heaviest.iter();
        let calls = calls.flat_map(|calls| calls.after.into_iter().chain([calls.operation]));
        rule.into_iter().chain(found).chain(calls)
    }
}
