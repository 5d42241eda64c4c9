//! Who may say that a verdict is fine, as the policies that answered it have it.
//!
//! The policies in force now are asked, by the names that stand with the verdict: whoever tightens `@override` means
//! yesterday's verdicts too, and a policy that is gone demands nothing. Every one that answered has to agree. The
//! Unix socket may always: it is the way in when nobody else is left, and each use of it is written down.

use super::Watch;
use super::review::ClearError;
use super::state::VerdictRecord;
use crate::store::event::By;

impl Watch {
    /// Whether somebody may clear it.
    pub(super) fn may_override(&self, record: &VerdictRecord, by: &By) -> Result<(), ClearError> {
        let By::Administrator { identity, .. } = by else {
            return Ok(());
        };
        let Some(bundle) = self.response_policies() else {
            return Ok(());
        };
        let who = self.state.registered(*identity);
        let owner = self.state.registered(record.judgement.identity);
        let owner = owner.map(|registered| registered.owner).unwrap_or_default();
        let chosen = record.responses.iter();
        let policies = chosen.filter_map(|taken| taken.chosen.as_ref());
        for id in policies.flat_map(|chosen| &chosen.policies) {
            let rule = bundle.response_rule(id);
            let marks = rule.and_then(|rule| rule.respond.as_ref());
            let Some(overriders) = marks.and_then(|marks| marks.may_override.as_ref()) else {
                continue;
            };
            let admitted = who
                .as_ref()
                .is_some_and(|who| overriders.admit(&who.party(), &owner));
            if !admitted {
                return Err(ClearError::NotYours {
                    verdict: record.judgement.id,
                    policy: id.clone(),
                    who: overriders.words().join(", "),
                });
            }
        }
        Ok(())
    }
}
