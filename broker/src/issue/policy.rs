//! Who gets what: the rules that no policy overrides, around what the policies say.
//!
//! The one rule behind all others: what comes out is never wider than the registration, the parent token or the
//! policies, in audience, scope, lifetime or task. Scopes and audiences are refused when they go beyond, because a
//! caller that asked for more would misread a silent cut, unless it said that it would look; a lifetime is cut,
//! because the answer says how long it is (`expires_in`).

use std::collections::BTreeSet;

use lanyard_token::{Audience, Claims, ScopeSet, TaskScope};

use crate::policy::{Given, NotGiven};

/// What is asked for, already in types that cannot be wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `audience` and `resource` together, each once.
    pub audiences: Vec<Audience>,
    /// `scope`; absent: everything allowed.
    pub scopes: Option<ScopeSet>,
    /// `requested_lifetime`, in seconds.
    pub lifetime: Option<u64>,
    /// `authorization_details`.
    pub task: Option<TaskScope>,
    /// `partial_scope`: take what is allowed when not everything is.
    pub partial: bool,
}

/// What an identity was registered for, whatever policies say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Where its tokens may be good for.
    pub audiences: Vec<Audience>,
    /// Longest lifetime, in seconds.
    pub max_lifetime: u64,
}

/// Lifetimes of the whole trust domain, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// When none is asked for.
    pub default: u64,
    /// Never longer, for nobody.
    pub longest: u64,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            default: 300,
            longest: 3_600,
        }
    }
}

/// What the policies are asked, once it is within the rules.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Whom the token is for.
    pub audience: &'a Audience,
    /// What it is to allow; absent: everything that is allowed.
    pub scopes: Option<&'a ScopeSet>,
    /// What the parent token allows.
    pub within: Option<&'a ScopeSet>,
    /// Whether what is allowed is taken when not everything is.
    pub partial: bool,
    /// As it was asked for, in seconds.
    pub lifetime: u64,
    /// What it would be limited to.
    pub task: Option<&'a TaskScope>,
}

/// What is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The one audience.
    pub audience: Audience,
    /// What the token allows there.
    pub scopes: ScopeSet,
    /// When it ends, in Unix seconds.
    pub expires_at: u64,
    /// What it is for.
    pub task: Option<TaskScope>,
    /// The policies that permitted it, by name.
    pub policies: BTreeSet<String>,
}

/// A denial, with what policies had to do with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Denial {
    /// Why.
    pub why: Denied,
    /// What the policies said; empty when they were not asked.
    pub by: NotGiven,
}

impl From<Denied> for Denial {
    fn from(why: Denied) -> Self {
        let by = NotGiven::default();
        Self { why, by }
    }
}

/// Why nothing is given; what to ask for instead is in the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// Name one: RFC 8707 `invalid_target`.
    #[error("name the one audience the token is for")]
    NoTarget,
    /// Ask once per audience.
    #[error("a token is for one audience: ask once for each")]
    ManyTargets,
    /// Ask for another audience.
    #[error("this audience is not allowed")]
    Target,
    /// Ask for fewer scopes.
    #[error("a scope asked for is not allowed")]
    Scope,
    /// Ask at another time, in another way, or not at all.
    #[error("nothing is allowed there now")]
    Nothing,
    /// Ask for a narrower task.
    #[error("the task is wider than the one it descends from")]
    Task,
    /// The task ended before it began.
    #[error("the task has ended")]
    TaskEnded,
    /// The parent ends now.
    #[error("nothing is left of the lifetime")]
    Lifetime,
}

/// Decides at `now` (Unix seconds); `policies` are asked at most once, about what is within the rules.
pub fn decide(
    request: &Request,
    allowance: &Allowance,
    parent: Option<&Claims>,
    lifetimes: Lifetimes,
    now: u64,
    policies: impl FnOnce(&Wish<'_>) -> Result<Given, NotGiven>,
) -> Result<Granted, Denial> {
    let audience = audience(request, allowance, parent)?;
    let within = parent.map(|parent| &parent.scope);
    let scopes = asked_scopes(request, within)?;
    let task = task(request, parent)?;
    if task.as_ref().is_some_and(|task| !task.is_open_at(now)) {
        return Err(Denied::TaskEnded.into());
    }
    let wanted = request.lifetime.unwrap_or(lifetimes.default);
    let wish = Wish {
        audience: &audience,
        scopes: scopes.as_ref(),
        within,
        partial: request.partial,
        lifetime: wanted,
        task: task.as_ref(),
    };
    let given = policies(&wish).map_err(|by| {
        let why = if scopes.is_some() {
            Denied::Scope
        } else {
            Denied::Nothing
        };
        Denial { why, by }
    })?;
    let cap = given.cap.unwrap_or(u64::MAX).min(allowance.max_lifetime);
    let ends = [
        Some(now.saturating_add(wanted.min(cap).min(lifetimes.longest))),
        parent.map(|parent| parent.exp),
        task.as_ref().and_then(|task| task.expires_at),
    ];
    let expires_at = ends.into_iter().flatten().min().unwrap_or(now);
    if expires_at <= now {
        return Err(Denied::Lifetime.into());
    }
    Ok(Granted {
        scopes: bounded(given.scopes, scopes.as_ref(), within, request.partial)?,
        audience,
        expires_at,
        task,
        policies: given.policies,
    })
}

fn audience(
    request: &Request,
    allowance: &Allowance,
    parent: Option<&Claims>,
) -> Result<Audience, Denied> {
    let allowed = |audience: &&Audience| parent.is_none_or(|parent| parent.aud == **audience);
    match request.audiences.as_slice() {
        [] => {
            let mut candidates = allowance.audiences.iter().filter(allowed);
            match (candidates.next(), candidates.next()) {
                (Some(only), None) => Ok(only.clone()),
                _ => Err(Denied::NoTarget),
            }
        }
        [one] if allowance.audiences.contains(one) && allowed(&one) => Ok(one.clone()),
        [_] => Err(Denied::Target),
        _ => Err(Denied::ManyTargets),
    }
}

/// What is asked for, as far as the parent goes.
fn asked_scopes(request: &Request, within: Option<&ScopeSet>) -> Result<Option<ScopeSet>, Denied> {
    let Some(asked) = &request.scopes else {
        return Ok(None);
    };
    let inside = within.map_or_else(|| asked.clone(), |within| asked.intersection(within));
    let nothing_left = inside.is_empty() && !asked.is_empty();
    if nothing_left || inside != *asked && !request.partial {
        return Err(Denied::Scope);
    }
    Ok(Some(inside))
}

/// Whatever policies give, nothing beyond what was asked for and what the parent has.
fn bounded(
    given: ScopeSet,
    asked: Option<&ScopeSet>,
    within: Option<&ScopeSet>,
    partial: bool,
) -> Result<ScopeSet, Denied> {
    let bounds = [asked, within].into_iter().flatten();
    let scopes = bounds.fold(given, |scopes, bound| scopes.intersection(bound));
    match asked {
        Some(asked) if scopes != *asked && (!partial || scopes.is_empty()) => Err(Denied::Scope),
        _ => Ok(scopes),
    }
}

fn task(request: &Request, parent: Option<&Claims>) -> Result<Option<TaskScope>, Denied> {
    let inherited = parent.and_then(|parent| parent.authorization_details.as_ref());
    match (&request.task, inherited) {
        (None, inherited) => Ok(inherited.cloned()),
        (Some(asked), None) => Ok(Some(asked.clone())),
        (Some(asked), Some(inherited)) => asked
            .clone()
            .narrow(inherited)
            .map(Some)
            .map_err(|_| Denied::Task),
    }
}

#[cfg(test)]
mod tests;
