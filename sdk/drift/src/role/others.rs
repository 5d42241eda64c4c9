//! What the members of a role call, and in which order, all together.
//!
//! Why not one merged baseline: two dozen members have thousands of different transitions, and the
//! places of one identity would hold the busiest member's. It is as large as its members need, at most
//! [`MOST_OPERATIONS`] and [`MOST_TRANSITIONS`] entries, and there are few roles.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::bigrams::Adaptive;
use crate::event::{OperationId, mix};

/// Operations told apart in one role.
pub(super) const MOST_OPERATIONS: usize = 4_096;
/// Transitions told apart in one role.
pub(super) const MOST_TRANSITIONS: usize = 32_768;
/// How many calls the share of members that use an operation is worth.
const BASE_STRENGTH: f64 = 50.0;
/// How many calls the single operation is worth behind another one.
const TRANSITION_STRENGTH: f64 = 5.0;
/// Off each count: what is given to operations never seen in that place.
pub(crate) const DISCOUNT: f64 = 0.5;

/// The calls of a role's members: what the sequence model compares an identity with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Others {
    pub(super) members: u32,
    pub(super) operations: HashMap<u32, Used, Spread>,
    pub(super) transitions: HashMap<u64, u32, Spread>,
    /// Calls of all members.
    pub(super) total: u64,
    /// What the smoothed shares of all known operations add up to, where that is above 1: shares of
    /// members add up to more than one, and undivided a twin of its peers would look like them rather
    /// than like itself.
    pub(super) mass: f64,
}

/// One operation in a role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(super) count: u64,
    pub(super) users: u32,
    /// Distinct operations that followed it, by whomever.
    pub(super) successors: u32,
}

/// Keys are hashes already: this only spreads them over the table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mixed(u64);
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

impl Others {
    /// How many members it was made of.
    #[must_use]
    pub const fn members(&self) -> u32 {
        self.members
    }

    /// Bytes that its tables take, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // One byte beside each place says whether it is taken.
        let operations = self.operations.capacity() * (size_of::<(u32, Used)>() + 1);
        let transitions = self.transitions.capacity() * (size_of::<(u64, u32)>() + 1);
        size_of::<Self>() + operations + transitions
    }

    /// How many members use an operation.
    pub(super) fn users(&self, operation: OperationId) -> u32 {
        self.used(operation).users
    }

    /// `q(c)`: how likely a member is to call what is used like this.
    pub(crate) fn single(&self, used: Used) -> f64 {
        let smoothed = used.count as f64 + BASE_STRENGTH * self.share(used.users);
        smoothed / (self.total as f64 + BASE_STRENGTH) / self.mass
    }

    /// `q2(c|a)` of `a` and `c`, with what is known of `a`, and `q(c)` to back off to.
    pub(crate) fn after(
        &self,
        (before, operation): (OperationId, OperationId),
        from: Used,
        single: f64,
    ) -> f64 {
        let seen = self.transitions.get(&pair(before, operation)).copied();
        let seen = (f64::from(seen.unwrap_or(0)) - DISCOUNT).max(0.0);
        let given = TRANSITION_STRENGTH + DISCOUNT * f64::from(from.successors);
        (seen + given * single) / (from.count as f64 + TRANSITION_STRENGTH)
    }

    pub(super) fn add(&mut self, sequence: &Adaptive) {
        self.members = self.members.saturating_add(1);
        self.total = self.total.saturating_add(u64::from(sequence.total()));
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

    /// Once everybody is in it.
    pub(super) fn complete(&mut self) {
        let users = self.operations.values().map(|used| used.users);
        let mut shares: Vec<u32> = users.collect();
        // A sum of floats depends on its order, and a table has none.
        shares.sort_unstable();
        let shares: f64 = shares.into_iter().map(|users| self.share(users)).sum();
        let total = self.total as f64;
        self.mass = ((total + BASE_STRENGTH * shares) / (total + BASE_STRENGTH)).max(1.0);
        self.operations.shrink_to_fit();
        self.transitions.shrink_to_fit();
    }

    /// Only between operations that have a place themselves: without their calls a transition says
    /// nothing.
    pub(super) fn add_transition(&mut self, from: OperationId, to: OperationId, count: u32) {
        if !self.operations.contains_key(&to.get()) {
            return;
        }
        let Some(used) = self.operations.get_mut(&from.get()) else {
            return;
        };
        let full = self.transitions.len() >= MOST_TRANSITIONS;
        match self.transitions.get_mut(&pair(from, to)) {
            Some(held) => *held = held.saturating_add(count),
            None if full => {}
            None => {
                self.transitions.insert(pair(from, to), count);
                used.successors += 1;
            }
        }
    }

    /// What is known of an operation.
    pub(crate) fn used(&self, operation: OperationId) -> Used {
        self.operations
            .get(&operation.get())
            .copied()
            .unwrap_or_default()
    }

    /// `p0(c)`: share of the members that ever used it, add-half smoothed.
    fn share(&self, users: u32) -> f64 {
        (f64::from(users) + 0.5) / (f64::from(self.members) + 1.0)
    }
}

/// A transition as a key.
pub(super) fn pair(from: OperationId, to: OperationId) -> u64 {
    (u64::from(from.get()) << 32) | u64::from(to.get())
}
