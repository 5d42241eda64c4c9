//! Tokens that many threads call with at once, in one place for each processor.
//!
//! A call counts itself in and out at its token. When two processors do that at one count, they pass its
//! cache line to and fro, and it costs as much as all the rest of the check. So a token whose callers
//! change threads a thousand times is put here, with a count of its own for each processor.
//!
//! **Bounded.** Few places, and a token that has one keeps it until it is retired: a service calls with few
//! tokens from all of its connections, and who comes too late pays for the shared count, no more. A retired
//! token is never found, and lies here until the next one wants its place.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use super::super::grant::{Count, Grant};
use super::super::stripe;
use super::Spot;

/// Places for each processor: their numbers are one cache line.
const PLACES: usize = 8;

pub(super) struct Hot {
    stripes: Box<[Stripe]>,
    writing: Mutex<()>,
}

#[derive(Default)]
#[repr(align(64))]
struct Stripe {
    /// 0: nothing here.
    spots: [AtomicU64; PLACES],
    counts: [ArcSwapOption<Count>; PLACES],
}

impl Hot {
    pub(super) fn new() -> Self {
        Self {
            stripes: (0..stripe::count()).map(|_| Stripe::default()).collect(),
            writing: Mutex::new(()),
        }
    }

    pub(super) fn get(&self, spot: Spot, token: &str) -> Option<Arc<Count>> {
        let stripe = self.stripes.get(stripe::own(self.stripes.len()))?;
        let place = place(spot);
        if stripe.spots.get(place)?.load(Ordering::Acquire) != spot.0 {
            return None;
        }
        let kept = stripe.counts.get(place)?.load();
        let count = kept.as_ref()?;
        let found = *count.0.text() == *token && !count.0.is_retired();
        found.then(|| Arc::clone(count))
    }

    /// Gives a token its places, if nobody else has them.
    #[cold]
    pub(super) fn offer(&self, spot: Spot, grant: &Arc<Grant>) {
        let _one_writer = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for stripe in &self.stripes {
            let place = place(spot);
            let (Some(own), Some(count)) = (stripe.spots.get(place), stripe.counts.get(place))
            else {
                continue;
            };
            let is_free = count
                .load()
                .as_ref()
                .is_none_or(|count| count.0.is_retired());
            if is_free {
                own.store(0, Ordering::Release);
                count.store(Some(Arc::new(Count(Arc::clone(grant)))));
                own.store(spot.0, Ordering::Release);
            }
        }
    }
}

/// Bits that choose neither the set nor much of the tag.
const fn place(spot: Spot) -> usize {
    (spot.0 >> 24) as usize % PLACES
}
