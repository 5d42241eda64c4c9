//! What a token has in common with others of its credential that drifted after one was recycled.
//!
//! **Catches** whoever mints: a copied token is recycled and gone, a copied key comes back with another.
//! **Misses** who waits longer than the memory. **Recovers** by forgetting, and by clearing.

use std::collections::BTreeMap;

use super::history::Drifted;
use super::subject::SubjectId;
use super::{Policy, Situation, witness};
use crate::event::Millis;

/// Where the credential stands in a path: owner, identity, credential.
const CREDENTIAL: usize = 2;

/// Tokens of one credential that drifted gravely although they were minted after one of its tokens was
/// recycled; the one in question included.
#[derive(Default)]
pub(super) struct Successors {
    /// The nodes above each of them.
    paths: BTreeMap<SubjectId, Vec<SubjectId>>,
    /// Who carries each verdict on them.
    carried_by: Vec<Vec<SubjectId>>,
    credential: SubjectId,
}

impl Successors {
    pub(super) fn of(situation: &Situation<'_>, policy: &Policy, now: Millis) -> Self {
        let credential = credential(situation.path);
        let recent = |at: Millis| now.since(at) <= policy.recycling_memory;
        let recycled = situation.history.recycled.iter();
        let first = recycled
            .filter(|recycled| recycled.credential == credential && recent(recycled.at))
            .map(|recycled| recycled.rev)
            .min();
        let mut found = Self {
            credential,
            ..Self::default()
        };
        // One that was minted before: recycling it is the answer, whatever others did.
        if first.is_none_or(|first| situation.place <= first) {
            found.carried_by.push(situation.carried_by.to_vec());
            return found;
        }
        let earlier = situation.history.drifted.iter().filter(|drifted| {
            first.is_some_and(|first| drifted.place > first)
                && recent(drifted.at)
                && drifted.path.get(CREDENTIAL) == Some(&credential)
        });
        for Drifted {
            token,
            path,
            carried_by,
            ..
        } in earlier
        {
            found.paths.insert(*token, path.clone());
            found.carried_by.push(carried_by.clone());
        }
        found.paths.insert(situation.token, situation.path.to_vec());
        found.carried_by.push(situation.carried_by.to_vec());
        found
    }

    pub(super) fn count(&self) -> usize {
        self.paths.len()
    }

    /// The gateways whose word is behind all of it.
    pub(super) fn word(&self) -> Vec<SubjectId> {
        witness::behind_all(&self.carried_by)
    }

    /// The last node that all of them share, never above the credential.
    pub(super) fn lowest_common_node(&self) -> SubjectId {
        let mut paths = self.paths.values();
        let Some(mut common) = paths.next().map(Vec::as_slice) else {
            return self.credential;
        };
        for path in paths {
            let shared = common
                .iter()
                .zip(path)
                .take_while(|(mine, theirs)| mine == theirs)
                .count();
            common = common.get(..shared).unwrap_or_default();
        }
        common
            .get(CREDENTIAL..)
            .and_then(<[SubjectId]>::last)
            .copied()
            .unwrap_or(self.credential)
    }
}

/// Whether this token was minted after enough others of its credential were recycled.
pub(super) fn has_come_back(situation: &Situation<'_>, policy: &Policy, now: Millis) -> bool {
    let credential = credential(situation.path);
    let recycled = situation.history.recycled.iter().filter(|recycled| {
        recycled.credential == credential
            && recycled.rev < situation.place
            && now.since(recycled.at) <= policy.recycling_memory
    });
    recycled.count() >= policy.recyclings.max(1)
}

fn credential(path: &[SubjectId]) -> SubjectId {
    path.get(CREDENTIAL).copied().unwrap_or_default()
}
