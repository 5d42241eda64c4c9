//! Policies that contradict themselves, or one another.
//!
//! A permit that can never permit, because a forbid covers all of it, and a policy whose own conditions exclude each
//! other: whoever writes one believes that somebody may do something, or that nobody may, and it is not so. Which
//! part is the mistake only a person can say.
//!
//! What is decided: whether the head of a forbid covers that of a permit, and whether conditions leave any value for
//! what they speak of ([`facts`]). What it misses: several forbids that cover a permit together, memberships that
//! only a request shows (`principal in Tag` over `principal == Identity`), patterns, ranges of addresses, sums. A
//! solver would find those, and is larger than the broker: cases that are never allowed stand out in a test.

mod facts;

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashSet};

use cedar_policy::{
    Effect, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint, ResourceConstraint,
};

use serde_json::Value;
use time::OffsetDateTime;

use super::slices::actions;
use super::words::Words;
use facts::{Clash, and, conditions, from, impossible, not, whole};

/// Policies in the form in which their conditions can be looked at. Cedar parses each once more to write it, so it is
/// done once for a bundle.
#[derive(Debug)]
pub(super) struct Written(BTreeMap<PolicyId, Value>);

impl Written {
    /// One that Cedar cannot write has nothing that could be looked at.
    pub(super) fn of(policies: &PolicySet) -> Self {
        let all = policies.policies();
        Self(
            all.filter_map(|policy| Some((policy.id().clone(), policy.to_json().ok()?)))
                .collect(),
        )
    }

    /// One of them.
    pub(super) fn get(&self, policy: &PolicyId) -> Option<&Value> {
        self.0.get(policy)
    }

    /// What in a policy's own conditions excludes each other.
    pub(super) fn excluded(&self, policy: &Policy) -> Option<Clash> {
        impossible(&whole(self.get(policy.id())?))
    }

    /// Whether a forbid applies wherever a permit does, their heads aside.
    fn follows(&self, permit: &Policy, forbid: &Policy) -> bool {
        if !forbid.has_non_scope_constraint() {
            return true;
        }
        let (Some(permit), Some(forbid)) = (self.get(permit.id()), self.get(forbid.id())) else {
            return false;
        };
        impossible(&and(whole(permit), not(conditions(forbid)))).is_some()
    }
}

/// Whether a policy applied once and never will again.
pub(super) fn is_over(policy: &Value, now: OffsetDateTime) -> bool {
    let condition = whole(policy);
    impossible(&and(condition.clone(), from(now))).is_some() && impossible(&condition).is_none()
}

/// A forbid, and what it is about: read off once, and compared with every permit.
pub(super) struct Forbid<'p> {
    pub(super) policy: &'p Policy,
    actions: HashSet<EntityUid>,
    principal: PrincipalConstraint,
    resource: ResourceConstraint,
}

impl<'p> Forbid<'p> {
    /// All of a bundle's.
    pub(super) fn all(policies: &'p PolicySet, words: &Words) -> Vec<Self> {
        let forbids = policies
            .policies()
            .filter(|policy| policy.effect() == Effect::Forbid);
        forbids
            .map(|policy| Self {
                policy,
                actions: actions(policy, words).into_iter().collect(),
                principal: policy.principal_constraint(),
                resource: policy.resource_constraint(),
            })
            .collect()
    }
}

/// The forbid that covers this permit, if there is one.
pub(super) fn covering<'f, 'p>(
    permit: &Policy,
    mut forbids: impl Iterator<Item = &'f Forbid<'p>>,
    words: &Words,
    written: &Written,
) -> Option<&'f Forbid<'p>>
where
    'p: 'f,
{
    if permit.effect() != Effect::Permit {
        return None;
    }
    let (principal, resource) = (permit.principal_constraint(), permit.resource_constraint());
    // Most permits have a head that no forbid covers.
    let permitted = LazyCell::new(|| actions(permit, words));
    forbids.find(|forbid| {
        covers_principal(&forbid.principal, &principal)
            && covers_resource(&forbid.resource, &resource)
            && permitted
                .iter()
                .all(|action| forbid.actions.contains(action))
            && written.follows(permit, forbid.policy)
    })
}

fn covers_principal(forbid: &PrincipalConstraint, permit: &PrincipalConstraint) -> bool {
    use PrincipalConstraint::{Any, Eq, In, Is, IsIn};
    match (forbid, permit) {
        (Any, _) => true,
        (Is(wide), Is(narrow) | IsIn(narrow, _)) => wide == narrow,
        (Is(wide), Eq(narrow)) => wide == narrow.type_name(),
        (Eq(wide), Eq(narrow))
        | (In(wide), Eq(narrow) | In(narrow) | IsIn(_, narrow))
        | (IsIn(_, wide), IsIn(_, narrow)) => wide == narrow,
        _ => false,
    }
}

fn covers_resource(forbid: &ResourceConstraint, permit: &ResourceConstraint) -> bool {
    use ResourceConstraint::{Any, Eq, In, Is, IsIn};
    match (forbid, permit) {
        (Any, _) => true,
        (Is(wide), Is(narrow) | IsIn(narrow, _)) => wide == narrow,
        (Is(wide), Eq(narrow)) => wide == narrow.type_name(),
        (Eq(wide), Eq(narrow)) => wide == narrow,
        (In(wide), Eq(narrow) | In(narrow) | IsIn(_, narrow))
        | (IsIn(_, wide), Eq(narrow) | IsIn(_, narrow)) => wide == narrow || is_of(narrow, wide),
        _ => false,
    }
}

/// Whether it is a scope of this audience: its id says so. An audience's own id may have a `#`, too.
fn is_of(scope: &EntityUid, audience: &EntityUid) -> bool {
    let id = scope.id().unescaped();
    scope.type_name().basename() == "Scope"
        && id
            .rsplit_once('#')
            .is_some_and(|(prefix, _)| prefix == audience.id().unescaped())
}

#[cfg(test)]
mod tests;
