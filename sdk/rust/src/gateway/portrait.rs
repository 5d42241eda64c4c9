//! How identities usually call, kept for the fast detector: see [`lanyard_drift::Cusum`].
//!
//! A portrait is the identity's compact baseline and what its peers call, as the broker held both when it
//! was asked. It arrives beside the reports and is read by the observer, ten calls at a time; the request
//! path never sees it. **Until it is here, or while too little is known to make one**, the detector is
//! silent, and the bounds are those of the peer group.
//!
//! **Bounded.** So many portraits, some 2 KiB each, of which the one that was asked for longest ago goes;
//! and so many bytes of roles, each of which is kept once, whoever shares it. A portrait whose role has no
//! room is not taken, and the one before it stays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use lanyard_drift::{Block, Compact, Others};
use lanyard_token::NodeId;
use ring::digest::{SHA256, digest};

/// Portraits at most: as many as a busy gateway has identities in some minutes, 20 MiB.
const MOST: usize = 8_192;
/// Bytes of roles at most: hundreds of roles of dozens of members.
const MOST_ROLE_BYTES: usize = 64 * 1_024 * 1_024;

/// What a written form is called: SHA-256 over it, hexadecimal, lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name(Box<str>);

impl Name {
    /// A name, if it has the form of one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes();
        let sound = digits.len() == 64
            && digits
                .into_iter()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        sound.then(|| Self(text.into()))
    }

    /// What this is called.
    pub(super) fn of(written: &[u8]) -> Self {
        let hash = digest(&SHA256, written);
        let digits = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
        Self(digits.collect::<String>().into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// An identity as the fast detector knows it.
pub(super) struct Portrait {
    pub(super) baseline: Compact,
    /// `None` for an identity without peers.
    pub(super) others: Option<Arc<Others>>,
    /// Whether the broker lets statistics act.
    pub(super) enforced: bool,
}

impl Portrait {
    /// What a block of calls counts, in nats.
    pub(super) fn weigh(&self, block: &Block) -> f64 {
        self.baseline.weigh(block, self.others.as_deref())
    }
}

/// All portraits that are kept.
#[derive(Default)]
pub(super) struct Portraits(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    of: HashMap<NodeId, Named>,
    roles: HashMap<Name, Weak<Others>>,
    /// Counts the takings.
    turn: u64,
}

struct Named {
    baseline: Name,
    role: Option<Name>,
    portrait: Arc<Portrait>,
    turn: u64,
}

impl Portraits {
    /// The portrait of an identity.
    pub(super) fn of(&self, identity: NodeId) -> Option<Arc<Portrait>> {
        Some(Arc::clone(&self.kept().of.get(&identity)?.portrait))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.kept().of.len()
    }

    /// Whether this very portrait is kept.
    pub(super) fn has(
        &self,
        identity: NodeId,
        (baseline, role, enforced): (&Name, Option<&Name>, bool),
    ) -> bool {
        self.kept().of.get(&identity).is_some_and(|kept| {
            kept.baseline == *baseline
                && kept.role.as_ref() == role
                && kept.portrait.enforced == enforced
        })
    }

    /// A role that another portrait has.
    pub(super) fn role(&self, name: &Name) -> Option<Arc<Others>> {
        self.kept().roles.get(name)?.upgrade()
    }

    /// Keeps a portrait in place of the one before; `false` when its role has no room.
    pub(super) fn keep(
        &self,
        identity: NodeId,
        (baseline, role): (Name, Option<Name>),
        portrait: Portrait,
    ) -> bool {
        let mut kept = self.kept();
        let kept = &mut *kept;
        kept.roles.retain(|_, role| role.strong_count() > 0);
        if let (Some(name), Some(others)) = (&role, &portrait.others)
            && !kept.roles.contains_key(name)
        {
            let roles = kept.roles.values().filter_map(Weak::upgrade);
            let taken: usize = roles.map(|role| role.bytes()).sum();
            if taken.saturating_add(others.bytes()) > MOST_ROLE_BYTES {
                return false;
            }
            kept.roles.insert(name.clone(), Arc::downgrade(others));
        }
        if kept.of.len() >= MOST && !kept.of.contains_key(&identity) {
            let oldest = kept.of.iter().min_by_key(|(_, kept)| kept.turn);
            if let Some(oldest) = oldest.map(|(identity, _)| *identity) {
                kept.of.remove(&oldest);
            }
        }
        kept.turn += 1;
        let named = Named {
            baseline,
            role,
            portrait: Arc::new(portrait),
            turn: kept.turn,
        };
        kept.of.insert(identity, named);
        true
    }

    /// The broker knows too little of this identity, or nothing any more.
    pub(super) fn forget(&self, identity: NodeId) {
        self.kept().of.remove(&identity);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change is an insert or a remove: a panic elsewhere leaves the tables whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use lanyard_drift::{Baseline, Bounds, Event, Millis, OperationId, Role, Thresholds, Tracker};

    use super::*;

    fn baseline() -> Baseline {
        let thresholds = Thresholds::default();
        let mut tracker = Tracker::new(Millis(0), Bounds::cold(&thresholds));
        for n in 0..1_000 {
            let _ = tracker.observe(&Event::of(OperationId::of("GET /a")), Millis(n));
        }
        let mut baseline = Baseline::empty();
        let _ = baseline.absorb_cleared(&tracker.report().unwrap());
        baseline
    }

    fn name(n: u64) -> Name {
        Name::parse(&format!("{n:064x}")).unwrap()
    }

    fn portrait(baseline: &Baseline, others: &Arc<Others>) -> Portrait {
        Portrait {
            baseline: baseline.compact(&Thresholds::default()).unwrap(),
            others: Some(Arc::clone(others)),
            enforced: true,
        }
    }

    #[test]
    fn a_role_is_kept_once_and_goes_with_its_last_member() {
        let baseline = baseline();
        let others = Arc::new(Role::of([&baseline]).unwrap().others().clone());
        let portraits = Portraits::default();
        for n in 0..3 {
            let identity = NodeId::from_u64(n);
            let names = (name(n), Some(name(9)));
            assert!(portraits.keep(identity, names, portrait(&baseline, &others)));
        }
        let names = (&name(1), Some(&name(9)), true);
        assert!(portraits.has(NodeId::from_u64(1), names));
        drop(others);
        assert_eq!(portraits.role(&name(9)).map(|role| role.members()), Some(1));
        for n in 0..3 {
            portraits.forget(NodeId::from_u64(n));
        }
        assert!(portraits.role(&name(9)).is_none());
    }

    #[test]
    fn there_are_never_more_than_fit_and_the_oldest_goes() {
        let baseline = baseline();
        let others = Arc::new(Role::of([&baseline]).unwrap().others().clone());
        let portraits = Portraits::default();
        for n in 0..MOST as u64 + 2 {
            let names = (name(n), Some(name(9)));
            portraits.keep(NodeId::from_u64(n), names, portrait(&baseline, &others));
        }
        let there = |n| portraits.of(NodeId::from_u64(n)).is_some();
        assert_eq!(
            [0, 1, 2, MOST as u64 + 1].map(there),
            [false, false, true, true]
        );
        assert_eq!(portraits.kept().of.len(), MOST);
    }

    #[test]
    fn only_what_has_the_form_of_a_name_is_one() {
        for bad in ["", "..", &"A".repeat(64), &"a".repeat(63), &"/".repeat(64)] {
            assert!(Name::parse(bad).is_none(), "{bad}");
        }
    }
}
