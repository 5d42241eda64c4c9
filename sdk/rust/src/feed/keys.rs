//! The delegations the reader holds, and the keys they make trusted.

use lanyard_token::{Delegation, KeyId, RootKey, TrustedKeys};
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;

/// How wrong a wall clock may be before the first heartbeat has told the time: a day off by a wrong
/// time zone or date, and an hour more. Until then a delegation counts if it holds anywhere within
/// this; it lasts thirty days, so an ended one is believed a day longer at the very most.
const CLOCK_ERROR_SECONDS: u64 = 25 * 3_600;

/// The most delegations that are read; a broker has a handful of keys.
const MAX_DELEGATIONS: usize = 64;

/// What time it is, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownTime {
    /// Told by heartbeats.
    Heartbeat(UnixMillis),
    /// Only the wall clock, which may be a day off.
    Wall(UnixMillis),
}

impl KnownTime {
    /// Before which second a key must not have ended.
    pub(super) const fn earliest(self) -> u64 {
        match self {
            Self::Heartbeat(now) => now.seconds(),
            Self::Wall(now) => now.seconds().saturating_sub(CLOCK_ERROR_SECONDS),
        }
    }
}

/// The answer of `GET /v1/keys`, which is also how they are kept on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delegations {
    /// Compact JWS, each signed by the root.
    pub(super) delegations: Vec<String>,
}

impl Delegations {
    /// The keys that the pinned root stands behind now, less those removed for good.
    pub(super) fn trusted<'k>(
        &self,
        root: &RootKey,
        issuer: &str,
        time: KnownTime,
        removed: impl Iterator<Item = &'k KeyId>,
    ) -> TrustedKeys {
        let mut keys = TrustedKeys::default();
        for text in self.delegations.iter().take(MAX_DELEGATIONS) {
            match verify(text, root, issuer, time) {
                Ok(delegation) => {
                    keys.trust(&delegation);
                }
                Err(fault) => tracing::warn!(%fault, "a delegation is not believed"),
            }
        }
        for key in removed {
            keys.remove(key);
        }
        keys
    }
}

fn verify(
    text: &str,
    root: &RootKey,
    issuer: &str,
    time: KnownTime,
) -> Result<Delegation, lanyard_token::DelegationFault> {
    let at = |seconds| Delegation::verify(text, root, issuer, seconds);
    match time {
        KnownTime::Heartbeat(now) => at(now.seconds()),
        KnownTime::Wall(now) => at(now.seconds())
            .or_else(|_| at(now.seconds().saturating_add(CLOCK_ERROR_SECONDS)))
            .or_else(|_| at(now.seconds().saturating_sub(CLOCK_ERROR_SECONDS))),
    }
}
