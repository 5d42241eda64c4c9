//! Why a gateway is given a secret, or why not.

use serde::Serialize;

use super::super::Binding;
use super::super::bundle::Bundle;
use super::super::rehearsal::{self, Untried, rehearse_use};
use super::super::trial::{Fixtures, Outcome, Using};
use super::parts::Situation;
use super::{Standing, standing};

/// What came out of a use, and why.
#[derive(Clone, Debug, Serialize)]
pub struct UseExplained {
    /// What came out.
    pub outcome: Outcome,
    /// What each policy of use made of it; `None`: the schema has no word of secrets, so nothing is handed out.
    pub policies: Option<Vec<Standing>>,
}

/// Explains.
pub fn explain_use(
    bundle: &Bundle,
    fixtures: &Fixtures,
    using: &Using,
) -> Result<UseExplained, Untried> {
    let outcome = rehearse_use(bundle, fixtures, using)?;
    let gateway = rehearsal::gateway(fixtures, using)?;
    let situation = Situation::of_use(bundle, &using.asked(gateway)).map_err(Untried::Failed)?;
    let policies = situation.map(|situation| {
        bundle
            .rules()
            .filter(|rule| bundle.is_about_use(rule))
            .map(|rule| standing(bundle, rule, Binding::None, &situation))
            .collect()
    });
    Ok(UseExplained { outcome, policies })
}
