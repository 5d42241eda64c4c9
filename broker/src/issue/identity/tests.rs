use std::collections::BTreeMap;
use std::sync::Arc;

use lanyard_token::{Lineage, NodeId, Rejection, Rev};

use super::*;
use crate::clock::{ManualClock, UnixMillis};
use crate::store::event::{
    ApprovalRequest, By, Cause, Grant, Identity, IssuedToken, KeyHash, Kind, TokenDigest,
};
use crate::store::memory::MemoryStore;
use crate::store::{Event, Projection, Record, Store};

const NOW: UnixMillis = UnixMillis(1_000_000);

fn node(number: u64) -> NodeId {
    NodeId::from_u64(number)
}

fn world() -> (Arc<IssueState>, MemoryStore) {
    let state = Arc::new(IssueState::new());
    let store = MemoryStore::new(Arc::new(ManualClock::at(NOW)), vec![state.clone()]);
    let grant = Identity {
        name: "billing".to_owned(),
        owner: node(1),
        kind: Kind::Service,
        tags: Vec::new(),
        audiences: vec!["https://a.example".parse().unwrap()],
        scopes: "read".parse().unwrap(),
        max_lifetime: 3_600,
        sole_witness: false,
    };
    append(
        &store,
        Event::OwnerCreated {
            owner: node(1),
            name: "team".to_owned(),
            contact: None,
            by: By::Broker,
        },
    );
    append(
        &store,
        Event::IdentityCreated {
            identity: node(2),
            grant: Box::new(grant),
            by: By::Broker,
        },
    );
    append(
        &store,
        Event::KeyIssued {
            credential: node(3),
            identity: node(2),
            label: None,
            hash: KeyHash([7; 32]),
            expires_at: Some(UnixMillis(2_000_000)),
            by: By::Broker,
        },
    );
    (state, store)
}

fn append(store: &MemoryStore, event: Event) -> Rev {
    store.append(vec![event]).wait().unwrap()
}

fn token(jti: u64, rev: Rev) -> IssuedToken {
    let claims = lanyard_token::Claims {
        iss: "https://broker.example".to_owned(),
        sub: node(2).to_string(),
        client_id: node(2).to_string(),
        aud: "https://a.example".parse().unwrap(),
        exp: 1_300,
        iat: 1_000,
        nbf: None,
        jti: node(jti),
        scope: "read".parse().unwrap(),
        rev,
        lin: Lineage::of_credential(node(1), node(2), node(3)),
        act: None,
        cnf: None,
        authorization_details: None,
        bsl: None,
    };
    let key = "A".repeat(43).parse().unwrap();
    IssuedToken {
        claims,
        key,
        digest: TokenDigest([1; 8]),
        grant: Grant::ClientCredentials,
        decided: None,
    }
}

fn revoked(node: NodeId) -> Event {
    Event::Revoked {
        node,
        cause: Cause::Requested,
        by: By::Broker,
    }
}

#[test]
fn disabling_an_owner_ends_everything_below_and_enabling_does_not_bring_tokens_back() {
    let (state, store) = world();
    let issued = token(9, store.head());
    append(&store, Event::TokenIssued(Box::new(issued.clone())));
    let alive =
        |token: &IssuedToken| state.read(|book| book.check_alive(&token.claims, token.digest, NOW));
    assert_eq!(alive(&issued), Ok(()));
    append(&store, revoked(node(1)));
    assert_eq!(alive(&issued), Err(Rejection::Revoked));
    assert_eq!(
        state.read(|book| book.lineage_of(node(3), NOW)),
        Err(Unusable::Disabled)
    );
    append(
        &store,
        Event::Enabled {
            node: node(1),
            by: By::Broker,
            reason: None,
        },
    );
    assert!(state.read(|book| book.lineage_of(node(3), NOW)).is_ok());
    assert_eq!(alive(&issued), Err(Rejection::Revoked));
    let fresh = token(10, store.head());
    append(&store, Event::TokenIssued(Box::new(fresh.clone())));
    assert_eq!(alive(&fresh), Ok(()));
}

fn changed() -> Event {
    Event::Revoked {
        node: node(2),
        cause: Cause::Changed,
        by: By::Broker,
    }
}

#[test]
fn an_end_by_a_change_disables_nothing_and_leaves_disabled_what_is() {
    let (state, store) = world();
    let issued = token(9, store.head());
    append(&store, Event::TokenIssued(Box::new(issued.clone())));
    append(&store, changed());
    let usable = || state.read(|book| book.lineage_of(node(3), NOW)).map(drop);
    assert_eq!(usable(), Ok(()));
    assert_eq!(
        state.read(|book| book.check_alive(&issued.claims, issued.digest, NOW)),
        Err(Rejection::Revoked)
    );
    append(&store, revoked(node(2)));
    append(&store, changed());
    assert_eq!(usable(), Err(Unusable::Disabled));
}

#[test]
fn a_record_of_before_that_ends_and_enables_means_what_one_that_only_ends_means() {
    let after = |events: Vec<Event>| {
        let (state, store) = world();
        let record = Record {
            rev: store.head().forward(9).unwrap(),
            at: NOW.plus_millis(5_000),
            events,
        };
        state.apply(&record);
        let seen = state.read(|book| format!("{:?}", book.identity(node(2))));
        let alone = state.read(|book| book.identity(node(2)).unwrap().usage.enabled);
        (
            seen,
            alone,
            state.read(|book| book.liveness.watermark(node(2))),
        )
    };
    let transferred = || Event::IdentityTransferred {
        identity: node(2),
        owner: node(7),
        by: By::Broker,
        reason: None,
    };
    let enabled = Event::Enabled {
        node: node(2),
        by: By::Broker,
        reason: None,
    };
    let before = after(vec![changed(), transferred(), enabled]);
    assert_eq!(before.1, NOW.plus_millis(5_000), "its days begin anew");
    assert_eq!(after(vec![changed(), transferred()]), before);
}

#[test]
fn a_token_that_is_not_in_the_log_or_says_something_else_is_not_ours() {
    let (state, store) = world();
    let issued = token(9, store.head());
    let alive = |digest| state.read(|book| book.check_alive(&issued.claims, digest, NOW));
    assert_eq!(alive(issued.digest), Err(Rejection::Revoked));
    append(&store, Event::TokenIssued(Box::new(issued.clone())));
    assert_eq!(alive(issued.digest), Ok(()));
    assert_eq!(alive(TokenDigest([2; 8])), Err(Rejection::Revoked));
}

#[test]
fn a_suspension_ends_at_its_time_or_when_it_is_resumed() {
    let (state, store) = world();
    let until = NOW.plus_millis(5_000);
    append(
        &store,
        Event::Suspended {
            node: node(2),
            until,
            cause: Cause::Requested,
            by: By::Broker,
        },
    );
    assert_eq!(
        state.read(|book| book.lineage_of(node(3), NOW)),
        Err(Unusable::Suspended)
    );
    assert!(state.read(|book| book.lineage_of(node(3), until)).is_ok());
    append(
        &store,
        Event::Resumed {
            node: node(2),
            until: None,
            by: By::Broker,
        },
    );
    assert!(state.read(|book| book.lineage_of(node(3), NOW)).is_ok());
}

#[test]
fn a_key_stops_at_its_end_and_is_found_by_its_whole_hash() {
    let (state, _store) = world();
    let end = UnixMillis(2_000_000);
    assert_eq!(
        state.read(|book| book.lineage_of(node(3), end)),
        Err(Unusable::Expired)
    );
    let find = |hash| {
        state.read(|book| {
            book.credential_by_hash(&KeyHash(hash))
                .map(|(node, _)| node)
        })
    };
    assert_eq!(find([7; 32]), Some(node(3)));
    let mut near = [7; 32];
    near[31] = 8;
    assert_eq!(
        find(near),
        None,
        "the same index with another hash is another key"
    );
}

#[test]
fn the_floor_forgets_what_no_living_token_needs() {
    let (state, store) = world();
    append(&store, Event::TokenIssued(Box::new(token(9, store.head()))));
    append(&store, revoked(node(9)));
    let floor = append(&store, revoked(node(77)));
    assert_eq!(state.read(Book::live_tokens), 1);
    append(&store, Event::FloorRaised { floor });
    assert_eq!(state.read(Book::live_tokens), 0);
    assert_eq!(state.read(|book| book.liveness.watermarks().count()), 0);
}

#[test]
fn saved_rows_give_the_same_state() {
    let (state, store) = world();
    let mut index = BTreeMap::new();
    let mut save = |state: &IssueState| {
        for row in state.changed_rows() {
            match row.value {
                Some(value) => index.insert(row.key, value),
                None => index.remove(&row.key),
            };
        }
    };
    append(&store, Event::TokenIssued(Box::new(token(9, store.head()))));
    save(&state);
    append(&store, revoked(node(3)));
    let until = UnixMillis(9_000_000);
    append(
        &store,
        Event::Suspended {
            node: node(2),
            until,
            cause: Cause::Requested,
            by: By::Broker,
        },
    );
    append(
        &store,
        Event::FloorRaised {
            floor: Rev::new(1, 3).unwrap(),
        },
    );
    save(&state);
    assert!(state.changed_rows().is_empty());

    let loaded = IssueState::new();
    for (key, value) in &index {
        loaded.load_row(key, value).unwrap();
    }
    assert_eq!(state.read(as_text), loaded.read(as_text));
    assert!(loaded.changed_rows().is_empty());
    assert_eq!(IssueState::new().load_row(b"x", b"{}"), Err(DamagedRow));
    assert_eq!(IssueState::new().load_row(b"h", b"{"), Err(DamagedRow));
}

fn asked() -> Event {
    let request = ApprovalRequest {
        identity: node(2),
        audience: "https://a.example".parse().unwrap(),
        scopes: "read".parse().unwrap(),
        lifetime: 600,
        task: None,
        reason: "refund 4711".to_owned(),
        until: UnixMillis(2_000_000),
    };
    Event::ApprovalRequested {
        approval: node(5),
        request: Box::new(request),
        shown: "this".to_owned(),
        by: By::Broker,
        credential: None,
    }
}

#[test]
fn an_approval_is_found_by_its_identity_from_the_log_and_from_saved_rows() {
    let (state, store) = world();
    append(&store, asked());
    let loaded = IssueState::new();
    for row in state.changed_rows() {
        loaded.load_row(&row.key, &row.value.unwrap()).unwrap();
    }
    for state in [&*state, &loaded] {
        let count = |of| state.read(|book| book.approvals_of(of).count());
        assert_eq!((count(node(2)), count(node(3))), (1, 0));
    }
}

#[test]
fn a_yes_ends_with_everything_its_token_stands_on_also_when_it_was_read_from_saved_rows() {
    // The owner, identity and key of whose token it is, the token, and whoever acts with it.
    for end in [1, 2, 3, 9, 20, 21] {
        let (state, store) = world();
        append(
            &store,
            Event::OwnerCreated {
                owner: node(21),
                name: "others".to_owned(),
                contact: None,
                by: By::Broker,
            },
        );
        let grant = Identity {
            name: "second".to_owned(),
            owner: node(21),
            ..state.read(|book| book.identity(node(2)).unwrap().grant.clone())
        };
        append(
            &store,
            Event::IdentityCreated {
                identity: node(20),
                grant: Box::new(grant),
                by: By::Broker,
            },
        );
        let issued = token(9, store.head());
        append(&store, Event::TokenIssued(Box::new(issued)));
        append(&store, asked());
        let by = By::Administrator {
            identity: node(20),
            token: node(9),
        };
        let given = Event::ApprovalGiven {
            approval: node(5),
            hash: crate::store::event::ContentHash([0; 32]),
            by,
        };
        append(&store, given);
        let loaded = IssueState::new();
        for row in state.changed_rows() {
            loaded.load_row(&row.key, &row.value.unwrap()).unwrap();
        }
        let ended = |state: &IssueState| {
            let look = |book: &Book| book.approval(node(5)).map(|asked| asked.given[0].ended);
            state.read(look)
        };
        assert_eq!((ended(&state), ended(&loaded)), (Some(false), Some(false)));
        let before = store.head();
        append(
            &store,
            Event::Revoked {
                node: node(end),
                cause: Cause::Unused,
                by: By::Broker,
            },
        );
        let records = store.read(before, 10).unwrap();
        loaded.apply(records.last().unwrap());
        assert_eq!(
            (ended(&state), ended(&loaded)),
            (Some(true), Some(true)),
            "{end}"
        );
    }
}

/// Everything in a book as text, in order.
fn as_text(book: &Book) -> String {
    fn sorted<T: std::fmt::Debug>(items: impl Iterator<Item = T>) -> Vec<String> {
        let mut lines: Vec<String> = items.map(|item| format!("{item:?}")).collect();
        lines.sort();
        lines
    }
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        book.rev,
        sorted(book.owners.iter()),
        sorted(book.identities.iter()),
        sorted(book.credentials.iter()),
        sorted(book.by_hash.iter()),
        sorted(book.tokens.iter()),
        sorted(book.liveness.watermarks()),
        book.liveness.floor(),
        sorted(book.suspended.iter()),
    )
}

#[test]
fn a_verdict_never_shortens_what_an_administrator_suspended() {
    let (state, store) = world();
    let suspend = |until: u64, cause: Cause| {
        append(
            &store,
            Event::Suspended {
                node: node(2),
                until: NOW.plus_millis(until),
                cause,
                by: By::Broker,
            },
        );
    };
    let usable =
        |after: u64| state.read(|book| book.lineage_of(node(3), NOW.plus_millis(after)).is_ok());
    let administrator = || Cause::Administrator("for a day".to_owned());
    suspend(80_000, administrator());
    suspend(5_000, Cause::Drift(node(50)));
    assert!(!usable(79_999) && usable(80_000));
    suspend(90_000, Cause::Drift(node(50)));
    assert!(!usable(89_999), "it may lengthen it");
    suspend(1_000, administrator());
    assert!(usable(1_000), "a person decides again");
}

#[test]
fn who_ends_a_pause_of_their_own_does_not_end_a_longer_one() {
    let (state, store) = world();
    let resume = |until: Option<u64>| {
        append(
            &store,
            Event::Resumed {
                node: node(2),
                until: until.map(|until| NOW.plus_millis(until)),
                by: By::Broker,
            },
        );
    };
    append(
        &store,
        Event::Suspended {
            node: node(2),
            until: NOW.plus_millis(80_000),
            cause: Cause::Administrator("for a day".to_owned()),
            by: By::Broker,
        },
    );
    let usable = || state.read(|book| book.lineage_of(node(3), NOW).is_ok());
    resume(Some(79_999));
    assert!(!usable());
    resume(Some(80_000));
    assert!(usable());
}
