//! Tokens that have no tracker and whose notes are on their way: announced by a first call, or put out
//! of the table while they were calling.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::grant::Grant;

#[derive(Default)]
pub(super) struct Expected {
    now: HashMap<u64, Arc<Grant>>,
    /// Those that were expected already when it was last given up.
    before: HashMap<u64, Arc<Grant>>,
}

impl Expected {
    pub(super) fn add(&mut self, grant: Arc<Grant>) {
        self.now.insert(grant.serial, grant);
    }

    /// The token, whose note has come.
    pub(super) fn take(&mut self, serial: u64) -> Option<Arc<Grant>> {
        let before = self.before.remove(&serial);
        self.now.remove(&serial).or(before)
    }

    /// Expects nothing more of those that were there the last time already: their notes were lost. The
    /// next note of one announces it again.
    pub(super) fn give_up(&mut self) {
        let before = std::mem::replace(&mut self.before, std::mem::take(&mut self.now));
        for grant in before.values() {
            grant.announce_again();
        }
    }
}
