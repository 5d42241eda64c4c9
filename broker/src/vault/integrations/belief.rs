//! Which uses of a version are believed: those of a gateway that had it, and no later than it can have used it.
//!
//! Uses hold back the end of an old version, so a gateway that never stops telling of one must not keep alive what was found
//! elsewhere. *What it costs:* a use that is told after the lease of it was forgotten, behind a thousand later spans of the
//! same secret, is not counted.

use lanyard_token::NodeId;

use super::{Integrations, ToldUse};
use crate::clock::UnixMillis;
use crate::vault::LONGEST_LEASE_SECONDS;

/// How long after the end of a lease a use may still be, in milliseconds: the clocks of gateways trail, and a call may go out
/// as the lease ends. Another lease's time is more than either.
const OVERTIME: u64 = LONGEST_LEASE_SECONDS * 1_000;

impl Integrations {
    /// When a told use was at the latest; `None`: the gateway never had that version.
    pub(super) fn believed(
        &self,
        gateway: NodeId,
        told: &ToldUse,
        now: UnixMillis,
    ) -> Option<UnixMillis> {
        let state = &self.vault.state;
        let until = state.had_until(told.secret, told.version, gateway)?;
        Some(latest(told.last_at, until, now))
    }
}

fn latest(told: UnixMillis, until: UnixMillis, now: UnixMillis) -> UnixMillis {
    told.min(until.plus_millis(OVERTIME)).min(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_neither_in_the_future_nor_long_after_its_lease() {
        let at = |seconds: u64| UnixMillis(seconds * 1_000);
        for (told, until, now, believed) in [
            (100, 160, 130, 100),
            (200, 160, 130, 130),
            (170, 160, 900, 170),
            (900, 160, 900, 220),
        ] {
            assert_eq!(latest(at(told), at(until), at(now)), at(believed));
        }
    }
}
