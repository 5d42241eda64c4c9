//! How versions of a secret follow one another: pure rules, so that every order of wishes can be tried.

use crate::store::event::{Version, VersionState};

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// This one in force.
    Activate(Version),
    /// This one out of use.
    Retire(Version),
    /// All of them.
    RetireAll,
}

/// Why a version stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoveRefused {
    /// Look which versions there are.
    #[error("there is no version {0}")]
    Unknown(Version),
    /// Nothing to do.
    #[error("version {0} is {state} already", state = .1.word())]
    Already(Version, VersionState),
    /// Put a new one.
    #[error("version {0} is retired for good: put its value again as a new version")]
    Retired(Version),
    /// Put another value, and end this one at the third party.
    #[error("version {0} was found elsewhere before it was ever in force: put another value")]
    Leaked(Version),
    /// Activate another first, or retire all.
    #[error("version {0} is in force: activate another one first, or retire the secret as a whole")]
    InForce(Version),
    /// Nothing to do.
    #[error("every version is retired already")]
    AllRetired,
}

/// The moves that a wish comes to, in their order. At most one version is active after each.
pub(super) fn plan(
    versions: impl Iterator<Item = (Version, VersionState)> + Clone,
    wish: Wish,
) -> Result<Vec<(Version, VersionState)>, MoveRefused> {
    use VersionState::{Active, Draining, Pending, Retired};
    let state = |wanted: Version| {
        let mut all = versions.clone();
        all.find(|(version, _)| *version == wanted)
            .map(|(_, state)| state)
            .ok_or(MoveRefused::Unknown(wanted))
    };
    match wish {
        Wish::Activate(version) => match state(version)? {
            Active => Err(MoveRefused::Already(version, Active)),
            Retired => Err(MoveRefused::Retired(version)),
            Pending | Draining => {
                let before = versions.filter(|(_, state)| *state == Active);
                let drained = before.map(|(version, _)| (version, Draining));
                Ok(drained.chain([(version, Active)]).collect())
            }
        },
        Wish::Retire(version) => match state(version)? {
            Active => Err(MoveRefused::InForce(version)),
            Retired => Err(MoveRefused::Already(version, Retired)),
            Pending | Draining => Ok(vec![(version, Retired)]),
        },
        Wish::RetireAll => {
            let living = versions.filter(|(_, state)| *state != Retired);
            let moves: Vec<_> = living.map(|(version, _)| (version, Retired)).collect();
            if moves.is_empty() {
                return Err(MoveRefused::AllRetired);
            }
            Ok(moves)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_wish() -> impl Strategy<Value = Wish> {
        prop_oneof![
            4 => (1_u32..6).prop_map(|n| Wish::Activate(Version(n))),
            2 => (1_u32..6).prop_map(|n| Wish::Retire(Version(n))),
            1 => Just(Wish::RetireAll),
        ]
    }

    proptest! {
        #[test]
        fn at_most_one_version_is_active_and_what_is_retired_stays_so(wishes in proptest::collection::vec(any_wish(), 0..40)) {
            let mut states = vec![VersionState::Pending; 4];
            for wish in wishes {
                let before = states.clone();
                let now: Vec<_> = (1..).map(Version).zip(states.iter().copied()).collect();
                let Ok(moves) = plan(now.into_iter(), wish) else { continue };
                for (version, state) in moves {
                    states[version.0 as usize - 1] = state;
                    let active = states.iter().filter(|state| **state == VersionState::Active).count();
                    prop_assert!(active <= 1);
                }
                for (old, new) in before.iter().zip(&states) {
                    prop_assert!(*old != VersionState::Retired || *new == VersionState::Retired);
                    // Nobody loses the version in force without an order for just that.
                    let lost = *old == VersionState::Active && *new == VersionState::Retired;
                    prop_assert!(!lost || wish == Wish::RetireAll);
                }
            }
        }
    }

    #[test]
    fn the_one_in_force_and_its_successor_may_change_places_again() {
        use VersionState::{Active, Draining};
        let versions = [(Version(1), Draining), (Version(2), Active)];
        assert_eq!(
            plan(versions.into_iter(), Wish::Activate(Version(1))).unwrap(),
            [(Version(2), Draining), (Version(1), Active)]
        );
    }
}
