//! Whether anybody could still mend the policies, and who administers, over the network.
//!
//! What it catches: bundles under which none of the administrators there are could have policies read again
//! (`policy:reload`) and administer administrators, or get a token for the admin listener at all, at any hour: a forbid
//! without exception or with one that never comes, a role that nobody has, a permit that was taken out. It names the
//! line. It also tells the hours of the day at which nobody could.
//!
//! What it misses: circumstances that never come. Every hour of the day, an administrator's own and others', a wider
//! and a narrower right, and the scopes of its token are tried. A part of a condition that looks at anything else in
//! `context` (an address, a time box, a risk) is taken to be met by a permit and not by a forbid, because nobody knows
//! from where and when the next administrator comes; who has policies read again from a known address is tried with
//! that one ([`Around`]).
//!
//! Nothing warms up: it looks at the policies and at who there is, each time. The way back from a lock-out that it
//! did not find is the Unix socket, which asks no policy.
//!
//! Why not ask for a decision here and now: a bundle that lets administrators in by day only would be refused at
//! night.

mod hours;

use std::net::IpAddr;

use cedar_policy::EntityUid;
use lanyard_token::{Audience, Scope, ScopeSet};
use time::{OffsetDateTime, UtcOffset};

use super::super::asked::{Asked, AskedBy, Binding, Party, Proof, Risk};
use super::super::bundle::{Bundle, Effect, Rule};
use super::super::explain::parts::{self, Situation};
use super::super::words::Unfit;
use super::{Act, Action, On};
pub use hours::Hours;
pub use parts::Around;

/// What it takes to mend policies, and who administers.
const MENDING: [Action; 2] = [Action::PolicyReload, Action::AdministratorsWrite];
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

/// An administrator who may be able to mend things.
#[derive(Clone, Copy, Debug)]
pub struct Hand<'a> {
    /// Who.
    pub who: Party<'a>,
    /// The admin listener, and what it proves itself with for a token; `None`: it has its tokens without a policy.
    pub door: Option<(&'a Audience, &'a [Proof])>,
    /// Where from, when that is known.
    pub network: Option<IpAddr>,
    /// What is taken to be so of the circumstances that nobody knows.
    pub around: Around,
    /// On which day.
    pub time: OffsetDateTime,
}

/// When somebody could mend things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mends {
    /// At these hours of the day, UTC.
    pub hours: Hours,
    /// Why not at the others.
    pub locked_out: Option<LockedOut>,
}

impl Bundle {
    /// When an administrator could come in, have policies read again and administer administrators.
    pub fn mends(&self, hand: &Hand<'_>) -> Mends {
        let mut mends = Mends {
            hours: Hours::ALL,
            locked_out: None,
        };
        if let Some((listener, proofs)) = hand.door {
            let matters = self.looks_at_hours(&self.words.issue);
            mends.only(hand, matters, |hand| self.door(hand, listener, proofs));
        }
        let bundle = self.about_administration();
        for action in MENDING {
            let matters = bundle.looks_at_hours(&bundle.words.action(action));
            mends.only(hand, matters, |hand| self.bars(hand, action));
        }
        mends
    }

    /// Why nothing of this can be done.
    fn bars(&self, hand: &Hand<'_>, action: Action) -> Result<Option<LockedOut>, Unfit> {
        let who = hand.who;
        let usual = ADMIN_SCOPE.parse().unwrap_or_default();
        let another = Party {
            name: "another administrator",
            owner: "another owner",
            ..who
        };
        let (targets, wider): (&[On<'_>], &[bool]) = match action {
            Action::AdministratorsWrite => {
                (&[On::Identity(who), On::Identity(another)], &[false, true])
            }
            _ => (&[On::System], &[false]),
        };
        let mut locked_out = None;
        for on in targets {
            for wider in wider {
                for scopes in [who.scopes, &usual] {
                    let act = Act {
                        who,
                        action,
                        on: *on,
                        wider: *wider,
                        scopes,
                        network: hand.network,
                        time: hand.time,
                    };
                    let Some(locked) = self.could(&act, hand.around)? else {
                        return Ok(None);
                    };
                    locked_out.get_or_insert(locked);
                }
            }
        }
        Ok(locked_out)
    }

    /// Why something could not be done.
    pub(super) fn could(&self, act: &Act<'_>, around: Around) -> Result<Option<LockedOut>, Unfit> {
        let bundle = self.about_administration();
        // What is allowed as it is could be done; and that is quick to ask.
        if around != Around::Surely && bundle.administer(act)?.is_allowed() {
            return Ok(None);
        }
        let situation = Situation::act(bundle, act)?;
        let action = bundle.words.action(act.action);
        let (who, what) = (act.who.name, act.action);
        Ok(match bundle.ways(&action, &situation, around) {
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

    /// Why an administrator could not get a token for the admin listener with any of these proofs.
    fn door(
        &self,
        hand: &Hand<'_>,
        listener: &Audience,
        proofs: &[Proof],
    ) -> Result<Option<LockedOut>, Unfit> {
        let scope: Scope = ADMIN_SCOPE
            .parse()
            .map_err(|error: lanyard_token::InvalidScope| error.to_string())?;
        let scopes = ScopeSet::from_iter([scope.clone()]);
        let mut locked_out = None;
        for proof in proofs {
            let asked = Asked {
                subject: hand.who,
                actor: None,
                audience: listener,
                scopes: Some(&scopes),
                within: None,
                partial: false,
                lifetime: USUAL_LIFETIME,
                grant: AskedBy::ClientCredentials,
                proof: *proof,
                oidc: None,
                binding: Binding::None,
                network: hand.network,
                risk: Risk::None,
                task: None,
                approvals: &[],
                time: hand.time,
            };
            match self.token(&asked, &scope, hand.around)? {
                Some(locked) => locked_out = Some(locked),
                None => return Ok(None),
            }
        }
        Ok(locked_out)
    }

    fn token(
        &self,
        asked: &Asked<'_>,
        scope: &Scope,
        around: Around,
    ) -> Result<Option<LockedOut>, Unfit> {
        if around != Around::Surely && self.grant(asked).is_ok() {
            return Ok(None);
        }
        let situation = Situation::of(self, asked, scope)?;
        let who = asked.subject.name;
        let token = format!("a token with `{scope}` at `{}`", asked.audience);
        Ok(match self.ways(&self.words.issue, &situation, around) {
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
    fn ways(&self, action: &EntityUid, situation: &Situation, around: Around) -> Ways<'_> {
        let about = |effect: Effect| {
            let rules = self.rules().filter(move |rule| rule.effect == effect);
            rules.filter(|rule| self.has_a_say(rule, action))
        };
        let mut forbids = about(Effect::Forbid);
        if let Some(forbid) = forbids.find(|rule| parts::forbids(self, rule, situation, around)) {
            return Ways::Forbidden(forbid);
        }
        let mut nearest: Option<(&Rule, parts::WhyNot)> = None;
        for permit in about(Effect::Permit) {
            let Some(why) = never(self, permit, situation, around) else {
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

impl Mends {
    /// Only at hours at which this does not keep somebody out.
    fn only<'a>(
        &mut self,
        hand: &Hand<'a>,
        hours_matter: bool,
        keeps_out: impl Fn(&Hand<'a>) -> Result<Option<LockedOut>, Unfit>,
    ) {
        let time = hand.time.to_offset(UtcOffset::UTC);
        let at = |time| {
            let locked = keeps_out(&Hand { time, ..*hand });
            locked.unwrap_or_else(|words| Some(LockedOut { place: None, words }))
        };
        let mut shut = Hours::default();
        let mut note = |hours: Hours, locked: Option<LockedOut>| {
            if let Some(locked) = locked {
                shut = shut.and(hours);
                self.locked_out.get_or_insert(locked);
            }
        };
        if hours_matter {
            for hour in self.hours.iter() {
                let time = time.replace_hour(hour).unwrap_or(time);
                note(Hours::of(hour), at(time));
            }
        } else {
            note(Hours::ALL, at(time));
        }
        self.hours = self.hours.without(shut);
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
fn never(
    bundle: &Bundle,
    permit: &Rule,
    situation: &Situation,
    around: Around,
) -> Option<parts::WhyNot> {
    parts::never(bundle, permit, situation, around).or_else(|| {
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
