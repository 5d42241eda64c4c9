//! A permit that can never permit, because a forbid without conditions covers all of it.
//!
//! Whoever writes one believes that somebody may do something, and nobody may: one of the two policies is a
//! mistake, and which one only a person can say. What it misses: forbids whose conditions happen to cover the
//! permit's, and memberships that only a request shows (`principal in Tag` over `principal == Identity`). Cedar's
//! own validator finds conditions that are never true. A prover would find the rest, and is not worth a
//! solver in the broker: cases that are never allowed stand out in a test.

use cedar_policy::{Effect, EntityUid, Policy, PrincipalConstraint, ResourceConstraint};

use super::slices::actions;
use super::words::Words;

/// The forbid that covers this permit, if there is one.
pub(super) fn covering<'p>(
    permit: &Policy,
    forbids: impl Iterator<Item = &'p Policy>,
    words: &Words,
) -> Option<&'p Policy> {
    if permit.effect() != Effect::Permit {
        return None;
    }
    let permitted = actions(permit, words);
    let mut blanket = forbids
        .filter(|policy| policy.effect() == Effect::Forbid && !policy.has_non_scope_constraint());
    blanket.find(|forbid| {
        let forbidden = actions(forbid, words);
        permitted.iter().all(|action| forbidden.contains(action))
            && covers_principal(
                &forbid.principal_constraint(),
                &permit.principal_constraint(),
            )
            && covers_resource(&forbid.resource_constraint(), &permit.resource_constraint())
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
