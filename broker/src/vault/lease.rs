//! A value on its way to where it is injected: for a minute, and written down.

use lanyard_token::NodeId;

use super::value::SecretValue;
use crate::clock::UnixMillis;
use crate::store::event::{Version, VersionState};

/// The longest lease. Whoever holds one asks again: so a version that is drained is out of use a minute
/// after another took its place, and so is everybody who is no longer allowed.
pub const LONGEST_LEASE_SECONDS: u64 = 60;

/// A value and until when it may be used.
pub struct Lease {
    /// Of which secret.
    pub secret: NodeId,
    /// Which version.
    pub version: Version,
    /// The value.
    pub value: SecretValue,
    /// Until when; not beyond.
    pub until: UnixMillis,
}

/// Why nothing is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseRefused {
    /// Put one, or activate one.
    #[error("no version of the secret is in force")]
    NoneInForce,
    /// Ask again: another one is in force.
    #[error("version {0} was retired meanwhile")]
    RetiredMeanwhile(Version),
}

/// When a lease of so many seconds ends: at least one, at most [`LONGEST_LEASE_SECONDS`].
pub(super) fn until(now: UnixMillis, seconds: u64) -> UnixMillis {
    now.plus_millis(seconds.clamp(1, LONGEST_LEASE_SECONDS) * 1_000)
}

/// Whether a version may be handed out now: only the one in force.
pub(super) const fn may_be_leased(state: VersionState) -> bool {
    matches!(state, VersionState::Active)
}

/// Whether somebody who was just given it may have it: also one that another took the place of.
pub(super) const fn may_be_out(state: VersionState) -> bool {
    matches!(state, VersionState::Active | VersionState::Draining)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_lease_is_longer_than_a_minute_or_shorter_than_a_second() {
        let now = UnixMillis(1_000_000);
        for (asked, given) in [(0, 1), (1, 1), (59, 59), (60, 60), (61, 60), (u64::MAX, 60)] {
            assert_eq!(
                until(now, asked).millis_since(now),
                given * 1_000,
                "{asked}"
            );
        }
    }
}
