//! From one entry of a report to the events it leads to.
//!
//! **Catches** what the drift engine sees in a token's window, and tokens that the log never issued.
//! **Misses** whatever gateways do not report. A verdict is written down at most once per token in
//! [`QUIET`], unless it got worse: a drifting token would otherwise fill the log by itself.
//!
//! Who is believed about what: a gateway only about tokens for an audience it serves, and only by
//! the identity the log gave the token. So a gateway that was taken over can hurt those it serves,
//! within the caps, and nobody else.

use lanyard_drift::{HardRule, Level, Millis, Verdict};
use lanyard_token::NodeId;

use super::caps::Caps;
use super::desk::{Bench, Desk, Noted, Sight};
use super::intake::Entry;
use super::respond::{Action, Allowance, Policy, Situation, respond};
use super::state::{Issued, Lookup, Subject, WatchState};
use crate::clock::UnixMillis;
use crate::store::event::{By, Cause, Event, Judgement, Response, TokenDigest};

/// How long the same verdict on the same token is not written down again, in milliseconds.
const QUIET: u64 = 10_000;

/// How long the number of a forged token is blocked, in milliseconds: no token lives longer. A
/// watermark alone would not do, because the forger chooses the `rev` it is compared with.
const FORGED_FOR: u64 = 3_720_000;

/// What an entry came to.
pub(super) enum Ruling {
    /// Nothing to do with this gateway, or with any living token.
    Refused,
    /// Counted; these events become durable together (none: nothing to say).
    Counted(Vec<Event>),
}

/// The judge at work on one report.
pub(super) struct Judge<'a> {
    pub(super) state: &'a WatchState,
    pub(super) desk: &'a mut Desk,
    pub(super) bench: Bench<'a>,
    pub(super) policy: &'a Policy,
    pub(super) caps: Caps,
    /// Numbers for verdicts.
    pub(super) number: &'a dyn Fn() -> NodeId,
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
                self.identity_drifts(
                    closed.token,
                    closed.identity,
                    closed.gateways,
                    closed.verdict,
                )
            })
            .collect()
    }

    fn look(&mut self, gateway: NodeId, issued: &Issued, entry: &Entry) -> Vec<Event> {
        let identity = issued.identity();
        let sight = self
            .desk
            .look(&self.bench, (entry.token, identity, gateway), &entry.report);
        let mut events = self.on_token(entry.token, issued, sight);
        if let Some((identity, verdict)) = self.desk.close_if_full(&self.bench, entry.token) {
            events.extend(self.identity_drifts(entry.token, identity, vec![gateway], verdict));
        }
        events
    }

    fn on_token(&mut self, token: NodeId, issued: &Issued, sight: Sight) -> Vec<Event> {
        let Sight {
            verdict,
            gateways,
            last,
        } = sight;
        let verdict = storable(verdict);
        let now = self.bench.now;
        if verdict.level == Level::Benign || is_old_news(&verdict, last, now) {
            return Vec::new();
        }
        let identity = issued.identity();
        let history = self.state.history(identity);
        let situation = Situation {
            token,
            issued,
            gateways: gateways.len(),
            history: &history,
        };
        let allowance = self.desk.spent.allowance(self.caps, &gateways, now);
        let actions = respond(&verdict, &situation, self.policy, allowance, now);
        if actions != respond(&verdict, &situation, self.policy, Allowance::FULL, now) {
            self.bench.counters.capped.add(1);
        }
        let id = (self.number)();
        let hard = verdict.hard_rule.is_some_and(HardRule::proves_abuse);
        self.desk.note(
            token,
            Noted {
                id,
                level: verdict.level,
                hard,
                at: now,
            },
        );
        for action in actions.iter().filter(|action| action.enforced) {
            self.desk.spent.spend(action.response, &gateways, now);
        }
        self.bench.counters.judged(verdict.level);
        let names = self.desk.names.of(&verdict, &gateways);
        let judgement = Judgement {
            id,
            identity,
            token,
            gateways,
            verdict,
            names,
            forged: None,
        };
        self.events(judgement, &actions)
    }

    /// No single token stood out, the sum of them does: somebody should look. Which token to end is
    /// not known, so none is.
    fn identity_drifts(
        &mut self,
        token: NodeId,
        identity: NodeId,
        gateways: Vec<NodeId>,
        verdict: Verdict,
    ) -> Vec<Event> {
        let told = self.state.history(identity).is_alerted(self.bench.now);
        let response = if told {
            Response::Observe
        } else {
            Response::Alert
        };
        self.bench.counters.judged(verdict.level);
        let (id, verdict) = ((self.number)(), storable(verdict));
        let names = self.desk.names.of(&verdict, &gateways);
        let judgement = Judgement {
            id,
            identity,
            token,
            gateways,
            verdict,
            names,
            forged: None,
        };
        self.events(
            judgement,
            &[Action {
                response,
                node: Some(identity),
                enforced: true,
                until: None,
            }],
        )
    }

    /// A valid signature that the log never issued: the signing key leaked, or the gateway lies. In
    /// both cases nobody honest loses anything by the end of this one number.
    fn forged(&mut self, gateway: NodeId, entry: &Entry) -> Ruling {
        let now = self.bench.now;
        if !self.desk.spent.spend_never_issued(self.caps, gateway, now) {
            self.bench.counters.capped.add(1);
            return Ruling::Refused;
        }
        self.bench.counters.never_issued.add(1);
        self.bench.counters.judged(Level::Malicious);
        let (id, token) = ((self.number)(), entry.token);
        let judgement = Judgement {
            id,
            identity: entry.identity,
            token,
            gateways: vec![gateway],
            verdict: never_issued(entry, now),
            names: Vec::new(),
            forged: Some(entry.digest),
        };
        let alert = Action {
            response: Response::Alert,
            node: None,
            enforced: true,
            until: None,
        };
        let revoke = Action {
            response: Response::Revoke,
            node: Some(token),
            enforced: true,
            until: None,
        };
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
        Ruling::Counted(events)
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
            node,
            enforced,
            ..
        } = *action;
        self.bench.counters.responded(response, enforced);
        Event::Responded {
            verdict,
            identity,
            node,
            response,
            enforced,
        }
    }
}

/// Whether the same was said a moment ago.
fn is_old_news(verdict: &Verdict, last: Option<Noted>, now: UnixMillis) -> bool {
    let hard = verdict.hard_rule.is_some_and(HardRule::proves_abuse);
    last.is_some_and(|last| {
        verdict.level <= last.level && (!hard || last.hard) && now.millis_since(last.at) < QUIET
    })
}

/// JSON has no infinities, and the log must be read back: a score without bound is kept as a large one.
fn storable(mut verdict: Verdict) -> Verdict {
    let bounded = |number: f64| {
        if number.is_nan() {
            0.0
        } else {
            number.clamp(-1e15, 1e15)
        }
    };
    verdict.mix_score = bounded(verdict.mix_score);
    for evidence in &mut verdict.evidence {
        evidence.observed = bounded(evidence.observed);
        evidence.expected = bounded(evidence.expected);
        evidence.weight = bounded(evidence.weight);
    }
    verdict
}

/// What an action means for access, if it is carried out.
fn consequence(verdict: NodeId, action: &Action) -> Option<Event> {
    let node = action.node.filter(|_| action.enforced)?;
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
            let until = action.until?;
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
fn never_issued(entry: &Entry, now: UnixMillis) -> Verdict {
    Verdict {
        level: Level::Malicious,
        evidence: Vec::new(),
        hard_rule: None,
        calls: entry.report.calls(),
        history: 0,
        since: entry
            .report
            .span()
            .map_or(Millis(now.0), |(first, _)| first),
        judged_at: Millis(now.0),
        mix_score: 0.0,
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
