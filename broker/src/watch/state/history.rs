//! What happened to identities lately, as the log tells it.

use std::collections::HashMap;

use lanyard_drift::Level;
use lanyard_drift::ladder::{Drifted, History, Narrowed, Recycled};
use lanyard_token::NodeId;

use super::issued::Issued;
use crate::clock::UnixMillis;
use crate::store::event::Judgement;
use crate::watch::opaque::{millis, place, subject, subjects};

/// Of all identities that ever drifted.
#[derive(Default)]
pub(super) struct Histories(HashMap<NodeId, History>);

impl Histories {
    pub(super) fn get(&self, identity: NodeId) -> Option<&History> {
        self.0.get(&identity)
    }

    pub(super) fn load(&mut self, identity: NodeId, history: History) {
        self.0.insert(identity, history);
    }

    pub(super) fn judged(
        &mut self,
        judgement: &Judgement,
        issued: Option<&Issued>,
        at: UnixMillis,
    ) {
        // Where no token is to blame, none has drifted.
        let grave = judgement.verdict.level == Level::Malicious && !judgement.whole;
        let Some(issued) = issued.filter(|_| grave) else {
            return;
        };
        let drifted = Drifted {
            token: subject(judgement.token),
            path: subjects(&issued.path),
            place: place(issued.place),
            at: millis(at),
            verdict: subject(judgement.id),
            carried_by: subjects(judgement.carried_by()),
        };
        self.of(judgement.identity).add_drifted(drifted);
    }

    pub(super) fn recycled(&mut self, identity: NodeId, recycled: Recycled) {
        self.of(identity).add_recycled(recycled);
    }

    pub(super) fn suspended(&mut self, identity: NodeId, node: NodeId, until: UnixMillis) {
        self.of(identity)
            .add_suspended(subject(node), millis(until));
    }

    pub(super) fn alerted(&mut self, identity: NodeId, at: UnixMillis) {
        self.of(identity).alerted(millis(at));
    }

    pub(super) fn narrowed(&mut self, identity: NodeId, token: NodeId, verdict: NodeId) {
        self.of(identity).add_narrowed(Narrowed {
            token: subject(token),
            verdict: subject(verdict),
        });
    }

    pub(super) fn cleared(&mut self, identity: NodeId, verdict: NodeId) {
        if let Some(history) = self.0.get_mut(&identity) {
            history.clear(subject(verdict));
        }
    }

    fn of(&mut self, identity: NodeId) -> &mut History {
        self.0.entry(identity).or_default()
    }
}
