//! What the identities of one role do: the others that an identity is put beside.
//!
//! Made from the members' baselines when those have changed enough, then only read. **Catches** what
//! is usual for the role: an operation that half of the members use is no surprise in one of them.
//! **Misses** members that nobody has seen yet. **Warms up** with its members and **recovers** by being
//! made anew. Leave the judged identity itself out, or it is compared with itself.
//!
//! Why not one merged baseline: two dozen members have thousands of different transitions, and the
//! places of one identity would hold the busiest member's. It is as large as its members need, at most
//! [`MOST_OPERATIONS`] and [`MOST_TRANSITIONS`] entries, and there are few roles.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::baseline::Baseline;
use crate::event::{OperationId, mix};

/// Operations told apart in one role.
const MOST_OPERATIONS: usize = 4_096;
/// Transitions told apart in one role.
const MOST_TRANSITIONS: usize = 32_768;
/// How many calls the share of members that use an operation is worth.
const BASE_STRENGTH: f64 = 50.0;
/// How many calls the single operation is worth behind another one.
const TRANSITION_STRENGTH: f64 = 5.0;
/// Off each count: what is given to operations never seen in that place.
pub(crate) const DISCOUNT: f64 = 0.5;

/// The merged habits of a role's members.
#[derive(Clone, Debug, Default)]
pub struct Role {
    habits: Baseline,
    operations: HashMap<u32, Used, Spread>,
    transitions: HashMap<u64, u32, Spread>,
    /// Calls of all members.
    total: f64,
    /// What the smoothed shares of all known operations add up to, where that is above 1: shares of
    /// members add up to more than one, and undivided a twin of its peers would look like them rather
    /// than like itself.
    mass: f64,
}

/// One operation in a role.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    count: u64,
    users: u32,
    /// Distinct operations that followed it, by whomever.
    successors: u32,
}

/// Keys are hashes already: this only spreads them over the table.
#[derive(Clone, Copy, Debug, Default)]
struct Mixed(u64);
type Spread = BuildHasherDefault<Mixed>;

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        mix(self.0)
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u32(&mut self, key: u32) {
        self.0 = u64::from(key);
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

impl Role {
    /// The role of these members; `None` when none of them has habits.
    pub fn of<'a>(members: impl IntoIterator<Item = &'a Baseline>) -> Option<Self> {
        let mut role = Self::default();
        for member in members {
            if member.calls() > 0 {
                role.add(member);
            }
        }
        if role.members() == 0 {
            return None;
        }
        let shares: f64 = role
            .operations
            .values()
            .map(|used| role.share(used.users))
            .sum();
        role.mass = ((role.total + BASE_STRENGTH * shares) / (role.total + BASE_STRENGTH)).max(1.0);
        role.operations.shrink_to_fit();
        role.transitions.shrink_to_fit();
        Some(role)
    }

    /// How many members it was made of.
    #[must_use]
    pub const fn members(&self) -> u32 {
        self.habits.identities()
    }

    /// The other channels of all members together.
    #[must_use]
    pub const fn habits(&self) -> &Baseline {
        &self.habits
    }

    /// How many members use an operation.
    #[must_use]
    pub fn users(&self, operation: OperationId) -> u32 {
        self.operations
            .get(&operation.get())
            .map_or(0, |used| used.users)
    }

    /// `q(c)`: how likely a member is to call it.
    pub(crate) fn single(&self, operation: OperationId) -> f64 {
        let used = self.used(operation);
        let smoothed = used.count as f64 + BASE_STRENGTH * self.share(used.users);
        smoothed / (self.total + BASE_STRENGTH) / self.mass
    }

    /// `q2(c|a)`, with `q(c)` to back off to.
    pub(crate) fn after(&self, before: OperationId, operation: OperationId, single: f64) -> f64 {
        let from = self.used(before);
        let seen = self.transitions.get(&pair(before, operation)).copied();
        let seen = (f64::from(seen.unwrap_or(0)) - DISCOUNT).max(0.0);
        let given = TRANSITION_STRENGTH + DISCOUNT * f64::from(from.successors);
        (seen + given * single) / (from.count as f64 + TRANSITION_STRENGTH)
    }

    fn add(&mut self, member: &Baseline) {
        let sequence = &member.sequence;
        self.habits.merge(member);
        self.total += f64::from(sequence.total());
        for (operation, held) in sequence.operations() {
            if self.operations.len() >= MOST_OPERATIONS
                && !self.operations.contains_key(&operation.get())
            {
                continue;
            }
            let used = self.operations.entry(operation.get()).or_default();
            used.count += u64::from(held.count);
            used.users += 1;
        }
        for (from, to, count) in sequence.transitions() {
            self.add_transition(from, to, count);
        }
    }

    fn add_transition(&mut self, from: OperationId, to: OperationId, count: u32) {
        let key = pair(from, to);
        let full = self.transitions.len() >= MOST_TRANSITIONS;
        match self.transitions.get_mut(&key) {
            Some(held) => *held = held.saturating_add(count),
            None if full => {}
            None => {
                self.transitions.insert(key, count);
                if let Some(used) = self.operations.get_mut(&from.get()) {
                    used.successors += 1;
                }
            }
        }
    }

    fn used(&self, operation: OperationId) -> Used {
        self.operations
            .get(&operation.get())
            .copied()
            .unwrap_or_default()
    }

    /// `p0(c)`: share of the members that ever used it, add-half smoothed.
    fn share(&self, users: u32) -> f64 {
        (f64::from(users) + 0.5) / (f64::from(self.members()) + 1.0)
    }
}

fn pair(from: OperationId, to: OperationId) -> u64 {
    (u64::from(from.get()) << 32) | u64::from(to.get())
}
