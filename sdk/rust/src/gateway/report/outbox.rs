//! Reports on their way out: merged per token, bounded, and sealed into numbered parcels.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use lanyard_drift::{HardRule, OperationId, TokenReport};
use lanyard_token::NodeId;
use serde::Serialize;

use super::super::cut_off::Suspension;
use super::super::grant::Grant;
use super::super::shadow::ShadowRoute;
use super::Reported;

/// Tokens that wait at most; beyond, the oldest goes and is counted.
const MAX_WAITING: usize = 4_096;
/// Shadow routes that wait at most.
const MAX_SHADOW_ROUTES: usize = 256;
/// Shadow routes in one parcel.
const SHADOW_ROUTES_PER_PARCEL: usize = 64;
/// Bytes of a parcel's entries. The broker takes 256 KiB.
const PARCEL_BYTES: usize = 192 * 1024;
/// Bytes of the names of operations in a parcel; operations beyond go without a name.
const NAMES_BYTES: usize = 32 * 1024;
/// Names of operations in a parcel. The broker takes 1,024.
const NAMES: usize = 1_024;
/// Tokens shown in one parcel. The broker takes no more, and asks for no more at once.
const SHOWN_PER_PARCEL: usize = 16;
/// Tokens that wait to be shown at most; beyond, the broker asks again when they are used again.
const MAX_SHOWN: usize = 64;
/// Entries of a parcel.
const PARCEL_ENTRIES: usize = 256;

/// What operations are called.
pub(super) type Names = HashMap<OperationId, Box<str>>;

#[derive(Default)]
pub(super) struct Outbox {
    names: Arc<Names>,
    waiting: VecDeque<(Reported, TokenReport)>,
    shadow_routes: VecDeque<ShadowRoute>,
    /// Whoever holds one can use it: never printed, and gone once it was sent.
    shown: Vec<Box<str>>,
    /// Tokens that are suspended here, of which what waits tells.
    suspected: Vec<NodeId>,
    sealed: Option<Parcel>,
    lost: u64,
}

/// A numbered body, sent unchanged until it is answered.
pub(super) struct Parcel {
    pub(super) body: Bytes,
    pub(super) entries: u64,
    /// Tokens that are suspended here, and that it says so of.
    pub(super) suspected: Vec<NodeId>,
}

impl Outbox {
    pub(super) fn new(names: Arc<Names>) -> Self {
        Self {
            names,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, grant: &Arc<Grant>, report: TokenReport) {
        let key = Reported {
            token: grant.claims.jti,
            identity: grant.claims.lin.identity(),
            digest: grant.digest,
        };
        self.put(key, report);
    }

    /// Tells of a token that is suspended here.
    pub(super) fn suspect(&mut self, suspension: &Suspension, report: TokenReport) {
        let key = Reported {
            token: suspension.token,
            identity: suspension.identity,
            digest: suspension.digest,
        };
        self.suspected.push(key.token);
        self.put(key, report);
    }

    pub(super) fn add_shadow_routes(&mut self, routes: Vec<ShadowRoute>) {
        self.shadow_routes.extend(routes);
        while self.shadow_routes.len() > MAX_SHADOW_ROUTES {
            self.shadow_routes.pop_front();
        }
    }

    /// The broker wants to see this token.
    pub(super) fn show(&mut self, token: Box<str>) {
        if self.shown.len() < MAX_SHOWN && !self.shown.contains(&token) {
            self.shown.push(token);
        }
    }

    pub(super) fn lose(&mut self, reports: u64) {
        self.lost = self.lost.saturating_add(reports);
    }

    /// How many were lost since the last time.
    pub(super) const fn take_lost(&mut self) -> u64 {
        std::mem::replace(&mut self.lost, 0)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) const fn sealed(&self) -> Option<&Parcel> {
        self.sealed.as_ref()
    }

    /// The sealed parcel was answered.
    pub(super) fn done(&mut self) {
        self.sealed = None;
    }

    /// Seals the next parcel under this number; `false` when nothing waits.
    pub(super) fn seal(&mut self, epoch: u64, seq: u64) -> bool {
        if self.waiting.is_empty() && self.shadow_routes.is_empty() && self.shown.is_empty() {
            return false;
        }
        let mut entries = Vec::new();
        let mut tokens = Vec::new();
        let mut operations = BTreeSet::new();
        let mut size = 0;
        while let Some((key, report)) = self.waiting.pop_front() {
            let entry = Entry {
                token: key.token,
                identity: key.identity,
                digest: hex(key.digest),
                report: &report,
            };
            let Ok(entry) = serde_json::value::to_raw_value(&entry) else {
                self.lose(1);
                continue;
            };
            if !entries.is_empty() && size + entry.get().len() > PARCEL_BYTES {
                self.waiting.push_front((key, report));
                break;
            }
            size += entry.get().len();
            entries.push(entry);
            tokens.push(key.token);
            let rule = report.hard_rule().and_then(HardRule::operation);
            operations.extend(report.operations().map(|(operation, _)| operation));
            operations.extend(rule);
            if entries.len() >= PARCEL_ENTRIES {
                break;
            }
        }
        let shadow = self.shadow_routes.len().min(SHADOW_ROUTES_PER_PARCEL);
        let shadow_routes: Vec<_> = self.shadow_routes.drain(..shadow).collect();
        let shown = self.shown.len().min(SHOWN_PER_PARCEL);
        let shown = self.shown.drain(..shown).collect();
        let count = entries.len() as u64;
        let names = Arc::clone(&self.names);
        let operations = names_of(&operations, &names);
        match serde_json::to_vec(&Body {
            epoch,
            seq,
            entries,
            operations,
            shadow_routes,
            shown,
        }) {
            Ok(body) => {
                let told = |token: &mut NodeId| tokens.contains(token);
                self.sealed = Some(Parcel {
                    body: body.into(),
                    entries: count,
                    suspected: self.suspected.extract_if(.., told).collect(),
                })
            }
            Err(_) => self.lose(count),
        }
        true
    }

    fn put(&mut self, key: Reported, report: TokenReport) {
        if let Some((_, waiting)) = self.waiting.iter_mut().find(|(own, _)| *own == key) {
            waiting.merge(&report);
            return;
        }
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
            self.lose(1);
        }
        self.waiting.push_back((key, report));
    }
}

/// Every parcel names what it speaks of, so that it is understood by itself: by a broker that has
/// just started, and by whichever of many it reaches.
fn names_of<'n>(operations: &BTreeSet<OperationId>, names: &'n Names) -> Vec<&'n str> {
    let mut left = NAMES_BYTES;
    operations
        .iter()
        .filter_map(|operation| names.get(operation).map(|name| &**name))
        .take_while(|name| match left.checked_sub(name.len()) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .take(NAMES)
        .collect()
}

#[derive(Serialize)]
struct Body<'n> {
    epoch: u64,
    seq: u64,
    entries: Vec<Box<serde_json::value::RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    operations: Vec<&'n str>,
    shadow_routes: Vec<ShadowRoute>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shown: Vec<Box<str>>,
}

#[derive(Serialize)]
struct Entry<'r> {
    token: NodeId,
    identity: NodeId,
    digest: String,
    report: &'r TokenReport,
}

pub(in crate::gateway) fn hex(bytes: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use lanyard_drift::{Bounds, Event, Millis, OperationId, Thresholds, Tracker};

    use super::*;

    fn key(token: u64) -> Reported {
        Reported {
            token: NodeId::from_u64(token),
            identity: NodeId::from_u64(1),
            digest: [7; 8],
        }
    }

    fn report(calls: u64) -> TokenReport {
        let mut tracker = Tracker::new(Millis(0), Bounds::cold(&Thresholds::default()));
        for call in 0..calls {
            tracker.observe(&Event::of(OperationId::of("GET /a")), Millis(call));
        }
        tracker.report().unwrap()
    }

    #[test]
    fn reports_of_one_token_become_one() {
        let mut outbox = Outbox::default();
        outbox.put(key(1), report(2));
        outbox.put(key(2), report(1));
        outbox.put(key(1), report(3));
        assert_eq!(outbox.len(), 2);
        assert_eq!(outbox.waiting[0].1.calls(), 5);
    }

    #[test]
    fn what_has_to_go_is_counted() {
        let mut outbox = Outbox::default();
        let one = report(1);
        for token in 0..MAX_WAITING as u64 + 10 {
            outbox.put(key(token), one.clone());
        }
        assert_eq!(outbox.len(), MAX_WAITING);
        assert_eq!(outbox.take_lost(), 10);
        assert_eq!(outbox.take_lost(), 0);
        assert_eq!(outbox.waiting[0].0, key(10));
    }

    #[test]
    fn a_parcel_names_the_operations_it_speaks_of_and_no_others() {
        let names = ["GET /a", "GET /b"].map(|name| (OperationId::of(name), Box::from(name)));
        let mut outbox = Outbox::new(Arc::new(Names::from(names)));
        outbox.put(key(1), report(2));
        assert!(outbox.seal(1, 1));
        let body: serde_json::Value =
            serde_json::from_slice(&outbox.sealed().unwrap().body).unwrap();
        assert_eq!(body["operations"], serde_json::json!(["GET /a"]));
    }

    #[test]
    fn names_leave_room_for_what_they_name() {
        let names: Names = (0..4_096)
            .map(|n| format!("GET /{}/{n}", "long".repeat(50)))
            .map(|name| (OperationId::of(&name), Box::from(name)))
            .collect();
        let told = names_of(&names.keys().copied().collect(), &names);
        let bytes: usize = told.iter().map(|name| name.len()).sum();
        assert!(!told.is_empty() && bytes <= NAMES_BYTES, "{bytes}");
    }

    #[test]
    fn a_parcel_fits_the_broker_and_is_numbered() {
        let mut outbox = Outbox::default();
        let one = report(50);
        for token in 0..2_000 {
            outbox.put(key(token), one.clone());
        }
        let mut entries = 0;
        let mut seq = 0;
        while outbox.seal(9, seq) {
            let parcel = outbox.sealed().unwrap();
            assert!(parcel.body.len() <= 256 * 1024);
            let body: serde_json::Value = serde_json::from_slice(&parcel.body).unwrap();
            assert_eq!(
                (body["epoch"].as_u64(), body["seq"].as_u64()),
                (Some(9), Some(seq))
            );
            assert_eq!(body["entries"][0]["digest"], "0707070707070707");
            entries += parcel.entries;
            seq += 1;
            outbox.done();
        }
        assert_eq!(entries, 2_000);
    }
}
