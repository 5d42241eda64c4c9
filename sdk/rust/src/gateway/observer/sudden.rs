//! The fast detector at work: ten calls of a token, put beside how its identity usually calls.
//!
//! An alarm is evidence and no more: it is reported at once, and the broker judges with it what the token
//! has done so far instead of waiting for a whole window. One gateway's statistics recycle a token at most.
//! Where nobody can be told, and statistics act, the token is suspended here: see the cut_off module.

use std::sync::atomic::Ordering;

use lanyard_drift::Block;

use super::table::Watched;
use crate::clock::Now;
use crate::gateway::cut_off::Why;
use crate::gateway::{DriftMode, Inner};

impl Watched {
    /// Looks at a block of calls.
    pub(super) fn look(&mut self, block: &Block, gateway: &Inner, now: Now) {
        let identity = self.grant.identity();
        let Some(portrait) = gateway.portraits.of(identity) else {
            return;
        };
        let counted = portrait.weigh(block);
        if let Some(sum) = self.sum.alarm(counted, portrait.baseline.alarm()) {
            gateway.alarms.fetch_add(1, Ordering::Relaxed);
            self.grant.heed(self.tracker.alarm(sum));
            let acts = portrait.enforced && gateway.mode == DriftMode::Enforce;
            if acts && gateway.is_cut_off(now) {
                gateway.suspend_here(&self.grant, Why::Sudden(sum), now);
            }
        }
    }
}
