//! Asking for approval, and giving or refusing it: what clients and administrators do about
//! [approvals](crate::issue::approval).

use std::collections::BTreeSet;

use lanyard_token::{NodeId, TaskScope};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::input::{self, InvalidInput};
use super::{AdminError, Issue};
use crate::clock::UnixMillis;
use crate::issue::Client;
use crate::issue::approval::approvers::{self, Approvers};
use crate::issue::approval::{self, NotApproved};
use crate::issue::decision::Seen;
use crate::issue::identity::{Approval, Book, Identified};
use crate::issue::policy::Request;
use crate::policy::Bundle;
use crate::store::Event;
use crate::store::event::{ApprovalRequest, By, ContentHash};
use crate::store::plain::is_plain_line;

/// The most that may be open for one identity: whoever must decide about more decides about none.
const MOST_OPEN: usize = 32;
/// The shortest time box that a client may ask for itself: with [`MOST_OPEN`], what bounds how often it asks.
const LEAST_SECONDS: u64 = 60;
/// The longest time box; what should hold longer is a policy.
const LONGEST_SECONDS: u64 = 7 * 24 * 3_600;

/// What is asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewApproval {
    /// For whom, by name or number.
    pub identity: String,
    /// Where.
    pub audience: String,
    /// What, separated by spaces.
    pub scopes: String,
    /// Longest lifetime of one token, in seconds; absent: the trust domain's.
    #[serde(default)]
    pub lifetime: Option<u64>,
    /// Within which task, as `authorization_details` has it.
    #[serde(default)]
    pub task: Option<Value>,
    /// What for.
    pub reason: String,
    /// For how long from now on, in seconds.
    pub seconds: u64,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Nobody whose word counts has said anything.
    Asked,
    /// Somebody has approved it, and could still.
    Approved,
    /// Somebody has refused it.
    Refused,
    /// It is about something that has changed since.
    Changed,
    /// Its time is over.
    Over,
}

/// What was asked, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApprovalView {
    /// Its number.
    pub id: NodeId,
    /// For whom, by name.
    pub identity: String,
    /// How it stands.
    pub state: ApprovalState,
    /// When it is over, in Unix milliseconds.
    pub until: UnixMillis,
    /// Who approved it, and could still; of what does not stand, because it is refused, over or changed: who approved it, and
    /// whose word has not ended with them.
    pub approved_by: BTreeSet<String>,
    /// Who approved it, and could not any more: ended, paused, or without the right.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub lapsed: BTreeSet<String>,
    /// Why somebody refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_because: Option<String>,
    /// Exactly what is approved.
    pub shown: String,
    /// SHA-256 of that: what an approval names.
    pub hash: ContentHash,
}

impl Issue {
    /// Asks administrators to approve something.
    pub async fn request_approval(
        &self,
        new: NewApproval,
        by: By,
    ) -> Result<ApprovalView, AdminError> {
        let _one_at_a_time = self.administration.lock().await;
        let request = self.approval_request(new, self.now())?;
        self.ask_alone(request, by, None).await
    }

    /// A client asks for itself: administrators are shown exactly what it is going to ask for.
    pub async fn request_own_approval(
        &self,
        client: &Client,
        wanted: Request,
        reason: &str,
        seconds: u64,
    ) -> Result<ApprovalView, AdminError> {
        let _one_at_a_time = self.administration.lock().await;
        let now = self.now();
        let audience = match wanted.audiences.as_slice() {
            [one] => one.clone(),
            _ => return Err(InvalidInput::new("audience", "names one audience").into()),
        };
        let may = |found: &Identified| found.grant.audiences.contains(&audience);
        let registered = self
            .state()
            .read(|book| book.identity(client.identity).is_some_and(may));
        if !registered {
            let why = "is none that this identity is registered for: no approval would help";
            return Err(InvalidInput::new("audience", why).into());
        }
        let Some(scopes) = wanted.scopes.filter(|_| !wanted.partial) else {
            let why = "names what is wanted, all of it: who asks for what there is asks for nothing exactly";
            return Err(InvalidInput::new("scope", why).into());
        };
        if seconds < LEAST_SECONDS {
            let why = format!("is at least {LEAST_SECONDS}");
            return Err(InvalidInput::new("seconds", why).into());
        }
        let request = ApprovalRequest {
            identity: client.identity,
            audience,
            scopes,
            lifetime: self
                .approved_lifetime(wanted.lifetime.unwrap_or(self.lifetimes().default))?,
            task: wanted.task,
            reason: input::reason(reason)?,
            until: until(now, seconds)?,
        };
        let by = By::Identity(client.identity);
        self.ask_alone(request, by, Some(client.credential)).await
    }

    async fn ask_alone(
        &self,
        request: ApprovalRequest,
        by: By,
        credential: Option<NodeId>,
    ) -> Result<ApprovalView, AdminError> {
        let now = self.now();
        let task = request.task.as_ref().map(serde_json::to_string);
        if !task.is_none_or(|text| text.is_ok_and(|text| is_plain_line(&text))) {
            let why = "has characters that cannot be seen";
            return Err(InvalidInput::new("task", why).into());
        }
        let identity = request.identity;
        let (open, shown) = self.state().read(|book| {
            let open = book.approvals().filter(|(_, asked)| {
                asked.request.identity == identity && asked.request.until > now
            });
            (open.count(), approval::shown(book, &request, &by))
        });
        if open >= MOST_OPEN {
            let why = format!("has {MOST_OPEN} open approvals already");
            return Err(InvalidInput::new("identity", why).into());
        }
        let shown = shown.ok_or(NotApproved::Changed)?;
        let id = self.store.nodes().next();
        let event = Event::ApprovalRequested {
            approval: id,
            request: Box::new(request),
            shown,
            by,
            credential,
        };
        self.store.append(vec![event]).await?;
        self.show_approval(id)
    }

    fn approval_request(
        &self,
        new: NewApproval,
        now: UnixMillis,
    ) -> Result<ApprovalRequest, AdminError> {
        let identity = self.find_identity(&new.identity)?;
        let refused = |member| {
            move |error: &dyn std::fmt::Display| {
                InvalidInput::new(member, format!("is refused: {error}"))
            }
        };
        let task = match new.task {
            Some(task) => {
                let text = task.to_string();
                Some(TaskScope::parse(&text).map_err(|error| refused("task")(&error))?)
            }
            None => None,
        };
        let lifetime = new.lifetime.unwrap_or(self.lifetimes().longest);
        let scopes = new
            .scopes
            .parse()
            .map_err(|error| refused("scopes")(&error))?;
        let audience = new
            .audience
            .parse()
            .map_err(|error| refused("audience")(&error))?;
        Ok(ApprovalRequest {
            identity,
            audience,
            scopes,
            lifetime: self.approved_lifetime(lifetime)?,
            task,
            reason: input::reason(&new.reason)?,
            until: until(now, new.seconds)?,
        })
    }

    fn approved_lifetime(&self, seconds: u64) -> Result<u64, InvalidInput> {
        let longest = self.lifetimes().longest;
        if (1..=longest).contains(&seconds) {
            return Ok(seconds);
        }
        let why = format!("is 1 to {longest} seconds");
        Err(InvalidInput::new("lifetime", why))
    }

    /// Approves exactly what has this hash.
    pub async fn approve(
        &self,
        id: NodeId,
        hash: ContentHash,
        by: By,
    ) -> Result<ApprovalView, AdminError> {
        let _one_at_a_time = self.administration.lock().await;
        let now = self.now();
        self.state().read(|book| {
            let asked = book.approval(id).ok_or_else(|| unknown(id))?;
            Ok::<_, AdminError>(approval::check(book, asked, hash, &by, now)?)
        })?;
        let event = Event::ApprovalGiven {
            approval: id,
            hash,
            by,
        };
        self.store.append(vec![event]).await?;
        self.show_approval(id)
    }

    /// Refuses it, or takes it back: any administrator may, whoever has approved it.
    pub async fn refuse_approval(
        &self,
        id: NodeId,
        by: By,
        reason: &str,
    ) -> Result<ApprovalView, AdminError> {
        let _one_at_a_time = self.administration.lock().await;
        let reason = input::reason(reason)?;
        let now = self.now();
        self.state().read(|book| {
            let asked = book.approval(id).ok_or_else(|| unknown(id))?;
            if asked.refused_by.is_some() {
                return Err(AdminError::from(NotApproved::Refused));
            }
            if asked.request.until <= now {
                return Err(NotApproved::Over.into());
            }
            Ok(())
        })?;
        let event = Event::ApprovalRefused {
            approval: id,
            by,
            reason,
        };
        self.store.append(vec![event]).await?;
        self.show_approval(id)
    }

    /// What was asked, and how it stands.
    pub fn show_approval(&self, id: NodeId) -> Result<ApprovalView, AdminError> {
        let now = self.now();
        let looked = self.state().read(|book| {
            let asked = book.approval(id).ok_or_else(|| unknown(id))?;
            Ok::<_, AdminError>(self.look_at(book, id, asked, now))
        });
        Ok(looked?.judged(&self.policies(), now))
    }

    /// What a client asked for itself, and how it stands; what others asked is nobody's.
    pub fn show_own_approval(
        &self,
        client: &Client,
        id: NodeId,
    ) -> Result<ApprovalView, AdminError> {
        let own = By::Identity(client.identity);
        let asked_by_it = |asked: &Approval| asked.asked_by == own;
        let known = self
            .state()
            .read(|book| book.approval(id).is_some_and(asked_by_it));
        if known {
            self.show_approval(id)
        } else {
            Err(unknown(id))
        }
    }

    /// Everything that was asked and is not over for long, the newest first.
    pub fn list_approvals(&self) -> Vec<ApprovalView> {
        let known = |book: &Book| book.approvals().map(|(id, _)| id).collect();
        let mut known: Vec<NodeId> = self.state().read(known);
        known.sort_unstable_by(|one, other| other.cmp(one));
        // One at a time: records wait while the book is read. One that is forgotten meanwhile was over long since.
        let shown = known.into_iter().map(|id| self.show_approval(id));
        shown.filter_map(Result::ok).collect()
    }
}

fn until(now: UnixMillis, seconds: u64) -> Result<UnixMillis, InvalidInput> {
    if (1..=LONGEST_SECONDS).contains(&seconds) {
        return Ok(now.plus_millis(seconds.saturating_mul(1_000)));
    }
    let why = format!("is 1 to {LONGEST_SECONDS}");
    Err(InvalidInput::new("seconds", why))
}

/// What was asked, and who approved it, before the policies are asked whose word counts.
struct Looked {
    view: ApprovalView,
    /// Who approved it, and for whom; `None`: it does not stand, whoever says what.
    standing: Option<(Approvers, Seen)>,
}

impl Issue {
    fn look_at(&self, book: &Book, id: NodeId, asked: &Approval, now: UnixMillis) -> Looked {
        let state = if asked.refused_by.is_some() {
            ApprovalState::Refused
        } else if asked.request.until <= now {
            ApprovalState::Over
        } else if approval::is_stale(book, asked) {
            ApprovalState::Changed
        } else if asked.given.is_empty() {
            ApprovalState::Asked
        } else {
            ApprovalState::Approved
        };
        let approved_by = approvers::names(book, &asked.given, now);
        let all = asked
            .given
            .iter()
            .filter_map(|given| approval::named(book, &given.by));
        let identity = book.identity(asked.request.identity);
        let standing = (state == ApprovalState::Approved)
            .then(|| self.seen(book, asked.request.identity, now).ok())
            .flatten()
            .map(|subject| (self.approvers_of(book, asked, now), subject));
        let view = ApprovalView {
            id,
            identity: identity.map_or_else(String::new, |found| found.grant.name.clone()),
            state,
            until: asked.request.until,
            lapsed: all.filter(|name| !approved_by.contains(name)).collect(),
            approved_by,
            refused_because: asked.refused_by.as_ref().map(|(_, reason)| reason.clone()),
            shown: asked.shown.clone(),
            hash: approval::hash_of(&asked.shown),
        };
        Looked { view, standing }
    }
}

impl Looked {
    fn judged(self, bundle: &Bundle, now: UnixMillis) -> ApprovalView {
        let Self { mut view, standing } = self;
        let Some((approvers, subject)) = standing else {
            return view;
        };
        let counts = |name: &String| approvers.counts(name, (&subject, bundle), now);
        let (approved_by, lapsed) = std::mem::take(&mut view.approved_by)
            .into_iter()
            .partition(counts);
        view.approved_by = approved_by;
        view.lapsed.extend(lapsed);
        if view.approved_by.is_empty() {
            view.state = ApprovalState::Asked;
        }
        view
    }
}

fn unknown(id: NodeId) -> AdminError {
    AdminError::NotFound {
        kind: "approval",
        name: id.to_string(),
    }
}
