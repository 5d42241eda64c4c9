//! How the observer sleeps, and who wakes it.
//!
//! While calls come it looks every few milliseconds by itself, and nobody pays for waking it. After a
//! while without calls it lies down, and the next call wakes it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};

use super::{IDLE, MERGE, QUIET_ROUNDS};

#[derive(Default)]
pub(crate) struct Bell {
    asleep: AtomicBool,
    sleeper: OnceLock<Thread>,
}

impl Bell {
    pub(super) fn belongs_to(&self, sleeper: Thread) {
        // There is one observer; a second would never be woken, and never sleep long either.
        let _ = self.sleeper.set(sleeper);
    }

    /// Something was noted: wakes the observer if it has lain down.
    pub(crate) fn ring(&self) {
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::AcqRel) {
            self.hurry();
        }
    }

    /// Wakes the observer although its time has not come.
    #[cold]
    pub(crate) fn hurry(&self) {
        if let Some(sleeper) = self.sleeper.get() {
            sleeper.unpark();
        }
    }

    /// Waits for the next round, after so many without a note; whether it was woken.
    ///
    /// The round after lying down comes as soon as any other: a note that was written while the
    /// writer could not see yet that nobody is awake is read then. Only then is sleep deep.
    pub(super) fn wait(&self, quiet: u32) -> bool {
        let lain_down = quiet > QUIET_ROUNDS;
        if quiet < QUIET_ROUNDS {
            self.asleep.store(false, Ordering::Release);
        } else if !lain_down {
            self.asleep.store(true, Ordering::Release);
        }
        thread::park_timeout(if lain_down { IDLE } else { MERGE });
        quiet >= QUIET_ROUNDS && !self.asleep.load(Ordering::Acquire)
    }
}
