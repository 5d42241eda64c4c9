//! Whether an administrator who did something could do it today.
//!
//! What it catches: a role that was taken away, by its label or by other policies, an owner who is another one, whoever it
//! was done to having become somebody else's. So what was said with a right does not outlive the right.
//!
//! What it misses: the circumstances of then, which are not asked again. Somebody approves at noon and from the office what
//! is used at night, so any hour of the day will do, and what else a condition looks at in `context` (an address, a time
//! box) is taken as in [`super::lock_out`]: met by a permit, and not by a forbid.
//!
//! Nothing warms up: it looks at the policies in force and at who there is, each time. A right that comes back brings
//! back what was said with it.
//!
//! Why not ask for a decision here and now: it would end at dusk what was approved by day.

use time::UtcOffset;

use super::super::bundle::Bundle;
use super::Act;
use super::lock_out::{ADMIN_SCOPE, Around};

/// Of a day.
const HOURS: u8 = 24;

impl Bundle {
    /// Whether there are circumstances in which this could be done; those of the act, hour and scopes of the token among
    /// them, are not looked at. What cannot be decided could not.
    pub fn could_still(&self, act: &Act<'_>) -> bool {
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
                        ..*act
                    };
                    matches!(self.could(&act, Around::Anywhere), Ok(None))
                })
        };
        let bundle = self.about_administration();
        if !bundle.looks_at_hours(&bundle.words.action(act.action)) {
            return at(act.time);
        }
        let day = act.time.to_offset(UtcOffset::UTC);
        (0..HOURS).any(|hour| at(day.replace_hour(hour).unwrap_or(day)))
    }
}
