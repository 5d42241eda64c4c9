//! From one entry of a report to the events it leads to.
//!
//! **Catches** what the drift engine sees in a token's window. Of a token that the log does not know, nothing
//! follows from a report: the gateway is asked to show it, see [`golden`](super::golden).
//! **Misses** whatever gateways do not report. What is decided is decided by the engine's desk and
//! ladder; here it becomes words of the log.
//!
//! Who is believed about what: a gateway only about tokens for an audience it serves, and only by
//! the identity the log gave the token. So a gateway that was taken over can hurt those it serves,
//! within the caps, and nobody else.

use lanyard_drift::desk::{Bench, Desk, Heard, Sight};
use lanyard_drift::ladder::{
    Action, Caps, Decision, Policy, Situation, decide, decide_by, on_identity,
};
use lanyard_drift::{Level, Millis, TokenReport, Verdict};
use lanyard_token::NodeId;

use super::brokers::Brokers;
use super::counters::Counters;
use super::intake::Entry;
use super::naming;
use super::opaque::{millis, node, nodes, place, subject, subjects, unix};
use super::responding::Responding;
use super::shards::Shards;
use super::state::{Issued, Lookup, Subject, WatchState};
use crate::clock::UnixMillis;
use crate::store::event::{By, Cause, Chosen, Event, Judgement, Response};

/// A gateway's clock follows the broker's heartbeats; one that is ahead by more than this is broken, or lies. In
/// milliseconds.
const CLOCKS_DIFFER: u64 = 300_000;

/// What an entry came to.
pub(super) enum Ruling {
    /// Nothing to do with this gateway, or with any living token.
    Refused,
    /// The log does not know the token. That is a gateway's word and ends nothing; it is asked for the token
    /// itself.
    Unknown,
    /// Counted; these events become durable together (none: nothing to say).
    Counted(Vec<Event>),
}

/// The judge at work on one report.
pub(super) struct Judge<'a> {
    pub(super) state: &'a WatchState,
    pub(super) desk: &'a mut Desk,
    pub(super) shards: &'a Shards,
    pub(super) brokers: &'a Brokers,
    pub(super) bench: Bench<'a>,
    pub(super) counters: &'a Counters,
    pub(super) now: UnixMillis,
    pub(super) policy: &'a Policy,
    pub(super) responding: &'a Responding,
    pub(super) caps: Caps,
}

impl Judge<'_> {
    /// Takes one entry of a report by `gateway`.
    pub(super) fn take(&mut self, gateway: NodeId, served: &Subject, entry: &Entry) -> Ruling {
        if self.is_ahead(&entry.report) {
            return Ruling::Refused;
        }
        match self.state.token(entry.token, entry.digest) {
            Lookup::Issued(issued) if !served.serves(&issued.audience) => Ruling::Refused,
            Lookup::Issued(issued) if issued.identity() != entry.identity => Ruling::Refused,
            // Ended already: what it did since was refused by the gateways and proves nothing.
            Lookup::Issued(_) if !self.state.is_alive(entry.token) => Ruling::Refused,
            Lookup::Issued(issued) => Ruling::Counted(self.look(gateway, &issued, entry)),
            Lookup::OtherDigest(Some(genuine)) if !served.serves(&genuine.audience) => {
                Ruling::Refused
            }
            Lookup::OtherDigest(_) | Lookup::Unknown => self.unknown(gateway, entry),
            Lookup::Expired => Ruling::Refused,
        }
    }

    /// Verdicts on identities as a whole, from windows that closed because of silence.
    pub(super) fn close_silent(&mut self) -> Vec<Vec<Event>> {
        let verdicts = self.desk.close_silent(&self.bench);
        verdicts
            .into_iter()
            .map(|closed| {
                let (token, identity) = (node(closed.token), node(closed.identity));
                self.identity_drifts(token, identity, nodes(&closed.gateways), closed.verdict)
            })
            .collect()
    }

    fn look(&mut self, gateway: NodeId, issued: &Issued, entry: &Entry) -> Vec<Event> {
        let (token, identity) = (subject(entry.token), subject(issued.identity()));
        let heard = Heard {
            token,
            identity,
            gateway: subject(gateway),
        };
        let sight = self.desk.look(&self.bench, heard, &entry.report);
        let mut events = self.on_token(issued, entry, sight);
        if let Some((identity, verdict)) = self.desk.close_if_full(&self.bench, token) {
            events.extend(self.identity_drifts(
                entry.token,
                node(identity),
                vec![gateway],
                verdict,
            ));
        }
        events
    }

    fn on_token(&mut self, issued: &Issued, entry: &Entry, mut sight: Sight) -> Vec<Event> {
        let token = entry.token;
        let identity = issued.identity();
        if !sight.is_news(self.bench.now) || !self.brokers.is_judge(identity) {
            return Vec::new();
        }
        let gateways = nodes(&sight.gateways);
        let id = self.name_of(token, identity, &gateways, &entry.report);
        let noted = sight.noted(subject(id), self.bench.now);
        self.desk.note(subject(token), noted);
        if self.state.verdict(id).is_some() {
            // Another judge has said this very verdict.
            return Vec::new();
        }
        sight.verdict = storable(sight.verdict);
        let history = self.state.history(identity);
        let situation = Situation {
            token: subject(token),
            path: &subjects(&issued.path),
            place: place(issued.place),
            gateways: &sight.gateways,
            carried_by: &sight.carried_by,
            sole_witnesses: &subjects(&self.state.sole_witnesses(&gateways)),
            history: &history,
        };
        let (decision, chosen) = self.decide(&sight.verdict, &situation);
        if decision.capped {
            self.counters.capped.add(1);
        }
        self.counters.judged(sight.verdict.level);
        let names = self.shards.names.lock().of(&sight.verdict, &gateways);
        let carried_by = (sight.verdict.level == Level::Malicious
            && sight.carried_by != sight.gateways)
            .then(|| nodes(&sight.carried_by));
        let judgement = Judgement {
            id,
            identity,
            token,
            gateways,
            carried_by,
            whole: false,
            verdict: sight.verdict,
            names,
            forged: None,
            forged_by: None,
        };
        self.events(judgement, &decision.actions, chosen)
    }

    /// What policies say is done, within the ladder; where nobody gave any, what its table says.
    fn decide(
        &self,
        verdict: &Verdict,
        situation: &Situation<'_>,
    ) -> (Decision, Option<Box<Chosen>>) {
        let (now, spent) = (self.bench.now, &mut self.shards.spent.lock());
        let spending = (self.caps, &mut **spent);
        match self.responding.steps(self.state) {
            None => (decide(verdict, situation, self.policy, spending, now), None),
            Some(mut steps) => {
                let by = (
                    self.policy,
                    &mut steps as &mut dyn lanyard_drift::ladder::Steps,
                );
                let decision = decide_by(verdict, situation, by, spending, now);
                let chosen = steps.chosen(decision.capped);
                (decision, chosen.map(Box::new))
            }
        }
    }

    fn identity_drifts(
        &mut self,
        token: NodeId,
        identity: NodeId,
        gateways: Vec<NodeId>,
        verdict: Verdict,
    ) -> Vec<Event> {
        let verdict = storable(verdict);
        let id = naming::of_identity(identity, &verdict, self.desk.habits(subject(identity)));
        if !self.brokers.is_judge(identity) || self.state.verdict(id).is_some() {
            return Vec::new();
        }
        let history = self.state.history(identity);
        let action = on_identity(subject(identity), &history, self.bench.now);
        self.counters.judged(verdict.level);
        let names = self.shards.names.lock().of(&verdict, &gateways);
        let judgement = Judgement {
            id,
            identity,
            token,
            gateways,
            carried_by: None,
            whole: true,
            verdict,
            names,
            forged: None,
            forged_by: None,
        };
        self.events(judgement, &[action], None)
    }

    /// What the verdict on a token's window is called; on the report alone when there was no room for
    /// a window.
    fn name_of(
        &self,
        token: NodeId,
        identity: NodeId,
        gateways: &[NodeId],
        report: &TokenReport,
    ) -> NodeId {
        let window = self.desk.window(subject(token)).unwrap_or(report);
        let habits = self.desk.habits(subject(identity));
        naming::of_window((identity, token), gateways, window, habits)
    }

    /// Calls that are yet to come: what is counted by the hour would wait for that hour, and see nothing until then.
    fn is_ahead(&self, report: &TokenReport) -> bool {
        let latest = millis(self.now).0.saturating_add(CLOCKS_DIFFER);
        report.span().is_some_and(|(_, last)| last.0 > latest)
    }

    /// A token that the log does not know: forged with a stolen key, or invented by the gateway. Whoever could
    /// end a number by naming it would end owners and identities, which are numbers too.
    fn unknown(&self, gateway: NodeId, entry: &Entry) -> Ruling {
        let mut spent = self.shards.spent.lock();
        if !spent.spend_never_issued(self.caps, subject(gateway), millis(self.now)) {
            self.counters.capped.add(1);
            return Ruling::Refused;
        }
        drop(spent);
        self.counters.never_issued.add(1);
        tracing::warn!(
            name: "lanyard.token.unknown",
            {
                lanyard.gateway = %gateway,
                lanyard.credential.id = %entry.token,
                lanyard.token.digest = ?entry.digest
            },
            "a gateway has seen a token that this log does not know, and is asked to show it"
        );
        Ruling::Unknown
    }

    /// The verdict, what is done about it, and what that means, in this order. How policies came to it stands
    /// with the last step: what is told beside it follows from the verdict.
    fn events(
        &self,
        judgement: Judgement,
        actions: &[Action],
        mut chosen: Option<Box<Chosen>>,
    ) -> Vec<Event> {
        let about = (judgement.id, judgement.identity);
        let mut events = vec![Event::Judged(Box::new(judgement))];
        for (at, action) in actions.iter().enumerate() {
            let is_last = at + 1 == actions.len();
            let chosen = is_last.then(|| chosen.take()).flatten();
            events.push(self.responded(about, action, chosen));
            events.extend(consequence(about.0, action));
        }
        events
    }

    fn responded(
        &self,
        (verdict, identity): (NodeId, NodeId),
        action: &Action,
        chosen: Option<Box<Chosen>>,
    ) -> Event {
        let Action {
            response,
            enforced,
            held_back,
            ..
        } = *action;
        self.counters.responded(response, enforced);
        Event::Responded {
            verdict,
            identity,
            node: action.node.map(node),
            response,
            enforced,
            held_back,
            chosen,
        }
    }
}

/// JSON has no infinities, and the log must be read back: a score without bound is kept as a large one.
pub(super) fn storable(mut verdict: Verdict) -> Verdict {
    let bounded = |number: f64| {
        if number.is_nan() {
            0.0
        } else {
            number.clamp(-1e15, 1e15)
        }
    };
    for calls in &mut verdict.heaviest {
        calls.weight = bounded(calls.weight);
    }
    for evidence in &mut verdict.evidence {
        evidence.observed = bounded(evidence.observed);
        evidence.expected = bounded(evidence.expected);
        evidence.weight = bounded(evidence.weight);
    }
    verdict
}

/// What an action means for access, if it is carried out.
fn consequence(verdict: NodeId, action: &Action) -> Option<Event> {
    let node = node(action.node.filter(|_| action.enforced)?);
    let by = By::Verdict(verdict);
    match action.response {
        Response::Recycle => Some(Event::Revoked {
            node,
            cause: Cause::Recycled(verdict),
            by,
        }),
        Response::Revoke => Some(Event::Revoked {
            node,
            cause: Cause::Drift(verdict),
            by,
        }),
        Response::Suspend => {
            let until = unix(action.until?);
            Some(Event::Suspended {
                node,
                until,
                cause: Cause::Drift(verdict),
                by,
            })
        }
        Response::Observe | Response::Alert | Response::Narrow => None,
    }
}

/// There is no behaviour to speak of: the token itself is the evidence.
pub(super) fn never_issued(now: UnixMillis) -> Verdict {
    Verdict {
        level: Level::Malicious,
        evidence: Vec::new(),
        hard_rule: None,
        calls: 0,
        history: 0,
        since: Millis(now.0),
        judged_at: Millis(now.0),
        takeover: Default::default(),
        pulse: Default::default(),
        heaviest: Vec::new(),
    }
}
