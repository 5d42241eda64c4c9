//! A decision: one look at the book, then rules and policies over what was seen.
//!
//! Policies take longer to ask than anybody should keep records waiting. So the look copies what they may speak of,
//! together with the revision, and lets the book go. What changes meanwhile has a later revision, and ends the token
//! that had not seen it. An approval that is taken back meanwhile ends no token, as if that had come a moment later.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use lanyard_token::{Audience, Claims, Lineage, NodeId, Rev};
use time::{OffsetDateTime, PrimitiveDateTime};

use super::approval::approvers::Approvers;
use super::approval::{Standing, Wanted};
use super::denials::Occasion;
use super::identity::{Book, Unusable};
use super::keys::MintKey;
use super::limits::Network;
use super::policy::{self, Allowance, Denial, Granted, Request, Wish};
use super::{Issue, Refused};
use crate::clock::UnixMillis;
use crate::policy::{Asked, AskedBy, Binding, Bundle, Given, Oidc, Party, Proof, Risk, Task};
use crate::store::event::{AskedFor, Decided, Grant, Identity, Kind, Pinned};

/// How a token is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    /// In which way.
    pub(super) grant: Grant,
    /// With what.
    pub(super) proof: Proof,
    /// What another issuer's token said, when that is the proof.
    pub(super) oidc: Option<&'a Oidc>,
    /// Where from, when it is known.
    pub(super) address: Option<IpAddr>,
}

/// An identity, as one look saw it.
pub(super) struct Seen {
    node: NodeId,
    grant: Identity,
    owner: String,
    /// A gateway's registered audiences are the ones it serves; its own tokens are for the broker.
    audiences: Vec<Audience>,
    age_days: u64,
    unused_days: u64,
    risk: Risk,
}

impl Seen {
    /// Its own number and its owner's.
    pub(super) const fn nodes(&self) -> (NodeId, NodeId) {
        (self.node, self.grant.owner)
    }

    /// As if it had these labels.
    pub(super) fn label(&mut self, tags: Vec<String>) {
        self.grant.tags = tags;
    }

    /// As if it were this owner's.
    pub(super) fn give_to(&mut self, owner: String) {
        self.owner = owner;
    }

    pub(super) fn party(&self) -> Party<'_> {
        Party {
            name: &self.grant.name,
            kind: self.grant.kind.word(),
            owner: &self.owner,
            tags: &self.grant.tags,
            audiences: &self.audiences,
            scopes: &self.grant.scopes,
            max_lifetime: self.grant.max_lifetime,
            age_days: Some(self.age_days),
            unused_days: Some(self.unused_days),
        }
    }
}

/// Everything a decision depends on, of one revision.
pub(super) struct Look {
    pub(super) lineage: Lineage,
    subject: Seen,
    /// Whoever acts for the subject.
    actor: Option<Seen>,
    /// What administrators approved for the subject itself.
    approved: Standing,
    approvers: Approvers,
    rev: Rev,
    key: Arc<MintKey>,
}

impl Look {
    /// What counts of what was seen of whose the token is, or of whoever acts with it: the graver.
    fn risk(&self) -> Risk {
        let actor = self.actor.as_ref().map(|actor| actor.risk);
        actor.unwrap_or_default().max(self.subject.risk)
    }

    /// Who approved exactly this, and could still. Whoever names no scopes asks for nothing exactly.
    fn approvals(&self, wish: &Wish<'_>, bundle: &Bundle, now: UnixMillis) -> Vec<String> {
        let Some(scopes) = wish.scopes else {
            return Vec::new();
        };
        let wanted = Wanted {
            audience: wish.audience,
            scopes,
            lifetime: wish.lifetime,
            task: wish.task,
        };
        let names = self.approved.names(wanted).into_iter();
        names
            .filter(|name| self.approvers.counts(name, (&self.subject, bundle), now))
            .collect()
    }
}

/// A decision: what to sign, with what, and what the log is told about it.
pub(super) struct Decision {
    pub(super) claims: Claims,
    pub(super) key: Arc<MintKey>,
    pub(super) grant: Grant,
    pub(super) decided: Decided,
}

impl Issue {
    /// Looks at the identity of a lineage, and at who acts for it.
    pub(super) fn look(
        &self,
        book: &Book,
        lineage: Lineage,
        actor: Option<NodeId>,
        now: UnixMillis,
    ) -> Result<Look, Refused> {
        let subject = lineage.identity();
        let actor = actor.filter(|actor| *actor != subject);
        // Nobody who approved was shown that somebody else would use the token: then they are not looked for.
        let approved = match actor {
            Some(_) => Standing::default(),
            None => Standing::of(book, subject, now),
        };
        Ok(Look {
            subject: self.seen(book, subject, now)?,
            approvers: self.approvers(book, &approved, now),
            actor: actor.map(|actor| self.seen(book, actor, now)).transpose()?,
            approved,
            lineage,
            rev: book.rev(),
            key: self.ring.signer(book, now)?,
        })
    }

    /// An identity, as policies may speak of it.
    pub(super) fn seen(&self, book: &Book, node: NodeId, now: UnixMillis) -> Result<Seen, Refused> {
        let found = book
            .identity(node)
            .ok_or(Refused::Client(Unusable::Unknown))?;
        let grant = found.grant.clone();
        let audiences = match grant.kind {
            Kind::Gateway => vec![self.own_audience.clone()],
            _ => grant.audiences.clone(),
        };
        let owner = book.owner(grant.owner).map(|owner| owner.name.clone());
        Ok(Seen {
            node,
            owner: owner.unwrap_or_default(),
            grant,
            audiences,
            age_days: found.usage.age_days(now),
            unused_days: found.usage.quiet_days(book.awake_since(), now),
            risk: book.risk(node, now),
        })
    }

    /// Rules and policies, over what was seen. A denial is remembered for the log.
    pub(super) fn decide(
        &self,
        look: Look,
        request: &Request,
        parent: Option<&Claims>,
        circumstances: Circumstances<'_>,
        now: UnixMillis,
    ) -> Result<Decision, Refused> {
        let bundle = self.policies.current();
        let allowance = Allowance {
            audiences: look.subject.audiences.clone(),
            max_lifetime: look.subject.grant.max_lifetime,
        };
        let lifetimes = self.settings.lifetimes;
        let mut approvals = Vec::new();
        let ask = |wish: &Wish<'_>| {
            // The way back from policies that let nobody in.
            if circumstances.proof == Proof::Socket {
                return Ok(Given {
                    scopes: look.subject.grant.scopes.clone(),
                    cap: None,
                    policies: BTreeSet::new(),
                });
            }
            approvals = look.approvals(wish, &bundle, now);
            bundle.grant(&asked(&look, wish, &approvals, circumstances, now))
        };
        let granted = policy::decide(request, &allowance, parent, lifetimes, now.seconds(), ask);
        let decided = |policies: Vec<String>| Decided {
            bundle: bundle.hash(),
            policies,
            approvals,
            asked: AskedFor {
                risk: Some(look.risk())
                    .filter(|risk| *risk != Risk::None)
                    .map(|risk| risk.word().to_owned()),
                ..asked_for(request, circumstances)
            },
        };
        match granted {
            Ok(granted) => {
                let decided = decided(granted.policies.iter().cloned().collect());
                Ok(self.decision(look, granted, circumstances.grant, decided, now))
            }
            Err(denial) => {
                let decided = decided(denial.by.policies.iter().cloned().collect());
                Err(self.deny(&look, denial, request, circumstances, decided, now))
            }
        }
    }

    /// The claims of what was granted, for a subject that uses its token itself.
    fn decision(
        &self,
        look: Look,
        granted: Granted,
        grant: Grant,
        decided: Decided,
        now: UnixMillis,
    ) -> Decision {
        let subject = look.lineage.identity().to_string();
        let claims = Claims {
            iss: self.settings.issuer.clone(),
            sub: subject.clone(),
            client_id: subject,
            aud: granted.audience,
            exp: granted.expires_at,
            iat: now.seconds(),
            nbf: None,
            jti: self.store.nodes().next(),
            scope: granted.scopes,
            rev: look.rev,
            lin: look.lineage,
            act: None,
            cnf: None,
            authorization_details: granted.task,
            bsl: None,
        };
        Decision {
            claims,
            key: look.key,
            grant,
            decided,
        }
    }

    fn deny(
        &self,
        look: &Look,
        denial: Denial,
        request: &Request,
        circumstances: Circumstances<'_>,
        decided: Decided,
        now: UnixMillis,
    ) -> Refused {
        let Denial { why, by } = denial;
        let refused = Refused::Denied(why);
        for fault in &by.faults {
            tracing::error!(fault, "a policy could not be evaluated: it denies");
        }
        let occasion = Occasion {
            identity: look.subject.node,
            actor: look.actor.as_ref().map(|actor| actor.node),
            reason: refused.reason(),
        };
        let unbound: Vec<String> = by.unbound.into_iter().collect();
        let count = self
            .denials()
            .count(occasion, now, || crate::store::event::Denial {
                identity: occasion.identity,
                actor: occasion.actor,
                reason: occasion.reason.to_owned(),
                grant: circumstances.grant,
                decided,
                task: request.task.clone(),
                unbound,
                count: 1,
            });
        if count == 1 {
            tracing::info!(
                name: "lanyard.token.denied",
                { lanyard.identity = %occasion.identity, lanyard.decision = "denied", lanyard.reason = occasion.reason },
                "a token was denied"
            );
        }
        refused
    }
}

/// The question, as policies understand it.
fn asked<'a>(
    look: &'a Look,
    wish: &Wish<'a>,
    approvals: &'a [String],
    circumstances: Circumstances<'a>,
    now: UnixMillis,
) -> Asked<'a> {
    Asked {
        subject: look.subject.party(),
        actor: look.actor.as_ref().map(Seen::party),
        audience: wish.audience,
        scopes: wish.scopes,
        within: wish.within,
        partial: wish.partial,
        lifetime: wish.lifetime,
        grant: match circumstances.grant {
            Grant::ClientCredentials => AskedBy::ClientCredentials,
            Grant::TokenExchange => AskedBy::TokenExchange,
            Grant::Local => AskedBy::Local,
        },
        proof: circumstances.proof,
        oidc: circumstances.oidc,
        // No binding is checked yet, so none is believed: a permit that demands one does not count.
        binding: Binding::None,
        network: circumstances.address,
        risk: look.risk(),
        task: wish.task.map(Task::Scope),
        approvals,
        time: moment(now),
    }
}

/// A time beyond all calendars is as late as can be, so that no time box opens again.
pub(super) fn moment(now: UnixMillis) -> OffsetDateTime {
    i64::try_from(now.seconds())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(PrimitiveDateTime::MAX.assume_utc())
}

/// What the log keeps of a request.
fn asked_for(request: &Request, circumstances: Circumstances<'_>) -> AskedFor {
    /// More than one is refused anyway; a sample shows that there were more.
    const MOST_AUDIENCES: usize = 4;
    AskedFor {
        audiences: request
            .audiences
            .iter()
            .take(MOST_AUDIENCES)
            .cloned()
            .collect(),
        scopes: request.scopes.clone(),
        lifetime: request.lifetime,
        partial: request.partial,
        proof: circumstances.proof.word().to_owned(),
        oidc: circumstances.oidc.map(|oidc| {
            Box::new(Pinned {
                issuer: oidc.issuer.clone(),
                subject: oidc.subject.clone(),
                reusable: false,
            })
        }),
        network: circumstances
            .address
            .map(|address| Network::of(address).to_string()),
        risk: None,
    }
}
