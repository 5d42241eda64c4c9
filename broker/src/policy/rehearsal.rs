//! What a broker with these policies would answer, in words of cases.
//!
//! The rules that no policy overrides are here as they are at a broker: one audience, which the identity is
//! registered for; no lifetime beyond the registration's.

use std::collections::BTreeSet;

use lanyard_token::Audience;

use super::administration::Judged;
use super::bundle::Bundle;
use super::trial::{Acting, Asking, Fixture, Fixtures, Outcome, Reason, Using, Verdict};

/// Why a request cannot be tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untried {
    /// It names somebody who is not there.
    #[error("nobody is called `{0}`")]
    Nobody(String),
    /// Policies could not be asked, or one failed: a broker denies then.
    #[error("{0}")]
    Failed(String),
}

/// What a request comes to.
pub fn rehearse(bundle: &Bundle, fixtures: &Fixtures, asking: &Asking) -> Result<Outcome, Untried> {
    let (who, actor) = parties(fixtures, asking)?;
    let Some(audience) = audience(asking, who) else {
        return Ok(denied(Reason::Target, BTreeSet::new()));
    };
    let given = match bundle.grant(&asking.asked((who, actor), &audience)) {
        Ok(given) => given,
        Err(not) => match not.faults.into_iter().next() {
            Some(fault) => return Err(Untried::Failed(fault)),
            None => return Ok(denied(Reason::Scope, not.policies)),
        },
    };
    let lifetimes = [Some(asking.wanted()), Some(who.max_lifetime), given.cap];
    Ok(Outcome {
        decision: Verdict::Allow,
        scopes: given.scopes.iter().cloned().collect(),
        lifetime: lifetimes.into_iter().flatten().min(),
        policies: given.policies,
        reason: None,
    })
}

/// Who asks, and who acts.
pub(super) fn parties<'f>(
    fixtures: &'f Fixtures,
    asking: &Asking,
) -> Result<(&'f Fixture, Option<&'f Fixture>), Untried> {
    let named = |name: &str| {
        fixtures
            .get(name)
            .ok_or_else(|| Untried::Nobody(name.to_owned()))
    };
    let actor = asking.actor.as_deref().map(named).transpose()?;
    Ok((named(&asking.identity)?, actor))
}

/// What an act of an administrator comes to.
pub fn rehearse_act(
    bundle: &Bundle,
    fixtures: &Fixtures,
    acting: &Acting,
) -> Result<Outcome, Untried> {
    let (who, target) = hands(fixtures, acting)?;
    let act = acting.act(who, target, &who.scopes);
    outcome(bundle.administer(&act).map_err(Untried::Failed)?)
}

/// What a gateway's use of a secret comes to.
pub fn rehearse_use(
    bundle: &Bundle,
    fixtures: &Fixtures,
    using: &Using,
) -> Result<Outcome, Untried> {
    let judged = bundle.may_use(&using.asked(gateway(fixtures, using)?));
    outcome(judged.map_err(Untried::Failed)?)
}

/// Which gateway.
pub(super) fn gateway<'f>(fixtures: &'f Fixtures, using: &Using) -> Result<&'f Fixture, Untried> {
    fixtures
        .get(&using.identity)
        .ok_or_else(|| Untried::Nobody(using.identity.clone()))
}

fn outcome(judged: Judged<'_>) -> Result<Outcome, Untried> {
    if let Some(fault) = judged.faults.into_iter().next() {
        return Err(Untried::Failed(fault));
    }
    let allowed = !judged.permits.is_empty() && judged.forbids.is_empty();
    let (decision, rules) = if allowed {
        (Verdict::Allow, judged.permits)
    } else {
        (Verdict::Deny, judged.forbids)
    };
    Ok(Outcome {
        decision,
        scopes: BTreeSet::new(),
        lifetime: None,
        policies: rules.into_iter().map(|rule| rule.id.clone()).collect(),
        reason: None,
    })
}

/// Who administers, and whom.
pub(super) fn hands<'f>(
    fixtures: &'f Fixtures,
    acting: &Acting,
) -> Result<(&'f Fixture, Option<&'f Fixture>), Untried> {
    let named = |name: &str| {
        fixtures
            .get(name)
            .ok_or_else(|| Untried::Nobody(name.to_owned()))
    };
    let target = acting.target.as_deref().map(named).transpose()?;
    Ok((named(&acting.identity)?, target))
}

/// The one that is named and registered, or the only one that is registered.
pub(super) fn audience(asking: &Asking, who: &Fixture) -> Option<Audience> {
    match (&asking.audience, who.audiences.as_slice()) {
        (Some(named), registered) => registered.contains(named).then(|| named.clone()),
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
    }
}

fn denied(reason: Reason, policies: BTreeSet<String>) -> Outcome {
    Outcome {
        decision: Verdict::Deny,
        scopes: BTreeSet::new(),
        lifetime: None,
        policies,
        reason: Some(reason),
    }
}
