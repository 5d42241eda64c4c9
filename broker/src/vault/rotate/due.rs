//! When a secret is to be exchanged without anybody asking.
//!
//! *Why not all on the day itself:* what was planned together would be exchanged together, for ever, and a third
//! party that limits calls would stop half of it. So each comes up to a tenth of its period early, always the same for
//! the same secret.

use super::super::SecretView;
use crate::clock::UnixMillis;
use crate::store::event::{RotationCause, RotationPlan};

/// A day.
const DAY: u64 = 24 * 60 * 60 * 1_000;
/// The part of a period that a secret may come early by.
const EARLY: u64 = 10;

/// Why a secret is to be exchanged now; `None`: it is not. `undone` is when its last exchange ended, where that was
/// undone: it begins again a day later, not at the next look.
pub(super) fn due(
    plan: &RotationPlan,
    view: &SecretView,
    undone: Option<UnixMillis>,
    now: UnixMillis,
) -> Option<RotationCause> {
    if view.rotation_queued.is_some() {
        return Some(view.queued_because.unwrap_or(RotationCause::OwnerEnded));
    }
    let period = u64::from(plan.every_days?).saturating_mul(DAY);
    let active = view
        .versions
        .iter()
        .find(|version| Some(version.version) == view.active)?;
    let early = early(plan.secret.as_u64(), period / EARLY);
    let is_due = now.millis_since(active.added_at) >= period.saturating_sub(early);
    let has_rested = undone.is_none_or(|over| now.millis_since(over) >= DAY);
    (is_due && has_rested).then_some(RotationCause::Schedule)
}

/// A number below `most`, spread evenly over secrets whose ids follow one another.
const fn early(id: u64, most: u64) -> u64 {
    // Fibonacci hashing: the golden ratio of 2^64 puts neighbours far apart.
    let spread = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    if most == 0 { 0 } else { spread % most }
}

#[cfg(test)]
mod tests {
    use lanyard_token::NodeId;

    use super::super::USUAL_RULES;
    use super::*;
    use crate::store::event::{Version, VersionState};
    use crate::vault::VersionView;

    fn plan(secret: u64, every_days: Option<u32>) -> RotationPlan {
        RotationPlan {
            secret: NodeId::from_u64(secret),
            third_party: serde_json::Value::Null,
            manager: NodeId::from_u64(secret),
            private: Vec::new(),
            every_days,
            rules: USUAL_RULES,
        }
    }

    fn view(added_at: UnixMillis) -> SecretView {
        let version = VersionView {
            version: Version(1),
            state: VersionState::Active,
            since: added_at,
            added_at,
            reference: None,
            data_key: None,
            exposed: None,
        };
        SecretView {
            id: NodeId::from_u64(1),
            name: "payments/key".to_owned(),
            owner: "payments".to_owned(),
            created_at: added_at,
            active: Some(Version(1)),
            rotation_queued: None,
            queued_because: None,
            planned: true,
            versions: vec![version],
        }
    }

    #[test]
    fn every_secret_is_due_within_the_last_tenth_of_its_period_and_not_all_at_once() {
        let put = UnixMillis(1_000);
        let after = |days: u64| put.plus_millis(days * DAY);
        let due_after = |secret: u64, days: u64| {
            due(&plan(secret, Some(90)), &view(put), None, after(days)).is_some()
        };
        let mut days = std::collections::BTreeSet::new();
        for secret in 1..=200 {
            assert!(!due_after(secret, 80), "{secret}");
            assert!(due_after(secret, 90), "{secret}");
            days.extend((80..=90).find(|day| due_after(secret, *day)));
        }
        assert!(days.len() >= 8, "{days:?}");
        assert_eq!(due(&plan(1, None), &view(put), None, after(10_000)), None);
    }

    #[test]
    fn whoever_may_have_a_copy_makes_it_due_at_once_and_the_reason_is_kept() {
        let mut queued = view(UnixMillis(1_000));
        queued.rotation_queued = Some(UnixMillis(2_000));
        queued.queued_because = Some(RotationCause::Leak);
        let cause = due(&plan(1, None), &queued, None, UnixMillis(2_000));
        assert_eq!(cause, Some(RotationCause::Leak));
        let just_over = Some(UnixMillis(1_999));
        let cause = due(&plan(1, None), &queued, just_over, UnixMillis(2_000));
        assert_eq!(cause, Some(RotationCause::Leak));
    }

    #[test]
    fn one_that_was_undone_begins_again_a_day_later() {
        let put = UnixMillis(1_000);
        let undone = put.plus_millis(100 * DAY);
        let due_at =
            |now: UnixMillis| due(&plan(1, Some(90)), &view(put), Some(undone), now).is_some();
        assert!(!due_at(undone.plus_millis(DAY - 1)));
        assert!(due_at(undone.plus_millis(DAY)));
    }
}
