//! What was shown already: a token that vouches for somebody is good once.
//!
//! Exact, not a filter: a filter that errs would refuse an honest pipeline, or let in a thief. Bounded: only
//! what passed every other check is remembered, and only until it would be refused as expired. When the place
//! is used up nothing more is believed until something expires.

use std::collections::HashMap;

use super::assertion::AssertionFault;
use crate::clock::UnixMillis;

/// How many are remembered, at 48 bytes each: more than 27 a second, each with a whole hour to live.
const MOST: usize = 100_000;

/// Fingerprints of what was shown, and until when each would be good.
#[derive(Default)]
pub(super) struct Once {
    shown: HashMap<[u8; 32], u64>,
}

impl Once {
    /// Remembers something until `until` (Unix seconds), unless it is remembered.
    pub(super) fn take(
        &mut self,
        fingerprint: [u8; 32],
        until: u64,
        now: UnixMillis,
    ) -> Result<(), AssertionFault> {
        if self.shown.contains_key(&fingerprint) {
            return Err(AssertionFault::Shown);
        }
        if self.shown.len() >= MOST {
            self.shown.retain(|_, until| *until > now.seconds());
            if self.shown.len() >= MOST {
                return Err(AssertionFault::NoRoom);
            }
        }
        self.shown.insert(fingerprint, until);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis::from_seconds(1_000);

    fn fingerprint(number: usize) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    #[test]
    fn a_second_time_is_refused() {
        let mut once = Once::default();
        assert_eq!(once.take(fingerprint(1), 1_300, NOW), Ok(()));
        assert_eq!(
            once.take(fingerprint(1), 1_300, NOW),
            Err(AssertionFault::Shown)
        );
        assert_eq!(once.take(fingerprint(2), 1_300, NOW), Ok(()));
    }

    #[test]
    fn a_full_place_believes_nothing_until_something_expires() {
        let mut once = Once::default();
        for number in 0..MOST {
            once.take(fingerprint(number), 1_300, NOW).unwrap();
        }
        assert_eq!(
            once.take(fingerprint(MOST), 1_300, NOW),
            Err(AssertionFault::NoRoom)
        );
        let later = UnixMillis::from_seconds(1_300);
        assert_eq!(once.take(fingerprint(MOST), 1_600, later), Ok(()));
        assert_eq!(once.shown.len(), 1);
    }
}
