//! Whether anybody could still mend the policies, and who administers, over the network.
//!
//! What it catches: bundles under which none of the administrators there are could have policies read again
//! (`policy:reload`) and administer administrators, or get a token for the admin listener at all, whatever the
//! circumstances: a forbid without exception, a role that nobody has, a permit that was taken out. It names the line.
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

use cedar_policy::EntityUid;
use lanyard_token::{Audience, Scope, ScopeSet};
use time::OffsetDateTime;

use super::super::asked::{Asked, AskedBy, Binding, Party, Proof, Risk};
use super::super::bundle::{Bundle, Effect, Rule};
use super::super::explain::parts::{self, Situation};
use super::super::words::Unfit;
use super::{Act, Action};

/// What it takes to mend policies, and who administers.
pub const MENDING: [Action; 2] = [Action::PolicyReload, Action::AdministratorsWrite];
/// What a token has to allow for the admin listener to let it in.
pub const ADMIN_SCOPE: &str = "lanyard:admin";
/// For how long such a token is usually asked for, in seconds.
const USUAL_LIFETIME: u64 = 300;

/// Why somebody could not do something under any circumstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedOut {
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
        Ok(match bundle.ways(&action, &situation) {
            Ways::Some => None,
            Ways::Forbidden(forbid) => {
                let words = format!("`{}` forbids `{what}` to `{who}`", forbid.id);
                Some(locked(Some(forbid), words))
            }
            Ways::None(Some((permit, why))) => {
                let (id, why) = (&permit.id, why.words);
                let words = format!("`{id}` does not permit `{what}` to `{who}`: {why}");
                Some(locked(Some(permit), words))
            }
            Ways::None(None) => Some(locked(None, format!("nothing permits `{what}`"))),
        })
    }

    /// Whether an administrator could get a token for the admin listener, which is this audience, with one of these
    /// proofs, if the other circumstances were right.
    pub fn could_come_in(
        &self,
        who: Party<'_>,
        audience: &Audience,
        proofs: &[Proof],
        time: OffsetDateTime,
    ) -> Result<Option<LockedOut>, Unfit> {
        let scope: Scope = ADMIN_SCOPE
            .parse()
            .map_err(|error: lanyard_token::InvalidScope| error.to_string())?;
        let scopes = ScopeSet::from_iter([scope.clone()]);
        let mut locked_out = None;
        for proof in proofs {
            let asked = Asked {
                subject: who,
                actor: None,
                audience,
                scopes: Some(&scopes),
                within: None,
                partial: false,
                lifetime: USUAL_LIFETIME,
                grant: AskedBy::ClientCredentials,
                proof: *proof,
                oidc: None,
                binding: Binding::None,
                network: None,
                risk: Risk::None,
                task: None,
                approvals: &[],
                time,
            };
            match self.door(&asked, &scope)? {
                Some(locked) => locked_out = Some(locked),
                None => return Ok(None),
            }
        }
        Ok(locked_out)
    }

    fn door(&self, asked: &Asked<'_>, scope: &Scope) -> Result<Option<LockedOut>, Unfit> {
        let situation = Situation::of(self, asked, scope)?;
        let who = asked.subject.name;
        let token = format!("a token with `{scope}` at `{}`", asked.audience);
        Ok(match self.ways(&self.words.issue, &situation) {
            Ways::Some => None,
            Ways::Forbidden(forbid) => {
                let words = format!("`{}` forbids `{who}` {token}", forbid.id);
                Some(locked(Some(forbid), words))
            }
            // Most permits are about somebody else or something else; that they are is no news.
            Ways::None(Some((permit, why))) if why.by_condition => {
                let (id, why) = (&permit.id, why.words);
                let words = format!("`{id}` does not permit `{who}` {token}: {why}");
                Some(locked(Some(permit), words))
            }
            Ways::None(_) => Some(locked(None, format!("nothing permits `{who}` {token}"))),
        })
    }

    /// Whether something could be permitted here.
    fn ways(&self, action: &EntityUid, situation: &Situation) -> Ways<'_> {
        let about = |effect: Effect| {
            let rules = self.rules().filter(move |rule| rule.effect == effect);
            rules.filter(|rule| self.has_a_say(rule, action))
        };
        let mut forbids = about(Effect::Forbid);
        if let Some(forbid) = forbids.find(|forbid| parts::always(self, forbid, situation)) {
            return Ways::Forbidden(forbid);
        }
        let mut nearest: Option<(&Rule, parts::WhyNot)> = None;
        for permit in about(Effect::Permit) {
            let Some(why) = never(self, permit, situation) else {
                return Ways::Some;
            };
            if nearest
                .as_ref()
                .is_none_or(|(_, so_far)| why.nearness() > so_far.nearness())
            {
                nearest = Some((permit, why));
            }
        }
        Ways::None(nearest)
    }
}

/// What the policies leave open.
enum Ways<'b> {
    /// There may be circumstances under which it is permitted.
    Some,
    /// This forbids it under all of them.
    Forbidden(&'b Rule),
    /// Nothing permits it under any; what comes nearest, and why it does not.
    None(Option<(&'b Rule, parts::WhyNot)>),
}

/// Why a permit could not hold. One that demands a binding counts for nobody.
fn never(bundle: &Bundle, permit: &Rule, situation: &Situation) -> Option<parts::WhyNot> {
    parts::never(bundle, permit, situation).or_else(|| {
        permit.require_binding.map(|_| parts::WhyNot {
            about_them: true,
            by_condition: true,
            words: "it counts for bound tokens only".to_owned(),
        })
    })
}

fn locked(rule: Option<&Rule>, words: String) -> LockedOut {
    LockedOut {
        place: rule.map(Rule::place),
        words,
    }
}
