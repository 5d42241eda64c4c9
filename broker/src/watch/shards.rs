//! The judge's desks: one per shard, so that one lock does not serialise everybody.
//!
//! A shard holds whole roles, chosen by rendezvous hash: an identity is judged beside its peers, and a
//! deployment is recognised on many members at once, so members must lie on one desk. The price is
//! that one huge role is judged by one core. What all shards share is small and locked for moments,
//! always after a shard and never the other way round: which reports were counted, what operations are
//! called, whose bounds have changed, what was done in the last minute.
//!
//! The limits hold for all shards together: roles are of unequal size, and sixteenths of a limit would
//! crowd out a large one in an empty broker.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lanyard_drift::desk::{ClosedWindow, Desk, Limits, RoleId};
use lanyard_drift::ladder::Spent;
use lanyard_drift::{Baseline, rendezvous};
use lanyard_token::NodeId;

use super::changes::Changes;
use super::counters::Counters;
use super::intake::Seen;
use super::names::Names;
use super::opaque::{millis, node, subject};
use super::roles::Roles;
use super::state::WatchState;
use crate::clock::UnixMillis;

/// More than brokers have cores to judge with; each costs nothing while it is empty.
const SHARDS: u64 = 16;

/// All desks, and what they share.
pub(super) struct Shards {
    desks: Box<[Mutex<Desk>]>,
    identities: AtomicUsize,
    windows: AtomicUsize,
    copies: AtomicUsize,
    pub(super) seen: Shared<HashMap<NodeId, Seen>>,
    pub(super) spent: Shared<Spent>,
    pub(super) names: Shared<Names>,
    pub(super) changes: Shared<Changes>,
    changed: AtomicBool,
}

/// Something that all shards use for moments.
#[derive(Default)]
pub(super) struct Shared<T>(Mutex<T>);

impl<T> Shared<T> {
    pub(super) const fn of(inner: T) -> Self {
        Self(Mutex::new(inner))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        // Every change is one insert, remove or count: a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shards {
    /// With the habits that were saved last.
    pub(super) fn with_habits(
        habits: impl Iterator<Item = (NodeId, Box<Baseline>)>,
        state: &WatchState,
    ) -> Self {
        let mut by_shard: HashMap<u64, Vec<_>> = HashMap::new();
        for (identity, baseline) in habits {
            let shard = shard_of(state.role(identity));
            let there = by_shard.entry(shard).or_default();
            there.push((subject(identity), baseline));
        }
        let identities = by_shard.values().map(Vec::len).sum();
        let desks = (0..SHARDS).map(|shard| {
            let habits = by_shard.remove(&shard).unwrap_or_default();
            let mut desk = Desk::with_habits(habits);
            desk.keep_closed();
            Mutex::new(desk)
        });
        Self {
            desks: desks.collect(),
            identities: AtomicUsize::new(identities),
            windows: AtomicUsize::new(0),
            copies: AtomicUsize::new(0),
            seen: Shared::default(),
            spent: Shared::default(),
            names: Shared::default(),
            changes: Shared::default(),
            changed: AtomicBool::new(false),
        }
    }

    /// And with the reports that were counted by then.
    pub(super) fn having_seen(self, seen: Vec<(NodeId, Seen)>) -> Self {
        let seen = seen.into_iter();
        self.seen
            .lock()
            .extend(seen.map(|(gateway, seen)| (gateway, seen.restored())));
        self
    }

    /// The reports that were counted.
    pub(super) fn copy_seen(&self) -> Vec<(NodeId, Seen)> {
        let seen = self.seen.lock();
        let mut all: Vec<_> = seen
            .iter()
            .map(|(gateway, seen)| (*gateway, seen.clone()))
            .collect();
        all.sort_unstable_by_key(|(gateway, _)| *gateway);
        all
    }

    /// The shard of a role.
    pub(super) fn of(&self, role: RoleId) -> usize {
        usize::try_from(shard_of(role)).unwrap_or(0) % self.desks.len().max(1)
    }

    /// All of them.
    pub(super) fn all(&self) -> std::ops::Range<usize> {
        0..self.desks.len()
    }

    /// Works at a desk; `None` when there is no such shard. What the work came to is settled before
    /// the desk is free again.
    pub(super) fn at<T>(
        &self,
        shard: usize,
        (total, roles, counters): (Limits, &Roles<'_>, &Counters),
        work: impl FnOnce(&mut Desk, Limits) -> T,
    ) -> Option<T> {
        let mut desk = self.lock(shard)?;
        let before = desk.sizes();
        let limits = Limits {
            identities: room(total.identities, &self.identities, before.identities),
            windows: room(total.windows, &self.windows, before.windows),
            copies: room(total.copies, &self.copies, before.copies),
        };
        let done = work(&mut desk, limits);
        let after = desk.sizes();
        count(&self.identities, before.identities, after.identities);
        count(&self.windows, before.windows, after.windows);
        count(&self.copies, before.copies, after.copies);
        self.settle(&mut desk, roles, counters);
        Some(done)
    }

    /// The habits of an identity; empty when there are none.
    pub(super) fn habits(&self, role: RoleId, identity: NodeId) -> Box<Baseline> {
        let desk = self.lock(self.of(role));
        let habits = desk
            .as_ref()
            .and_then(|desk| desk.habits(subject(identity)));
        habits
            .map(|habits| Box::new(habits.clone()))
            .unwrap_or_default()
    }

    /// The merged habits of these members of a role.
    pub(super) fn role(&self, role: RoleId, members: &[NodeId]) -> Option<Box<Baseline>> {
        let members: Vec<_> = members.iter().copied().map(subject).collect();
        let role = self.lock(self.of(role))?.role(&members)?;
        Some(Box::new(role.habits().clone()))
    }

    /// Everything that was learned, by identity, and nothing is to be saved any more.
    pub(super) fn copy(&self) -> Vec<(NodeId, Box<Baseline>)> {
        self.changed.store(false, Ordering::SeqCst);
        let mut all = Vec::new();
        for desk in self.all().filter_map(|shard| self.lock(shard)) {
            let habits = desk.all_habits();
            all.extend(habits.map(|(identity, habits)| (node(identity), Box::new(habits.clone()))));
        }
        all.sort_unstable_by_key(|(identity, _)| *identity);
        all
    }

    /// Windows that closed since this was last asked, oldest first.
    pub(super) fn take_closed(&self) -> Vec<ClosedWindow> {
        let desks = self.all().filter_map(|shard| self.lock(shard));
        let mut closed: Vec<_> = desks.flat_map(|mut desk| desk.take_closed()).collect();
        closed.sort_by_key(|window| window.at);
        closed
    }

    /// Says to a role's desk that the role is being deployed.
    pub(super) fn announce_deployment(&self, role: RoleId, until: UnixMillis, now: UnixMillis) {
        if let Some(mut desk) = self.lock(self.of(role)) {
            desk.announce_deployment(role, millis(until), millis(now));
        }
    }

    /// Whether habits changed since they were copied.
    pub(super) fn is_changed(&self) -> bool {
        self.changed.load(Ordering::SeqCst)
    }

    /// What was copied could not be saved.
    pub(super) fn keep_changed(&self) {
        self.changed.store(true, Ordering::SeqCst);
    }

    /// Takes note of what the windows came to: whose bounds are news, what is to be saved.
    fn settle(&self, desk: &mut Desk, roles: &Roles<'_>, counters: &Counters) {
        use lanyard_drift::desk::Register as _;
        let tally = desk.take_tally();
        counters.absorbed.add(tally.absorbed);
        counters.withheld.add(tally.withheld);
        counters.crowded_out.add(tally.crowded_out);
        counters.unrecorded.add(tally.unfetched);
        // A refused window counts too: how long a mild anomaly lasts is part of the habits.
        if tally.withheld > 0 || !tally.learned.is_empty() {
            self.keep_changed();
        }
        for identity in tally.learned {
            if let Some(habits) = desk.habits(identity) {
                let bounds = habits.bounds(roles.thresholds(identity));
                self.changes.lock().note(node(identity), bounds);
            }
        }
    }

    fn lock(&self, shard: usize) -> Option<MutexGuard<'_, Desk>> {
        // What a panic could leave half done is a count in a window; the habits stay whole.
        let desk = self.desks.get(shard)?;
        Some(desk.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn shard_of(role: RoleId) -> u64 {
    rendezvous(role.0, 0..SHARDS).unwrap_or(0)
}

/// How many this desk may hold, when all together may hold `total`.
fn room(total: usize, used: &AtomicUsize, own: usize) -> usize {
    let left = total.saturating_sub(used.load(Ordering::SeqCst));
    own.saturating_add(left)
}

fn count(used: &AtomicUsize, before: usize, after: usize) {
    used.fetch_add(after.saturating_sub(before), Ordering::SeqCst);
    used.fetch_sub(before.saturating_sub(after), Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lanyard_drift::Thresholds;

    use super::*;
    use crate::watch::roles::ByKind;

    fn shards() -> Shards {
        Shards::with_habits(std::iter::empty(), &WatchState::new())
    }

    #[test]
    fn a_desk_that_is_busy_does_not_hold_up_another() {
        let shards = Arc::new(shards());
        let held = shards.lock(0).unwrap();
        let other = Arc::clone(&shards);
        std::thread::spawn(move || {
            let state = WatchState::new();
            let roles = Roles {
                state: &state,
                thresholds: ByKind::now(&state, Thresholds::default()),
            };
            let counters = Counters::default();
            let at = (Limits::default(), &roles, &counters);
            assert_eq!(other.at(1, at, |_, limits| limits), Some(Limits::default()));
        })
        .join()
        .unwrap();
        drop(held);
    }

    #[test]
    fn a_large_role_may_use_the_room_that_others_leave_and_no_more() {
        let used = AtomicUsize::new(7);
        assert_eq!(room(10, &used, 2), 5, "two here, three are left");
        count(&used, 2, 5);
        assert_eq!(room(10, &used, 5), 5);
        count(&used, 5, 0);
        assert_eq!(room(10, &used, 0), 5);
    }
}
