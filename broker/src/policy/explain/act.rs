//! Why an administrator may do something, or why not.

use serde::Serialize;

use super::super::Binding;
use super::super::administration::Action;
use super::super::bundle::Bundle;
use super::super::rehearsal::{self, Untried, rehearse_act};
use super::super::trial::{Acting, Fixtures, Outcome};
use super::parts::Situation;
use super::{Standing, standing};

/// What came out of an act, and why.
#[derive(Clone, Debug, Serialize)]
pub struct ActExplained {
    /// What came out.
    pub outcome: Outcome,
    /// What was done.
    pub action: Action,
    /// What each policy of administration made of it.
    pub policies: Vec<Standing>,
}

/// Explains.
pub fn explain_act(
    bundle: &Bundle,
    fixtures: &Fixtures,
    acting: &Acting,
) -> Result<ActExplained, Untried> {
    let outcome = rehearse_act(bundle, fixtures, acting)?;
    let (who, target) = rehearsal::hands(fixtures, acting)?;
    let bundle = bundle.about_administration();
    let act = acting.act(who, target, &who.scopes);
    let situation = Situation::act(bundle, &act).map_err(Untried::Failed)?;
    let action = bundle.words.action(acting.action);
    let policies = bundle
        .rules()
        .filter(|rule| bundle.has_a_say(rule, &action))
        .map(|rule| standing(bundle, rule, Binding::None, &situation))
        .collect();
    Ok(ActExplained {
        outcome,
        action: acting.action,
        policies,
    })
}
