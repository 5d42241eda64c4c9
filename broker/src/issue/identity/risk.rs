//! What was last seen of an identity's behaviour, for policies that speak of it.
//!
//! A verdict counts for an hour, the graver one first; an owner who clears it ends that, with everything that was
//! seen before it. What one gateway alone says counts for a quarter of an hour, and not again until an hour after
//! it began: a gateway that lies shall be a nuisance and no switch.
//!
//! What it misses: whoever behaves again at once is held against the hour all the same, and a thief who waits for
//! an hour is not. That is what responses are for; this only lets a policy ask.

use lanyard_drift::Level;
use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::policy::Risk;
use crate::store::event::Judgement;

/// How long a verdict counts: as long as the longest token, so that every token from before it is gone.
const COUNTS_MILLIS: u64 = 3_600_000;
/// How long one gateway's word counts: as long as it may suspend.
const LONE_COUNTS_MILLIS: u64 = 15 * 60_000;

/// What was seen of one identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    anomalous: Option<Word>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    malicious: Option<Word>,
}

/// The last verdict of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Word {
    verdict: NodeId,
    at: UnixMillis,
    until: UnixMillis,
    /// When the last word of a single gateway began to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alone_since: Option<UnixMillis>,
}

impl Seen {
    /// Takes a verdict; whether it is news.
    pub(super) fn take(&mut self, judgement: &Judgement, at: UnixMillis) -> bool {
        let place = match judgement.verdict.level {
            Level::Benign => return false,
            Level::Anomalous => &mut self.anomalous,
            Level::Malicious => &mut self.malicious,
        };
        let alone_since = place.and_then(|word| word.alone_since);
        let mut word = Word {
            verdict: judgement.id,
            at,
            until: at.plus_millis(COUNTS_MILLIS),
            alone_since,
        };
        if is_alone(judgement) {
            if alone_since.is_some_and(|since| at.millis_since(since) < COUNTS_MILLIS) {
                return false;
            }
            word.until = at.plus_millis(LONE_COUNTS_MILLIS);
            word.alone_since = Some(at);
        }
        // A lesser word never shortens what a better one said.
        word.until = place.map_or(word.until, |known| known.until.max(word.until));
        *place = Some(word);
        true
    }

    /// An owner said that this verdict is fine; whether it counted.
    pub(super) fn clear(&mut self, verdict: NodeId) -> bool {
        let words = [self.anomalous, self.malicious];
        let Some(cleared) = words
            .into_iter()
            .flatten()
            .find(|word| word.verdict == verdict)
        else {
            return false;
        };
        for place in [&mut self.anomalous, &mut self.malicious] {
            if let Some(word) = place
                && word.at <= cleared.at
            {
                word.until = cleared.at;
            }
        }
        true
    }

    /// What counts at `now`.
    pub(super) fn risk(&self, now: UnixMillis) -> Risk {
        let counts = |word: Option<Word>| word.is_some_and(|word| now < word.until);
        if counts(self.malicious) {
            Risk::Malicious
        } else if counts(self.anomalous) {
            Risk::Anomalous
        } else {
            Risk::None
        }
    }

    /// Whether nothing of it matters any more.
    pub(super) fn is_over(&self, now: UnixMillis) -> bool {
        let over = |word: Option<Word>| {
            word.is_none_or(|word| {
                let begun = word.alone_since.unwrap_or_default();
                word.until <= now && begun.plus_millis(COUNTS_MILLIS) <= now
            })
        };
        over(self.anomalous) && over(self.malicious)
    }
}

/// Whether there is a gateway without whose word it would not be so.
fn is_alone(judgement: &Judgement) -> bool {
    match judgement.verdict.level {
        Level::Malicious => !judgement.carried_by().is_empty(),
        // Nobody asked who carries it.
        _ => judgement.gateways.len() < 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis::from_seconds(1_000_000);

    fn judged(id: u64, level: Level, gateways: u64) -> Judgement {
        let node = NodeId::from_u64;
        Judgement {
            id: node(id),
            identity: node(1),
            token: node(2),
            gateways: (0..gateways).map(|number| node(100 + number)).collect(),
            carried_by: (gateways > 1).then(Vec::new),
            whole: false,
            verdict: serde_json::from_value(serde_json::json!({
                "level": level, "evidence": [], "hard_rule": null, "calls": 9, "history": 9, "since": 0,
                "judged_at": 0,
            }))
            .unwrap(),
            names: Vec::new(),
            forged: None,
            forged_by: None,
        }
    }

    fn at(minutes: u64) -> UnixMillis {
        NOW.plus_millis(minutes * 60_000)
    }

    #[test]
    fn a_verdict_counts_for_an_hour_and_the_graver_one_first() {
        let mut seen = Seen::default();
        assert_eq!(seen.risk(NOW), Risk::None);
        assert!(seen.take(&judged(1, Level::Malicious, 2), at(0)));
        assert!(seen.take(&judged(2, Level::Anomalous, 2), at(30)));
        assert_eq!(seen.risk(at(59)), Risk::Malicious);
        assert_eq!(seen.risk(at(60)), Risk::Anomalous);
        assert_eq!(seen.risk(at(90)), Risk::None);
        assert!(!seen.is_over(at(89)));
        assert!(seen.is_over(at(90)));
        assert!(!seen.take(&judged(3, Level::Benign, 2), at(91)));
    }

    #[test]
    fn one_gateways_word_counts_for_a_quarter_of_an_hour_once_an_hour() {
        for level in [Level::Anomalous, Level::Malicious] {
            let mut seen = Seen::default();
            assert!(seen.take(&judged(1, level, 1), at(0)));
            for minute in (1..60).step_by(10) {
                assert!(!seen.take(&judged(minute, level, 1), at(minute)));
            }
            assert_ne!(seen.risk(at(14)), Risk::None);
            assert_eq!(seen.risk(at(15)), Risk::None);
            assert!(!seen.is_over(at(59)), "it would be believed again");
            assert!(seen.take(&judged(99, level, 1), at(60)));
            assert_ne!(seen.risk(at(74)), Risk::None);
            // A second gateway's word is another matter, and a single one does not shorten it.
            assert!(seen.take(&judged(100, level, 2), at(80)));
            assert!(seen.take(&judged(101, level, 1), at(130)));
            assert_ne!(seen.risk(at(139)), Risk::None);
        }
    }

    #[test]
    fn an_owner_who_clears_a_verdict_ends_it_and_what_was_seen_before() {
        let mut seen = Seen::default();
        seen.take(&judged(1, Level::Anomalous, 2), at(0));
        seen.take(&judged(2, Level::Malicious, 2), at(1));
        assert!(!seen.clear(NodeId::from_u64(9)));
        assert!(seen.clear(NodeId::from_u64(2)));
        assert_eq!(seen.risk(at(2)), Risk::None);
        seen.take(&judged(3, Level::Malicious, 2), at(3));
        seen.take(&judged(4, Level::Anomalous, 2), at(4));
        assert!(seen.clear(NodeId::from_u64(3)));
        assert_eq!(seen.risk(at(5)), Risk::Anomalous);
    }
}
