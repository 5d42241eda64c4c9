use std::sync::Arc;

use lanyard_drift::ladder::{Place, SubjectId};
use lanyard_token::{Claims, Lineage};

use super::*;
use crate::clock::ManualClock;
use crate::store::event::{By, Grant, IssuedToken};
use crate::store::memory::MemoryStore;
use crate::store::{Store, StoreError};

const START: UnixMillis = UnixMillis(1_700_000_000_000);

fn node(n: u64) -> NodeId {
    NodeId::from_u64(n)
}

struct World {
    clock: Arc<ManualClock>,
    state: Arc<WatchState>,
    store: MemoryStore,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let state = Arc::new(WatchState::new());
        let store = MemoryStore::new(clock.clone(), vec![state.clone()]);
        Self {
            clock,
            state,
            store,
        }
    }

    fn append(&self, events: Vec<Event>) -> Result<Rev, StoreError> {
        self.store.append(events).wait()
    }

    fn issue(&self, token: u64, digest: u8) {
        let lineage = Lineage::of_credential(node(1), node(2), node(3));
        let claims = Claims {
            iss: "https://broker.example".to_owned(),
            sub: node(2).to_string(),
            client_id: node(2).to_string(),
            aud: "https://orders.example".parse().unwrap(),
            exp: self.clock_seconds() + 300,
            iat: self.clock_seconds(),
            nbf: None,
            jti: node(token),
            scope: "orders:read".parse().unwrap(),
            rev: self.store.head(),
            lin: lineage,
            act: None,
            cnf: None,
            authorization_details: None,
            bsl: None,
        };
        let token = IssuedToken {
            claims,
            key: "A".repeat(43).parse().unwrap(),
            digest: TokenDigest([digest; 8]),
            grant: Grant::ClientCredentials,
            decided: None,
        };
        self.append(vec![Event::TokenIssued(Box::new(token))])
            .unwrap();
    }

    fn clock_seconds(&self) -> u64 {
        use crate::clock::Clock;
        self.clock.now().seconds()
    }

    /// Time passes; something else is written.
    fn later(&self, millis: u64) {
        self.clock.advance_millis(millis);
        let booted = Event::Booted {
            boot: 1,
            version: String::new(),
        };
        self.append(vec![booted]).unwrap();
    }

    /// Another state, from the rows of this one.
    fn reloaded(&self) -> WatchState {
        let copy = WatchState::new();
        for row in self.state.changed_rows() {
            if let Some(value) = row.value {
                copy.load_row(&row.key, &value).unwrap();
            }
        }
        copy
    }
}

#[test]
fn a_token_is_known_in_full_then_by_digest_then_not_at_all() {
    let world = World::new();
    world.issue(10, 7);
    let known = |state: &WatchState| state.token(node(10), TokenDigest([7; 8]));
    assert!(matches!(known(&world.state), Lookup::Issued(_)));
    world.later(300_000);
    assert!(
        matches!(known(&world.state), Lookup::Issued(_)),
        "its last report may be on the way"
    );
    world.later(120_000);
    assert_eq!(known(&world.state), Lookup::Expired);
    assert_eq!(known(&world.reloaded()), Lookup::Expired);
    assert_eq!(
        world.state.token(node(10), TokenDigest([8; 8])),
        Lookup::OtherDigest(None)
    );
    world.later(3_600_000);
    assert_eq!(known(&world.state), Lookup::Unknown);
}

#[test]
fn another_digest_under_a_living_number_is_told_apart() {
    let world = World::new();
    world.issue(10, 7);
    let lookup = world.state.token(node(10), TokenDigest([8; 8]));
    assert!(
        matches!(lookup, Lookup::OtherDigest(Some(genuine)) if genuine.digest == TokenDigest([7; 8]))
    );
}

#[test]
fn a_token_dies_with_anything_above_it_and_later_ones_live() {
    let world = World::new();
    world.issue(10, 7);
    assert!(world.state.is_alive(node(10)));
    let revoked = Event::Revoked {
        node: node(3),
        cause: Cause::Requested,
        by: By::Broker,
    };
    world.append(vec![revoked]).unwrap();
    assert!(!world.state.is_alive(node(10)));
    world.issue(11, 7);
    assert!(world.state.is_alive(node(11)));
    let copy = world.reloaded();
    assert!(!copy.is_alive(node(10)) && copy.is_alive(node(11)));
    world
        .append(vec![Event::FloorRaised {
            floor: world.store.head(),
        }])
        .unwrap();
    assert_eq!(
        world.state.read().issued.watermark(node(3)),
        None,
        "below the floor it is forgotten"
    );
}

#[test]
fn a_damaged_row_is_refused() {
    let state = WatchState::new();
    for (key, value) in [
        (&b""[..], &b"{}"[..]),
        (b"z00000000", b"{}"),
        (b"i00000000", b"{}"),
        (b"t0", b"{}"),
    ] {
        assert_eq!(state.load_row(key, value), Err(DamagedRow), "{key:?}");
    }
}

#[test]
fn recycling_is_remembered_for_the_credential() {
    let world = World::new();
    world.issue(10, 7);
    let cause = Cause::Recycled(node(99));
    world
        .append(vec![Event::Revoked {
            node: node(10),
            cause,
            by: By::Verdict(node(99)),
        }])
        .unwrap();
    for history in [
        world.state.history(node(2)),
        world.reloaded().history(node(2)),
    ] {
        assert_eq!(history.recycled.len(), 1);
        assert_eq!(history.recycled[0].credential, SubjectId(3));
        assert_eq!(history.recycled[0].rev, Place(world.store.head().as_u64()));
    }
}
