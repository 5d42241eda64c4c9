//! Whether an administrator who did something could do it today.
//!
//! What it catches: a role that was taken away, by its label or by other policies, an owner who is another one, whoever it
//! was done to having become somebody else's. So what was said with a right does not outlive the right.
//!
//! What it misses: the circumstances of then, which are not asked again. Somebody approves at noon and from the office what
//! is used at night, so any hour of the day will do, and what else a condition looks at in `context` (an address, a time
//! box) is taken as in [`super::lock_out`]: met by a permit, and not by a forbid.
//!
//! What was found is remembered as long as the policies are in force: every token of an identity that somebody approved
//! something for asks, and a *no* takes every policy in every hour, part by part. Nobody else warms up: a role that is taken
//! away is another question, and a right that comes back brings back what was said with it. Of the act all is part of the
//! question but when and where, because those are not looked at.
//!
//! Why not ask for a decision here and now: it would end at dusk what was approved by day.

use quick_cache::sync::Cache;
use time::UtcOffset;

use super::super::bundle::Bundle;
use super::super::question::Question;
use super::lock_out::{ADMIN_SCOPE, Around};
use super::{Act, On};

/// Of a day.
const HOURS: u8 = 24;
/// So many answers are remembered: about half a kibibyte each, made up of who approved and for whom.
const REMEMBERED: usize = 4_096;

/// What was found with one bundle.
pub(in crate::policy) struct Could(Cache<Box<[u8]>, bool>);

impl Default for Could {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl std::fmt::Debug for Could {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Could({} answers)", self.0.len())
    }
}

impl Bundle {
    /// Whether there are circumstances in which this could be done; those of the act, hour, address and scopes of the token
    /// among them, are not looked at. What cannot be decided could not.
    pub fn could_still(&self, act: &Act<'_>) -> bool {
        let question = question(act);
        if let Some(known) = self.could.0.get(question.bytes()) {
            return known;
        }
        let found = self.find_whether(act);
        self.could.0.insert(question.into_bytes(), found);
        found
    }

    /// The same, without remembering.
    fn find_whether(&self, act: &Act<'_>) -> bool {
        let usual = ADMIN_SCOPE.parse().unwrap_or_default();
        let at = |time| {
            // Most administrators have what is usual, and are asked about once.
            let other = (usual != *act.who.scopes).then_some(&usual);
            [Some(act.who.scopes), other]
                .into_iter()
                .flatten()
                .any(|scopes| {
                    let act = Act {
                        scopes,
                        time,
                        network: None,
                        ..*act
                    };
                    matches!(self.could(&act, Around::Anywhere), Ok(None))
                })
        };
        let bundle = self.about_administration();
        // What can be done now is found at once.
        if at(act.time) {
            return true;
        }
        let day = act.time.to_offset(UtcOffset::UTC);
        bundle.looks_at_hours(&bundle.words.action(act.action))
            && (0..HOURS)
                .filter(|hour| *hour != day.hour())
                .any(|hour| at(day.replace_hour(hour).unwrap_or(day)))
    }
}

fn question(act: &Act<'_>) -> Question {
    // Every member is named here, so that a new one is not forgotten.
    let Act {
        who,
        action,
        on,
        wider,
        scopes: _,
        network: _,
        time: _,
    } = *act;
    let mut question = Question::new();
    question.text(action.word());
    question.party(&who);
    match on {
        On::System => question.number(0),
        On::Owner(name) => {
            question.number(1);
            question.text(name);
        }
        On::Identity(party) => {
            question.number(2);
            question.party(&party);
        }
    }
    question.number(u64::from(wider));
    question
}
