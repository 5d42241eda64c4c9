//! Policies, as the ladder asks them.
//!
//! A verdict is answered by the bundle that is in force when it falls: exchanging bundles waits for no verdict, and
//! none is judged without one. Who the identity is comes from the log, as registered now.

use std::sync::{Arc, OnceLock};

use lanyard_drift::Millis;
use lanyard_drift::ladder::{Question, Response, Steps, Table};
use time::OffsetDateTime;

use super::Watch;
use super::opaque::node;
use super::shards::Shared;
use super::state::WatchState;
use crate::policy::respond::ledger::Ledger;
use crate::policy::respond::{Choice, Drift};
use crate::policy::{Bundle, Policies};
use crate::store::event::Chosen;

/// Where the policies are, and what those with a cap had carried out.
#[derive(Default)]
pub(super) struct Responding {
    policies: OnceLock<Arc<Policies>>,
    ledger: Arc<Shared<Ledger>>,
}

impl Watch {
    /// From now on these policies say what is done about drift; before, the table of the ladder does.
    pub fn respond_by(&self, policies: Arc<Policies>) {
        // Whoever says it twice means the same policies: a broker has one handle.
        let _ = self.responding.policies.set(policies);
    }

    /// The policies that are asked now.
    pub(super) fn response_policies(&self) -> Option<Arc<Bundle>> {
        self.responding.current()
    }
}

impl Responding {
    fn current(&self) -> Option<Arc<Bundle>> {
        self.policies.get().map(|policies| policies.current())
    }

    /// For one verdict; `None`: nobody gave policies.
    pub(super) fn steps<'a>(&self, state: &'a WatchState) -> Option<PolicySteps<'a>> {
        let bundle = self.current()?;
        Some(PolicySteps::new(bundle, state, Arc::clone(&self.ledger)))
    }
}

/// Policies at one verdict after the other.
pub(super) struct PolicySteps<'a> {
    bundle: Arc<Bundle>,
    state: &'a WatchState,
    ledger: Arc<Shared<Ledger>>,
    last: Option<Last>,
}

/// What was asked last, of whose identities, and what came of it.
struct Last {
    question: Question,
    owner: String,
    choice: Choice,
}

impl<'a> PolicySteps<'a> {
    fn new(bundle: Arc<Bundle>, state: &'a WatchState, ledger: Arc<Shared<Ledger>>) -> Self {
        Self {
            bundle,
            state,
            ledger,
            last: None,
        }
    }

    /// For a rehearsal: nothing was carried out yet.
    pub(super) fn rehearsed(bundle: Arc<Bundle>, state: &'a WatchState) -> Self {
        Self::new(bundle, state, Arc::default())
    }

    /// How the last step came about, `full` being whether a cap of the ladder was met.
    pub(super) fn chosen(&self, full: bool) -> Option<Chosen> {
        let Last {
            question, choice, ..
        } = self.last.as_ref()?;
        let names = |ids: &std::collections::BTreeSet<String>| ids.iter().cloned().collect();
        Some(Chosen {
            bundle: self.bundle.hash(),
            abuse: question.abuse,
            rung: question.rung,
            asked: choice.step,
            policies: names(&choice.policies),
            in_share: names(&choice.in_share),
            not_in_share: names(&choice.not_in_share),
            capped: names(&choice.capped),
            full,
            faults: choice.faults.clone(),
        })
    }
}

impl Steps for PolicySteps<'_> {
    fn step(&mut self, question: &Question, now: Millis) -> Response {
        let identity = node(question.identity);
        let Some(registered) = self.state.registered(identity) else {
            // A token was issued to it, so the log knows it; were it not to, the table has an answer.
            self.last = None;
            return Table::default().at(question.abuse, question.rung);
        };
        let counts = self.bundle.responses_count_tokens();
        let drift = Drift {
            subject: registered.party(),
            abuse: question.abuse,
            rung: question.rung,
            hard_rule: question.hard_rule,
            families: question.families as u64,
            gateways: question.gateways as u64,
            own_calls: question.own_calls,
            tokens_live: counts.then(|| self.state.living_tokens(identity)),
            time: moment(now),
        };
        let ledger = self.ledger.lock();
        let owner = registered.owner.as_str();
        let choice = self
            .bundle
            .step(&drift, &|rule| ledger.is_full(rule, owner, now));
        drop(ledger);
        if let Some(fault) = choice.faults.first() {
            tracing::error!(
                name: "lanyard.policy.failed",
                { lanyard.identity = %identity, lanyard.reason = fault },
                "a policy of responses failed: the built-in table answered"
            );
        }
        let step = choice.step;
        self.last = Some(Last {
            question: *question,
            owner: registered.owner.clone(),
            choice,
        });
        step
    }

    fn carried_out(&mut self, response: Response, now: Millis) {
        let Some(Last { owner, choice, .. }) = &self.last else {
            return;
        };
        let rules = choice.policies.iter();
        let rules = rules.filter_map(|id| self.bundle.response_rule(id));
        let mut ledger = self.ledger.lock();
        // Whose step it was, and nobody else's: a milder one that the ladder took is not on its account.
        for rule in rules {
            let is_its = |marks: &crate::policy::respond::marks::Marks| marks.response == response;
            if rule.respond.as_ref().is_some_and(is_its) {
                ledger.spend(rule, owner, now);
            }
        }
    }
}

/// The moment of a verdict; one that no calendar has is the beginning of time.
fn moment(at: Millis) -> OffsetDateTime {
    let seconds = i64::try_from(at.0 / 1_000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
