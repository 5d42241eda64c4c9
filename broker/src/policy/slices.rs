//! Policies in slices, so that a decision looks at those that can matter and at no others.
//!
//! Cedar evaluates every policy of a set: about a microsecond each. Most of them say in their head that they are
//! not meant: another action, another audience, another identity. What the head says is read once, when a bundle
//! is loaded, and a policy is put where only requests that fit its head come by:
//!
//! ```text
//! action ─► resource: any | this scope | below this audience ─► principal: any | this identity | below this owner or tag
//! ```
//! A decision gathers the slices of its action × {any, scope, audience} × {any, identity, owner, each tag}: a
//! handful of look-ups. A policy that is found so is still evaluated whole, head included, so a slice too many
//! costs time and never changes an answer; a slice too few would, which is why an unknown form of a head is put
//! where everybody comes by. What it does not help: policies without a head. A bundle that has only those is
//! evaluated whole ([`Slices::largest`] tells it).
//!
//! Why not Cedar's own way, one set and all of it: a thousand policies are a millisecond for every scope.

use std::collections::HashMap;

use cedar_policy::{
    ActionConstraint, EntityUid, Policy, PolicyId, PolicySet, PolicySetError, PrincipalConstraint,
    ResourceConstraint,
};

use super::words::Words;

/// The most policies that a decision should look at: each takes about a microsecond for every scope.
pub(super) const MOST_WITHIN_REACH: usize = 100;

/// All slices of a bundle.
#[derive(Debug, Default)]
pub(super) struct Slices {
    actions: HashMap<EntityUid, Shelf<Shelf<PolicySet>>>,
}

/// What is for everybody, and what is for one.
#[derive(Debug, Default)]
struct Shelf<T> {
    any: T,
    named: HashMap<EntityUid, T>,
}

impl<T: Default> Shelf<T> {
    fn place(&mut self, name: Option<EntityUid>) -> &mut T {
        match name {
            None => &mut self.any,
            Some(name) => self.named.entry(name).or_default(),
        }
    }

    /// What is for everybody together with the most that is for one.
    fn most(&self, size: impl Fn(&T) -> usize) -> usize {
        let named = self.named.values().map(&size).max();
        size(&self.any) + named.unwrap_or(0)
    }

    fn fitting<'s>(
        &'s self,
        names: impl Iterator<Item = &'s EntityUid>,
    ) -> impl Iterator<Item = &'s T> {
        std::iter::once(&self.any).chain(names.filter_map(|name| self.named.get(name)))
    }
}

impl Slices {
    /// Cuts.
    pub(super) fn of<'p>(
        policies: impl Iterator<Item = &'p Policy>,
        words: &Words,
    ) -> Result<Self, Box<PolicySetError>> {
        let mut slices = Self::default();
        for policy in policies {
            for action in actions(policy, words) {
                let resources = slices.actions.entry(action).or_default();
                let principals = resources.place(resource(policy));
                principals.place(principal(policy)).add(policy.clone())?;
            }
        }
        Ok(slices)
    }

    /// The slices in which policies for such a request can stand.
    pub(super) fn fitting<'s>(
        &'s self,
        action: &EntityUid,
        resources: &'s [&'s EntityUid],
        principals: &'s [EntityUid],
    ) -> impl Iterator<Item = &'s PolicySet> {
        self.actions
            .get(action)
            .into_iter()
            .flat_map(|shelf| shelf.fitting(resources.iter().copied()))
            .flat_map(|shelf| shelf.fitting(principals.iter()))
            .filter(|slice| !slice.is_empty())
    }

    /// How many slices there are.
    pub(super) fn count(&self) -> usize {
        self.sizes().count()
    }

    /// How many policies the largest has.
    pub(super) fn largest(&self) -> usize {
        self.sizes().max().unwrap_or(0)
    }

    /// The largest, in words: what its policies are about.
    pub(super) fn fullest(&self) -> Option<String> {
        fn entries<T>(shelf: &Shelf<T>) -> impl Iterator<Item = (Option<&EntityUid>, &T)> {
            let named = shelf.named.iter().map(|(name, of_it)| (Some(name), of_it));
            std::iter::once((None, &shelf.any)).chain(named)
        }
        let all = self.actions.iter().flat_map(|(action, resources)| {
            entries(resources).flat_map(move |(resource, principals)| {
                let sets = entries(principals);
                sets.map(move |(principal, set)| {
                    (set.num_of_policies(), action, resource, principal)
                })
            })
        });
        // Of equal ones always the same.
        let (size, action, resource, principal) =
            all.max_by_key(|(size, action, ..)| (*size, std::cmp::Reverse(action.to_string())))?;
        let named = |name: Option<&EntityUid>, else_: &str| {
            name.map_or_else(|| else_.to_owned(), ToString::to_string)
        };
        Some(format!(
            "{size} of them about {action} are for {} on {}",
            named(principal, "everybody"),
            named(resource, "everything"),
        ))
    }

    /// How many policies one decision can come to look at: of each kind of slice the largest. Somebody who is named by
    /// identity, owner and several labels may come by more.
    pub(super) fn within_reach(&self) -> usize {
        let sizes = |principals: &Shelf<PolicySet>| principals.most(PolicySet::num_of_policies);
        let actions = self.actions.values();
        actions
            .map(|resources| resources.most(sizes))
            .max()
            .unwrap_or(0)
    }

    /// One of the policies in them.
    pub(super) fn policy(&self, id: &PolicyId) -> Option<&Policy> {
        self.sets().find_map(|set| set.policy(id))
    }

    fn sizes(&self) -> impl Iterator<Item = usize> {
        self.sets()
            .map(PolicySet::num_of_policies)
            .filter(|size| *size > 0)
    }

    fn sets(&self) -> impl Iterator<Item = &PolicySet> {
        self.actions
            .values()
            .flat_map(|shelf| std::iter::once(&shelf.any).chain(shelf.named.values()))
            .flat_map(|shelf| std::iter::once(&shelf.any).chain(shelf.named.values()))
    }
}

/// The actions a policy is about: a group stands for all in it.
pub(super) fn actions(policy: &Policy, words: &Words) -> Vec<EntityUid> {
    let all = words.actions();
    let named = match policy.action_constraint() {
        // Whoever forbids somebody everything does not mean that nothing is done about them any more.
        ActionConstraint::Any => {
            let all = all.iter().map(cedar_policy::Entity::uid);
            return all
                .filter(|uid| words.respond.as_ref() != Some(uid))
                .collect();
        }
        // An action equals itself alone, even if it is a group.
        ActionConstraint::Eq(action) => return vec![action],
        ActionConstraint::In(named) => named,
    };
    let below = |action: &EntityUid| {
        named
            .iter()
            .any(|group| group == action || all.is_ancestor_of(group, action))
    };
    all.iter()
        .map(cedar_policy::Entity::uid)
        .filter(below)
        .collect()
}

/// Below or at what a resource has to be.
pub(super) fn resource(policy: &Policy) -> Option<EntityUid> {
    match policy.resource_constraint() {
        ResourceConstraint::Eq(uid)
        | ResourceConstraint::In(uid)
        | ResourceConstraint::IsIn(_, uid) => Some(uid),
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
    }
}

/// Below or at what a principal has to be.
pub(super) fn principal(policy: &Policy) -> Option<EntityUid> {
    match policy.principal_constraint() {
        PrincipalConstraint::Eq(uid)
        | PrincipalConstraint::In(uid)
        | PrincipalConstraint::IsIn(_, uid) => Some(uid),
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
    }
}
