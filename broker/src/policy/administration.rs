//! Who may administer what: the policies are asked about one act of one administrator.
//!
//! As with tokens, a permit has to hold, no forbid may, and a policy that fails denies. A permit that demands a
//! binding counts for nobody, since no binding is checked.
//!
//! A bundle whose schema has no word of administration was written when administration was not decided by
//! policies. Nothing is taken from its administrators: the roles that come with Lanyard decide instead.

mod action;
mod lock_out;
pub mod matrix;
mod still;
mod words;

use std::net::IpAddr;

use cedar_policy::{Authorizer, Entities, EntityUid, Request};
use lanyard_token::ScopeSet;
use time::OffsetDateTime;

use super::asked::Party;
use super::bundle::{Bundle, Effect, Rule};
use super::words::Unfit;
pub use action::{Action, UnknownAction};
pub use lock_out::{ADMIN_SCOPE, Around, Hand, Hours, LockedOut, Mends};
pub(super) use still::Could;

/// What an administrator is about to do, over the network.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// Who administers.
    pub who: Party<'a>,
    /// What is done.
    pub action: Action,
    /// To whom.
    pub on: On<'a>,
    /// Whether an identity would get what none of its owner's has.
    pub wider: bool,
    /// Those of the administrator's token.
    pub scopes: &'a ScopeSet,
    /// Where from, when it is known.
    pub network: Option<IpAddr>,
    /// When.
    pub time: OffsetDateTime,
}

impl Act<'_> {
    /// Whether what it acts on is, or belongs to, the owner of whoever administers.
    pub fn is_own(&self) -> bool {
        match self.on {
            On::System => false,
            On::Owner(name) => name == self.who.owner,
            On::Identity(party) => party.owner == self.who.owner,
        }
    }
}

/// What administration acts on.
#[derive(Clone, Copy, Debug)]
pub enum On<'a> {
    /// Nobody in particular.
    System,
    /// An owner, by name.
    Owner(&'a str),
    /// An identity.
    Identity(Party<'a>),
}

/// What the policies say about an act, or about a use.
#[derive(Clone, Debug, Default)]
pub struct Judged<'b> {
    /// Permits that hold.
    pub permits: Vec<&'b Rule>,
    /// Forbids that hold.
    pub forbids: Vec<&'b Rule>,
    /// Policies that failed, and why: for the operator. They deny.
    pub faults: Vec<String>,
}

impl Judged<'_> {
    /// Whether it may be done.
    pub fn is_allowed(&self) -> bool {
        !self.permits.is_empty() && self.forbids.is_empty() && self.faults.is_empty()
    }
}

impl Bundle {
    /// Decides about an act.
    pub fn administer(&self, act: &Act<'_>) -> Result<Judged<'_>, Unfit> {
        let bundle = self.about_administration();
        let words = &bundle.words;
        let action = words.action(act.action);
        let resource = words.on(act)?;
        let mut resources = words.above(act);
        resources.push(resource.clone());
        let resources: Vec<&EntityUid> = resources.iter().collect();
        let principal = words.identity(act.who.name);
        let mut principals: Vec<EntityUid> = words.parents(&act.who).into_iter().collect();
        principals.push(principal.clone());
        let entities = words.act_entities(act)?;
        let context = words.act_context(act)?;
        let request = Request::new(principal, action.clone(), resource, context, None)
            .map_err(|error| error.to_string())?;
        Ok(bundle.judged(&request, &entities, (&action, &resources, &principals)))
    }

    /// What its policies say to a request; `heads`: action, resource and principal with all that is above them.
    pub(super) fn judged(
        &self,
        request: &Request,
        entities: &Entities,
        heads: (&EntityUid, &[&EntityUid], &[EntityUid]),
    ) -> Judged<'_> {
        let (action, resources, principals) = heads;
        let authorizer = Authorizer::new();
        let mut judged = Judged::default();
        for slice in self.slices.fitting(action, resources, principals) {
            let response = authorizer.is_authorized(request, slice, entities);
            let diagnostics = response.diagnostics();
            for rule in diagnostics.reason().filter_map(|id| self.rule(id.as_ref())) {
                match rule.effect {
                    Effect::Forbid => judged.forbids.push(rule),
                    Effect::Permit if rule.require_binding.is_none() => judged.permits.push(rule),
                    Effect::Permit => {}
                }
            }
            let faults = diagnostics.errors().map(ToString::to_string);
            judged.faults.extend(faults);
        }
        judged
    }

    /// Whether its policies can have a say in administration.
    pub fn is_about_administration(&self, rule: &Rule) -> bool {
        let all = Action::ALL.iter();
        all.map(|action| self.words.action(*action))
            .any(|action| self.has_a_say(rule, &action))
    }
}

#[cfg(test)]
mod tests;
