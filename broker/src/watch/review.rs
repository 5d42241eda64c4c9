//! What people see of verdicts, and what they say about them.

use std::collections::BTreeMap;

use lanyard_drift::ladder::{Abuse, History};
use lanyard_token::NodeId;
use serde::Serialize;

use super::opaque::subject;
use super::state::{Clearing, Subject, Taken, VerdictRecord};
use super::{Watch, baseline, waiting::Waiting};
use crate::clock::UnixMillis;
use crate::store::event::{By, Cause, NamedOperation, Response};
use crate::store::plain::is_plain_line;
use crate::store::{Event, StoreError};

/// The longest reason, in bytes.
pub const MAX_REASON_BYTES: usize = 512;

/// A verdict as people read it.
#[derive(Debug, Serialize)]
pub struct VerdictView {
    /// Its number.
    pub id: NodeId,
    /// When it was written.
    pub at: UnixMillis,
    /// Whose token.
    pub identity: NodeId,
    /// The identity's name, when it is still known.
    pub name: Option<String>,
    /// Which token.
    pub token: NodeId,
    /// One sentence.
    pub sentence: String,
    /// What kind of abuse it looks like: what the table of responses goes by.
    pub abuse: Option<Abuse>,
    /// Level, evidence with its numbers, hard rule.
    pub verdict: lanyard_drift::Verdict,
    /// What the operations in it are called.
    pub operations: Vec<NamedOperation>,
    /// Whether it is about a token that the log never issued.
    pub never_issued: bool,
    /// Whose reports stand behind it.
    pub gateways: Vec<NodeId>,
    /// What waits for a second gateway or a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// What was done, in order.
    pub responses: Vec<Taken>,
    /// What it paused, and until when.
    pub suspended: Vec<(NodeId, UnixMillis)>,
    /// Who cleared it, and why.
    pub cleared: Option<Clearing>,
    /// When somebody was paged because of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paged: Option<UnixMillis>,
}

/// What is known about an identity's behaviour.
#[derive(Debug, Serialize)]
pub struct IdentityView {
    /// Whose.
    pub identity: NodeId,
    /// Name, kind, tags, audiences.
    pub subject: Subject,
    /// Calls that were learned.
    pub calls: u64,
    /// Distinct operations that are known.
    pub operations: usize,
    /// Whether a frozen anchor stands beside the habits.
    pub anchored: bool,
    /// Names the habits by their content.
    pub hash: String,
    /// How many identities of the same role are known, at most 32.
    pub peers: usize,
    /// What happened lately.
    pub history: History,
    /// The newest verdicts.
    pub verdicts: Vec<VerdictView>,
}

/// What clearing did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cleared {
    /// Whether the window was still at hand and is part of the habits now.
    pub learned: bool,
    /// How many suspensions ended.
    pub resumed: usize,
}

/// Why a verdict was not cleared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClearError {
    /// Look at the list.
    #[error("there is no verdict `{0}`")]
    Unknown(NodeId),
    /// Nothing is left to do.
    #[error("verdict `{0}` was cleared before")]
    AlreadyCleared(NodeId),
    /// A forged token is never fine.
    #[error(
        "verdict `{0}` is about a token that was never issued: look at the signing key instead"
    )]
    NeverIssued(NodeId),
    /// Ask one of them.
    #[error(
        "verdict `{verdict}` was answered by policy `{policy}`, and only administrators with one of these may clear \
         it: {who} (`owner`: of the identity's own owner); so may the Unix socket of the broker's machine"
    )]
    NotYours {
        /// Which verdict.
        verdict: NodeId,
        /// The policy that says so.
        policy: String,
        /// Labels of those who may.
        who: String,
    },
    /// Say why, in fewer words.
    #[error("a reason is one line of 1 to {MAX_REASON_BYTES} bytes")]
    Reason,
    /// Ask again later.
    #[error("the log takes no events now")]
    Store(#[from] StoreError),
}

impl Watch {
    /// The newest verdicts first.
    pub fn verdicts(&self, identity: Option<NodeId>, limit: usize) -> Vec<VerdictView> {
        self.state
            .verdicts(identity, limit)
            .into_iter()
            .map(|record| self.view(record))
            .collect()
    }

    /// One verdict.
    pub fn verdict(&self, id: NodeId) -> Option<VerdictView> {
        self.state.verdict(id).map(|record| self.view(record))
    }

    /// One identity.
    pub fn identity(&self, identity: NodeId) -> Option<IdentityView> {
        let subject = self.state.subject(identity)?;
        let habits = self.shards.habits(subject.role(), identity);
        Some(IdentityView {
            identity,
            subject,
            calls: habits.calls(),
            operations: habits.operations().count(),
            anchored: habits.has_anchor(),
            hash: baseline::content_hash(&habits),
            peers: self.state.peers(identity, super::ROLE_MEMBERS).len(),
            history: self.state.history(identity),
            verdicts: self.verdicts(Some(identity), SHOWN),
        })
    }

    /// "This is fine": ends the suspensions that still run because of it and recycles what it narrowed,
    /// teaches the habits, and
    /// takes it out of the history that decides about the next response. Revocations stay: enabling
    /// again is a decision of its own.
    pub async fn clear(&self, id: NodeId, by: By, reason: &str) -> Result<Cleared, ClearError> {
        if !is_reason(reason) {
            return Err(ClearError::Reason);
        }
        let record = self.state.verdict(id).ok_or(ClearError::Unknown(id))?;
        if record.cleared.is_some() {
            return Err(ClearError::AlreadyCleared(id));
        }
        if record.judgement.forged.is_some() {
            return Err(ClearError::NeverIssued(id));
        }
        self.may_override(&record, &by)?;
        let now = self.clock.now();
        let mut paused: BTreeMap<NodeId, UnixMillis> = BTreeMap::new();
        for (node, until) in record.suspended.iter().filter(|(_, until)| *until > now) {
            let longest = paused.entry(*node).or_insert(*until);
            *longest = (*longest).max(*until);
        }
        let narrowed = self.narrowed_by(&record);
        let mut events: Vec<Event> = narrowed
            .map(|token| Event::Revoked {
                node: token,
                cause: Cause::Recycled(id),
                by: by.clone(),
            })
            .collect();
        // After the recycling, which so does not count towards the next response either.
        events.push(Event::VerdictCleared {
            verdict: id,
            by: by.clone(),
            reason: reason.to_owned(),
        });
        // Somebody may have asked for a longer pause meanwhile, which is not the verdict's.
        events.extend(paused.iter().map(|(node, until)| Event::Resumed {
            node: *node,
            until: Some(*until),
            by: by.clone(),
        }));
        self.store.append(events).await?;
        let learned = self.learn_cleared(id, record.judgement.identity);
        Ok(Cleared {
            learned,
            resumed: paused.len(),
        })
    }

    /// Living tokens that a verdict narrowed. They are recycled when it is cleared: what the owner's
    /// client mints in their place is not narrowed, and it loses milliseconds.
    fn narrowed_by<'a>(&'a self, record: &'a VerdictRecord) -> impl Iterator<Item = NodeId> + 'a {
        let narrowed = record
            .responses
            .iter()
            .filter(|taken| taken.response == Response::Narrow && taken.enforced);
        narrowed
            .filter_map(|taken| taken.node)
            .filter(|token| self.state.is_alive(*token))
    }

    fn learn_cleared(&self, verdict: NodeId, identity: NodeId) -> bool {
        let shard = self.shards.of(self.state.role(identity));
        let learned = self.at_desk(shard, |desk, _| {
            desk.learn_cleared(subject(verdict), subject(identity))
        });
        learned.unwrap_or(false)
    }

    fn view(&self, record: VerdictRecord) -> VerdictView {
        let waiting = Waiting::of(&record, &self.state);
        let VerdictRecord {
            at,
            judgement,
            responses,
            suspended,
            cleared,
            paged,
            ..
        } = record;
        VerdictView {
            id: judgement.id,
            at,
            identity: judgement.identity,
            name: self
                .state
                .subject(judgement.identity)
                .map(|subject| subject.name),
            token: judgement.token,
            sentence: judgement.sentence(),
            never_issued: judgement.forged.is_some(),
            abuse: Abuse::of(&judgement.verdict).filter(|_| judgement.forged.is_none()),
            verdict: judgement.verdict,
            operations: judgement.names,
            gateways: judgement.gateways,
            waiting,
            responses,
            suspended,
            cleared,
            paged,
        }
    }
}

/// Whether a reason can stand in the log as it is.
pub(super) fn is_reason(reason: &str) -> bool {
    !reason.trim().is_empty() && reason.len() <= MAX_REASON_BYTES && is_plain_line(reason)
}

/// Verdicts shown with an identity.
const SHOWN: usize = 20;
