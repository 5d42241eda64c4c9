//! Ending a token here, before the broker has spoken.
//!
//! A token past the enumeration bound is in two hands: its owner's and a thief's. Refusing single calls would
//! hit both; ending the token hits the thief alone, because the owner's client answers a 401 by minting anew.
//! So the gateway does within milliseconds what the broker is about to do anyway.
//!
//! What it misses: a gateway cannot tell a theft from a deployment that makes every client walk through ids. When
//! many tokens cross the bound in the same minute, that is the likelier story, so past a few of the tokens kept here
//! ([`few`]) only the single calls are refused, aloud, and the broker decides. While no broker can be heard the same
//! few are the most that are suspended here at all: see the cut_off module.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::BootTime;

/// One token in a hundred may be ended here.
const SHARE: u64 = 100;
/// With few tokens a hundredth is none; a thief or two must be stopped there as well.
const LEAST: u64 = 3;
const MINUTE: u64 = 60_000;

/// How many of the tokens kept here a gateway may take for stolen on its own.
pub(super) fn few(kept: usize) -> u64 {
    (kept as u64 / SHARE).max(LEAST)
}

/// Counts the endings of the current minute.
#[derive(Default)]
pub(super) struct LocalEndings {
    /// Minute since boot in the upper half, endings in it in the lower.
    state: AtomicU64,
}

impl LocalEndings {
    /// Whether one more token may be ended now, of `kept` tokens.
    pub(super) fn one_more(&self, kept: usize, now: BootTime) -> bool {
        let most = few(kept);
        let minute = (now.0 / MINUTE) << 32;
        self.state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
                let ended = if state & !0xffff_ffff == minute {
                    state & 0xffff_ffff
                } else {
                    0
                };
                (ended < most).then_some(minute | (ended + 1))
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_gateway_ends_three_tokens_a_minute() {
        let endings = LocalEndings::default();
        let ended = (0..10).filter(|_| endings.one_more(5, BootTime(1))).count();
        assert_eq!(ended, 3);
        assert!(
            endings.one_more(5, BootTime(MINUTE + 1)),
            "the next minute begins anew"
        );
    }

    #[test]
    fn a_large_gateway_ends_one_in_a_hundred() {
        let endings = LocalEndings::default();
        let ended = (0..1_000)
            .filter(|_| endings.one_more(10_000, BootTime(1)))
            .count();
        assert_eq!(ended, 100);
    }
}
