//! Who gets what: a pure function over what an identity may ask for and what its parent token had.
//!
//! The one rule behind all others: what comes out is never wider than either of them, in audience,
//! scope, lifetime or task. Scopes and audiences are refused when they go beyond, because a caller
//! that asked for more would misread a silent cut; a lifetime is cut, because the answer says how
//! long it is (`expires_in`).

use lanyard_token::{Audience, Claims, ScopeSet, TaskScope};

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
}

/// What an identity may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Where its tokens may be good for.
    pub audiences: Vec<Audience>,
    /// What they may allow there.
    pub scopes: ScopeSet,
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

/// Decides at `now` (Unix seconds).
pub fn decide(
    request: &Request,
    allowance: &Allowance,
    parent: Option<&Claims>,
    lifetimes: Lifetimes,
    now: u64,
) -> Result<Granted, Denied> {
    let audience = audience(request, allowance, parent)?;
    let scopes = scopes(request, allowance, parent)?;
    let task = task(request, parent)?;
    if task.as_ref().is_some_and(|task| !task.is_open_at(now)) {
        return Err(Denied::TaskEnded);
    }
    let wanted = request.lifetime.unwrap_or(lifetimes.default);
    let ends = [
        Some(now.saturating_add(wanted.min(allowance.max_lifetime).min(lifetimes.longest))),
        parent.map(|parent| parent.exp),
        task.as_ref().and_then(|task| task.expires_at),
    ];
    let expires_at = ends.into_iter().flatten().min().unwrap_or(now);
    if expires_at <= now {
        return Err(Denied::Lifetime);
    }
    Ok(Granted {
        audience,
        scopes,
        expires_at,
        task,
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

fn scopes(
    request: &Request,
    allowance: &Allowance,
    parent: Option<&Claims>,
) -> Result<ScopeSet, Denied> {
    let allowed = match parent {
        Some(parent) => allowance.scopes.intersection(&parent.scope),
        None => allowance.scopes.clone(),
    };
    match &request.scopes {
        None => Ok(allowed),
        Some(asked) if asked.is_subset_of(&allowed) => Ok(asked.clone()),
        Some(_) => Err(Denied::Scope),
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
