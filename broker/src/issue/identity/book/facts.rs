//! What each event does to the book: facts, taken in the order of the log.

use std::sync::Arc;

use lanyard_token::{Actor, Dead, KeyId, NodeId, Rev};

use super::{Acting, Approval, Book, Credential, Identified, LiveToken, Owner, Proof};
use crate::clock::UnixMillis;
use crate::issue::identity::approvals::Given;
use crate::issue::identity::rights::Rights;
use crate::issue::identity::row::RowKey;
use crate::issue::identity::usage::Usage;
use crate::issue::keys;
use crate::issue::proof::api_key;
use crate::store::block::Block;
use crate::store::event::{By, Cause, IssuedToken, KeyUse, SigningKey};
use crate::store::{Event, Record};

/// How long what was asked of administrators is listed after its time is over: a week, so that whoever
/// comes back from a holiday finds what became of it. The log has it for ever.
const APPROVALS_REMEMBERED_MILLIS: u64 = 7 * 24 * 3_600 * 1_000;

impl Book {
    /// Takes one record whole.
    pub fn apply(&mut self, record: &Record) {
        for event in &record.events {
            self.take(event, record);
        }
        self.awake.note(record.at);
        self.rev = record.rev;
        self.changed.insert(RowKey::Head);
    }

    fn take(&mut self, event: &Event, record: &Record) {
        match event {
            Event::EpochStarted { .. } => {
                // Every token of an earlier epoch is dead.
                self.raise_floor(
                    Rev::new(record.rev.epoch(), 0).unwrap_or(record.rev),
                    record.at,
                );
                // So is every yes: that it was taken back may be part of what is lost.
                let ended = self.approvals.end_all();
                self.touched(ended);
            }
            Event::OwnerCreated {
                owner,
                name,
                contact,
                ..
            } => {
                let row = Owner {
                    name: name.clone(),
                    contact: contact.clone(),
                    disabled: false,
                };
                self.put_owner(*owner, row);
            }
            Event::IdentityCreated {
                identity, grant, ..
            } => {
                let mut rights = Rights::default();
                rights.register(grant, record.at);
                let row = Identified {
                    grant: (**grant).clone(),
                    disabled: false,
                    usage: Usage::made(record.at),
                    rights,
                };
                self.put_identity(*identity, row);
            }
            Event::KeyIssued {
                credential,
                identity,
                label,
                hash,
                expires_at,
                by,
            } => {
                let row = Credential {
                    identity: *identity,
                    label: label.clone(),
                    proof: Proof::Hash(*hash),
                    expires_at: *expires_at,
                    disabled: false,
                    usage: Usage::made(record.at),
                    made_by: by.clone(),
                };
                self.put_credential(*credential, row);
            }
            Event::IssuerTrusted {
                credential,
                identity,
                label,
                pinned,
                expires_at,
                by,
            } => {
                let row = Credential {
                    identity: *identity,
                    label: label.clone(),
                    proof: Proof::Oidc(pinned.clone()),
                    expires_at: *expires_at,
                    disabled: false,
                    usage: Usage::made(record.at),
                    made_by: by.clone(),
                };
                self.put_credential(*credential, row);
            }
            Event::OwnerChanged { owner, contact, .. } => {
                if let Some(row) = self.owners.get_mut(owner) {
                    row.contact.clone_from(contact);
                    self.changed.insert(RowKey::Owner(*owner));
                }
            }
            Event::IdentityTransferred {
                identity, owner, ..
            } => {
                if let Some(row) = self.identities.get_mut(identity) {
                    row.grant.owner = *owner;
                    self.changed.insert(RowKey::Identity(*identity));
                    let said = self.approvals.transfer(*identity, *owner);
                    self.touched(said);
                }
            }
            Event::IdentityChanged {
                identity, grant, ..
            } => {
                if let Some(row) = self.identities.get_mut(identity) {
                    row.grant = (**grant).clone();
                    row.rights.register(grant, record.at);
                    self.changed.insert(RowKey::Identity(*identity));
                }
            }
            Event::Enabled { node, .. } => {
                self.set_disabled(*node, false);
                self.used([*node].into_iter(), |usage| usage.enable(record.at));
            }
            Event::TokenIssued(token) => {
                self.take_token(token);
                self.used(token.claims.nodes(), |usage| usage.note(record.at));
                self.exercised(token.claims.lin.identity(), |rights| {
                    rights.note_token(token, record.at)
                });
            }
            Event::Used(used) => {
                self.exercised(used.identity, |rights| rights.note_used(used, record.at));
            }
            Event::Revoked { node, cause, .. } => {
                self.liveness.apply_watermark(*node, record.rev);
                self.changed.insert(RowKey::Watermarks(Block::of(*node)));
                if self.ends_what_was_said(*node, cause) {
                    let ended = self.approvals.end(*node);
                    self.touched(ended);
                }
                if cause.disables() {
                    self.set_disabled(*node, true);
                } else if !self.is_disabled(*node) {
                    // Who changes it means it to be used. Older records say so with an `Enabled` at their end.
                    self.used([*node].into_iter(), |usage| usage.enable(record.at));
                }
            }
            Event::Suspended {
                node, until, cause, ..
            } => {
                let standing = self.suspended.get(node).filter(|_| !cause.may_shorten());
                let until = standing.map_or(*until, |standing| *standing.max(until));
                self.suspended.insert(*node, until);
                self.changed.insert(RowKey::Suspension(*node));
            }
            Event::Resumed { node, until, .. } => {
                let longer = |standing: &UnixMillis| until.is_some_and(|until| *standing > until);
                if !self.suspended.get(node).is_some_and(longer) {
                    self.suspended.remove(node);
                    self.changed.insert(RowKey::Suspension(*node));
                }
            }
            Event::FloorRaised { floor } => self.raise_floor(*floor, record.at),
            Event::ApprovalRequested {
                approval,
                request,
                shown,
                by,
                credential,
            } => {
                let asked = Approval {
                    request: (**request).clone(),
                    shown: shown.clone(),
                    asked_by: by.clone(),
                    asked_with: *credential,
                    given: Vec::new(),
                    refused_by: None,
                };
                self.approvals.put(*approval, asked);
                self.touched([*approval]);
            }
            Event::ApprovalGiven { approval, by, .. } => {
                let with = self.stands_on(by);
                let given = Given {
                    by: by.clone(),
                    // The end may have come between the look at the token and this record.
                    ended: self.is_ended(by, &with),
                    with,
                };
                self.approvals.give(*approval, given);
                self.touched([*approval]);
            }
            Event::ApprovalRefused {
                approval,
                by,
                reason,
            } => {
                self.approvals.refuse(*approval, by.clone(), reason.clone());
                self.touched([*approval]);
            }
            // A lie about a token must not be held against whoever holds the genuine one.
            Event::Judged(judgement) if judgement.forged.is_none() => {
                let seen = self.behaviour.entry(judgement.identity).or_default();
                if seen.take(judgement, record.at) {
                    self.changed.insert(RowKey::Behaviour(judgement.identity));
                }
            }
            Event::VerdictCleared { verdict, .. } => {
                for (identity, seen) in &mut self.behaviour {
                    if seen.clear(*verdict) {
                        self.changed.insert(RowKey::Behaviour(*identity));
                    }
                }
            }
            Event::SigningKeyAdded(key) => self.put_signing_key((**key).clone()),
            Event::SigningKeyRemoved { key, .. } => self.remove_signing_key(*key),
            // Not the issue room's business.
            _ => {}
        }
    }

    pub(in crate::issue::identity) fn put_owner(&mut self, node: NodeId, owner: Owner) {
        self.owner_names.insert(owner.name.clone(), node);
        self.owners.insert(node, owner);
        self.changed.insert(RowKey::Owner(node));
    }

    pub(in crate::issue::identity) fn put_identity(&mut self, node: NodeId, identity: Identified) {
        self.identity_names
            .insert(identity.grant.name.clone(), node);
        self.identities.insert(node, identity);
        self.changed.insert(RowKey::Identity(node));
    }

    pub(in crate::issue::identity) fn put_credential(
        &mut self,
        node: NodeId,
        credential: Credential,
    ) {
        let same_proof = match &credential.proof {
            Proof::Hash(hash) => self.by_hash.entry(api_key::index(hash)).or_default(),
            Proof::Oidc(pinned) => {
                let pin = (pinned.issuer.clone(), pinned.subject.clone());
                self.by_pin.entry(pin).or_default()
            }
        };
        // Rows come in no order, and a row may come again.
        if let Err(place) = same_proof.binary_search(&node) {
            same_proof.insert(place, node);
        }
        self.credentials.insert(node, credential);
        self.changed.insert(RowKey::Credential(node));
    }

    fn set_disabled(&mut self, node: NodeId, disabled: bool) {
        if let Some(owner) = self.owners.get_mut(&node) {
            owner.disabled = disabled;
            self.changed.insert(RowKey::Owner(node));
        }
        if let Some(identity) = self.identities.get_mut(&node) {
            identity.disabled = disabled;
            self.changed.insert(RowKey::Identity(node));
        }
        if let Some(credential) = self.credentials.get_mut(&node) {
            credential.disabled = disabled;
            self.changed.insert(RowKey::Credential(node));
        }
    }

    /// Whether it is an identity that may not be used.
    fn is_disabled(&self, node: NodeId) -> bool {
        self.identities
            .get(&node)
            .is_none_or(|found| found.disabled)
    }

    /// Notes something of those of the nodes that are identities or credentials.
    fn used(&mut self, nodes: impl Iterator<Item = NodeId>, note: impl Fn(&mut Usage) -> bool) {
        for node in nodes {
            if let Some(identity) = self.identities.get_mut(&node)
                && note(&mut identity.usage)
            {
                self.changed.insert(RowKey::Identity(node));
            }
            if let Some(credential) = self.credentials.get_mut(&node)
                && note(&mut credential.usage)
            {
                self.changed.insert(RowKey::Credential(node));
            }
        }
    }

    /// Notes what an identity used of its rights.
    fn exercised(&mut self, identity: NodeId, note: impl FnOnce(&mut Rights) -> bool) {
        if let Some(row) = self.identities.get_mut(&identity)
            && note(&mut row.rights)
        {
            self.changed.insert(RowKey::Identity(identity));
        }
    }

    fn take_token(&mut self, token: &IssuedToken) {
        let claims = &token.claims;
        if let Some(parent) = claims.lin.tokens().last()
            && let Some(row) = self.tokens.get_mut(parent)
        {
            row.children = row.children.saturating_add(1);
            self.changed.insert(RowKey::Tokens(Block::of(*parent)));
        }
        let row = LiveToken {
            identity: claims.lin.identity(),
            credential: claims.lin.credential(),
            parent: claims.lin.tokens().last().copied(),
            acting: claims.act.as_ref().map(|actor| {
                Box::new(Acting {
                    by: actor.sub(),
                    nodes: actor.iter().flat_map(Actor::nodes).collect(),
                })
            }),
            exp: claims.exp,
            rev: claims.rev,
            digest: token.digest,
            children: 0,
        };
        self.tokens.insert(claims.jti, row);
        self.changed.insert(RowKey::Tokens(Block::of(claims.jti)));
    }

    /// Forgets what no living token needs any more.
    fn raise_floor(&mut self, floor: Rev, at: UnixMillis) {
        let changed = &mut self.changed;
        let before: Vec<NodeId> = self.liveness.watermarks().map(|(node, _)| node).collect();
        self.liveness.raise_floor(floor);
        let gone = before
            .into_iter()
            .filter(|node| self.liveness.watermark(*node).is_none());
        changed.extend(gone.map(|node| RowKey::Watermarks(Block::of(node))));
        self.tokens.retain(|jti, token| {
            let kept =
                token.rev >= floor && token.exp.saturating_add(keys::SKEW_SECONDS) > at.seconds();
            if !kept {
                changed.insert(RowKey::Tokens(Block::of(*jti)));
            }
            kept
        });
        self.suspended.retain(|node, until| {
            let kept = *until > at;
            if !kept {
                changed.insert(RowKey::Suspension(*node));
            }
            kept
        });
        self.behaviour.retain(|identity, seen| {
            let kept = !seen.is_over(at);
            if !kept {
                changed.insert(RowKey::Behaviour(*identity));
            }
            kept
        });
        let gone = self
            .approvals
            .retain(|asked| asked.request.until.plus_millis(APPROVALS_REMEMBERED_MILLIS) > at);
        changed.extend(gone.into_iter().map(RowKey::Approval));
        let over: Vec<KeyId> = self
            .signing_keys
            .values()
            .filter(|key| key.verifies_until <= at)
            .map(|key| key.key)
            .collect();
        for key in over {
            self.remove_signing_key(key);
        }
    }

    fn touched(&mut self, approvals: impl IntoIterator<Item = NodeId>) {
        let rows = approvals.into_iter().map(RowKey::Approval);
        self.changed.extend(rows);
    }

    /// What an administrator's word stands on: what the end of would end their token.
    fn stands_on(&self, by: &By) -> Vec<NodeId> {
        let By::Administrator { identity, token } = by else {
            return Vec::new();
        };
        let (mut nodes, mut whose) = (Vec::new(), vec![*identity]);
        let mut next = Some(*token);
        while let Some(token) = next {
            nodes.push(token);
            let row = self.tokens.get(&token);
            next = row.and_then(|row| row.parent);
            if let Some(row) = row {
                nodes.push(row.credential);
                // Who acts for an administrator loses the token with that one too.
                whose.push(row.identity);
                let acting = row.acting.iter();
                nodes.extend(acting.flat_map(|acting| acting.nodes.iter().copied()));
            }
        }
        let owner = |node: &NodeId| self.identities.get(node).map(|found| found.grant.owner);
        nodes.extend(whose.iter().filter_map(owner));
        nodes.extend(whose);
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// A change ends tokens so that they are asked for again, and whoever puts away their own token takes back no word.
    fn ends_what_was_said(&self, node: NodeId, cause: &Cause) -> bool {
        match cause {
            Cause::Changed => false,
            Cause::Requested => !self.tokens.contains_key(&node),
            _ => true,
        }
    }

    /// Whether an administrator's token, which stands on these, is dead.
    fn is_ended(&self, by: &By, with: &[NodeId]) -> bool {
        let By::Administrator { identity, token } = by else {
            return false;
        };
        let dead = |row: &LiveToken| {
            let living = self.liveness.check(row.rev, with.iter().copied());
            living == Err(Dead::Revoked)
        };
        self.is_disabled(*identity) || self.tokens.get(token).is_some_and(dead)
    }

    pub(in crate::issue::identity) fn put_signing_key(&mut self, key: SigningKey) {
        if key.key_use == KeyUse::Mint
            && let Some(public) = keys::delegated_key(&key)
        {
            Arc::make_mut(&mut self.mint_keys).insert_until(public, key.verifies_until.seconds());
        }
        self.changed.insert(RowKey::SigningKey(key.key));
        self.signing_keys.insert(key.key, key);
    }

    fn remove_signing_key(&mut self, key: KeyId) {
        Arc::make_mut(&mut self.mint_keys).remove(&key);
        self.signing_keys.remove(&key);
        self.changed.insert(RowKey::SigningKey(key));
    }
}
