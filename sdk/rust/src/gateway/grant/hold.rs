//! A call's hold on its token's grant.
//!
//! Each call counts itself in and out. On one processor that costs nothing to speak of; on several
//! with one hot token the count is a cache line that they pass around, and costs as much as all the
//! rest of the check. So a token that goes to and fro between threads gets one count for each of them.
//! That is two cache lines a processor, and a token that is called by one thread, or seldom, never
//! needs them.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use super::super::stripe;
use super::Grant;

/// Changes of thread after which a token is hot. One that has seen so many calls is alive with several
/// threads; that it is not hot any more later costs a few cache lines, for as long as it lives.
const CHANGES: u32 = 1_000;

/// Keeps a grant for those who come for it.
pub(crate) struct Holds {
    grant: Arc<Grant>,
    /// Who came last, and how often that was somebody else than before. Written only on a change.
    last: AtomicU32,
    changes: AtomicU32,
    counts: OnceLock<Box<[Arc<Count>]>>,
}

/// A grant, held.
#[derive(Clone)]
pub(crate) enum Hold {
    Grant(Arc<Grant>),
    Count(Arc<Count>),
}

/// A count of holders in a cache line of its own.
#[repr(align(64))]
pub(crate) struct Count(Arc<Grant>);

impl Holds {
    pub(crate) fn new(grant: &Arc<Grant>) -> Self {
        Self {
            grant: Arc::clone(grant),
            last: AtomicU32::new(u32::MAX),
            changes: AtomicU32::new(0),
            counts: OnceLock::new(),
        }
    }

    pub(crate) fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    pub(crate) fn hold(&self) -> Hold {
        if let Some(counts) = self.counts.get()
            && let Some(count) = counts.get(stripe::own(counts.len()))
        {
            return Hold::Count(Arc::clone(count));
        }
        self.note_change();
        Hold::Grant(Arc::clone(&self.grant))
    }

    fn note_change(&self) {
        let own = stripe::own(stripe::count()) as u32;
        if self.last.load(Ordering::Relaxed) == own {
            return;
        }
        self.last.store(own, Ordering::Relaxed);
        // Two at once may count one change: that makes it hot one change later.
        let changes = self.changes.load(Ordering::Relaxed).saturating_add(1);
        self.changes.store(changes, Ordering::Relaxed);
        if changes >= CHANGES {
            self.split();
        }
    }

    /// The one time that a seen token allocates.
    #[cold]
    fn split(&self) {
        self.counts.get_or_init(|| {
            let count = || Arc::new(Count(Arc::clone(&self.grant)));
            (0..stripe::count()).map(|_| count()).collect()
        });
    }
}

impl From<Arc<Grant>> for Hold {
    fn from(grant: Arc<Grant>) -> Self {
        Self::Grant(grant)
    }
}

impl Deref for Hold {
    type Target = Arc<Grant>;

    fn deref(&self) -> &Arc<Grant> {
        match self {
            Self::Grant(grant) => grant,
            Self::Count(count) => &count.0,
        }
    }
}
