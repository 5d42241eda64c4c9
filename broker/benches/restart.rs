//! How long a broker takes from its start to its first answer: `cargo bench -p lanyard --bench restart [-- TOKENS]`.
//!
//! Writes a log with that many living tokens (10^6 when none is named), ends as a broker ends, and opens it again: from
//! the saved index, and once more without one. Prints a table and asserts nothing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measurement may stop where a broker must not"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use lanyard::clock::{Clock, SystemClock};
use lanyard::crypto::SealingRoot;
use lanyard::issue::IssueState;
use lanyard::revoke::RevokeState;
use lanyard::store::event::{By, Grant, Identity, IssuedToken, Kind, TokenDigest};
use lanyard::store::log::{Log, LogConfig, OpenReport};
use lanyard::store::{Event, MAX_EVENTS, Store};
use lanyard::watch::state::WatchState;
use lanyard_token::{Claims, KeyId, Lineage, NodeId};

const DOMAIN: &str = "https://login.example";
const IDENTITIES: u64 = 1_000;

fn main() {
    let tokens = std::env::args().find_map(|word| word.parse().ok());
    let tokens: u64 = tokens.unwrap_or(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), tokens);
    println!("{:<28} {:>10} {:>10} {:>8}", "", "rows", "records", "ms");
    tell("from the index", &timed(folder.path()));
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    tell("without an index", &timed(folder.path()));
}

fn tell(name: &str, (report, millis): &(OpenReport, u128)) {
    println!(
        "{name:<28} {:>10} {:>10} {millis:>8}",
        report.rows_loaded, report.records_replayed
    );
}

fn timed(folder: &Path) -> (OpenReport, u128) {
    let began = Instant::now();
    let (log, report) = open(folder);
    let took = began.elapsed().as_millis();
    log.close();
    (report, took)
}

fn open(folder: &Path) -> (Arc<Log>, OpenReport) {
    let root = Arc::new(SealingRoot::from_bytes(&[1; 32]));
    let config = LogConfig::new(folder, DOMAIN);
    let projections: lanyard::store::Projections = vec![
        Arc::new(IssueState::new()),
        Arc::new(RevokeState::new(root.clone())),
        Arc::new(WatchState::default()),
    ];
    Log::open(config, root, Arc::new(SystemClock), projections).unwrap()
}

/// An owner, identities, and tokens that live for an hour yet.
fn write(folder: &Path, tokens: u64) {
    let (log, _) = open(folder);
    let owner = log.nodes().next();
    let created = Event::OwnerCreated {
        owner,
        name: "payments".to_owned(),
        contact: None,
        by: By::Broker,
    };
    log.append(vec![created]).wait().unwrap();
    let identities: Vec<NodeId> = (0..IDENTITIES).map(|_| log.nodes().next()).collect();
    let made = identities
        .iter()
        .enumerate()
        .map(|(number, identity)| Event::IdentityCreated {
            identity: *identity,
            grant: Box::new(grant(owner, number)),
            by: By::Broker,
        });
    log.append(made.collect()).wait().unwrap();
    let mut left = tokens;
    while left > 0 {
        let count = left.min(MAX_EVENTS as u64);
        let issued = (0..count).map(|number| {
            let identity = identities[(number % IDENTITIES) as usize];
            token(&log, owner, identity)
        });
        log.append(issued.collect()).wait().unwrap();
        left -= count;
    }
    log.close();
}

fn grant(owner: NodeId, number: usize) -> Identity {
    Identity {
        name: format!("service-{number}"),
        owner,
        kind: Kind::Service,
        tags: Vec::new(),
        audiences: vec!["https://api.example".parse().unwrap()],
        scopes: "orders:read".parse().unwrap(),
        max_lifetime: 3_600,
        sole_witness: false,
    }
}

fn token(log: &Log, owner: NodeId, identity: NodeId) -> Event {
    let jti = log.nodes().next();
    let now = SystemClock.now().seconds();
    let claims = Claims {
        iss: DOMAIN.to_owned(),
        sub: identity.to_string(),
        client_id: identity.to_string(),
        aud: "https://api.example".parse().unwrap(),
        exp: now + 3_600,
        iat: now,
        nbf: None,
        jti,
        scope: "orders:read".parse().unwrap(),
        rev: log.head(),
        lin: Lineage::of_credential(owner, identity, identity),
        act: None,
        cnf: None,
        authorization_details: None,
        bsl: None,
    };
    Event::TokenIssued(Box::new(IssuedToken {
        claims,
        key: KEY.parse::<KeyId>().unwrap(),
        digest: TokenDigest(jti.as_u64().to_be_bytes()),
        grant: Grant::ClientCredentials,
        decided: None,
    }))
}

/// Any: nothing here is signed.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
