//! What an identity may have: one look at the policies for each scope.
//!
//! A scope is given when a permit holds, no forbid holds, and none of the policies looked at failed. A permit that
//! demands a binding counts only for a request that has it. Of the permits that count, the most generous cap is the
//! scope's; over the scopes of a token the shortest is the token's, since it ends whole.
//!
//! A token without scopes is judged as the scope with an empty name: whom it is for is still to be allowed.

use std::collections::BTreeSet;

use cedar_policy::{Authorizer, EntityUid, Request};
use lanyard_token::{Scope, ScopeSet};

use super::asked::{Asked, Binding};
use super::bundle::{Bundle, Effect, Rule};
use super::mentions::Mentions;
use super::words::Unfit;

/// What is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What the token may allow.
    pub scopes: ScopeSet,
    /// Longest lifetime, in seconds; `None`: the policies have no word about it.
    pub cap: Option<u64>,
    /// The permits, by name.
    pub policies: BTreeSet<String>,
}

/// Why nothing is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotGiven {
    /// The forbids that held, by name; none when no permit did.
    pub policies: BTreeSet<String>,
    /// Permits that would have counted if the token were bound as they demand.
    pub unbound: BTreeSet<String>,
    /// What could not be evaluated: for the operator. It denies.
    pub faults: Vec<String>,
}

/// What the policies say about one scope.
#[derive(Clone, Debug)]
pub struct Ruling<'b> {
    /// Which one; `None`: a token without scopes.
    pub scope: Option<Scope>,
    /// Permits that hold and count.
    pub permits: Vec<&'b Rule>,
    /// Permits that hold for bound tokens only.
    pub unbound: Vec<&'b Rule>,
    /// Forbids that hold.
    pub forbids: Vec<&'b Rule>,
    /// Policies that failed, and why.
    pub faults: Vec<String>,
    /// How many policies were looked at.
    pub looked_at: usize,
    /// What they read of the circumstances that change.
    mentions: Mentions,
}

impl Ruling<'_> {
    /// Whether it is given.
    pub fn is_given(&self) -> bool {
        !self.permits.is_empty() && self.forbids.is_empty() && self.faults.is_empty()
    }

    /// The most generous cap of the permits that count; `None`: one of them has none.
    fn cap(&self) -> Option<u64> {
        let mut caps = self.permits.iter().map(|rule| rule.max_ttl);
        caps.try_fold(0, |longest: u64, cap| cap.map(|cap| longest.max(cap)))
    }
}

impl Bundle {
    /// Decides, or remembers what was decided.
    pub fn grant(&self, asked: &Asked<'_>) -> Result<Given, NotGiven> {
        self.remembered.or_decide(asked, || self.decide(asked))
    }

    /// Decides, and says what the policies looked at read of the circumstances that change.
    pub(super) fn decide(&self, asked: &Asked<'_>) -> (Result<Given, NotGiven>, Mentions) {
        let mut mentions = Mentions::default();
        let decided = self.judge(asked, &mut mentions);
        (decided, mentions)
    }

    fn judge(&self, asked: &Asked<'_>, mentions: &mut Mentions) -> Result<Given, NotGiven> {
        let mut look = |scopes: &[Option<&Scope>]| {
            let rulings = self.rulings(asked, scopes).map_err(unfit)?;
            let all = rulings.iter().map(|ruling| ruling.mentions);
            *mentions = all.fold(*mentions, Mentions::and);
            Ok(rulings)
        };
        let (given, denied): (Vec<_>, Vec<_>) = look(&self.wanted(asked))?
            .into_iter()
            .partition(Ruling::is_given);
        let is_enough = match asked.scopes {
            // Whoever asks for everything gets what there is.
            None => !given.is_empty(),
            Some(_) => denied.is_empty() && !given.is_empty() || asked.partial && !given.is_empty(),
        };
        if is_enough {
            return Ok(gathered(&given));
        }
        let asks_for_none = asked.scopes.is_none_or(ScopeSet::is_empty);
        if !asks_for_none {
            return Err(refused(&denied));
        }
        let bare = look(&[None])?;
        if bare.iter().all(Ruling::is_given) {
            Ok(gathered(&bare))
        } else {
            Err(refused(if denied.is_empty() { &bare } else { &denied }))
        }
    }

    /// What the policies say about each of these scopes.
    pub fn rulings(
        &self,
        asked: &Asked<'_>,
        scopes: &[Option<&Scope>],
    ) -> Result<Vec<Ruling<'_>>, Unfit> {
        if scopes.is_empty() {
            return Ok(Vec::new());
        }
        let words = &self.words;
        let entities = words.entities(asked, scopes.iter().map(|scope| name(*scope)))?;
        let context = words.context(asked)?;
        let subject = words.identity(asked.subject.name);
        let audience = words.audience(asked.audience);
        let mut principals: Vec<EntityUid> = words.parents(&asked.subject).into_iter().collect();
        principals.push(subject.clone());
        let authorizer = Authorizer::new();
        let mut rulings = Vec::with_capacity(scopes.len());
        for scope in scopes {
            let resource = words.scope(asked.audience, name(*scope));
            let request = Request::new(
                subject.clone(),
                words.issue.clone(),
                resource.clone(),
                context.clone(),
                None,
            )
            .map_err(|error| error.to_string())?;
            let mut ruling = Ruling {
                scope: scope.cloned(),
                permits: Vec::new(),
                unbound: Vec::new(),
                forbids: Vec::new(),
                faults: Vec::new(),
                looked_at: 0,
                mentions: Mentions::default(),
            };
            let resources = [&resource, &audience];
            for slice in self.slices.fitting(&words.issue, &resources, &principals) {
                ruling.looked_at += slice.num_of_policies();
                ruling.mentions = ruling.mentions.and(self.mentions_of(slice));
                let response = authorizer.is_authorized(&request, slice, &entities);
                let diagnostics = response.diagnostics();
                let rules = diagnostics.reason().filter_map(|id| self.rule(id.as_ref()));
                for rule in rules {
                    ruling.add(rule, asked.binding);
                }
                let faults = diagnostics.errors().map(ToString::to_string);
                ruling.faults.extend(faults);
            }
            rulings.push(ruling);
        }
        Ok(rulings)
    }

    /// The scopes to look at: those asked for, else all that are registered or known, as far as the parent goes.
    pub(super) fn wanted<'a>(&'a self, asked: &Asked<'a>) -> Vec<Option<&'a Scope>> {
        let within = |scope: &&Scope| {
            asked
                .within
                .is_none_or(|within| within.contains(scope.as_str()))
        };
        if let Some(scopes) = asked.scopes {
            return scopes.iter().map(Some).collect();
        }
        let known = self.catalogue().get(asked.audience).into_iter().flatten();
        let all: BTreeSet<&Scope> = asked
            .subject
            .scopes
            .iter()
            .chain(known)
            .filter(within)
            .collect();
        all.into_iter().map(Some).collect()
    }
}

impl<'b> Ruling<'b> {
    fn add(&mut self, rule: &'b Rule, binding: Binding) {
        match rule.effect {
            Effect::Forbid => self.forbids.push(rule),
            Effect::Permit if rule.require_binding.is_none_or(|needed| needed == binding) => {
                self.permits.push(rule);
            }
            Effect::Permit => self.unbound.push(rule),
        }
    }
}

/// A token without scopes is a scope without a name.
fn name(scope: Option<&Scope>) -> &str {
    scope.map_or("", Scope::as_str)
}

fn gathered(given: &[Ruling<'_>]) -> Given {
    let permits = given.iter().flat_map(|ruling| &ruling.permits);
    Given {
        scopes: given
            .iter()
            .filter_map(|ruling| ruling.scope.clone())
            .collect(),
        cap: given.iter().filter_map(Ruling::cap).min(),
        policies: permits.map(|rule| rule.id.clone()).collect(),
    }
}

fn refused(denied: &[Ruling<'_>]) -> NotGiven {
    let names = |rules: &Vec<&Rule>| rules.iter().map(|rule| rule.id.clone()).collect::<Vec<_>>();
    let mut faults: Vec<String> = denied
        .iter()
        .flat_map(|ruling| ruling.faults.clone())
        .collect();
    faults.sort();
    faults.dedup();
    NotGiven {
        policies: denied
            .iter()
            .flat_map(|ruling| names(&ruling.forbids))
            .collect(),
        unbound: denied
            .iter()
            .flat_map(|ruling| names(&ruling.unbound))
            .collect(),
        faults,
    }
}

fn unfit(why: Unfit) -> NotGiven {
    NotGiven {
        faults: vec![why],
        ..NotGiven::default()
    }
}
