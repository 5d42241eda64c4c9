//! What the identities of one role do: the others that an identity is put beside.
//!
//! Made from the members' baselines when those have changed enough, then only read. **Catches** what
//! is usual for the role: an operation that half of the members use is no surprise in one of them.
//! **Misses** members that nobody has seen yet. **Warms up** with its members and **recovers** by being
//! made anew. Leave the judged identity itself out, or it is compared with itself.
//!
//! What the members call is kept apart from their other channels ([`Others`]): it is all that the fast
//! detector of a gateway needs, and so the part that is sent.

mod others;
mod written;

pub use others::Others;
pub(crate) use others::{DISCOUNT, Used};

use crate::baseline::Baseline;
use crate::event::OperationId;

/// The merged habits of a role's members.
#[derive(Clone, Debug, Default)]
pub struct Role {
    habits: Baseline,
    others: Others,
}

impl Role {
    /// The role of these members; `None` when none of them has habits.
    pub fn of<'a>(members: impl IntoIterator<Item = &'a Baseline>) -> Option<Self> {
        let mut role = Self::default();
        for member in members {
            if member.calls() > 0 {
                role.habits.merge(member);
                role.others.add(&member.sequence);
            }
        }
        role.others.complete();
        (role.members() > 0).then_some(role)
    }

    /// How many members it was made of.
    #[must_use]
    pub const fn members(&self) -> u32 {
        self.others.members()
    }

    /// The other channels of all members together.
    #[must_use]
    pub const fn habits(&self) -> &Baseline {
        &self.habits
    }

    /// What the members call, and in which order.
    #[must_use]
    pub const fn others(&self) -> &Others {
        &self.others
    }

    /// How many members use an operation.
    #[must_use]
    pub fn users(&self, operation: OperationId) -> u32 {
        self.others.users(operation)
    }
}
