//! An access token as its holder has it.

use std::sync::Arc;
use std::time::Duration;

use lanyard_token::ScopeSet;

use crate::Secret;
use crate::clock::BootTime;

/// A token is not used in its last seconds: it would expire on the way.
const LAST_SECONDS: Duration = Duration::from_secs(3);

/// A bearer token. It cannot be printed; whoever has its text is its owner.
pub struct AccessToken {
    text: Arc<Secret>,
    scopes: ScopeSet,
    refresh_at: BootTime,
    expires_at: BootTime,
    lifetime: Duration,
}

impl AccessToken {
    /// `random` decides when around half of its life it is renewed, so that clients which started
    /// together do not renew together.
    pub(super) fn new(
        text: Secret,
        scopes: ScopeSet,
        lifetime: Duration,
        now: BootTime,
        random: u64,
    ) -> Self {
        Self {
            text: Arc::new(text),
            scopes,
            refresh_at: later(now, refresh_after(lifetime, random)),
            expires_at: later(now, lifetime),
            lifetime,
        }
    }

    /// The text, to be sent as `Authorization: Bearer …` and nowhere else.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.text
    }

    /// What it allows; may be less than was asked for.
    #[must_use]
    pub const fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// How long it lived when it was new.
    #[must_use]
    pub const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    pub(super) fn shared(&self) -> Arc<Secret> {
        Arc::clone(&self.text)
    }

    pub(super) fn is_fresh(&self, now: BootTime) -> bool {
        now < self.refresh_at
    }

    /// Whether it can still be used. Tokens that live for seconds are used for half of them.
    pub(super) fn is_good(&self, now: BootTime) -> bool {
        later(now, LAST_SECONDS.min(self.lifetime / 2)) < self.expires_at
    }
}

/// Between 40 % and 60 % of the lifetime.
fn refresh_after(lifetime: Duration, random: u64) -> Duration {
    let fraction = random as f64 / u64::MAX as f64;
    lifetime.mul_f64(0.4 + 0.2 * fraction)
}

fn later(time: BootTime, by: Duration) -> BootTime {
    BootTime(
        time.0
            .saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(lifetime: u64, random: u64) -> AccessToken {
        AccessToken::new(
            Secret::new("t"),
            ScopeSet::default(),
            Duration::from_secs(lifetime),
            BootTime(0),
            random,
        )
    }

    #[test]
    fn a_token_is_renewed_around_half_of_its_life() {
        assert!(token(300, 0).is_fresh(BootTime(119_000)));
        assert!(!token(300, 0).is_fresh(BootTime(120_000)));
        assert!(token(300, u64::MAX).is_fresh(BootTime(179_000)));
        assert!(!token(300, u64::MAX).is_fresh(BootTime(180_001)));
    }

    #[test]
    fn a_token_is_not_used_in_its_last_seconds() {
        assert!(token(300, 0).is_good(BootTime(296_000)));
        assert!(!token(300, 0).is_good(BootTime(297_000)));
        assert!(token(2, 0).is_good(BootTime(900)));
        assert!(!token(2, 0).is_good(BootTime(1_000)));
    }
}
