//! What gateways see used becomes an event: once a day for each identity and operation.
//!
//! So the log knows which scopes of a registration are of use, to the day, and no call of a busy service costs it
//! anything. A gateway is believed about tokens for the audiences it serves; the worst that a lying one does is to
//! keep a right from being called unused, or to be silent about one: what is taken is reviewed by a person.

use std::collections::HashSet;

use lanyard_drift::OperationId;
use lanyard_token::NodeId;

use super::Watch;
use super::intake::Entry;
use super::state::Lookup;
use crate::clock::UnixMillis;
use crate::store::event::{Event, Used};

const DAY_MILLIS: u64 = 24 * 3_600 * 1_000;
/// What is remembered of a day: some megabytes. Beyond, it is forgotten, and written once more.
const MOST: usize = 262_144;

/// What was written today.
#[derive(Default)]
pub(super) struct Today {
    day: u64,
    written: HashSet<(NodeId, OperationId)>,
}

impl Today {
    /// Whether it is news.
    fn note(&mut self, identity: NodeId, operation: OperationId, now: UnixMillis) -> bool {
        let day = now.0 / DAY_MILLIS;
        if self.day != day || self.written.len() >= MOST {
            self.day = day;
            self.written.clear();
        }
        self.written.insert((identity, operation))
    }
}

impl Watch {
    /// What an entry that counts says of use.
    pub(super) fn used(&self, gateway: NodeId, entry: &Entry) -> Vec<Event> {
        let Lookup::Issued(issued) = self.state.token(entry.token, entry.digest) else {
            return Vec::new();
        };
        let called = entry.report.operations().map(|(operation, _)| operation);
        let known = {
            let names = self.shards.names.lock();
            names.used_at(gateway, &issued.audience, called)
        };
        let (now, mut today) = (self.clock.now(), self.used.lock());
        let operations: Vec<_> = known
            .into_iter()
            .filter(|(operation, _)| today.note(entry.identity, *operation, now))
            .map(|(_, used)| used)
            .collect();
        if operations.is_empty() {
            return Vec::new();
        }
        let used = Used {
            identity: entry.identity,
            gateway,
            audience: issued.audience.clone(),
            operations,
        };
        vec![Event::Used(Box::new(used))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_written_once_a_day_and_again_rather_than_never() {
        let mut today = Today::default();
        let (identity, operation) = (NodeId::from_u64(1), OperationId::of("GET /a"));
        let at = |day: u64| UnixMillis(day * DAY_MILLIS + 7);
        assert!(today.note(identity, operation, at(1)));
        assert!(!today.note(identity, operation, at(1)));
        assert!(today.note(identity, operation, at(2)));
        for other in 0..MOST as u64 {
            today.note(NodeId::from_u64(other + 2), operation, at(2));
        }
        assert!(today.written.len() <= MOST);
        assert!(today.note(identity, operation, at(2)), "forgotten");
    }
}
