//! Reports on their way out: merged per token, bounded, and sealed into numbered parcels.
//!
//! A parcel is the compact form of [`lanyard_drift::parcel`]. What an operation is called travels as words
//! beside it, once in a run; a broker that has not been told (it has started anew, or is another one of
//! many) asks for the parcel again with all names, and nothing was counted before.

mod draft;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use lanyard_drift::ladder::SubjectId;
use lanyard_drift::{OperationId, TokenReport};
use lanyard_token::NodeId;

use self::draft::Draft;
pub(super) use self::draft::Parcel;
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
/// Tokens shown in one parcel. The broker takes no more, and asks for no more at once.
const SHOWN_PER_PARCEL: usize = 16;
/// Tokens that wait to be shown at most; beyond, the broker asks again when they are used again.
const MAX_SHOWN: usize = 64;
/// Entries of a parcel.
const PARCEL_ENTRIES: usize = 256;

/// What operations are called.
pub(super) type Names = HashMap<OperationId, Name>;

/// What an operation is called, and what it demands of a token.
#[derive(Clone, Debug)]
pub(super) struct Name {
    name: Box<str>,
    /// With spaces between them.
    scopes: Box<str>,
}

impl Name {
    pub(super) fn of(name: &str, scopes: &str) -> Self {
        Self {
            name: name.into(),
            scopes: scopes.into(),
        }
    }
}

#[derive(Default)]
pub(super) struct Outbox {
    names: Arc<Names>,
    waiting: VecDeque<(Reported, TokenReport)>,
    shadow_routes: VecDeque<ShadowRoute>,
    /// Whoever holds one can use it: never printed, and gone once it was sent.
    shown: Vec<Box<str>>,
    /// Tokens that are suspended here, of which what waits tells.
    suspected: Vec<NodeId>,
    sealed: Option<(Draft, Parcel)>,
    /// Operations whose names the broker took.
    told: BTreeSet<OperationId>,
    lost: u64,
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
            token: grant.jti(),
            identity: grant.identity(),
            digest: grant.digest(),
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

    pub(super) fn sealed(&self) -> Option<&Parcel> {
        self.sealed.as_ref().map(|(_, parcel)| parcel)
    }

    /// The sealed parcel was answered.
    pub(super) fn done(&mut self) {
        self.sealed = None;
    }

    /// The sealed parcel was taken, and what it named is known from now on.
    pub(super) fn taken(&mut self) {
        if let Some((_, parcel)) = self.sealed.take() {
            self.told.extend(parcel.named);
        }
    }

    /// The broker has not been told what is spoken of: the sealed parcel, unchanged but for the names of
    /// everything that it speaks of. `false` when it named all that can be named.
    pub(super) fn name_all(&mut self) -> bool {
        self.told.clear();
        let Some((draft, parcel)) = self.sealed.as_mut() else {
            return false;
        };
        let relied_on_earlier_names = parcel.named_before;
        *parcel = draft.parcel(&self.names, &self.told);
        relied_on_earlier_names
    }

    /// Seals the next parcel under this number; `false` when nothing waits.
    pub(super) fn seal(&mut self, epoch: u64, seq: u64) -> bool {
        if self.waiting.is_empty() && self.shadow_routes.is_empty() && self.shown.is_empty() {
            return false;
        }
        let mut draft = Draft::new(epoch, seq);
        while let Some((key, report)) = self.waiting.pop_front() {
            let token = (SubjectId(key.token.as_u64()), key.digest);
            let identity = SubjectId(key.identity.as_u64());
            if !draft.packing.add(token, identity, &report) {
                self.waiting.push_front((key, report));
                break;
            }
            draft.spoken_of.extend(report.spoken_of());
            let told = |token: &mut NodeId| *token == key.token;
            draft.suspected.extend(self.suspected.extract_if(.., told));
            if usize::from(draft.packing.count()) >= PARCEL_ENTRIES {
                break;
            }
        }
        let shadow = self.shadow_routes.len().min(SHADOW_ROUTES_PER_PARCEL);
        draft.shadow_routes = self.shadow_routes.drain(..shadow).collect();
        let shown = self.shown.len().min(SHOWN_PER_PARCEL);
        draft.shown = self.shown.drain(..shown).collect();
        let parcel = draft.parcel(&self.names, &self.told);
        self.sealed = Some((draft, parcel));
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

    fn names() -> Arc<Names> {
        let names = ["GET /a", "GET /b"];
        let names = names.map(|name| (OperationId::of(name), Name::of(name, "")));
        Arc::new(Names::from(names))
    }

    fn words(outbox: &Outbox) -> serde_json::Value {
        let body = &outbox.sealed().unwrap().body;
        let words = lanyard_drift::parcel::Parcel::read(body).unwrap().words;
        serde_json::from_slice(words).unwrap_or_default()
    }

    #[test]
    fn an_operation_is_named_once_and_again_when_the_broker_was_not_told() {
        let mut outbox = Outbox::new(names());
        outbox.put(key(1), report(2));
        assert!(outbox.seal(1, 1));
        assert_eq!(
            words(&outbox),
            serde_json::json!({"operations": ["GET /a"]})
        );
        outbox.taken();
        outbox.put(key(1), report(2));
        assert!(outbox.seal(1, 2));
        assert_eq!(words(&outbox), serde_json::json!({"named_before": true}));
        assert!(outbox.name_all());
        assert_eq!(
            words(&outbox),
            serde_json::json!({"operations": ["GET /a"]})
        );
        assert!(!outbox.name_all(), "there is nothing more to name");
        assert_eq!(outbox.sealed().unwrap().entries, 1);
    }

    #[test]
    fn an_operation_is_named_with_the_scopes_that_it_demands() {
        let names = [("GET /a", "a:read"), ("GET /b", "")];
        let names = names.map(|(name, scopes)| (OperationId::of(name), Name::of(name, scopes)));
        let mut outbox = Outbox::new(Arc::new(Names::from(names)));
        outbox.put(key(1), report(2));
        assert!(outbox.seal(1, 1));
        assert_eq!(
            words(&outbox),
            serde_json::json!({"operations": ["GET /a"], "scopes": ["a:read"]})
        );
    }

    #[test]
    fn what_was_not_taken_was_not_told() {
        let mut outbox = Outbox::new(names());
        outbox.put(key(1), report(2));
        assert!(outbox.seal(1, 1));
        outbox.done();
        outbox.put(key(1), report(2));
        assert!(outbox.seal(1, 2));
        assert_eq!(
            words(&outbox),
            serde_json::json!({"operations": ["GET /a"]})
        );
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
            let read = lanyard_drift::parcel::Parcel::read(&parcel.body).unwrap();
            assert_eq!((read.run, read.number), (9, seq));
            assert_eq!(read.entries[0].digest, [7; 8]);
            assert_eq!(read.entries[0].report, one);
            entries += parcel.entries;
            seq += 1;
            outbox.done();
        }
        assert_eq!(entries, 2_000);
    }
}
