//! A call's hold on its token's grant.
//!
//! Each call counts itself in and out. On one processor that costs nothing to speak of; on several
//! with one hot token the count is a cache line that they pass around, and costs as much as all the
//! rest of the check. So a token that goes to and fro between threads gets one count for each of them:
//! see [`super::super::seen`].

use std::ops::Deref;
use std::sync::Arc;

use super::Grant;

/// A grant, held.
#[derive(Clone)]
pub(crate) enum Hold {
    Grant(Arc<Grant>),
    Count(Arc<Count>),
}

/// A count of holders in a cache line of its own.
#[repr(align(64))]
pub(crate) struct Count(pub(crate) Arc<Grant>);

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
