//! Somebody may have a copy: then the old credential is good for no longer than it takes until nobody of ours has it.
//!
//! Whoever plans an overlap of days has slow releases in mind, and each of those days is one for a thief too. About a lease
//! after the new one is in force everybody who asks has it. *What that costs:* who took the value elsewhere and never asks
//! is cut off sooner than planned. A rotation that is under way is hurried as well; its first steps take as long as before.

use super::Rotations;
use super::drive::Journal as _;
use super::machine::{Fact, Rules};
use crate::store::event::{By, RotationCause};
use crate::vault::LONGEST_LEASE_SECONDS;

/// How long both are good at most, and nobody must have used the old one: a lease.
const HURRIED: u64 = LONGEST_LEASE_SECONDS * 1_000;

/// Whether somebody may have a copy.
pub(super) const fn is_urgent(cause: RotationCause) -> bool {
    match cause {
        RotationCause::Asked | RotationCause::Schedule => false,
        RotationCause::Leak | RotationCause::Drift | RotationCause::OwnerEnded => true,
    }
}

/// The numbers of a plan, as far as there is time for them.
pub(super) fn rules_for(cause: RotationCause, rules: Rules) -> Rules {
    if !is_urgent(cause) {
        return rules;
    }
    Rules {
        overlap: rules.overlap.min(HURRIED),
        quiet: rules.quiet.min(HURRIED),
        ..rules
    }
}

impl Rotations {
    /// Makes what is under way end the old credential sooner, when somebody may have a copy of what it ends or put in force.
    pub(super) async fn hurry(&self) {
        for rotation in self.state.all_under_way() {
            let Some(under) = self.state.rotation(rotation) else {
                continue;
            };
            let old = under.rotation.old().map(|old| old.version);
            let mut causes = [old, Some(under.rotation.version())]
                .into_iter()
                .flatten()
                .filter_map(|version| self.vault.state.exposed(under.secret, version));
            let Some(cause) = causes.find(|cause| is_urgent(*cause)) else {
                continue;
            };
            if is_urgent(under.cause) && rules_for(cause, under.rules) == under.rules {
                continue;
            }
            let fact = Fact::Hurried { cause };
            let journal = self.journal(rotation, By::Broker);
            // What cannot be written now is a moment later.
            if let Ok(journal) = journal
                && journal.record(fact, None).await.is_ok()
            {
                tracing::warn!(
                    %rotation, cause = cause.word(),
                    "an exchange under way is hurried: somebody may have a copy"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::USUAL_RULES;
    use super::*;

    #[test]
    fn who_may_have_a_copy_is_given_a_lease_and_a_shorter_plan_stays_as_it_is() {
        let days = Rules {
            overlap: 92 * 24 * 60 * 60 * 1_000,
            quiet: 24 * 60 * 60 * 1_000,
            ..USUAL_RULES
        };
        let hurried = Rules {
            overlap: 60_000,
            quiet: 60_000,
            ..USUAL_RULES
        };
        let short = Rules {
            overlap: 0,
            quiet: 1_000,
            ..USUAL_RULES
        };
        for (cause, is_hurried) in [
            (RotationCause::Asked, false),
            (RotationCause::Schedule, false),
            (RotationCause::Leak, true),
            (RotationCause::Drift, true),
            (RotationCause::OwnerEnded, true),
        ] {
            let expected = if is_hurried { hurried } else { days };
            assert_eq!(rules_for(cause, days), expected, "{}", cause.word());
            assert_eq!(rules_for(cause, short), short, "{}", cause.word());
        }
    }
}
