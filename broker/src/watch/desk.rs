//! The judge's desk: windows of behaviour that are still open, and the habits they are put beside.
//!
//! A token's reports are merged into its window whichever gateway they come from. A window closes
//! when it holds [`WINDOW`] calls or its token falls silent. A benign one goes into the identity's
//! own window, which is judged as a whole before it is learned: so whoever spreads over many tokens
//! is looked at too, and short-lived tokens with a handful of calls still teach something. A window
//! that was not benign is offered for learning alone, where only its persistence can speak for it,
//! and is kept for the owner who may clear its verdict.
//!
//! Everything here is bounded: identities, open windows, runs of gateways, windows kept for clearing.

use std::collections::{HashMap, VecDeque};

use lanyard_drift::{Absorption, Baseline, Level, Millis, Thresholds, TokenReport, Verdict, judge};
use lanyard_token::NodeId;

use super::caps::Spent;
use super::changes::Changes;
use super::counters::Counters;
use super::intake::Seen;
use super::names::Names;
use crate::clock::UnixMillis;

/// Calls that make a window worth closing: what the measurements were made with.
pub(super) const WINDOW: u64 = 100;
/// How long a token may be silent before its window closes, in milliseconds: two regular reports.
const SILENCE: u64 = 120_000;
/// How long an identity's own window may stay open, in milliseconds. Quiet identities must learn too.
const PATIENCE: u64 = 600_000;
/// How long a role's merged baseline is used before it is merged again, in milliseconds.
const ROLE_FRESHNESS: u64 = 60_000;
/// Windows kept for owners who may clear their verdict.
const WITHHELD: usize = 256;
/// Gateways named behind one window.
const GATEWAYS: usize = 16;

/// Bounds of the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Identities with habits at hand: some 25 KiB each.
    pub identities: usize,
    /// Open windows: some 10 KiB each.
    pub windows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            identities: 10_000,
            windows: 16_384,
        }
    }
}

/// What lies on the desk.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) habits: HashMap<NodeId, Habits>,
    pub(super) windows: HashMap<NodeId, Window>,
    pub(super) seen: HashMap<NodeId, Seen>,
    pub(super) spent: Spent,
    pub(super) names: Names,
    pub(super) changes: Changes,
    withheld: VecDeque<(NodeId, Box<TokenReport>)>,
    /// Whether habits changed since they were saved.
    pub(super) changed: bool,
}

/// One identity's habits and its own window.
#[derive(Default)]
pub(super) struct Habits {
    pub(super) baseline: Box<Baseline>,
    role: Option<Box<Baseline>>,
    role_at: Option<UnixMillis>,
    pending: Box<TokenReport>,
    pending_since: UnixMillis,
}

/// One token's open window.
pub(super) struct Window {
    identity: NodeId,
    report: Box<TokenReport>,
    pub(super) gateways: Vec<NodeId>,
    pub(super) heard: UnixMillis,
    /// The latest verdict on this token that was written down.
    pub(super) last: Option<Noted>,
}

/// A verdict that was written down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted {
    pub(super) id: NodeId,
    pub(super) level: Level,
    pub(super) hard: bool,
    pub(super) at: UnixMillis,
}

/// The fixed arguments of judging.
pub(super) struct Bench<'a> {
    pub(super) thresholds: &'a Thresholds,
    pub(super) limits: Limits,
    pub(super) counters: &'a Counters,
    /// The members of an identity's role, the identity itself left out.
    pub(super) peers: &'a dyn Fn(NodeId) -> Vec<NodeId>,
    pub(super) now: UnixMillis,
}

/// A verdict on an identity as a whole, by the window that closed last.
pub(super) struct Closed {
    pub(super) token: NodeId,
    pub(super) identity: NodeId,
    pub(super) gateways: Vec<NodeId>,
    pub(super) verdict: Verdict,
}

/// What the judge saw.
pub(super) struct Sight {
    pub(super) verdict: Verdict,
    pub(super) gateways: Vec<NodeId>,
    pub(super) last: Option<Noted>,
}

impl Desk {
    /// With the habits that were saved last.
    pub(super) fn of(habits: HashMap<NodeId, Habits>) -> Self {
        Self {
            habits,
            ..Self::default()
        }
    }

    /// Adds a report to its token's window and judges the window.
    pub(super) fn look(
        &mut self,
        bench: &Bench<'_>,
        (token, identity, gateway): (NodeId, NodeId, NodeId),
        report: &TokenReport,
    ) -> Sight {
        self.know(bench, identity);
        if !self.windows.contains_key(&token) && self.windows.len() >= bench.limits.windows {
            // No room to remember: judged by itself, and not learned.
            bench.counters.crowded_out.add(1);
            let verdict = self.judge(bench, identity, report);
            return Sight {
                verdict,
                gateways: vec![gateway],
                last: None,
            };
        }
        let window = self
            .windows
            .entry(token)
            .or_insert_with(|| Window::new(identity));
        window.report.merge(report);
        window.heard = bench.now;
        if !window.gateways.contains(&gateway) && window.gateways.len() < GATEWAYS {
            window.gateways.push(gateway);
        }
        let (gateways, last) = (window.gateways.clone(), window.last);
        let window = window.report.clone();
        let verdict = self.judge(bench, identity, &window);
        Sight {
            verdict,
            gateways,
            last,
        }
    }

    /// Closes a token's window if it is full. The identity's own window may be judged by that.
    pub(super) fn close_if_full(
        &mut self,
        bench: &Bench<'_>,
        token: NodeId,
    ) -> Option<(NodeId, Verdict)> {
        let full = self
            .windows
            .get(&token)
            .is_some_and(|window| window.report.calls() >= WINDOW);
        if full { self.close(bench, token) } else { None }
    }

    /// Closes the windows of tokens that fell silent; verdicts on identities as a whole, each with
    /// the token that was heard last and the gateways behind it.
    pub(super) fn close_silent(&mut self, bench: &Bench<'_>) -> Vec<Closed> {
        let silent = |window: &Window| bench.now.millis_since(window.heard) >= SILENCE;
        let closing: Vec<(NodeId, NodeId)> = self
            .windows
            .iter()
            .filter(|(_, window)| silent(window))
            .map(|(token, window)| (*token, window.identity))
            .collect();
        let mut verdicts = Vec::new();
        for (token, identity) in closing {
            let verdict = self.close(bench, token);
            let window = self.windows.remove(&token);
            if let Some((_, verdict)) = verdict {
                verdicts.push(Closed {
                    token,
                    identity,
                    gateways: window.map(|window| window.gateways).unwrap_or_default(),
                    verdict,
                });
            }
        }
        verdicts
    }

    /// Learns a window that an owner cleared, and starts the anchor from there: otherwise what is
    /// fine now would be anomalous for ever. `false` when the window is no longer at hand.
    pub(super) fn learn_cleared(
        &mut self,
        thresholds: &Thresholds,
        verdict: NodeId,
        identity: NodeId,
    ) -> bool {
        let Some(at) = self.withheld.iter().position(|(id, _)| *id == verdict) else {
            return false;
        };
        let Some((_, report)) = self.withheld.remove(at) else {
            return false;
        };
        let Some(habits) = self.habits.get_mut(&identity) else {
            return false;
        };
        let learned = habits.baseline.absorb_cleared(&report) == Absorption::Learned;
        if learned && habits.baseline.has_anchor() {
            habits.baseline.set_anchor();
        }
        if learned {
            let bounds = habits.baseline.bounds(thresholds);
            self.changes.note(identity, bounds);
        }
        self.changed |= learned;
        learned
    }

    /// Remembers that a verdict on this token was written down, and the window behind it.
    pub(super) fn note(&mut self, token: NodeId, noted: Noted) {
        if let Some(window) = self.windows.get_mut(&token) {
            window.last = Some(noted);
            let report = window.report.clone();
            self.withhold(noted.id, report);
        }
    }

    /// The merged baselines of an identity's peers; `None` when none of them has any.
    pub(super) fn role(&self, peers: &[NodeId]) -> Option<Box<Baseline>> {
        let mut role: Option<Box<Baseline>> = None;
        for peer in peers {
            let Some(habits) = self
                .habits
                .get(peer)
                .filter(|habits| habits.baseline.calls() > 0)
            else {
                continue;
            };
            role.get_or_insert_default().merge(&habits.baseline);
        }
        role
    }

    fn close(&mut self, bench: &Bench<'_>, token: NodeId) -> Option<(NodeId, Verdict)> {
        let window = self.windows.get_mut(&token)?;
        let report = std::mem::take(&mut window.report);
        let (identity, last) = (window.identity, window.last);
        if report.calls() == 0 {
            return None;
        }
        let verdict = self.judge(bench, identity, &report);
        if verdict.level == Level::Benign {
            let habits = self.habits.get_mut(&identity)?;
            if habits.pending.calls() == 0 {
                habits.pending_since = bench.now;
            }
            habits.pending.merge(&report);
            return self
                .close_pending(bench, identity)
                .map(|verdict| (identity, verdict));
        }
        self.offer(bench, identity, &report, &verdict);
        if let Some(noted) = last {
            self.withhold(noted.id, report);
        }
        None
    }

    /// Judges an identity's own window once it is full or old; its verdict unless it is benign.
    fn close_pending(&mut self, bench: &Bench<'_>, identity: NodeId) -> Option<Verdict> {
        let habits = self.habits.get_mut(&identity)?;
        let old = bench.now.millis_since(habits.pending_since) >= PATIENCE;
        if habits.pending.calls() < WINDOW && !old {
            return None;
        }
        let report = std::mem::take(&mut habits.pending);
        let verdict = self.judge(bench, identity, &report);
        self.offer(bench, identity, &report, &verdict);
        (verdict.level != Level::Benign).then_some(verdict)
    }

    fn offer(
        &mut self,
        bench: &Bench<'_>,
        identity: NodeId,
        report: &TokenReport,
        verdict: &Verdict,
    ) {
        let Some(habits) = self.habits.get_mut(&identity) else {
            return;
        };
        match habits.baseline.absorb(report, verdict, bench.thresholds) {
            Absorption::Learned => {
                bench.counters.absorbed.add(1);
                let bounds = habits.baseline.bounds(bench.thresholds);
                self.changes.note(identity, bounds);
            }
            Absorption::Refused(_) => bench.counters.withheld.add(1),
        }
        self.changed = true;
    }

    /// Makes room for an identity's habits, and merges its role anew when that is old.
    fn know(&mut self, bench: &Bench<'_>, identity: NodeId) {
        if !self.habits.contains_key(&identity) {
            if self.habits.len() >= bench.limits.identities {
                bench.counters.crowded_out.add(1);
                return;
            }
            self.habits.insert(identity, Habits::default());
        }
        let fresh = |at: UnixMillis| bench.now.millis_since(at) < ROLE_FRESHNESS;
        if self
            .habits
            .get(&identity)
            .is_some_and(|habits| habits.role_at.is_some_and(fresh))
        {
            return;
        }
        let role = self.role(&(bench.peers)(identity));
        if let Some(habits) = self.habits.get_mut(&identity) {
            habits.role = role;
            habits.role_at = Some(bench.now);
        }
    }

    /// By the clock of the calls, not of the broker: recorded traffic is judged in its own time.
    fn judge(&self, bench: &Bench<'_>, identity: NodeId, report: &TokenReport) -> Verdict {
        let now = report.span().map_or(Millis(bench.now.0), |(_, last)| last);
        let Some(habits) = self.habits.get(&identity) else {
            return judge(report, &Baseline::empty(), None, bench.thresholds, now);
        };
        // Whoever has no habits yet fits its role better than itself, which is no sign of anything:
        // a new member of an old role would be anomalous and never learn.
        let grown = habits.baseline.calls() >= bench.thresholds.established_calls;
        let role = habits.role.as_deref().filter(|_| grown);
        judge(report, &habits.baseline, role, bench.thresholds, now)
    }

    fn withhold(&mut self, verdict: NodeId, report: Box<TokenReport>) {
        self.withheld.retain(|(id, _)| *id != verdict);
        if self.withheld.len() >= WITHHELD {
            self.withheld.pop_front();
        }
        self.withheld.push_back((verdict, report));
    }
}

impl Habits {
    /// With what was learned before.
    pub(super) fn of(baseline: Box<Baseline>) -> Self {
        Self {
            baseline,
            ..Self::default()
        }
    }
}

impl Window {
    fn new(identity: NodeId) -> Self {
        Self {
            identity,
            report: Box::default(),
            gateways: Vec::new(),
            heard: UnixMillis(0),
            last: None,
        }
    }
}
