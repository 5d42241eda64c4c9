//! Token exchange (RFC 8693): an API key or an access token in, something narrower out.
//!
//! Who may exchange what: a client that shows an access token authenticates too, so that a copied
//! token alone cannot be turned into fresh ones. A client that is not the token's subject becomes its
//! actor (`act`), with all its nodes: revoking it ends what it obtained for others. With an
//! `actor_token`, the client is the subject or the actor, and both tokens end the child.

use std::net::IpAddr;
use std::sync::Arc;

use lanyard_token::{Actor, Claims, Lineage, NodeId};

use super::decision::{Circumstances, Look};
use super::identity::Book;
use super::limits::Network;
use super::lineage::{self, ActingParty};
use super::policy::Request;
use super::proof::access_token::{Proven, Wanted};
use super::{Client, Issue, Issued, Refused};
use crate::clock::UnixMillis;
use crate::policy::Proof as Shown;
use crate::store::event::Grant;

/// The most tokens exchanged directly from one: more is a loop that lost its end, or somebody
/// filling the log.
const MAX_CHILDREN: u32 = 1_000;

/// What is shown for the subject.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    /// An access token of ours, which becomes the parent.
    AccessToken(&'a str),
    /// An API key: proves who the client is, too.
    ApiKey(&'a str),
}

/// A token exchange.
pub struct Exchange<'a> {
    /// Whoever authenticated, if anybody did.
    pub client: Option<&'a Client>,
    /// `subject_token`.
    pub subject: Subject<'a>,
    /// `actor_token`.
    pub actor: Option<&'a str>,
    /// What is asked for.
    pub request: &'a Request,
    /// Where from, as far as it is known.
    pub address: Option<IpAddr>,
}

/// The subject, proven.
enum Proof {
    Token(Arc<Proven>),
    Key(Client),
}

impl Proof {
    /// The token the child descends from, if there is one.
    fn parent(&self) -> Option<&Claims> {
        match self {
            Self::Token(proven) => Some(&proven.claims),
            Self::Key(_) => None,
        }
    }
}

/// What one look at the book gave.
struct Sight {
    look: Look,
    act: Option<Actor>,
    /// Who is going to use the child.
    party: NodeId,
}

impl Issue {
    /// Exchanges.
    pub async fn exchange(&self, exchange: Exchange<'_>) -> Result<Issued, Refused> {
        let (proof, client) = match exchange.subject {
            Subject::AccessToken(text) => {
                let client = exchange.client.ok_or(Refused::NoClient)?.clone();
                self.limits
                    .identity(client.identity)
                    .map_err(Refused::TooMany)?;
                let now = self.clock.now();
                let proven = self
                    .verify(text, Wanted::Any, now)
                    .map_err(Refused::Subject)?;
                (Proof::Token(proven), client)
            }
            Subject::ApiKey(text) => {
                let holder = self.holder(text, exchange.address.map(Network::of))?;
                let client = exchange.client.unwrap_or(&holder).clone();
                self.limits
                    .identity(client.identity)
                    .map_err(Refused::TooMany)?;
                (Proof::Key(holder), client)
            }
        };
        let now = self.clock.now();
        let actor = match exchange.actor {
            Some(text) => Some(
                self.verify(text, Wanted::Any, now)
                    .map_err(Refused::Actor)?,
            ),
            None => None,
        };
        let Sight { look, act, party } = self
            .state
            .read(|book| self.see(book, &proof, actor.as_deref(), &client, now))?;
        let circumstances = Circumstances {
            grant: Grant::TokenExchange,
            proof: match &proof {
                Proof::Token(_) => Shown::AccessToken,
                Proof::Key(_) => Shown::ApiKey,
            },
            oidc: None,
            address: exchange.address,
        };
        let parent = proof.parent();
        let mut decision = self.decide(look, exchange.request, parent, circumstances, now)?;
        let claims = &mut decision.claims;
        claims.client_id = party.to_string();
        claims.act = act;
        claims.cnf = parent.and_then(|parent| parent.cnf);
        if let Some(actor) = actor {
            // A child never outlives what it was obtained with.
            claims.exp = claims.exp.min(actor.claims.exp);
        }
        self.hand_out(decision, now).await
    }

    /// Everything the decision depends on, in one look.
    fn see(
        &self,
        book: &Book,
        proof: &Proof,
        actor: Option<&Proven>,
        client: &Client,
        now: UnixMillis,
    ) -> Result<Sight, Refused> {
        let own = client.lineage(book, now)?;
        let (parent, lineage) = stand(book, proof, now)?;
        let subject = lineage.identity();
        let party = acting_party(book, actor, client, &own, subject, now)?;
        let chain = parent.and_then(|parent| parent.act.as_ref());
        let act = lineage::act(subject, chain, &party).map_err(Refused::Chain)?;
        let look = self.look(book, lineage, Some(party.identity), now)?;
        let party = party.identity;
        Ok(Sight { look, act, party })
    }
}

/// The parent, if there is one, and where the child stands.
fn stand<'p>(
    book: &Book,
    proof: &'p Proof,
    now: UnixMillis,
) -> Result<(Option<&'p Claims>, Lineage), Refused> {
    match proof {
        Proof::Key(holder) => Ok((None, holder.lineage(book, now)?)),
        Proof::Token(proven) => {
            proven.check_alive(book, now).map_err(Refused::Subject)?;
            let children = book
                .token(proven.claims.jti)
                .map_or(0, |token| token.children);
            if children >= MAX_CHILDREN {
                return Err(Refused::FanOut);
            }
            let lineage = lineage::below(&proven.claims).map_err(Refused::Chain)?;
            Ok((Some(&proven.claims), lineage))
        }
    }
}

/// Who is going to use the child.
fn acting_party(
    book: &Book,
    actor: Option<&Proven>,
    client: &Client,
    own: &Lineage,
    subject: NodeId,
    now: UnixMillis,
) -> Result<ActingParty, Refused> {
    let Some(actor) = actor else {
        return Ok(ActingParty {
            identity: client.identity,
            nodes: own.nodes().collect(),
        });
    };
    actor.check_alive(book, now).map_err(Refused::Actor)?;
    if actor.claims.act.is_some() {
        return Err(Refused::ActorActs);
    }
    let identity = actor.claims.lin.identity();
    if client.identity != identity && client.identity != subject {
        return Err(Refused::NotParty);
    }
    Ok(ActingParty {
        identity,
        nodes: actor.claims.nodes().collect(),
    })
}
