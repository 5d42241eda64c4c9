//! Why, or why not: what each policy made of a request.
//!
//! A decision only names the policies that determined it. Why another did not apply is found by asking its parts
//! one after the other, each as a policy of its own: whom it is about, what it is about, then its conditions in
//! their order. The first that does not hold is told, with the values it looked at. What stands behind it was not
//! looked at, so nobody can say whether correcting that one part would be enough.

mod act;
pub(super) mod parts;
mod response;
mod using;

use lanyard_token::{Audience, Scope};
use serde::Serialize;

use super::asked::{Asked, Binding};
use super::bundle::{Bundle, Effect, Rule};
use super::rehearsal::{self, Untried, rehearse};
use super::trial::{Asking, Fixtures, Outcome};
pub use act::{ActExplained, explain_act};
use parts::{Situation, why_not};
pub use response::{Answered, explain_response};
pub use using::{UseExplained, explain_use};

/// What came out of a request, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// What came out.
    pub outcome: Outcome,
    /// What of the request no broker can look at yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<String>,
    /// At which audience; `None`: at none, so no policy was asked.
    pub audience: Option<Audience>,
    /// For each scope, what the policies made of it.
    pub scopes: Vec<Explained>,
}

/// One scope.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// Which.
    pub scope: Scope,
    /// Whether it was given, seen by itself.
    pub given: bool,
    /// What each policy about issuing made of it.
    pub policies: Vec<Standing>,
}

/// What one policy made of it.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// Its name.
    pub id: String,
    /// `file:line`.
    pub place: String,
    /// Whether it gives or takes.
    pub effect: Effect,
    /// Whether it did.
    pub applies: bool,
    /// Whether it is about this identity at all.
    pub about_them: bool,
    /// In words.
    pub because: String,
}

/// Explains.
pub fn explain(
    bundle: &Bundle,
    fixtures: &Fixtures,
    asking: &Asking,
) -> Result<Explanation, Untried> {
    let unchecked = (asking.binding != Binding::None).then(|| {
        format!(
            "no broker checks the binding `{}` yet: it decides as for a token that is not bound",
            asking.binding.word()
        )
    });
    let asking = asking.as_a_broker_sees_it();
    let outcome = rehearse(bundle, fixtures, &asking)?;
    let parties = rehearsal::parties(fixtures, &asking)?;
    let audience = rehearsal::audience(&asking, parties.0);
    let mut scopes = Vec::new();
    if let Some(audience) = &audience {
        let asked = asking.asked(parties, audience);
        scopes = explained(bundle, &asked)?;
    }
    Ok(Explanation {
        outcome,
        unchecked,
        audience,
        scopes,
    })
}

fn explained(bundle: &Bundle, asked: &Asked<'_>) -> Result<Vec<Explained>, Untried> {
    let wanted = bundle.wanted(asked);
    let rulings = bundle.rulings(asked, &wanted).map_err(Untried::Failed)?;
    wanted
        .into_iter()
        .flatten()
        .zip(rulings)
        .map(|(scope, ruling)| {
            let situation = Situation::of(bundle, asked, scope).map_err(Untried::Failed)?;
            let policies = bundle
                .rules()
                .filter(|rule| bundle.is_about_issuing(rule))
                .map(|rule| standing(bundle, rule, asked.binding, &situation))
                .collect();
            Ok(Explained {
                scope: scope.clone(),
                given: ruling.is_given(),
                policies,
            })
        })
        .collect()
}

fn standing(bundle: &Bundle, rule: &Rule, binding: Binding, situation: &Situation) -> Standing {
    let why_not = why_not(bundle, rule, situation);
    let about_them = why_not.as_ref().is_none_or(|why| why.about_them);
    let unbound = rule.require_binding.filter(|needed| *needed != binding);
    let (applies, because) = match (why_not, unbound) {
        (Some(why), _) => (false, why.words),
        (None, Some(needed)) => {
            let because = format!(
                "it counts only for tokens bound with `{}`, and this one's binding is `{}`",
                needed.word(),
                binding.word()
            );
            (false, because)
        }
        (None, None) => (true, applied(rule)),
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

fn applied(rule: &Rule) -> String {
    let why = rule.why.as_deref().unwrap_or("all that it asks for holds");
    match rule.max_ttl {
        Some(seconds) => format!("{why} (at most {seconds} s)"),
        None => why.to_owned(),
    }
}
