//! Which of a few places belongs to this thread: for what would else be one cache line that all
//! processors pass around.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Places at most. Beyond sixteen processors threads share them in pairs.
const MOST: usize = 16;

/// How many places there are: a power of two, at least one for each processor up to sixteen.
pub(super) fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        processors.next_power_of_two().clamp(2, MOST)
    })
}

/// The place of this thread among so many, a power of two. Threads take turns as they come, so as many
/// threads as there are places have one each.
pub(super) fn own(count: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(0) };
    }
    // A thread that is ending has no such cell any more; any place will do.
    let own = OWN.try_with(|own| {
        if own.get() == 0 {
            own.set(NEXT.fetch_add(1, Ordering::Relaxed).max(1));
        }
        own.get()
    });
    own.unwrap_or(0) & count.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_place_and_another_has_another() {
        let (first, again) = (own(1 << 20), own(1 << 20));
        assert_eq!(first, again);
        let other = thread::spawn(|| own(1 << 20)).join().unwrap();
        assert_ne!(first, other);
        assert!(own(2) < 2);
    }
}
