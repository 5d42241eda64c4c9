//! What was asked of administrators, what they said, and what has ended since of what they said it with.
//!
//! A yes stands on what the token stood on that it was said with: whoever gave it, their owner, their key, the token and
//! what that was exchanged from. The end of one of them ends the yes for good, as it ends the token: whoever is enabled
//! again has to say it again. A watermark could not tell for as long, since watermarks are forgotten when no token can need
//! them any more, and an approval may hold for a week. So the end is written down here when it happens.

use std::collections::{HashMap, HashSet};

use lanyard_token::NodeId;
use serde::{Deserialize, Serialize};

use crate::store::event::{ApprovalRequest, By};

/// Something that was asked of administrators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// What for.
    pub request: ApprovalRequest,
    /// Exactly what whoever decides is shown.
    pub shown: String,
    /// Who asked.
    pub asked_by: By,
    /// With which credential, when the identity asked itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_with: Option<NodeId>,
    /// Who said yes, to exactly that.
    #[serde(default)]
    pub given: Vec<Given>,
    /// Who said no, and why: that stands, whoever said yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<(By, String)>,
}

/// Somebody's yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Whose.
    pub by: By,
    /// What it stands on; nothing, when it came through the Unix socket.
    pub with: Vec<NodeId>,
    /// Whether something of that has ended since.
    pub ended: bool,
}

/// All of them.
#[derive(Default)]
pub(super) struct Approvals {
    by_number: HashMap<NodeId, Approval>,
    /// By the identity they are for: every decision asks.
    of: HashMap<NodeId, Vec<NodeId>>,
    /// By what somebody's yes stands on: every end asks.
    on: HashMap<NodeId, HashSet<NodeId>>,
}

impl Approvals {
    pub(super) fn all(&self) -> impl Iterator<Item = (NodeId, &Approval)> {
        self.by_number.iter().map(|(node, one)| (*node, one))
    }

    pub(super) fn get(&self, node: NodeId) -> Option<&Approval> {
        self.by_number.get(&node)
    }

    /// Those for an identity, in no order.
    pub(super) fn of(&self, identity: NodeId) -> impl Iterator<Item = &Approval> {
        let nodes = self.of.get(&identity).into_iter().flatten();
        nodes.filter_map(|node| self.by_number.get(node))
    }

    pub(super) fn put(&mut self, node: NodeId, approval: Approval) {
        for below in approval.given.iter().flat_map(|given| &given.with) {
            self.on.entry(*below).or_default().insert(node);
        }
        let identity = approval.request.identity;
        if self.by_number.insert(node, approval).is_none() {
            self.of.entry(identity).or_default().push(node);
        }
    }

    /// Somebody said yes.
    pub(super) fn give(&mut self, node: NodeId, given: Given) {
        if let Some(asked) = self.by_number.get_mut(&node) {
            for below in &given.with {
                self.on.entry(*below).or_default().insert(node);
            }
            asked.given.push(given);
        }
    }

    /// Somebody said no.
    pub(super) fn refuse(&mut self, node: NodeId, by: By, reason: String) {
        if let Some(asked) = self.by_number.get_mut(&node) {
            asked.refused_by = Some((by, reason));
        }
    }

    /// Ends what stands on this; which are touched.
    pub(super) fn end(&mut self, below: NodeId) -> Vec<NodeId> {
        let touched: Vec<NodeId> = self.on.remove(&below).into_iter().flatten().collect();
        for node in &touched {
            let asked = self.by_number.get_mut(node).into_iter();
            for given in asked.flat_map(|asked| &mut asked.given) {
                given.ended |= given.with.contains(&below);
            }
        }
        touched
    }

    /// Ends everything that was said; which are touched.
    pub(super) fn end_all(&mut self) -> Vec<NodeId> {
        self.on.clear();
        let mut touched = Vec::new();
        for (node, asked) in &mut self.by_number {
            for given in asked.given.iter_mut().filter(|given| !given.ended) {
                given.ended = true;
                touched.push(*node);
            }
        }
        touched
    }

    /// What an identity's yes stands on has one more below it: its owner of now.
    pub(super) fn transfer(&mut self, identity: NodeId, owner: NodeId) -> Vec<NodeId> {
        let said: Vec<NodeId> = self
            .on
            .get(&identity)
            .into_iter()
            .flatten()
            .copied()
            .collect();
        for node in &said {
            let asked = self.by_number.get_mut(node).into_iter();
            let of_it = asked
                .flat_map(|asked| &mut asked.given)
                .filter(|given| given.with.contains(&identity) && !given.with.contains(&owner));
            for given in of_it {
                given.with.push(owner);
            }
            self.on.entry(owner).or_default().insert(*node);
        }
        said
    }

    /// Forgets all but these; which are gone.
    pub(super) fn retain(&mut self, kept: impl Fn(&Approval) -> bool) -> Vec<NodeId> {
        let mut gone = Vec::new();
        self.by_number.retain(|node, asked| {
            let keep = kept(asked);
            if !keep {
                gone.push(*node);
            }
            keep
        });
        if !gone.is_empty() {
            let known = &self.by_number;
            self.of.retain(|_, nodes| {
                nodes.retain(|node| known.contains_key(node));
                !nodes.is_empty()
            });
            self.on.retain(|_, nodes| {
                nodes.retain(|node| known.contains_key(node));
                !nodes.is_empty()
            });
        }
        gone
    }
}
