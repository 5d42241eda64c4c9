//! The scopes that a permit names and that nobody used by it.
//!
//! A permit is narrowed for all it gives to, so one use by one of them keeps the scope. A permit that gave nothing
//! is left: it may be for the day on which nothing else helps, and whether that day can come is not in any log.

use serde::Serialize;

use super::evidence::Evidence;
use super::lists::List;
use super::{FEWEST_DAYS, Left, Removal, Right, Stays, Window};
use crate::policy::{Bundle, Effect, Rule};

/// What becomes of one permit.
#[derive(Clone, Debug, Serialize)]
pub struct NarrowedPermit {
    /// Its name.
    pub policy: String,
    /// Whom to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// On how many of the days it gave anything.
    pub active_days: u32,
    /// What is taken out of its list.
    pub removed: Vec<Removal>,
    /// What nobody saw used, and stays.
    pub stays: Vec<(Right, Stays)>,
    /// Why nothing is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
}

/// Says what may be taken out of a permit's list.
pub fn narrow_permit(
    evidence: &Evidence,
    rule: &Rule,
    list: Option<&List>,
    window: Window,
) -> NarrowedPermit {
    let gave = evidence.gave.get(&rule.id).copied().unwrap_or_default();
    let is_late = |first: u32| first >= window.days().div_ceil(2);
    let mut narrowed = NarrowedPermit {
        policy: rule.id.clone(),
        owner: rule.owner.clone(),
        active_days: gave.count(),
        removed: Vec::new(),
        stays: Vec::new(),
        left: match list {
            None => Some(Left::NamesNoScopes),
            Some(list) if list.needs_approval => Some(Left::NeedsApproval),
            Some(_) if gave.is_empty() => Some(Left::GaveNothing),
            // How old a policy is stands nowhere: one that first gave something late may be new.
            Some(_) if gave.first().is_some_and(is_late) => Some(Left::Young),
            Some(_) if gave.count() < FEWEST_DAYS => Some(Left::SeldomActive),
            Some(_) => None,
        },
    };
    let Some(list) = list.filter(|_| narrowed.left.is_none()) else {
        return narrowed;
    };
    for scope in &list.scopes {
        let given = (rule.id.clone(), list.audience.clone(), scope.clone());
        let (used, stays) = evidence.permit(&given);
        let right = Right::Scope(scope.clone());
        if let Some(stays) = stays {
            narrowed.stays.push((right, stays));
        } else if used.days.is_empty() {
            let users = evidence.by_permit.get(&given).into_iter().flatten();
            narrowed.removed.push(Removal {
                right,
                last_used: used.last,
                in_tokens: users.map(|(_, used)| used.given.count).sum(),
            });
        }
    }
    narrowed
}

/// The permits of a bundle that have a say when tokens are asked for.
pub fn permits(bundle: &Bundle) -> impl Iterator<Item = &Rule> {
    let rules = bundle.rules();
    rules.filter(|rule| rule.effect == Effect::Permit && bundle.is_about_issuing(rule))
}
