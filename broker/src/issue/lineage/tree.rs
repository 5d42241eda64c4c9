//! The tree of what descends from what, as an administrator looks at it: what stands above a node, what
//! would end with it, and what of that lives.
//!
//! It is drawn from what the room remembers: tokens that could still be used. One walk over them finds
//! everybody's children, so looking costs as much as there are tokens, and answers stay small however
//! many there are: what is left out is counted.

use std::collections::HashMap;

use lanyard_token::{NodeId, Rev};
use serde::Serialize;

use crate::clock::UnixMillis;
use crate::issue::identity::{Book, LiveToken};
use crate::store::event::Kind;

/// Owner, identity, credential, token, and the five tokens below it: nothing is deeper.
pub const DEEPEST: usize = 8;
/// How many children of one node are told when nobody says.
pub const USUAL_CHILDREN: usize = 20;
/// The most that may be asked for.
pub const MOST_CHILDREN: usize = 1_000;
/// The most nodes of one answer: about a megabyte.
const MOST_NODES: usize = 5_000;

/// How much of the tree is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// How many levels below the node.
    pub depth: usize,
    /// How many children of each node.
    pub children: usize,
}

impl Default for Extent {
    fn default() -> Self {
        Self {
            depth: DEEPEST,
            children: USUAL_CHILDREN,
        }
    }
}

/// A node, what it descends from, and what descends from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tree {
    /// Owner first.
    pub above: Vec<Node>,
    /// The node, with everything below it.
    pub tree: Branch,
}

/// A node and what descends from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// The node.
    #[serde(flatten)]
    pub node: Node,
    /// How many living tokens end when this node does, itself included.
    pub live_tokens: usize,
    /// How many of them are other identities' tokens, which somebody here acts with.
    #[serde(skip_serializing_if = "is_none")]
    pub acting: usize,
    /// Its children, the living first.
    pub below: Vec<Branch>,
    /// How many children more there are.
    #[serde(skip_serializing_if = "is_none")]
    pub more: usize,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
const fn is_none(count: &usize) -> bool {
    *count == 0
}

/// Anything that can be ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// What it is.
    pub sort: Sort,
    /// What people call it: an owner's or identity's name, a key's label, a trusted subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of an identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// How it is.
    pub state: State,
    /// What makes it so, when that is not itself: the end of this one ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<NodeId>,
    /// The watermark that ended it, as long as it is remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Rev>,
    /// Until when it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMillis>,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMillis>,
    /// Who uses a token, when that is not whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_by: Option<NodeId>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Somebody who answers for identities.
    Owner,
    /// A non-human identity.
    Identity,
    /// What it proves itself with.
    Credential,
    /// An access token.
    Token,
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It can be used.
    Live,
    /// It cannot be used until then, or until it is resumed.
    Suspended,
    /// It obtains nothing until it is enabled.
    Disabled,
    /// It was ended.
    Revoked,
    /// Its time is over.
    Expired,
}

/// The tree around a node, if it is known.
pub fn tree(book: &Book, node: NodeId, extent: Extent, now: UnixMillis) -> Option<Tree> {
    let above = above(book, node)?;
    let drawing = Drawing {
        book,
        now,
        picture: picture(book, node, now),
        extent,
    };
    let mut room = MOST_NODES;
    let tree = drawing.branch(node, &above, extent.depth, &mut room)?;
    let mut stem = Vec::with_capacity(above.len());
    for (place, node) in above.iter().enumerate() {
        stem.push(drawing.node(*node, above.get(..place).unwrap_or_default())?);
    }
    Some(Tree { above: stem, tree })
}

/// What a node descends from, owner first; `None` for a node nobody knows.
fn above(book: &Book, node: NodeId) -> Option<Vec<NodeId>> {
    if book.owner(node).is_some() {
        return Some(Vec::new());
    }
    if let Some(identity) = book.identity(node) {
        return Some(vec![identity.grant.owner]);
    }
    if let Some(credential) = book.credential(node) {
        let owner = book.identity(credential.identity)?.grant.owner;
        return Some(vec![owner, credential.identity]);
    }
    let token = book.token(node)?;
    let mut parents = Vec::new();
    let mut parent = token.parent;
    while let Some(found) = parent
        && parents.len() < DEEPEST
    {
        parents.push(found);
        parent = book.token(found).and_then(|token| token.parent);
    }
    let owner = book.identity(token.identity)?.grant.owner;
    let stem = [owner, token.identity, token.credential];
    Some(stem.into_iter().chain(parents.into_iter().rev()).collect())
}

/// The part of the book around one node: who is whose child, and how many living tokens end with each.
#[derive(Default)]
struct Picture {
    below: HashMap<NodeId, Vec<NodeId>>,
    live: HashMap<NodeId, usize>,
    acting: HashMap<NodeId, usize>,
}

fn picture(book: &Book, of: NodeId, now: UnixMillis) -> Picture {
    let mut picture = Picture::default();
    if book.token(of).is_none() {
        for (node, identity) in book.identities() {
            picture.add(identity.grant.owner, node);
        }
        for (node, credential) in book.credentials() {
            picture.add(credential.identity, node);
        }
    }
    for (jti, token) in book.tokens() {
        let above = above(book, jti).unwrap_or_default();
        let descends = above.contains(&of) || jti == of;
        let acting: &[NodeId] = token.acting.as_ref().map_or(&[], |acting| &acting.nodes);
        if !descends && !acting.contains(&of) {
            continue;
        }
        match above.last() {
            // What the Unix socket hands out has no credential that anybody could list.
            Some(credential) if *credential == token.credential => {
                let listed = book.credential(*credential).is_some();
                picture.add(if listed { *credential } else { token.identity }, jti);
            }
            Some(parent) => picture.add(*parent, jti),
            None => {}
        }
        if fate(book, jti, token, now).0 == State::Live {
            for node in above.iter().chain([&jti]) {
                *picture.live.entry(*node).or_default() += 1;
            }
            for node in acting.iter().filter(|node| !above.contains(node)) {
                *picture.live.entry(*node).or_default() += 1;
                *picture.acting.entry(*node).or_default() += 1;
            }
        }
    }
    picture
}

impl Picture {
    fn add(&mut self, above: NodeId, node: NodeId) {
        self.below.entry(above).or_default().push(node);
    }
}

struct Drawing<'a> {
    book: &'a Book,
    now: UnixMillis,
    picture: Picture,
    extent: Extent,
}

impl Drawing<'_> {
    fn branch(
        &self,
        id: NodeId,
        above: &[NodeId],
        depth: usize,
        room: &mut usize,
    ) -> Option<Branch> {
        let node = self.node(id, above)?;
        *room = room.saturating_sub(1);
        let children = self.picture.below.get(&id).map_or(&[][..], Vec::as_slice);
        let mut below = Vec::new();
        if depth > 0 {
            let stem: Vec<NodeId> = above.iter().copied().chain([id]).collect();
            let mut nodes: Vec<Node> = children
                .iter()
                .filter_map(|child| self.node(*child, &stem))
                .collect();
            nodes.sort_by(|one, other| order(one).cmp(&order(other)));
            for child in nodes.iter().take(self.extent.children) {
                if *room == 0 {
                    break;
                }
                below.extend(self.branch(child.id, &stem, depth - 1, room));
            }
        }
        let count = |counts: &HashMap<NodeId, usize>| counts.get(&id).copied().unwrap_or(0);
        Some(Branch {
            node,
            live_tokens: count(&self.picture.live),
            acting: count(&self.picture.acting),
            more: children.len().saturating_sub(below.len()),
            below,
        })
    }

    /// A node as it is; `above` is what it descends from, owner first.
    fn node(&self, id: NodeId, above: &[NodeId]) -> Option<Node> {
        let book = self.book;
        if let Some(token) = book.token(id) {
            let (state, because) = fate(book, id, token, self.now);
            return Some(Node {
                id,
                sort: Sort::Token,
                name: None,
                kind: None,
                state,
                because: because.filter(|node| *node != id),
                revoked_at: (state == State::Revoked)
                    .then(|| book.watermark(because?))
                    .flatten(),
                until: because
                    .filter(|_| state == State::Suspended)
                    .and_then(|node| book.suspended_until(node, self.now)),
                expires_at: Some(UnixMillis::from_seconds(token.exp)),
                used_by: token.acting.as_ref().map(|acting| acting.by),
            });
        }
        let (state, because) = above
            .iter()
            .chain([&id])
            .map(|node| (self.own_state(*node), *node))
            .find(|(state, _)| *state != State::Live)
            .unwrap_or((State::Live, id));
        let node = Node {
            id,
            sort: Sort::Credential,
            name: None,
            kind: None,
            state,
            because: (because != id).then_some(because),
            revoked_at: (state == State::Disabled)
                .then(|| book.watermark(because))
                .flatten(),
            until: book
                .suspended_until(because, self.now)
                .filter(|_| state == State::Suspended),
            expires_at: None,
            used_by: None,
        };
        if let Some(owner) = book.owner(id) {
            return Some(Node {
                sort: Sort::Owner,
                name: Some(owner.name.clone()),
                ..node
            });
        }
        if let Some(found) = book.identity(id) {
            return Some(Node {
                sort: Sort::Identity,
                name: Some(found.grant.name.clone()),
                kind: Some(found.grant.kind),
                ..node
            });
        }
        let credential = book.credential(id);
        Some(Node {
            name: credential.and_then(|credential| credential.called().map(str::to_owned)),
            expires_at: credential.and_then(|credential| credential.expires_at),
            ..node
        })
    }

    /// How an owner, identity or credential is, whatever stands above it.
    fn own_state(&self, node: NodeId) -> State {
        let book = self.book;
        let credential = book.credential(node);
        let disabled = book.owner(node).is_some_and(|owner| owner.disabled)
            || book.identity(node).is_some_and(|found| found.disabled)
            || credential.is_some_and(|credential| credential.disabled);
        let ended = credential.and_then(|credential| credential.expires_at);
        if disabled {
            State::Disabled
        } else if ended.is_some_and(|end| end <= self.now) {
            State::Expired
        } else if book.suspended_until(node, self.now).is_some() {
            State::Suspended
        } else {
            State::Live
        }
    }
}

/// How a token is, and which node made it so.
fn fate(book: &Book, id: NodeId, token: &LiveToken, now: UnixMillis) -> (State, Option<NodeId>) {
    if UnixMillis::from_seconds(token.exp) <= now || token.rev < book.floor() {
        return (State::Expired, None);
    }
    let nodes = || {
        let acting = token.acting.iter().flat_map(|acting| &acting.nodes);
        let above = above(book, id).unwrap_or_default();
        above.into_iter().chain([id]).chain(acting.copied())
    };
    let ended = nodes().find(|node| book.watermark(*node).is_some_and(|rev| rev > token.rev));
    if ended.is_some() {
        return (State::Revoked, ended);
    }
    let paused = nodes().find(|node| book.suspended_until(*node, now).is_some());
    if paused.is_some() {
        return (State::Suspended, paused);
    }
    (State::Live, None)
}

/// The living first, then by name, then oldest first.
fn order(node: &Node) -> (State, Option<&str>, NodeId) {
    (node.state, node.name.as_deref(), node.id)
}
