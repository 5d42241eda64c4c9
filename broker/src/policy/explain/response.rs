//! Why this step, and why not another.

use serde::Serialize;

use super::super::bundle::{Bundle, Effect, Rule};
use super::super::rehearsal::Untried;
use super::super::respond::{Choice, Offence, try_on};
use super::super::trial::Fixtures;
use super::Standing;
use super::parts::{Situation, why_not};

/// What is done about a verdict, and what each policy made of it.
#[derive(Clone, Debug, Serialize)]
pub struct Answered {
    /// What came out.
    pub choice: Choice,
    /// Each policy of responses.
    pub policies: Vec<Standing>,
}

/// Explains.
pub fn explain_response(
    bundle: &Bundle,
    fixtures: &Fixtures,
    offence: &Offence,
) -> Result<Answered, Untried> {
    let choice = try_on(bundle, fixtures, offence)?;
    let nobody = || Untried::Nobody(offence.identity.clone());
    let fixture = fixtures.get(&offence.identity).ok_or_else(nobody)?;
    let situation = Situation::of_drift(bundle, &offence.on(fixture)).map_err(Untried::Failed)?;
    let rules = bundle.response_rules();
    let policies = rules
        .map(|rule| standing(bundle, rule, &choice, &situation))
        .collect();
    Ok(Answered { choice, policies })
}

fn standing(bundle: &Bundle, rule: &Rule, choice: &Choice, situation: &Situation) -> Standing {
    let why_not = why_not(bundle, rule, situation);
    let about_them = why_not.as_ref().is_none_or(|why| why.about_them);
    let (applies, because) = match why_not {
        Some(why) => (false, why.words),
        None if choice.not_in_share.contains(&rule.id) => (
            false,
            "it is tried on a share of identities, and this one is not among them".to_owned(),
        ),
        None => (true, applied(rule, choice)),
    };
    Standing {
        id: rule.id.clone(),
        place: rule.place(),
        effect: rule.effect,
        applies,
        about_them,
        because,
    }
}

fn applied(rule: &Rule, choice: &Choice) -> String {
    let why = rule.why.as_deref().unwrap_or("all that it asks for holds");
    let Some(marks) = &rule.respond else {
        return why.to_owned();
    };
    let step = marks.response;
    match rule.effect {
        Effect::Forbid => format!("at most {}: {why}", step.milder().word()),
        Effect::Permit if choice.capped.contains(&rule.id) => format!(
            "{} instead of {}, because its cap is met: {why}",
            step.milder().word(),
            step.word()
        ),
        Effect::Permit => format!("{}: {why}", step.word()),
    }
}
