//! What kind of abuse a verdict looks like, and the rungs that each kind starts at.
//!
//! The kind is read off the evidence, never learned: a hard rule names it; else the measures that
//! speak, in this order, because what is further down also moves when something above it happens (a
//! thief in a new network calls other operations too; who copies everything calls more often).
//!
//! | kind | read off | starts at, and goes on to |
//! | --- | --- | --- |
//! | enumeration | a walk or a bound of distinct objects (hard), or either as evidence | recycle, recycle, revoke |
//! | hijack | outside the task (hard), destinations never seen | recycle, suspend, revoke |
//! | theft | a network and a client never seen, together or alone | recycle, suspend, revoke |
//! | exfiltration | bytes | alert and recycle, suspend, revoke |
//! | scraping | calls per minute, pauses | recycle, suspend, suspend |
//! | probing | operations never used, denials; nothing else strong | narrow, then recycle; suspend, revoke |
//! | change | the order of operations alone | recycle, suspend, revoke |
//!
//! Scraping is never revoked: the rate of a service follows the load of others. Probing is narrowed
//! first because the call itself is refused that way, and because a new operation within the scopes
//! that an identity uses anyway goes on working; who keeps at it is recycled like everybody else.

use serde::{Deserialize, Serialize};

use super::Response;
use crate::evidence::{Channel, Evidence, Family, Level, Measure, Strength};
use crate::signal::HardRule;
use crate::verdict::Verdict;

/// A kind of abuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Abuse {
    /// Walking through object ids.
    Enumeration,
    /// Talked into leaving its task.
    Hijack,
    /// Used from somewhere else.
    Theft,
    /// Carrying data out.
    Exfiltration,
    /// Taking everything, fast.
    Scraping,
    /// Trying what might be allowed.
    Probing,
    /// Another mind behind it, by the order of its operations.
    Change,
}

/// What is done about one kind of abuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rungs {
    /// About an anomalous window; at most narrow, whatever is written here.
    pub anomalous: Response,
    /// About a malicious window, the first time.
    pub first: Response,
    /// By a token minted after the recycling.
    pub again: Response,
    /// By two or more of them.
    pub then: Response,
}

/// The table: rungs for each kind of abuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Table {
    /// For walks through object ids.
    pub enumeration: Rungs,
    /// For calls outside the task.
    pub hijack: Rungs,
    /// For strange networks and clients.
    pub theft: Rungs,
    /// For bytes.
    pub exfiltration: Rungs,
    /// For rates.
    pub scraping: Rungs,
    /// For operations never used and denials.
    pub probing: Rungs,
    /// For the order of operations.
    pub change: Rungs,
}

impl Default for Table {
    fn default() -> Self {
        use Response::{Narrow, Recycle, Revoke, Suspend};
        let rungs = |anomalous, first, again, then| Rungs {
            anomalous,
            first,
            again,
            then,
        };
        let usual = rungs(Recycle, Recycle, Suspend, Revoke);
        Self {
            enumeration: rungs(Recycle, Recycle, Recycle, Revoke),
            hijack: usual,
            theft: usual,
            exfiltration: usual,
            scraping: rungs(Recycle, Recycle, Suspend, Suspend),
            probing: rungs(Narrow, Narrow, Suspend, Revoke),
            change: usual,
        }
    }
}

impl Table {
    /// The rungs for a kind of abuse.
    #[must_use]
    pub const fn rungs(&self, abuse: Abuse) -> Rungs {
        match abuse {
            Abuse::Enumeration => self.enumeration,
            Abuse::Hijack => self.hijack,
            Abuse::Theft => self.theft,
            Abuse::Exfiltration => self.exfiltration,
            Abuse::Scraping => self.scraping,
            Abuse::Probing => self.probing,
            Abuse::Change => self.change,
        }
    }
}

impl Abuse {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Enumeration,
        Self::Hijack,
        Self::Theft,
        Self::Exfiltration,
        Self::Scraping,
        Self::Probing,
        Self::Change,
    ];

    /// As policies write it: one of a closed set.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enumeration => "enumeration",
            Self::Hijack => "hijack",
            Self::Theft => "theft",
            Self::Exfiltration => "exfiltration",
            Self::Scraping => "scraping",
            Self::Probing => "probing",
            Self::Change => "change",
        }
    }

    /// The kind of abuse a verdict looks like; `None` when there is nothing to answer.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Option<Self> {
        match verdict.hard_rule {
            Some(HardRule::EnumerationRun { .. } | HardRule::EnumerationDistinct { .. }) => {
                return Some(Self::Enumeration);
            }
            Some(HardRule::TaskOperation { .. } | HardRule::TaskDestination { .. }) => {
                return Some(Self::Hijack);
            }
            // A spent number of calls is refused by the gateway, and proves nothing.
            Some(HardRule::TaskCalls) | None => {}
        }
        (verdict.level != Level::Benign).then(|| Self::by_evidence(&verdict.evidence))
    }

    /// A witness names the kind before any hint does.
    fn by_evidence(evidence: &[Evidence]) -> Self {
        let strong = evidence
            .iter()
            .any(|found| found.strength == Strength::Strong);
        let counts = |found: &&Evidence| !strong || found.strength == Strength::Strong;
        let speaks = |channel: Channel| {
            evidence
                .iter()
                .filter(counts)
                .any(|found| found.channel() == channel)
        };
        let order = evidence
            .iter()
            .filter(counts)
            .any(|found| matches!(found.measure, Measure::OrderScore | Measure::SuddenOrder));
        let sequence_alone = evidence
            .iter()
            .filter(counts)
            .all(|found| found.family() == Family::Sequence);
        if speaks(Channel::TaskScope) || speaks(Channel::Destination) {
            Self::Hijack
        } else if speaks(Channel::Origin) {
            Self::Theft
        } else if speaks(Channel::Enumeration) {
            Self::Enumeration
        } else if speaks(Channel::Volume) {
            Self::Exfiltration
        } else if speaks(Channel::Cadence) {
            Self::Scraping
        } else if sequence_alone && !order {
            Self::Probing
        } else {
            Self::Change
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Millis;

    fn of(measures: &[(Measure, Strength)]) -> Abuse {
        let evidence = measures.iter().map(|(measure, strength)| Evidence {
            measure: *measure,
            operation: None,
            observed: 1.0,
            expected: 0.0,
            weight: 9.0,
            strength: *strength,
        });
        let verdict = Verdict {
            level: Level::Anomalous,
            evidence: evidence.collect(),
            hard_rule: None,
            calls: 1,
            history: 1,
            since: Millis(0),
            judged_at: Millis(0),
            takeover: Default::default(),
            pulse: Default::default(),
            heaviest: Vec::new(),
        };
        Abuse::of(&verdict).unwrap()
    }

    #[test]
    fn the_witness_names_the_kind_and_hints_only_when_there_is_none() {
        use Strength::{Notable, Strong};
        let theft = [
            (Measure::NewNetworkAndClient, Strong),
            (Measure::OrderScore, Strong),
        ];
        assert_eq!(of(&theft), Abuse::Theft);
        let probing = [
            (Measure::NewOperations, Strong),
            (Measure::NewClient, Notable),
        ];
        assert_eq!(of(&probing), Abuse::Probing);
        let moved = [
            (Measure::NewOperations, Notable),
            (Measure::NewClient, Notable),
        ];
        assert_eq!(of(&moved), Abuse::Theft);
        assert_eq!(of(&[(Measure::RefusedShare, Strong)]), Abuse::Probing);
        assert_eq!(
            of(&[(Measure::BytesPerMinute, Strong)]),
            Abuse::Exfiltration
        );
        assert_eq!(of(&[(Measure::CallsPerMinute, Notable)]), Abuse::Scraping);
        assert_eq!(of(&[(Measure::LongestRun, Strong)]), Abuse::Enumeration);
        assert_eq!(of(&[(Measure::NewDestinations, Notable)]), Abuse::Hijack);
        assert_eq!(
            of(&[
                (Measure::OrderScore, Strong),
                (Measure::NewOperations, Strong)
            ]),
            Abuse::Change
        );
    }

    #[test]
    fn a_table_is_read_back_and_what_is_left_out_is_the_products() {
        let table = Table::default();
        let text = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<Table>(&text).unwrap(), table);
        assert_eq!(serde_json::from_str::<Table>("{}").unwrap(), table);
        assert!(serde_json::from_str::<Table>(r#"{"surprise": 1}"#).is_err());
    }
}
