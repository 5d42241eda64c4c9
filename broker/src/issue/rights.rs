//! What an administrator may do over the network: the policies are asked about whom it would be done to.
//!
//! Whoever can make administrators can do everything, by way of one that it makes. So whatever would make an
//! administrator, change or transfer one, let one work again or give one a key takes `administrators:write` besides
//! the action itself: with less nobody gets more than they have, in one step or in several.
//!
//! What a gateway serves is where its word counts: whoever changes that takes `gateways:write` besides, as for enrolling it.
//!
//! Ending or pausing an owner ends or pauses its administrators. So then the policies are asked about each of them
//! besides the owner: whoever may touch no administrator touches none by way of its owner.
//!
//! Whatever an ended or paused owner has works again when it is another's: giving it away takes `identities:enable` besides.
//!
//! Whoever looks after a team's identities could still give them what another team guards. So a policy is told
//! whether an identity would become [wider](Deed::wider) than all that its owner has.

mod last;

use std::collections::BTreeSet;
use std::net::IpAddr;

use lanyard_token::{NodeId, ScopeSet};

use super::Issue;
use super::administration::{ChangeIdentity, NewIdentity};
use super::decision::{Seen, moment};
use super::identity::Book;
use crate::clock::UnixMillis;
use crate::policy::administration::{Act, Action, On};
use crate::store::event::{Identity, Kind};
pub use last::{LastAdministrator, Reader};

/// Who administers, and how.
#[derive(Clone, Copy, Debug)]
pub struct Administering<'a> {
    /// Who: the current holder of the token.
    pub who: NodeId,
    /// What the token allows.
    pub scopes: &'a ScopeSet,
    /// Where from, when it is known.
    pub network: Option<IpAddr>,
}

/// What would be done.
#[derive(Debug)]
pub struct Deed {
    /// What.
    pub action: Action,
    /// To whom: to all of them. Nobody: to the broker.
    pub to: Vec<NodeId>,
    /// What an identity would be from then on.
    pub change: Change,
}

/// What an identity would be.
#[derive(Debug)]
pub enum Change {
    /// As it is.
    None,
    /// There would be a new one; `to` is its owner.
    New(Box<NewIdentity>),
    /// A gateway would be enrolled; `to` is its owner.
    Gateway,
    /// `to` would change.
    Changed(Box<ChangeIdentity>),
    /// `to`, or everything of it, would be this owner's; `None`: of nobody yet, who may come before it is done.
    Transferred(Option<NodeId>),
}

/// It may not be done; which right it takes is no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this takes `{action}` on {on}, and no role of yours gives it{}", because(.wider))]
pub struct Forbidden {
    /// What it takes.
    pub action: Action,
    /// On whom.
    pub on: String,
    /// Whether it would be given if nobody got more than others of the same owner have.
    pub wider: bool,
}

const fn because(wider: &bool) -> &'static str {
    if *wider {
        ", and it would be wider than what the owner's identities have"
    } else {
        ""
    }
}

/// Whom an act is about, as one look saw it.
enum Target {
    System,
    Owner(String),
    Identity(Box<Seen>),
}

impl Target {
    fn on(&self) -> On<'_> {
        match self {
            Self::System => On::System,
            Self::Owner(name) => On::Owner(name),
            Self::Identity(seen) => On::Identity(seen.party()),
        }
    }

    fn named(&self) -> String {
        match self {
            Self::System => "the broker".to_owned(),
            Self::Owner(name) => format!("owner `{name}`"),
            Self::Identity(seen) => format!("identity `{}`", seen.party().name),
        }
    }
}

impl Issue {
    /// Whether this may be done now.
    pub fn may(&self, by: Administering<'_>, deed: &Deed) -> Result<(), Forbidden> {
        let now = self.now();
        let bundle = self.policies();
        let (who, targets, takes_more, serves, revives, wider) = self.state().read(|book| {
            (
                self.seen(book, by.who, now).ok(),
                self.targets(book, deed, now),
                deed.is_about_administrators(book),
                deed.is_about_what_a_gateway_serves(book),
                deed.lets_work_again(book, now),
                deed.is_wider(book, self.settings.lifetimes.longest),
            )
        });
        let more = takes_more.then_some(Action::AdministratorsWrite);
        let serves = serves.then_some(Action::GatewaysWrite);
        let revives = revives.then_some(Action::IdentitiesEnable);
        let besides = more.into_iter().chain(serves).chain(revives);
        for action in std::iter::once(deed.action).chain(besides) {
            for target in &targets {
                let forbidden = |wider| Forbidden {
                    action,
                    on: target.named(),
                    wider,
                };
                let who = who.as_ref().ok_or_else(|| forbidden(false))?;
                let act = Act {
                    who: who.party(),
                    action,
                    on: target.on(),
                    wider,
                    scopes: by.scopes,
                    network: by.network,
                    time: moment(now),
                };
                let judged = bundle.administer(&act);
                let faults = match judged {
                    Ok(judged) if judged.is_allowed() => continue,
                    Ok(judged) => judged.faults,
                    Err(unfit) => vec![unfit],
                };
                for fault in faults {
                    tracing::error!(fault, "a policy could not be evaluated: it denies");
                }
                let narrower = Act {
                    wider: false,
                    ..act
                };
                let because_wider = wider
                    && bundle
                        .administer(&narrower)
                        .is_ok_and(|judged| judged.is_allowed());
                return Err(forbidden(because_wider));
            }
        }
        Ok(())
    }

    /// Whom a deed is about, each once: tens of thousands of tokens may be one identity's. What nobody knows is the
    /// broker's business.
    fn targets(&self, book: &Book, deed: &Deed, now: UnixMillis) -> Vec<Target> {
        let (mut owners, mut identities) = (BTreeSet::new(), BTreeSet::new());
        let mut system = deed.to.is_empty();
        for node in &deed.to {
            if let Some(identity) = identity_of(book, *node) {
                identities.insert(identity);
            } else if book.owner(*node).is_some() {
                if owners.insert(*node) && deed.action.ends() {
                    identities.extend(administrators_of(book, *node));
                }
            } else {
                system = true;
            }
        }
        let owners = owners.into_iter().filter_map(|owner| book.owner(owner));
        let mut targets: Vec<Target> = owners
            .map(|owner| Target::Owner(owner.name.clone()))
            .collect();
        for identity in identities {
            match self.seen(book, identity, now) {
                Ok(seen) => targets.push(Target::Identity(Box::new(seen))),
                Err(_) => system = true,
            }
        }
        targets.extend(system.then_some(Target::System));
        targets
    }
}

impl Deed {
    /// Whether it gives something to an administrator.
    fn is_about_administrators(&self, book: &Book) -> bool {
        if !self.action.gives() {
            return false;
        }
        match &self.change {
            Change::New(new) => new.kind == Kind::Administrator,
            Change::Gateway => false,
            Change::None | Change::Changed(_) | Change::Transferred(_) => {
                self.to.iter().any(|node| has_administrators(book, *node))
            }
        }
    }

    /// Whether a gateway's word would count elsewhere.
    fn is_about_what_a_gateway_serves(&self, book: &Book) -> bool {
        let Change::Changed(change) = &self.change else {
            return false;
        };
        let is_gateway = |node: &NodeId| {
            book.identity(*node)
                .is_some_and(|found| found.grant.kind == Kind::Gateway)
        };
        change.audiences.is_some() && self.to.iter().any(is_gateway)
    }

    /// Whether it takes something away from an owner who is ended or paused.
    fn lets_work_again(&self, book: &Book, now: UnixMillis) -> bool {
        let of_whom = |node: &NodeId| {
            book.identity(*node)
                .map_or(*node, |found| found.grant.owner)
        };
        let still = |owner: NodeId| {
            book.owner(owner).is_some_and(|found| found.disabled)
                || book.suspended_until(owner, now).is_some()
        };
        matches!(self.change, Change::Transferred(_)) && self.to.iter().map(of_whom).any(still)
    }

    /// Whether an identity would get what none of its owner's has: no enabled one of the same kind, with exactly its
    /// labels, has all its audiences and scopes for as long. Labels have to be the same because some of them take.
    /// `longest`: the lifetime of whoever names none.
    fn is_wider(&self, book: &Book, longest: u64) -> bool {
        let like = |owner: NodeId, wanted: &dyn Fn(&Identity) -> bool| {
            let mut identities = book.identities();
            identities.any(|(node, found)| {
                let counts = !found.disabled || self.to.contains(&node);
                counts && found.grant.owner == owner && wanted(&found.grant)
            })
        };
        match &self.change {
            Change::None | Change::Transferred(_) => false,
            Change::Gateway => true,
            Change::New(new) => {
                let Some(owner) = self.to.first() else {
                    return true;
                };
                !like(*owner, &|have| {
                    have.kind == new.kind
                        && fits(
                            have,
                            &new.tags,
                            &new.audiences,
                            &new.scopes,
                            new.max_lifetime.unwrap_or(longest),
                        )
                })
            }
            Change::Changed(change) => {
                let found = self.to.first().and_then(|node| book.identity(*node));
                let Some(now) = found.map(|found| &found.grant) else {
                    return true;
                };
                let audiences: Vec<String> =
                    now.audiences.iter().map(ToString::to_string).collect();
                let tags = change.tags.as_ref().unwrap_or(&now.tags);
                let audiences = change.audiences.as_ref().unwrap_or(&audiences);
                let scopes = change
                    .scopes
                    .clone()
                    .unwrap_or_else(|| now.scopes.to_string());
                let lifetime = change.max_lifetime.unwrap_or(now.max_lifetime);
                !like(now.owner, &|have| {
                    have.kind == now.kind && fits(have, tags, audiences, &scopes, lifetime)
                })
            }
        }
    }
}

/// Whether an identity has all this already.
fn fits(
    have: &Identity,
    tags: &[String],
    audiences: &[String],
    scopes: &str,
    lifetime: u64,
) -> bool {
    let mut tags: Vec<&String> = tags.iter().collect();
    tags.sort();
    tags.dedup();
    let known = |text: &String| {
        have.audiences
            .iter()
            .any(|audience| audience.as_str() == text)
    };
    let scopes: Option<ScopeSet> = scopes.parse().ok();
    tags.into_iter().eq(have.tags.iter())
        && audiences.iter().all(known)
        && scopes.is_some_and(|scopes| scopes.is_subset_of(&have.scopes))
        && lifetime <= have.max_lifetime
}

/// The identity a node is, or belongs to.
fn identity_of(book: &Book, node: NodeId) -> Option<NodeId> {
    if book.identity(node).is_some() {
        return Some(node);
    }
    let credential = book.credential(node).map(|found| found.identity);
    credential.or_else(|| book.token(node).map(|token| token.identity))
}

/// Whether it is, belongs to, or owns an administrator.
fn has_administrators(book: &Book, node: NodeId) -> bool {
    match identity_of(book, node) {
        Some(identity) => book
            .identity(identity)
            .is_some_and(|found| found.grant.kind == Kind::Administrator),
        // Of a node that is no owner nobody has to be looked for.
        None => book.owner(node).is_some() && administrators_of(book, node).next().is_some(),
    }
}

/// The administrators of an owner.
fn administrators_of(book: &Book, owner: NodeId) -> impl Iterator<Item = NodeId> + '_ {
    book.identities()
        .filter(move |(_, found)| {
            found.grant.owner == owner && found.grant.kind == Kind::Administrator
        })
        .map(|(node, _)| node)
}
