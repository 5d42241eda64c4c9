//! Approvals: what an administrator is shown, what of it was approved, and for which requests that counts.
//!
//! An approval binds to bytes. What is shown is made once, when somebody asks; whoever approves sends
//! back the SHA-256 of exactly what they read. What is shown is made again from what is true whenever it
//! matters, so that a name, an owner or a request that has changed since is not what was approved.
//!
//! Whose word counts, [`approvers`] says.
//!
//! It is for the identity itself: what is shown says nothing of anybody who acts for it, so decisions about
//! such a token ask for none.

pub(in crate::issue) mod approvers;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use lanyard_token::{Audience, NodeId, ScopeSet, TaskScope};
use ring::digest::{SHA256, digest};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::administration::LOCAL_ADMINISTRATOR;
use super::identity::{Approval, Book, Given};
use crate::clock::UnixMillis;
use crate::store::event::{ApprovalRequest, By, ContentHash};

/// Why something cannot be approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotApproved {
    /// Another administrator must: whoever asked, is asked for, or made the key it was asked with has no say.
    #[error(
        "whoever asked, gets it, or made the key that it was asked with cannot approve it: another administrator must"
    )]
    Self_,
    /// Look at it again: what was read is not what is asked.
    #[error("that is not the hash of what is shown: look at it again")]
    Hash,
    /// Ask again: the identity or its owner is not what it was.
    #[error("what it is about has changed since it was asked: ask again")]
    Changed,
    /// Once is enough.
    #[error("you have approved this already")]
    Already,
    /// Ask again.
    #[error("it was refused: ask again")]
    Refused,
    /// Ask again.
    #[error("its time is over: ask again")]
    Over,
}

impl NotApproved {
    /// As a fixed word.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Self_ => "approval_self",
            Self::Hash => "approval_hash",
            Self::Changed => "approval_changed",
            Self::Already => "approval_already",
            Self::Refused => "approval_refused",
            Self::Over => "approval_over",
        }
    }
}

/// What a decision about one identity's token wants to know about.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// For where.
    pub audience: &'a Audience,
    /// With what.
    pub scopes: &'a ScopeSet,
    /// For how long, in seconds.
    pub lifetime: u64,
    /// Within which task.
    pub task: Option<&'a TaskScope>,
}

/// What was approved for an identity and stands: a copy, for whoever decides after the book was let go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing(Vec<Approved>);

/// One request that was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Approved {
    request: ApprovalRequest,
    by: BTreeSet<String>,
}

impl Standing {
    /// As it is at `now`.
    pub fn of(book: &Book, identity: NodeId, now: UnixMillis) -> Self {
        let approved = book
            .approvals_of(identity)
            .filter(|approval| stands(book, approval, now))
            .map(|approval| Approved {
                request: approval.request.clone(),
                by: approvers::names(book, &approval.given, now),
            });
        Self(approved.collect())
    }

    /// The names of the administrators who approved what covers this, and may still do something.
    pub fn names(&self, wanted: Wanted<'_>) -> BTreeSet<String> {
        self.0
            .iter()
            .filter(|approved| covers(&approved.request, wanted))
            .flat_map(|approved| approved.by.iter().cloned())
            .collect()
    }
}

/// Whether this administrator may approve it now, having read what has this hash.
pub fn check(
    book: &Book,
    approval: &Approval,
    hash: ContentHash,
    by: &By,
    now: UnixMillis,
) -> Result<(), NotApproved> {
    if approval.refused_by.is_some() {
        return Err(NotApproved::Refused);
    }
    if approval.request.until <= now {
        return Err(NotApproved::Over);
    }
    let who = person(book, by);
    let asked = person(book, &approval.asked_by);
    if who.is_none()
        || who == asked
        || who == Some(Person::Identity(approval.request.identity))
        || who == maker(book, approval)
    {
        return Err(NotApproved::Self_);
    }
    if hash_of(&approval.shown) != hash {
        return Err(NotApproved::Hash);
    }
    if is_stale(book, approval) {
        return Err(NotApproved::Changed);
    }
    // What counts no more can be said again.
    let mut said = approval
        .given
        .iter()
        .filter(|given| counts(book, given, now));
    if said.any(|given| person(book, &given.by) == who) {
        return Err(NotApproved::Already);
    }
    Ok(())
}

/// Exactly what whoever decides is shown; `None` when the identity is gone. Each part stands on a line of
/// its own, and no part can hold a line break.
pub fn shown(book: &Book, request: &ApprovalRequest, by: &By) -> Option<String> {
    let identity = book.identity(request.identity)?;
    let owner = book.owner(identity.grant.owner)?;
    let task = match &request.task {
        Some(task) => serde_json::to_string(task).ok()?,
        None => "any".to_owned(),
    };
    let mut text = String::new();
    let lines = [
        (
            "identity",
            format!(
                "{} ({}, {}) of {} ({})",
                identity.grant.name,
                request.identity,
                identity.grant.kind.word(),
                owner.name,
                identity.grant.owner
            ),
        ),
        ("audience", request.audience.to_string()),
        ("scopes", request.scopes.to_string()),
        ("lifetime", format!("{} seconds a token", request.lifetime)),
        ("task", task),
        ("until", date(request.until)),
        ("asked by", asker(book, by)),
        ("reason", request.reason.clone()),
    ];
    for (name, value) in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<9} {value}");
    }
    Some(text)
}

/// SHA-256 of what is shown.
pub fn hash_of(shown: &str) -> ContentHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, shown.as_bytes()).as_ref());
    ContentHash(hash)
}

/// Whether what would be shown now is not what was shown.
pub fn is_stale(book: &Book, approval: &Approval) -> bool {
    shown(book, &approval.request, &approval.asked_by).as_ref() != Some(&approval.shown)
}

/// Whether somebody's yes stands on nothing that is ended or paused.
pub fn counts(book: &Book, given: &Given, now: UnixMillis) -> bool {
    !given.ended
        && match given.by {
            // Of the socket's users too whoever came with a token of its identity: that can be ended, the socket cannot.
            By::Administrator { identity, .. } | By::Identity(identity) => {
                book.usable_identity(identity, now).is_ok()
            }
            By::Socket { .. } | By::Broker | By::Verdict(_) => true,
        }
}

/// An administrator as lists name one, whatever became of it.
pub fn named(book: &Book, by: &By) -> Option<String> {
    match person(book, by)? {
        Person::Local => Some(LOCAL_ADMINISTRATOR.to_owned()),
        Person::Identity(identity) => book
            .identity(identity)
            .map(|found| found.grant.name.clone()),
    }
}

/// Who stands behind an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Person {
    /// Somebody on this machine. All of them are one: whoever may use the socket may take the other's
    /// place, with a token of its own making.
    Local,
    Identity(NodeId),
}

/// Who made the key that the identity itself asked with, and so may have a copy of it.
fn maker(book: &Book, approval: &Approval) -> Option<Person> {
    let credential = book.credential(approval.asked_with?)?;
    person(book, &credential.made_by)
}

fn person(book: &Book, by: &By) -> Option<Person> {
    match by {
        By::Socket { .. } => Some(Person::Local),
        By::Administrator { identity, .. } | By::Identity(identity) => {
            let local = book.find_identity(LOCAL_ADMINISTRATOR) == Some(*identity);
            Some(if local {
                Person::Local
            } else {
                Person::Identity(*identity)
            })
        }
        By::Broker | By::Verdict(_) => None,
    }
}

fn covers(request: &ApprovalRequest, wanted: Wanted<'_>) -> bool {
    let task = match (&request.task, wanted.task) {
        (None, _) => true,
        (Some(approved), Some(wanted)) => wanted.within(approved),
        (Some(_), None) => false,
    };
    task && request.audience == *wanted.audience
        && wanted.scopes.is_subset_of(&request.scopes)
        && wanted.lifetime <= request.lifetime
}

fn stands(book: &Book, approval: &Approval, now: UnixMillis) -> bool {
    !approval.given.is_empty()
        && approval.refused_by.is_none()
        && now < approval.request.until
        && !is_stale(book, approval)
}

fn asker(book: &Book, by: &By) -> String {
    match by {
        By::Socket { uid } => format!("uid {uid}, through the Unix socket"),
        By::Administrator { identity, .. } | By::Identity(identity) => {
            let name = book.identity(*identity).map(|found| &found.grant.name);
            format!("{} ({identity})", name.map_or("-", String::as_str))
        }
        By::Broker | By::Verdict(_) => "the broker".to_owned(),
    }
}

fn date(at: UnixMillis) -> String {
    i64::try_from(at.seconds())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{} seconds after 1970", at.seconds()))
}
