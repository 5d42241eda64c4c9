//! How often somebody may ask: per identity, and per network for failures of the unauthenticated.
//!
//! The algorithm is governor's (GCRA: a bucket without a timer). What is ours is where its states
//! lie: a bounded cache, because whoever makes up networks must not be able to fill the memory.
//! What that misses: an attacker with more networks than the cache has places pushes states out,
//! and a state that comes back starts with a full burst. Failures cost a hash each at most, so a
//! forgotten state costs less than a remembered one would.
//!
//! Time is monotonic, not the wall clock: after a step back a wall-clock limiter would refuse
//! everybody for the length of the step.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use lanyard_token::NodeId;
use quick_cache::sync::Cache;

/// Rates and bursts; zero means one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Tokens an identity may ask for per second, lasting.
    pub identity_per_second: u32,
    /// And at once.
    pub identity_burst: u32,
    /// Failed proofs a network (/24 or /48) may send per second, lasting.
    pub failures_per_second: u32,
    /// And at once.
    pub failures_burst: u32,
}

impl Default for LimitSettings {
    /// Generous: a service that refreshes at half of five minutes asks once in 150 s per audience.
    fn default() -> Self {
        Self {
            identity_per_second: 50,
            identity_burst: 200,
            failures_per_second: 50,
            failures_burst: 500,
        }
    }
}

/// How many identities and how many networks are remembered: 100,000 states are about 10 MiB.
const REMEMBERED: usize = 100_000;

/// Ask later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests: ask again in {retry_after} s")]
pub struct TooMany {
    /// Seconds, rounded up.
    pub retry_after: u64,
}

/// The limits of the doors where tokens are asked for.
pub struct Limits<C: Clock = DefaultClock> {
    identities: RateLimiter<NodeId, Remembered<NodeId>, C, NoOpMiddleware<C::Instant>>,
    failures: RateLimiter<Network, Remembered<Network>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
}

impl Limits {
    /// Limits by the machine's monotonic clock.
    pub fn new(settings: LimitSettings) -> Self {
        Self::with_clock(settings, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limits<C> {
    /// Limits by another clock.
    pub fn with_clock(settings: LimitSettings, clock: C) -> Self {
        let identity = quota(settings.identity_per_second, settings.identity_burst);
        let failure = quota(settings.failures_per_second, settings.failures_burst);
        Self {
            identities: RateLimiter::new(identity, Remembered::new(REMEMBERED), clock.clone()),
            failures: RateLimiter::new(failure, Remembered::new(REMEMBERED), clock.clone()),
            clock,
        }
    }

    /// One more request of an identity.
    pub fn identity(&self, identity: NodeId) -> Result<(), TooMany> {
        self.identities
            .check_key(&identity)
            .map_err(|until| self.too_many(&until))
    }

    /// One more failed proof from a network.
    pub fn failure(&self, network: Network) -> Result<(), TooMany> {
        self.failures
            .check_key(&network)
            .map_err(|until| self.too_many(&until))
    }

    fn too_many(&self, until: &governor::NotUntil<C::Instant>) -> TooMany {
        let wait = until.wait_time_from(self.clock.now());
        TooMany {
            retry_after: wait
                .as_secs()
                .saturating_add(u64::from(wait.subsec_nanos() > 0))
                .max(1),
        }
    }
}

fn quota(per_second: u32, burst: u32) -> Quota {
    let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(at_least_one(per_second)).allow_burst(at_least_one(burst))
}

/// Where a caller comes from, as coarse as it is remembered: a /24 or a /48.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The network of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Self(IpAddr::from([a, b, c, 0]))
            }
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                Self(IpAddr::from([a, b, c, 0, 0, 0, 0, 0]))
            }
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bits = if self.0.is_ipv4() { 24 } else { 48 };
        write!(f, "{}/{bits}", self.0)
    }
}

/// A bounded keyed store for governor.
struct Remembered<K>(Cache<K, Arc<InMemoryState>>);

impl<K: Eq + Hash> Remembered<K> {
    fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }
}

impl<K: Eq + Hash + Clone> StateStore for Remembered<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::new(InMemoryState::default()));
        let Ok(state) = self.0.get_or_insert_with(key, fresh);
        state.measure_and_replace(&NotKeyed::NonKey, measure)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limits(clock: &FakeRelativeClock) -> Limits<FakeRelativeClock> {
        let settings = LimitSettings {
            identity_per_second: 2,
            identity_burst: 5,
            failures_per_second: 1,
            failures_burst: 3,
        };
        Limits::with_clock(settings, clock.clone())
    }

    #[test]
    fn one_identitys_storm_does_not_take_from_another() {
        let clock = FakeRelativeClock::default();
        let limits = limits(&clock);
        let (loud, quiet) = (NodeId::from_u64(1), NodeId::from_u64(2));
        let allowed = (0..1_000).filter(|_| limits.identity(loud).is_ok()).count();
        assert_eq!(allowed, 5);
        assert!((0..5).all(|_| limits.identity(quiet).is_ok()));
    }

    #[test]
    fn waiting_as_long_as_the_answer_says_is_enough() {
        let clock = FakeRelativeClock::default();
        let limits = limits(&clock);
        let network = Network::of("192.0.2.7".parse().unwrap());
        while limits.failure(network).is_ok() {}
        let TooMany { retry_after } = limits.failure(network).unwrap_err();
        clock.advance(Duration::from_secs(retry_after));
        assert_eq!(limits.failure(network), Ok(()));
    }

    #[test]
    fn neighbours_share_a_network_and_mapped_addresses_are_the_v4_ones() {
        let of = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(of("192.0.2.7"), of("192.0.2.200"));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("192.0.3.7"), of("192.0.2.7"));
        assert_eq!(of("2001:db8:1:ffff::1"), of("2001:db8:1::2"));
        assert_eq!(of("2001:db8:1::2").to_string(), "2001:db8:1::/48");
    }

    #[test]
    fn made_up_networks_do_not_grow_the_memory() {
        let states = Remembered::<u64>::new(64);
        for key in 0..10_000 {
            let measured: Result<(), ()> =
                states.measure_and_replace(&key, |_| Ok(((), Nanos::new(1))));
            assert_eq!(measured, Ok(()));
        }
        assert!(states.0.len() <= 64);
    }
}
