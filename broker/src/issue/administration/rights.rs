//! Right-sizing: what identities are registered for and have not used for long.
//!
//! Gateways are the honest witnesses: they see which operations are called, and know which scopes each demands.
//! An audience of which gateways did not tell all that time has tokens for its only witness, and then whatever a token
//! had counts as used. What was registered a few days ago is not unused for thirty; and what is done once a
//! month is unused on most days, which is why whoever asks chooses how many.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_token::{Audience, NodeId, ScopeSet};
use serde::Serialize;

use super::LOCAL_ADMINISTRATOR;
use super::unused::owner_name;
use crate::clock::UnixMillis;
use crate::issue::Issue;
use crate::issue::identity::{Book, Identified, Right, quiet_days, whole_days};
use crate::store::event::Kind;

/// Which rights are asked for.
#[derive(Clone, Debug, Default)]
pub struct AskedRights {
    /// Not used for so many whole days.
    pub days: u64,
    /// Of this identity only, by name.
    pub identity: Option<String>,
    /// Of this owner's identities only, by name.
    pub owner: Option<String>,
    /// Operations too, which are many.
    pub operations: bool,
}

/// What sort of right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RightKind {
    /// To obtain tokens for it.
    Audience,
    /// At any of its audiences.
    Scope,
    /// What its scopes let it call, and others do.
    Operation,
}

/// Who says that something is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// Gateways at every audience it came to: none of them saw it.
    Gateways,
    /// Tokens: none had it, or none was obtained.
    Tokens,
}

/// A right that nobody used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnusedRight {
    /// Whose.
    pub identity: String,
    /// Its number.
    pub id: NodeId,
    /// Who answers for that, by name.
    pub owner: String,
    /// What sort of right.
    pub what: RightKind,
    /// Its name.
    pub right: String,
    /// For an operation: where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<Audience>,
    /// Since when it is registered, in Unix milliseconds.
    pub since: UnixMillis,
    /// For how many whole days nobody used it.
    pub quiet_days: u64,
    /// The day it was last used, in Unix milliseconds.
    pub last_used: Option<UnixMillis>,
    /// Who says so.
    pub witness: Witness,
    /// The last day on which a request named it: taking it away would refuse that client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_named: Option<UnixMillis>,
}

impl Issue {
    /// Rights that nobody used, by owner and identity.
    pub fn unused_rights(&self, asked: &AskedRights) -> Vec<UnusedRight> {
        let now = self.now();
        self.state().read(|book| unused_rights(book, asked, now))
    }
}

/// Operations at each audience that gateways have seen anybody call, and the scopes each demands.
type Called<'b> = BTreeMap<&'b Audience, BTreeMap<&'b str, &'b ScopeSet>>;

fn unused_rights(book: &Book, asked: &AskedRights, now: UnixMillis) -> Vec<UnusedRight> {
    let called = if asked.operations {
        called(book)
    } else {
        Called::new()
    };
    let is_meant = |found: &Identified, owner: &str| {
        let named = asked.identity.as_deref();
        let owned = asked.owner.as_deref();
        !matches!(found.grant.kind, Kind::Gateway | Kind::Administrator)
            && found.grant.name != LOCAL_ADMINISTRATOR
            && !found.disabled
            && named.is_none_or(|name| name == found.grant.name)
            && owned.is_none_or(|name| name == owner)
    };
    let mut rights = Vec::new();
    for (id, found) in book.identities() {
        let owner = owner_name(book, found);
        if !is_meant(found, &owner) {
            continue;
        }
        let look = Look {
            found,
            began: found.usage.enabled.max(book.awake_since()),
            days: asked.days,
            now,
        };
        let unused = look.audiences().chain(look.scopes());
        let unused = unused.chain(look.operations(&called));
        rights.extend(unused.map(|unused| UnusedRight {
            identity: found.grant.name.clone(),
            id,
            owner: owner.clone(),
            ..unused
        }));
    }
    rights.sort_by(|one, other| {
        let key = |right: &UnusedRight| {
            (
                right.owner.clone(),
                right.identity.clone(),
                right.what,
                right.audience.clone(),
                right.right.clone(),
            )
        };
        key(one).cmp(&key(other))
    });
    rights
}

fn called(book: &Book) -> Called<'_> {
    let mut called = Called::new();
    for (_, found) in book.identities() {
        for (audience, operations) in &found.rights.operations {
            let there = called.entry(audience).or_default();
            there.extend(
                operations
                    .iter()
                    .map(|(name, one)| (name.as_str(), &one.scopes)),
            );
        }
    }
    called
}

/// One identity, looked at.
struct Look<'b> {
    found: &'b Identified,
    /// Days count from here on: before, nobody could have used anything.
    began: UnixMillis,
    days: u64,
    now: UnixMillis,
}

impl<'b> Look<'b> {
    fn audiences(&self) -> impl Iterator<Item = UnusedRight> {
        let all = self.found.rights.audiences.iter();
        all.filter_map(|(audience, right)| {
            let last = right.given.max(right.seen);
            let of = (RightKind::Audience, audience.as_str());
            self.unused(of, right, last, Witness::Tokens)
        })
    }

    fn scopes(&self) -> impl Iterator<Item = UnusedRight> {
        let is_watched = self.is_watched();
        let all = self.found.rights.scopes.iter();
        all.filter_map(move |(scope, right)| {
            let of = (RightKind::Scope, scope.as_str());
            if is_watched {
                self.unused(of, right, right.seen, Witness::Gateways)
            } else {
                let last = right.seen.max(right.given);
                self.unused(of, right, last, Witness::Tokens)
            }
        })
    }

    /// Whether gateways told, all those days, of every audience that it lately obtained tokens for.
    fn is_watched(&self) -> bool {
        let audiences = self.found.rights.audiences.values();
        let mut came_to = audiences
            .filter(|right| self.is_lately(right.given))
            .peekable();
        came_to.peek().is_some() && came_to.all(|right| self.is_told_of(right))
    }

    fn is_told_of(&self, audience: &Right) -> bool {
        let told = audience
            .told_since
            .filter(|_| self.is_lately(audience.seen));
        told.is_some_and(|since| whole_days(since, self.now) >= self.days)
    }

    fn is_lately(&self, last: Option<UnixMillis>) -> bool {
        last.is_some_and(|last| quiet_days(self.began, Some(last), self.now) <= self.days)
    }

    fn operations(&self, called: &Called<'b>) -> impl Iterator<Item = UnusedRight> {
        let rights = &self.found.rights;
        let mut unused = Vec::new();
        let told_of = rights.audiences.iter();
        for (audience, right) in told_of.filter(|(_, right)| self.is_told_of(right)) {
            let own = rights.operations.get(audience);
            let known = called.get(audience).into_iter().flatten();
            let mine: BTreeSet<_> = known
                .filter(|(_, scopes)| scopes.is_subset_of(&self.found.grant.scopes))
                .map(|(name, _)| *name)
                .collect();
            for name in mine {
                let last = own.and_then(|own| own.get(name)).map(|one| one.last);
                let of = (RightKind::Operation, name);
                let found = self.unused(of, right, last, Witness::Gateways);
                unused.extend(found.map(|found| UnusedRight {
                    audience: Some(audience.clone()),
                    last_named: None,
                    ..found
                }));
            }
        }
        unused.into_iter()
    }

    fn unused(
        &self,
        (what, name): (RightKind, &str),
        right: &Right,
        last: Option<UnixMillis>,
        witness: Witness,
    ) -> Option<UnusedRight> {
        let quiet_days = quiet_days(self.began.max(right.since), last, self.now);
        (quiet_days >= self.days).then(|| UnusedRight {
            identity: String::new(),
            id: NodeId::from_u64(0),
            owner: String::new(),
            what,
            right: name.to_owned(),
            audience: None,
            since: right.since,
            quiet_days,
            last_used: last,
            witness,
            last_named: right.named.filter(|_| what == RightKind::Scope),
        })
    }
}
