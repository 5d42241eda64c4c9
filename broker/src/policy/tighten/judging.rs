//! The later requests, tried without what is taken: what would have been refused, and because of what.

use std::collections::BTreeMap;

use lanyard_token::Audience;
use serde::Serialize;

use super::super::bundle::Bundle;
use super::super::difference::Recorded;
use super::super::trial::{Outcome, Verdict};
use super::days::{Place, Window};
use super::{List, Narrowed, NarrowedPermit, Removal, Right};

/// Everything that is taken.
#[derive(Clone, Copy, Debug)]
pub struct Narrower<'n> {
    /// The policies as they are.
    pub before: &'n Bundle,
    /// As they would be.
    pub after: &'n Bundle,
    /// From identities.
    pub identities: &'n [Narrowed],
    /// From permits, with their lists.
    pub permits: &'n [(NarrowedPermit, Option<List>)],
}

/// What came of the requests after the days that were looked at.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Judged {
    /// Requests that are given as things are; what gateways saw used counts as one each time.
    pub good: u64,
    /// Of those, how many would be refused.
    pub blocked: u64,
    /// Which, in their order.
    pub requests: Vec<Blocked>,
}

/// A request that would be refused.
#[derive(Clone, Debug, Serialize)]
pub struct Blocked {
    /// It.
    pub recorded: Recorded,
    /// What it would lack.
    pub because: Vec<Removal>,
}

/// Tries the requests that lie after the window, with the registrations and the policies as they would be.
pub fn judge(narrower: Narrower<'_>, requests: &[Recorded], window: Window) -> Judged {
    let identities = narrower.identities.iter();
    let by_name: BTreeMap<&str, &Narrowed> = identities
        .map(|narrowed| (narrowed.identity.as_str(), narrowed))
        .collect();
    let is_given = |outcome: Result<Outcome, _>| {
        outcome.is_ok_and(|outcome| outcome.decision == Verdict::Allow)
    };
    let mut judged = Judged::default();
    for recorded in requests {
        if window.place(recorded.request.time) != Place::After
            || !is_given(recorded.through(narrower.before))
        {
            continue;
        }
        judged.good = judged.good.saturating_add(recorded.count);
        let narrowed = by_name.get(recorded.identity.name.as_str()).copied();
        let registered = narrowed.map_or_else(
            || recorded.identity.clone(),
            |narrowed| narrowed.registered(&recorded.identity),
        );
        if is_given(recorded.registered(registered).through(narrower.after)) {
            continue;
        }
        judged.blocked = judged.blocked.saturating_add(recorded.count);
        judged.requests.push(Blocked {
            because: because(narrower, narrowed, recorded),
            recorded: recorded.clone(),
        });
    }
    judged
}

/// What was taken of what a request names.
fn because(
    narrower: Narrower<'_>,
    narrowed: Option<&Narrowed>,
    recorded: &Recorded,
) -> Vec<Removal> {
    let request = &recorded.request;
    let only = || recorded.identity.audiences.first();
    let audience = request.audience.as_ref().or_else(only);
    let from_identity = narrowed.into_iter().flat_map(|narrowed| &narrowed.removed);
    let here = |list: &List| audience == Some(&list.audience);
    let permits = narrower.permits.iter();
    let permits = permits.filter(|(_, list)| list.as_ref().is_some_and(here));
    let from_permits = permits.flat_map(|(permit, _)| &permit.removed);
    from_identity
        .chain(from_permits)
        .filter(|removal| is_named(&removal.right, recorded, audience))
        .cloned()
        .collect()
}

fn is_named(right: &Right, recorded: &Recorded, audience: Option<&Audience>) -> bool {
    match right {
        Right::Scope(scope) => {
            let scopes = recorded.request.scopes.as_ref();
            scopes.is_some_and(|scopes| scopes.contains(scope.as_str()))
        }
        Right::Audience(taken) => audience == Some(taken),
    }
}
