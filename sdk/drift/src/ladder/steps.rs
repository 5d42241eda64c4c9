//! Which step a situation deserves: asked of whoever decides, and taken within what the ladder allows.
//!
//! The [`Table`] answers in simulations and where nobody else was named; a broker asks its policies. Whoever
//! answers is told what kind of abuse it looks like and how far it has gone, never the evidence itself: the judge
//! has weighed that. What comes back is a wish. The ladder makes it milder where one gateway's word, one family of
//! channels, a short history or a full cap demand it, and never stricter.

use serde::{Deserialize, Serialize};

use super::abuse::{Abuse, Table};
use super::subject::SubjectId;
use super::{Response, Situation};
use crate::event::Millis;
use crate::evidence::{Family, Level, Strength};
use crate::verdict::Verdict;

/// How far it has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// The window is anomalous, and nothing worse.
    Anomalous,
    /// The window is malicious, the first time.
    First,
    /// So is that of a token minted after one was recycled.
    Again,
    /// Two or more such tokens.
    Then,
}

impl Rung {
    /// All of them, mildest first.
    pub const ALL: [Self; 4] = [Self::Anomalous, Self::First, Self::Again, Self::Then];

    /// As policies write it: one of a closed set.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Anomalous => "anomalous",
            Self::First => "first",
            Self::Again => "again",
            Self::Then => "then",
        }
    }

    /// The level that leads to it.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::Anomalous => Level::Anomalous,
            Self::First | Self::Again | Self::Then => Level::Malicious,
        }
    }
}

/// What is asked when a step is to be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose token.
    pub identity: SubjectId,
    /// What it looks like.
    pub abuse: Abuse,
    /// How far it has gone.
    pub rung: Rung,
    /// Whether a hard rule was broken.
    pub hard_rule: bool,
    /// Families of channels that each bear witness.
    pub families: usize,
    /// Gateways whose reports stand behind it.
    pub gateways: usize,
    /// Own calls behind the baseline.
    pub own_calls: u64,
}

/// Where identities stand in a path.
const IDENTITY: usize = 1;

impl Question {
    pub(super) fn of(
        verdict: &Verdict,
        situation: &Situation<'_>,
        (abuse, rung): (Abuse, Rung),
        hard_rule: bool,
    ) -> Self {
        Self {
            identity: situation.path.get(IDENTITY).copied().unwrap_or_default(),
            abuse,
            rung,
            hard_rule,
            families: witnesses(verdict),
            gateways: situation.gateways.len(),
            own_calls: verdict.history,
        }
    }
}

/// Families that bear witness: two scores over the same input always agree, and count once.
pub(super) fn witnesses(verdict: &Verdict) -> usize {
    let strong = verdict.evidence.iter();
    let strong = strong.filter(|evidence| evidence.strength == Strength::Strong);
    let mut families: Vec<Family> = strong.map(crate::evidence::Evidence::family).collect();
    families.sort_unstable();
    families.dedup();
    families.len()
}

/// Who says which step a situation deserves.
pub trait Steps {
    /// Which. The ladder may take a milder one.
    fn step(&mut self, question: &Question, now: Millis) -> Response;

    /// What was carried out after the last question: for whoever counts it.
    fn carried_out(&mut self, _response: Response, _now: Millis) {}
}

impl Steps for Table {
    fn step(&mut self, question: &Question, _: Millis) -> Response {
        self.at(question.abuse, question.rung)
    }
}

impl Table {
    /// What stands in the table.
    #[must_use]
    pub const fn at(&self, abuse: Abuse, rung: Rung) -> Response {
        let rungs = self.rungs(abuse);
        match rung {
            Rung::Anomalous => rungs.anomalous,
            Rung::First => rungs.first,
            Rung::Again => rungs.again,
            Rung::Then => rungs.then,
        }
    }
}
