//! Who used which version how often, start by start.

use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use super::super::starts::MOST_STARTS;
use crate::clock::UnixMillis;
use crate::store::event::{SecretUse, Version};

/// Starts of one gateway whose counts are kept apart. A start that tells again after so many others began since is
/// counted twice: so there are not more of them at a time.
const MOST_BOOTS: usize = MOST_STARTS + 1;

/// Whose use of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct UseKey {
    pub(in super::super) secret: NodeId,
    pub(in super::super) version: Version,
    pub(in super::super) integration: NodeId,
    pub(in super::super) gateway: NodeId,
}

/// How often, and when last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in super::super) struct Uses {
    /// Calls of starts that are not kept apart any more.
    earlier: u64,
    /// Starts and the calls of each, the newest last.
    boots: Vec<(u64, u64)>,
    pub(in super::super) last_at: UnixMillis,
}

impl Uses {
    pub(in super::super) fn calls(&self) -> u64 {
        let of_boots = self.boots.iter().map(|(_, calls)| *calls);
        of_boots.fold(self.earlier, u64::saturating_add)
    }

    pub(super) fn of_boot(&self, boot: u64) -> u64 {
        let mut boots = self.boots.iter();
        boots
            .find(|(known, _)| *known == boot)
            .map_or(0, |(_, calls)| *calls)
    }

    pub(super) fn take(&mut self, used: &SecretUse) {
        self.last_at = self.last_at.max(used.last_at);
        if let Some((_, calls)) = self.boots.iter_mut().find(|(boot, _)| *boot == used.boot) {
            *calls = used.calls.max(*calls);
            return;
        }
        self.boots.push((used.boot, used.calls));
        if self.boots.len() > MOST_BOOTS {
            let (_, calls) = self.boots.remove(0);
            self.earlier = self.earlier.saturating_add(calls);
        }
    }
}
