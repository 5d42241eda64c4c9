//! What is done about drift, as policies say it.
//!
//! One look at the policies for a verdict: `principal` is the identity whose token drifted, `resource` what it looks
//! like, `action` is `respond`.
//!
//! **How a step comes out.** Every permit that holds asks for its `@response`; the strictest counts. Every forbid
//! that holds leaves the next milder step than its own at most. So a permit more can only make it stricter, a forbid
//! more only milder, and the order in which they stand says nothing. Where nothing is permitted it is written down.
//! A permit whose cap is met asks for the next milder step; a policy with a canary is not there for identities
//! outside its share.
//!
//! **When a policy fails** while it is evaluated, the built-in table answers: a fault may neither let a thief go nor
//! end anybody. What no policy can override the [ladder](lanyard_drift::ladder) keeps.
//!
//! A bundle without a word about responses has those that came with the program.

pub mod ledger;
pub mod marks;
pub mod matrix;
mod tried;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use cedar_policy::{Authorizer, Entities, EntityUid, Policy, PolicyId, PolicySet, Request};
use lanyard_drift::ladder::{Abuse, Response, Rung, Table};
use marks::Share;
use serde::Serialize;
use time::OffsetDateTime;

pub use tried::{Expected, Offence, ResponseCase, try_on};

use super::asked::Party;
use super::broken::Broken;
use super::bundle::{Bundle, Effect, Rule};
use super::contradiction::Written;
use super::slices::Slices;
use super::sources::Sources;
use super::words::{Unfit, Words};

/// A verdict that something is to be done about, as policies see it.
#[derive(Clone, Copy, Debug)]
pub struct Drift<'a> {
    /// Whose token.
    pub subject: Party<'a>,
    /// What it looks like.
    pub abuse: Abuse,
    /// How far it has gone.
    pub rung: Rung,
    /// Whether a hard rule was broken.
    pub hard_rule: bool,
    /// Families of channels that bear witness.
    pub families: u64,
    /// Gateways whose reports stand behind it.
    pub gateways: u64,
    /// Own calls behind the baseline.
    pub own_calls: u64,
    /// Living tokens of the identity, when that is known.
    pub tokens_live: Option<u64>,
    /// When.
    pub time: OffsetDateTime,
}

/// The step that policies ask for, and how they came to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// Which.
    pub step: Response,
    /// The permits that ask for it, and the forbids that made it milder.
    pub policies: BTreeSet<String>,
    /// Policies that hold for a share of identities this one is not in.
    pub not_in_share: BTreeSet<String>,
    /// Policies that hold for a share of identities this one is in.
    pub in_share: BTreeSet<String>,
    /// Permits that ask for a milder step because their cap is met.
    pub capped: BTreeSet<String>,
    /// What could not be evaluated: the built-in table answered.
    pub faults: Vec<String>,
}

/// Policies of responses, with the words they are written in.
#[derive(Debug)]
pub(super) struct Responses {
    pub(super) words: Words,
    /// Apart, because Cedar names no permits beside a forbid that holds.
    permits: Slices,
    forbids: Slices,
    rules: BTreeMap<String, Rule>,
    pub(super) written: Arc<Written>,
    /// Whether one of them looks at how many tokens live: somebody would have to count them.
    counts_tokens: bool,
}

impl Responses {
    /// Those of a bundle; of one that has none: those that came with the program.
    pub(super) fn of(
        policies: &PolicySet,
        rules: &BTreeMap<String, Rule>,
        words: &Words,
        written: &Arc<Written>,
    ) -> Result<Arc<Self>, Broken> {
        let own = rules.iter().filter(|(_, rule)| rule.respond.is_some());
        let own: BTreeMap<String, Rule> =
            own.map(|(id, rule)| (id.clone(), rule.clone())).collect();
        if own.is_empty() {
            return Self::of_the_program();
        }
        Self::cut(policies, own, words.clone(), Arc::clone(written)).map(Arc::new)
    }

    /// Read and checked once: they are the same for every bundle that has none.
    fn of_the_program() -> Result<Arc<Self>, Broken> {
        static READ: OnceLock<Arc<Responses>> = OnceLock::new();
        match READ.get() {
            Some(read) => Ok(Arc::clone(read)),
            None => {
                let read = Bundle::of(&Sources::responses())?.responses;
                Ok(Arc::clone(READ.get_or_init(|| read)))
            }
        }
    }

    fn cut(
        policies: &PolicySet,
        rules: BTreeMap<String, Rule>,
        words: Words,
        written: Arc<Written>,
    ) -> Result<Self, Broken> {
        let slices = |effect: Effect| {
            let about = policies.policies().filter(|policy| {
                let rule = rules.get(AsRef::<str>::as_ref(policy.id()));
                rule.is_some_and(|rule| rule.effect == effect)
            });
            Slices::of(about, &words).map_err(|error| {
                Broken::file(std::path::Path::new("policy.cedar"), error.to_string())
            })
        };
        let (permits, forbids) = (slices(Effect::Permit)?, slices(Effect::Forbid)?);
        let texts = rules
            .keys()
            .filter_map(|id| policies.policy(&PolicyId::new(id))?.to_cedar());
        let counts_tokens = texts.into_iter().any(|text| text.contains("tokens_live"));
        Ok(Self {
            words,
            permits,
            forbids,
            rules,
            written,
            counts_tokens,
        })
    }

    pub(super) fn policy(&self, id: &PolicyId) -> Option<&Policy> {
        self.permits.policy(id).or_else(|| self.forbids.policy(id))
    }
}

impl Bundle {
    /// Which step they ask for; `is_full` says of a permit with a cap whether that is met.
    pub fn step(&self, drift: &Drift<'_>, is_full: &dyn Fn(&Rule) -> bool) -> Choice {
        self.step_for(drift, is_full, &|rule, share| {
            share.holds(&rule.id, drift.subject.name)
        })
    }

    /// The same, with another say about who is in the share of a canary.
    pub(super) fn step_for(
        &self,
        drift: &Drift<'_>,
        is_full: &dyn Fn(&Rule) -> bool,
        is_in: &dyn Fn(&Rule, Share) -> bool,
    ) -> Choice {
        match self.applying(drift) {
            Ok((rules, faults)) if faults.is_empty() => chosen(&rules, is_full, is_in),
            Ok((_, faults)) => by_the_table(drift, faults),
            Err(unfit) => by_the_table(drift, vec![unfit]),
        }
    }

    /// The policies of responses that are in force: its own, or those that came with the program.
    pub fn response_rules(&self) -> impl Iterator<Item = &Rule> {
        self.responses.rules.values()
    }

    /// Whether one of them looks at how many tokens of the identity live.
    pub fn responses_count_tokens(&self) -> bool {
        self.responses.counts_tokens
    }

    /// Those of its own as they are written, for whoever sends them to be tried.
    pub fn written_responses(&self) -> String {
        let ids = self.responses.rules.keys().map(PolicyId::new);
        let texts = ids.filter_map(|id| self.responses.policy(&id)?.to_cedar());
        texts.fold(String::new(), |all, text| all + &text + "\n\n")
    }

    /// Whether it says itself what is done about drift.
    pub fn has_responses(&self) -> bool {
        self.rules().any(|rule| rule.respond.is_some())
    }

    /// One of them.
    pub fn response_rule(&self, id: &str) -> Option<&Rule> {
        self.responses.rules.get(id)
    }

    /// Those that hold, and what failed.
    fn applying(&self, drift: &Drift<'_>) -> Result<(Vec<&Rule>, Vec<String>), Unfit> {
        let (request, entities) = self.put(drift)?;
        let words = &self.responses.words;
        let mut principals: Vec<EntityUid> = words.parents(&drift.subject).into_iter().collect();
        principals.push(words.identity(drift.subject.name));
        let (Some(action), Some(resource)) = (request.action(), request.resource()) else {
            return Err("a request without action or resource".to_owned());
        };
        let (authorizer, mut holding, mut faults) = (Authorizer::new(), Vec::new(), Vec::new());
        for slices in [&self.responses.permits, &self.responses.forbids] {
            for slice in slices.fitting(action, &[resource], &principals) {
                let response = authorizer.is_authorized(&request, slice, &entities);
                let diagnostics = response.diagnostics();
                let rules = diagnostics.reason();
                holding.extend(rules.filter_map(|id| self.response_rule(id.as_ref())));
                faults.extend(diagnostics.errors().map(ToString::to_string));
            }
        }
        Ok((holding, faults))
    }

    /// A verdict in Cedar's words.
    pub(super) fn put(&self, drift: &Drift<'_>) -> Result<(Request, Entities), Unfit> {
        self.responses.words.put(drift)
    }
}

impl Words {
    fn put(&self, drift: &Drift<'_>) -> Result<(Request, Entities), Unfit> {
        let (Some(action), Some(abuse)) = (&self.respond, &self.abuse) else {
            return Err("the schema has no action `respond`".to_owned());
        };
        let resource = cedar_policy::EntityId::new(drift.abuse.word());
        let request = Request::new(
            self.identity(drift.subject.name),
            action.clone(),
            EntityUid::from_type_name_and_id(abuse.clone(), resource),
            self.circumstances(drift)?,
            None,
        )
        .map_err(|error| error.to_string())?;
        let above = |entity: &&cedar_policy::Entity| {
            let uid = entity.uid();
            uid == *action || self.actions().is_ancestor_of(&uid, action)
        };
        let mut entities = vec![self.party(&drift.subject)?];
        entities.extend(self.actions().iter().filter(above).cloned());
        let entities =
            Entities::from_entities(entities, None).map_err(|error| error.to_string())?;
        Ok((request, entities))
    }

    fn circumstances(&self, drift: &Drift<'_>) -> Result<cedar_policy::Context, Unfit> {
        use super::words::{moment, number, word};
        let level = match drift.rung {
            Rung::Anomalous => "anomalous",
            Rung::First | Rung::Again | Rung::Then => "malicious",
        };
        let mut pairs = moment(drift.time)?.to_vec();
        pairs.extend([
            ("level".to_owned(), word(level)),
            ("rung".to_owned(), word(drift.rung.word())),
            (
                "hard_rule".to_owned(),
                cedar_policy::RestrictedExpression::new_bool(drift.hard_rule),
            ),
            ("families".to_owned(), number(drift.families)),
            ("gateways".to_owned(), number(drift.gateways)),
            ("own_calls".to_owned(), number(drift.own_calls)),
        ]);
        let living = drift.tokens_live.map(number);
        pairs.extend(living.map(|living| ("tokens_live".to_owned(), living)));
        cedar_policy::Context::from_pairs(pairs).map_err(|error| error.to_string())
    }
}

fn chosen(
    rules: &[&Rule],
    is_full: &dyn Fn(&Rule) -> bool,
    is_in: &dyn Fn(&Rule, Share) -> bool,
) -> Choice {
    let mut choice = Choice::of(Response::Observe);
    let (mut asked, mut most) = (Vec::new(), Response::Revoke);
    let mut limits = Vec::new();
    for rule in rules {
        let Some(marks) = &rule.respond else {
            continue;
        };
        if let Some(share) = marks.canary {
            if !is_in(rule, share) {
                choice.not_in_share.insert(rule.id.clone());
                continue;
            }
            choice.in_share.insert(rule.id.clone());
        }
        if rule.effect == Effect::Forbid {
            let limit = marks.response.milder();
            most = most.min(limit);
            limits.push((limit, rule));
            continue;
        }
        let capped = is_full(rule);
        if capped {
            choice.capped.insert(rule.id.clone());
        }
        let step = if capped {
            marks.response.milder()
        } else {
            marks.response
        };
        asked.push((step, rule));
    }
    let strictest = asked.iter().map(|(step, _)| *step).max();
    let strictest = strictest.unwrap_or(Response::Observe);
    choice.step = strictest.min(most);
    let asking = asked.iter().filter(|(step, _)| *step >= choice.step);
    let limiting = limits
        .iter()
        .filter(|(limit, _)| *limit == most && most < strictest);
    let determining = asking.chain(limiting);
    choice.policies = determining.map(|(_, rule)| rule.id.clone()).collect();
    choice
}

fn by_the_table(drift: &Drift<'_>, mut faults: Vec<String>) -> Choice {
    faults.sort();
    faults.dedup();
    Choice {
        faults,
        ..Choice::of(Table::default().at(drift.abuse, drift.rung))
    }
}

impl Choice {
    const fn of(step: Response) -> Self {
        Self {
            step,
            policies: BTreeSet::new(),
            not_in_share: BTreeSet::new(),
            in_share: BTreeSet::new(),
            capped: BTreeSet::new(),
            faults: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
