//! Who had which version of a secret, and who used it, and when: leases and uses, joined into spans.
//!
//! Whoever uses a secret asks for it anew every minute, so a lease that begins before the last one of the
//! same holder and version, for the same and permitted by the same, ended only makes it longer. A span therefore
//! says as much as the leases it is made of, for every instant, in the space of one.
//!
//! A use has an instant and gateways tell of it afterwards, so it counts for a minute before and after: uses that follow one
//! another within two are one span.
//!
//! *What is forgotten:* beyond [`MOST_SPANS`] of a secret, those that ended first. Up to when something is
//! missing is remembered, and a question about the time before is answered from the log. *Why not every
//! lease:* a busy egress takes one a minute, half a million a year, for one secret.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use crate::store::event::{LeasedFor, Version};

/// Spans that are kept in memory for each secret.
pub(super) const MOST_SPANS: usize = 1_024;

/// What somebody had, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Held {
    /// Who.
    pub to: NodeId,
    /// Which version.
    pub version: Version,
    /// For what, and what permitted it; absent in what was kept before that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Box<LeasedFor>>,
}

/// Who used what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct UsedBy {
    /// Which gateway.
    pub gateway: NodeId,
    /// Which version.
    pub version: Version,
    /// For which integration.
    pub integration: NodeId,
}

/// What a span is about.
pub(super) trait Of: Clone + Eq + std::hash::Hash {
    fn version(&self) -> Version;
    fn who(&self) -> NodeId;
}

impl Of for Held {
    fn version(&self) -> Version {
        self.version
    }
    fn who(&self) -> NodeId {
        self.to
    }
}

impl Of for UsedBy {
    fn version(&self) -> Version {
        self.version
    }
    fn who(&self) -> NodeId {
        self.gateway
    }
}

/// Somebody had or used a version, without a break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span<T = Held> {
    /// What, and who.
    #[serde(flatten)]
    pub held: T,
    /// Since when.
    pub from: UnixMillis,
    /// Until when: the end of the last lease.
    pub until: UnixMillis,
    /// How many leases, or tellings of use, it is made of.
    pub leases: u64,
}

/// The spans of one secret.
pub(super) struct Spans<T = Held> {
    most: usize,
    spans: BTreeMap<u64, Span<T>>,
    /// The newest of each: the one that may become longer.
    newest: HashMap<T, u64>,
    by_end: BTreeSet<(UnixMillis, u64)>,
    next: u64,
    /// Before this, something is missing.
    forgotten: UnixMillis,
}

/// What a lease changed: the span, and one that was forgotten for it.
pub(super) struct Taken {
    pub(super) changed: u64,
    pub(super) forgotten: Option<u64>,
}

impl<T: Of> Spans<T> {
    pub(super) fn keeping(most: usize) -> Self {
        Self {
            most,
            spans: BTreeMap::new(),
            newest: HashMap::new(),
            by_end: BTreeSet::new(),
            next: 0,
            forgotten: UnixMillis(0),
        }
    }

    /// A lease was given at `at`.
    pub(super) fn take(&mut self, held: T, at: UnixMillis, until: UnixMillis) -> Taken {
        let open = self.newest.get(&held).copied();
        if let Some(number) = open
            && let Some(span) = self.spans.get_mut(&number)
            && at <= span.until
            && span.from <= until
        {
            self.by_end.remove(&(span.until, number));
            // What is told of may lie before what was told of first.
            span.from = span.from.min(at);
            span.until = span.until.max(until);
            span.leases = span.leases.saturating_add(1);
            self.by_end.insert((span.until, number));
            return Taken {
                changed: number,
                forgotten: None,
            };
        }
        let span = Span {
            held,
            from: at,
            until,
            leases: 1,
        };
        let number = self.next;
        self.put(number, span);
        Taken {
            changed: number,
            forgotten: self.forget(),
        }
    }

    /// As it was saved.
    pub(super) fn put(&mut self, number: u64, span: Span<T>) {
        self.next = self.next.max(number.saturating_add(1));
        self.by_end.insert((span.until, number));
        let newest = self.newest.entry(span.held.clone()).or_insert(number);
        *newest = number.max(*newest);
        self.spans.insert(number, span);
    }

    /// Before this, something is missing.
    pub(super) const fn forgotten(&self) -> UnixMillis {
        self.forgotten
    }

    pub(super) fn set_forgotten(&mut self, until: UnixMillis) {
        self.forgotten = self.forgotten.max(until);
    }

    /// Until when somebody may use a version, at the latest.
    pub(super) fn last_until(&self, version: Version) -> Option<UnixMillis> {
        let of_version = self
            .spans
            .values()
            .filter(|span| span.held.version() == version);
        of_version.map(|span| span.until).max()
    }

    /// Until when a holder may use a version, at the latest; `None`: it never had it, as far as is known here.
    pub(super) fn until(&self, holder: NodeId, version: Version) -> Option<UnixMillis> {
        let had = |span: &&Span<T>| span.held.who() == holder && span.held.version() == version;
        let had = self.spans.values().filter(had);
        had.map(|span| span.until).max()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Span<T>> {
        self.spans.get(&number)
    }

    /// Whether somebody had any version at or after an instant.
    pub(super) fn had_since(&self, holder: NodeId, since: UnixMillis) -> bool {
        self.spans
            .values()
            .any(|span| span.held.who() == holder && span.until > since)
    }

    /// Who had it at an instant; `None`: that is not known here any more.
    pub(super) fn at(&self, at: UnixMillis) -> Option<Vec<Span<T>>> {
        let had = |span: &&Span<T>| span.from <= at && at < span.until;
        (at >= self.forgotten).then(|| self.spans.values().filter(had).cloned().collect())
    }

    fn forget(&mut self) -> Option<u64> {
        if self.spans.len() <= self.most {
            return None;
        }
        let (end, number) = self.by_end.pop_first()?;
        self.forgotten = self.forgotten.max(end);
        let span = self.spans.remove(&number)?;
        if self.newest.get(&span.held) == Some(&number) {
            self.newest.remove(&span.held);
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::store::event::ContentHash;

    type Leased = (u64, u32, Option<u8>, u64, u64);

    fn any_leases() -> impl Strategy<Value = Vec<Leased>> {
        let decided = proptest::option::of(0_u8..2);
        proptest::collection::vec((1_u64..4, 1_u32..3, decided, 0_u64..90, 1_u64..60), 0..80)
    }

    fn held(to: u64, version: u32, decided: Option<u8>) -> Held {
        Held {
            to: NodeId::from_u64(to),
            version: Version(version),
            decided: decided.map(|by| {
                Box::new(LeasedFor {
                    integration: NodeId::from_u64(9),
                    bundle: ContentHash([by; 32]),
                    policies: vec![format!("policy-{by}")],
                })
            }),
        }
    }

    proptest! {
        /// The spans say the same as the leases themselves, wherever they say anything.
        #[test]
        fn a_span_says_for_every_instant_what_its_leases_say(leases in any_leases(), most in 1_usize..6) {
            let mut spans = Spans::keeping(most);
            let mut all = Vec::new();
            let mut now = 0;
            for (to, version, decided, pause, length) in leases {
                now += pause;
                let held = held(to, version, decided);
                spans.take(held.clone(), UnixMillis(now), UnixMillis(now + length));
                all.push((held, now, now + length));
            }
            for at in 0..now + 70 {
                let Some(said) = spans.at(UnixMillis(at)) else { continue };
                let said: Vec<_> = said.iter().map(|span| span.held.clone()).collect();
                let had: HashSet<_> = all
                    .iter()
                    .filter(|(_, from, until)| (*from..*until).contains(&at))
                    .map(|(held, _, _)| held.clone())
                    .collect();
                prop_assert_eq!(said.len(), had.len(), "at {}", at);
                prop_assert_eq!(said.into_iter().collect::<HashSet<_>>(), had, "at {}", at);
            }
            prop_assert!(spans.spans.len() <= most && spans.by_end.len() == spans.spans.len());
        }
    }

    #[test]
    fn a_year_of_use_by_one_holder_is_one_span() {
        let mut spans = Spans::keeping(8);
        for minute in 0..525_600_u64 {
            let at = UnixMillis(minute * 60_000);
            spans.take(held(1, 1, Some(1)), at, at.plus_millis(60_000));
        }
        assert_eq!(spans.spans.len(), 1);
        assert_eq!(spans.spans[&0].leases, 525_600);
        let end = UnixMillis(525_600 * 60_000);
        assert_eq!(spans.until(NodeId::from_u64(1), Version(1)), Some(end));
        assert_eq!(spans.until(NodeId::from_u64(1), Version(2)), None);
        assert_eq!(spans.until(NodeId::from_u64(2), Version(1)), None);
    }
}
