//! What happened to an identity lately: the part of the past that decides the next response.

use std::collections::{HashMap, VecDeque};

use lanyard_drift::Level;
use lanyard_token::{NodeId, Rev};
use serde::{Deserialize, Serialize};

use super::issued::Issued;
use crate::clock::UnixMillis;
use crate::store::event::{Judgement, Response};

/// How many of each are kept per identity: escalation needs a handful.
const KEPT: usize = 32;

/// Milliseconds in a day.
const DAY: u64 = 86_400_000;

/// The recent past of one identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Tokens that were recycled, oldest first.
    pub recycled: VecDeque<Recycled>,
    /// Tokens that drifted gravely, oldest first: a hard rule, or malicious by two witnesses.
    pub drifted: VecDeque<Drifted>,
    /// What is paused, and until when.
    pub suspended: VecDeque<(NodeId, UnixMillis)>,
    /// The last day (since 1970) on which somebody was alerted.
    pub alerted_on: Option<u64>,
}

/// A token that was recycled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recycled {
    /// Which.
    pub token: NodeId,
    /// What it was issued for.
    pub credential: NodeId,
    /// When.
    pub at: UnixMillis,
    /// Its watermark: tokens issued above it were minted after.
    pub rev: Rev,
    /// Because of.
    pub verdict: NodeId,
}

/// A token that drifted gravely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drifted {
    /// Which.
    pub token: NodeId,
    /// The nodes above it, owner first.
    pub path: Vec<NodeId>,
    /// Where the log issued it.
    pub place: Rev,
    /// When it drifted.
    pub at: UnixMillis,
    /// Which verdict said so.
    pub verdict: NodeId,
}

impl History {
    /// Whether somebody was already alerted about this identity on the day of `now`.
    pub fn is_alerted(&self, now: UnixMillis) -> bool {
        self.alerted_on == Some(now.0 / DAY)
    }
}

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
        let Some(issued) = issued.filter(|_| judgement.verdict.level == Level::Malicious) else {
            return;
        };
        let drifted = Drifted {
            token: judgement.token,
            path: issued.path.clone(),
            place: issued.place,
            at,
            verdict: judgement.id,
        };
        push(&mut self.of(judgement.identity).drifted, drifted);
    }

    pub(super) fn recycled(&mut self, identity: NodeId, recycled: Recycled) {
        push(&mut self.of(identity).recycled, recycled);
    }

    pub(super) fn suspended(&mut self, identity: NodeId, node: NodeId, until: UnixMillis) {
        push(&mut self.of(identity).suspended, (node, until));
    }

    pub(super) fn responded(&mut self, identity: NodeId, response: Response, at: UnixMillis) {
        if response == Response::Alert {
            self.of(identity).alerted_on = Some(at.0 / DAY);
        }
    }

    /// What was fine does not count towards the next response.
    pub(super) fn cleared(&mut self, identity: NodeId, verdict: NodeId) {
        let Some(history) = self.0.get_mut(&identity) else {
            return;
        };
        history
            .recycled
            .retain(|recycled| recycled.verdict != verdict);
        history.drifted.retain(|drifted| drifted.verdict != verdict);
    }

    fn of(&mut self, identity: NodeId) -> &mut History {
        self.0.entry(identity).or_default()
    }
}

fn push<T>(kept: &mut VecDeque<T>, item: T) {
    if kept.len() >= KEPT {
        kept.pop_front();
    }
    kept.push_back(item);
}
