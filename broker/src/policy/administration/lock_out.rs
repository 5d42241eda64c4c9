//! Whether anybody could still mend the policies, and who administers, over the network.
//!
//! What it catches: bundles under which none of the administrators there are could have policies read again
//! (`policy:reload`) and administer administrators, whatever the circumstances: a forbid without exception, a role
//! that nobody has, a permit that was taken out. It names the line.
//!
//! What it misses: circumstances that never come. A part of a condition that looks at `context` (an address, an
//! hour, a time box) is taken to be met by a permit and not by a forbid, because nobody knows from where and when the
//! next administrator comes. A network that is misspelt locks everybody out and is not found.
//!
//! Nothing warms up: it looks at the policies and at who there is, each time. The way back from a lock-out that it
//! did not find is the Unix socket, which asks no policy.
//!
//! Why not ask for a decision here and now: a bundle that lets administrators in from the office only would be
//! refused on every reload from elsewhere, and accepted by day what is a lock-out at night.

use super::super::bundle::{Bundle, Effect, Rule};
use super::super::explain::parts::{self, Situation};
use super::super::words::Unfit;
use super::{Act, Action};

/// What it takes to mend policies, and who administers.
pub const MENDING: [Action; 2] = [Action::PolicyReload, Action::AdministratorsWrite];

/// Why somebody could not do something under any circumstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedOut {
    /// What.
    pub action: Action,
    /// `file:line` of the forbid, or of the permit that comes nearest; `None`: no policy is about it.
    pub place: Option<String>,
    /// In words.
    pub words: String,
}

impl Bundle {
    /// Whether whoever administers could do this, if the circumstances were right.
    pub fn could(&self, act: &Act<'_>) -> Result<Option<LockedOut>, Unfit> {
        let bundle = self.about_administration();
        let situation = Situation::act(bundle, act)?;
        let action = bundle.words.action(act.action);
        let (who, what) = (act.who.name, act.action);
        let about = |effect: Effect| {
            let rules = bundle.rules();
            rules.filter(move |rule| rule.effect == effect)
        };
        let forbids = about(Effect::Forbid).filter(|rule| bundle.has_a_say(rule, &action));
        for forbid in forbids {
            if parts::always(bundle, forbid, &situation) {
                let words = format!("`{}` forbids `{what}` to `{who}`", forbid.id);
                return Ok(Some(locked(what, Some(forbid), words)));
            }
        }
        let mut nearest: Option<(bool, &Rule, String)> = None;
        for permit in about(Effect::Permit).filter(|rule| bundle.has_a_say(rule, &action)) {
            let Some(why) = never(bundle, permit, &situation) else {
                return Ok(None);
            };
            if nearest
                .as_ref()
                .is_none_or(|(about_them, ..)| why.about_them && !about_them)
            {
                nearest = Some((why.about_them, permit, why.words));
            }
        }
        Ok(Some(match nearest {
            Some((_, permit, why)) => {
                let words = format!("`{}` does not permit `{what}` to `{who}`: {why}", permit.id);
                locked(what, Some(permit), words)
            }
            None => locked(what, None, format!("nothing permits `{what}`")),
        }))
    }
}

/// Why a permit could not hold. One that demands a binding counts for nobody.
fn never(bundle: &Bundle, permit: &Rule, situation: &Situation) -> Option<parts::WhyNot> {
    if permit.require_binding.is_some() {
        return Some(parts::WhyNot {
            about_them: true,
            words: "it counts for bound tokens only".to_owned(),
        });
    }
    parts::never(bundle, permit, situation)
}

fn locked(action: Action, rule: Option<&Rule>, words: String) -> LockedOut {
    LockedOut {
        action,
        place: rule.map(Rule::place),
        words,
    }
}
