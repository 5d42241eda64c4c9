//! From one entry of a report to the events it leads to.
//!
//! **Catches** what the drift engine sees in a token's window, and tokens that the log never issued.
//! **Misses** whatever gateways do not report. What is decided is decided by the engine's desk and
//! ladder; here it becomes words of the log.
//!
//! Who is believed about what: a gateway only about tokens for an audience it serves, and only by
//! the identity the log gave the token. So a gateway that was taken over can hurt those it serves,
//! within the caps, and nobody else.

use lanyard_drift::desk::{Bench, Desk, Heard, Sight};
use lanyard_drift::ladder::{Action, Caps, Policy, Situation, decide, on_identity};
use lanyard_drift::{Level, Millis, TokenReport, Verdict};
use lanyard_token::NodeId;

use super::brokers::Brokers;
use super::counters::Counters;
use super::intake::Entry;
use super::naming;
use super::opaque::{millis, node, nodes, place, subject, subjects, unix};
use super::shards::Shards;
use super::state::{Issued, Lookup, Subject, WatchState};
use crate::clock::UnixMillis;
use crate::store::event::{By, Cause, Event, Judgement, Response, TokenDigest};

/// How long the number of a forged token is blocked, in milliseconds: no token lives longer. A
/// watermark alone would not do, because the forger chooses the `rev` it is compared with.
const FORGED_FOR: u64 = 3_720_000;

/// What an entry came to.
pub(super) enum Ruling {
    /// Nothing to do with this gateway, or with any living token.
    Refused,
    /// The log does not know the token; these events become durable together (none: it was ended
    /// before, or a cap was met).
    NeverIssued(Vec<Event>),
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
    pub(super) caps: Caps,
}

impl Judge<'_> {
    /// Takes one entry of a report by `gateway`.
    pub(super) fn take(&mut self, gateway: NodeId, served: &Subject, entry: &Entry) -> Ruling {
        match self.state.token(entry.token, entry.digest) {
            Lookup::Issued(issued) if !served.serves(&issued.audience) => Ruling::Refused,
            Lookup::Issued(issued) if issued.identity() != entry.identity => Ruling::Refused,
            // Ended already: what it did since was refused by the gateways and proves nothing.
            Lookup::Issued(_) if !self.state.is_alive(entry.token) => Ruling::Refused,
            Lookup::Issued(issued) => Ruling::Counted(self.look(gateway, &issued, entry)),
            Lookup::OtherDigest(Some(genuine)) if !served.serves(&genuine.audience) => {
                Ruling::Refused
            }
            Lookup::OtherDigest(_) | Lookup::Unknown => self.forged(gateway, entry),
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
        let decision = decide(
            &sight.verdict,
            &situation,
            self.policy,
            (self.caps, &mut self.shards.spent.lock()),
            self.bench.now,
        );
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
        self.events(judgement, &decision.actions)
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
        self.events(judgement, &[action])
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

    /// A valid signature that the log never issued: the signing key leaked, or the gateway lies. In
    /// both cases nobody honest loses anything by the end of this one number.
    fn forged(&mut self, gateway: NodeId, entry: &Entry) -> Ruling {
        let now = self.now;
        let id = naming::of_forgery(entry.token, entry.digest);
        if self.state.verdict(id).is_some() {
            // Ended already, whoever saw it first.
            return Ruling::NeverIssued(Vec::new());
        }
        let mut spent = self.shards.spent.lock();
        let allowed = spent.spend_never_issued(self.caps, subject(gateway), millis(now));
        drop(spent);
        if !allowed {
            self.counters.capped.add(1);
            return Ruling::NeverIssued(Vec::new());
        }
        self.counters.never_issued.add(1);
        self.counters.judged(Level::Malicious);
        let token = entry.token;
        let judgement = Judgement {
            id,
            identity: entry.identity,
            token,
            gateways: vec![gateway],
            carried_by: None,
            whole: false,
            verdict: never_issued(Some(entry), now),
            names: Vec::new(),
            forged: Some(entry.digest),
            forged_by: None,
        };
        let alert = Action::new(Response::Alert, None, true);
        let revoke = Action::new(Response::Revoke, Some(subject(token)), true);
        let mut events = vec![Event::Judged(Box::new(judgement))];
        events.extend(
            [alert, revoke]
                .iter()
                .map(|action| self.responded(id, entry.identity, action)),
        );
        let by = By::Verdict(id);
        events.push(Event::Revoked {
            node: token,
            cause: Cause::NeverIssued,
            by: by.clone(),
        });
        let until = now.plus_millis(FORGED_FOR);
        events.push(Event::Suspended {
            node: token,
            until,
            cause: Cause::NeverIssued,
            by,
        });
        say_forged(gateway, token, entry.digest);
        Ruling::NeverIssued(events)
    }

    /// The verdict, what is done about it, and what that means, in this order.
    fn events(&self, judgement: Judgement, actions: &[Action]) -> Vec<Event> {
        let (id, identity) = (judgement.id, judgement.identity);
        let mut events = vec![Event::Judged(Box::new(judgement))];
        for action in actions {
            events.push(self.responded(id, identity, action));
            events.extend(consequence(id, action));
        }
        events
    }

    fn responded(&self, verdict: NodeId, identity: NodeId, action: &Action) -> Event {
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
pub(super) fn never_issued(entry: Option<&Entry>, now: UnixMillis) -> Verdict {
    let report = entry.map(|entry| &entry.report);
    Verdict {
        level: Level::Malicious,
        evidence: Vec::new(),
        hard_rule: None,
        calls: report.map_or(0, TokenReport::calls),
        history: 0,
        since: report
            .and_then(TokenReport::span)
            .map_or(Millis(now.0), |(first, _)| first),
        judged_at: Millis(now.0),
        takeover: Default::default(),
        pulse: Default::default(),
        heaviest: Vec::new(),
    }
}

fn say_forged(gateway: NodeId, token: NodeId, digest: TokenDigest) {
    tracing::error!(
        name: "lanyard.token.never_issued",
        {
            lanyard.gateway = %gateway,
            lanyard.credential.id = %token,
            lanyard.digest = ?digest
        },
        "a gateway saw a token with a valid signature that this log never issued: look at the signing key"
    );
}
