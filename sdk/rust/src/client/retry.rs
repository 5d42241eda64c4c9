//! When to try again.
//!
//! Exponential with full jitter: after an outage of the broker everybody is waiting for it, and only
//! chance keeps them from coming back together. Why not a fixed pause: the crowd would stay a crowd.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use ring::rand::{SecureRandom, SystemRandom};

/// How often something is tried in all.
pub(super) const ATTEMPTS: u32 = 4;
/// The first pause is at most this long, each next one twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// No pause of our own is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Nobody is kept waiting longer because a server said so.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);

/// How long to wait before trying again; `None` when that is not worth it any more.
pub(super) fn pause(attempt: u32, retry_after: Option<Duration>, random: u64) -> Option<Duration> {
    if attempt >= ATTEMPTS {
        return None;
    }
    match retry_after {
        Some(asked) if asked > LONGEST_RETRY_AFTER => None,
        // A little later than asked, so that all who were sent away do not come back as one.
        Some(asked) => Some(asked + fraction(FIRST_PAUSE, random)),
        None => {
            let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(16));
            Some(fraction(doubled.min(LONGEST_PAUSE), random))
        }
    }
}

/// The seconds of a `Retry-After` header (RFC 9110, 10.2.3). Its date form is not read: it would
/// need a clock that agrees with the server's.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

/// Chance, for jitter and epochs. Zero when the system has none, which only costs spread.
pub(crate) fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => 0,
    }
}

fn fraction(of: Duration, random: u64) -> Duration {
    of.mul_f64(random as f64 / u64::MAX as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_are_spread_over_their_whole_length() {
        assert_eq!(pause(1, None, u64::MAX), Some(Duration::from_millis(200)));
        assert_eq!(pause(2, None, u64::MAX), Some(Duration::from_millis(400)));
        assert_eq!(pause(3, None, 0), Some(Duration::ZERO));
        assert_eq!(pause(ATTEMPTS, None, 0), None);
    }

    #[test]
    fn a_server_is_left_alone_as_long_as_it_asks() {
        assert!(pause(1, Some(Duration::from_secs(2)), 0) >= Some(Duration::from_secs(2)));
        assert_eq!(pause(1, Some(Duration::from_secs(3_600)), 0), None);
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        let header = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(header("7"), Some(Duration::from_secs(7)));
        assert_eq!(header("Fri, 31 Dec 1999 23:59:59 GMT"), None);
        assert_eq!(header("-1"), None);
    }
}
