//! The judge's desk: windows of behaviour that are still open, and the habits they are put beside.
//!
//! A token's reports are merged into its window whichever gateway they come from. A window closes
//! when it holds [`WINDOW`] calls or its token falls silent. A benign one goes into the identity's
//! own window, which is judged as a whole before it is learned: so whoever spreads over many tokens
//! is looked at too, and short-lived tokens with a handful of calls still teach something. A window
//! that was not benign is offered for learning alone, where only its persistence can speak for it,
//! and is kept for the owner who may clear its verdict.
//!
//! **Catches** what one token does within a window at any number of gateways, and what many tokens
//! of one identity do together, in a window and over hours (see the slow module). **Misses** what is spread over identities: no window spans two.
//! **Warms up** with its role: the peers' merged habits stand in once an identity has
//! [`Thresholds::established_calls`] of its own. **Recovers** by persistence and by clearing.
//! Not a sliding window per token: it would hold every call, and merging reports would not be enough.
//!
//! Everything here is bounded: identities, open windows, gateways behind a window, windows kept for
//! clearing. There is no clock: `now` comes with the [`Bench`].

mod bench;
mod closed;
mod deployment;
mod habits;
mod parts;
mod window;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

pub use bench::{Bench, Heard, Limits, Register};
pub use closed::ClosedWindow;
pub(crate) use deployment::News;

use closed::Unfetched;
use deployment::Deployments;
pub use deployment::RoleId;
use habits::Habits;
use parts::Parts;
use window::Window;
pub use window::{Noted, Sight};

use crate::baseline::{Absorption, Baseline, Refusal};
use crate::compact::Compact;
use crate::event::{Millis, mix};
use crate::evidence::Level;
use crate::ladder::SubjectId;
use crate::report::TokenReport;
use crate::role::Role;
use crate::signal::HardRule;
use crate::verdict::Verdict;

/// Calls that make a window worth closing: what the measurements were made with.
pub const WINDOW: u64 = 100;
/// How long a token may be silent before its window closes, in milliseconds: two regular reports.
const SILENCE: u64 = 120_000;
/// How long an identity's own window may stay open, in milliseconds. Quiet identities must learn too.
const PATIENCE: u64 = 600_000;
/// How long a role's merged baseline is used before it is merged again, in milliseconds.
const ROLE_FRESHNESS: u64 = 60_000;
/// Windows kept for owners who may clear their verdict.
const WITHHELD: usize = 256;

/// A verdict on an identity as a whole, by the window that closed last.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// The token whose window closed last.
    pub token: SubjectId,
    /// Whose.
    pub identity: SubjectId,
    /// Whose reports stand behind that window.
    pub gateways: Vec<SubjectId>,
    /// Not benign.
    pub verdict: Verdict,
}

/// An identity as a fast detector knows it.
#[derive(Clone, Debug)]
pub struct Portrait {
    /// Its own habits.
    pub baseline: Compact,
    /// Its role, itself left out; `None` when it has no peers with habits.
    pub role: Option<Arc<Role>>,
}

/// What became of windows since the last time somebody asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Windows that were learned.
    pub absorbed: u64,
    /// Windows that were not, because something in them was not like the identity.
    pub withheld: u64,
    /// Observations not kept because a table was full.
    pub crowded_out: u64,
    /// Closed windows that were let go of because nobody fetched them.
    pub unfetched: u64,
    /// Whose habits have grown.
    pub learned: BTreeSet<SubjectId>,
}

/// What lies on the desk.
#[derive(Default)]
pub struct Desk {
    habits: HashMap<SubjectId, Habits>,
    windows: HashMap<SubjectId, Window>,
    withheld: VecDeque<(SubjectId, Box<TokenReport>)>,
    closed: Unfetched,
    deployments: Deployments,
    /// Copies of reports by gateway, in all windows.
    copies: usize,
    tally: Tally,
}

impl Desk {
    /// With the habits that were saved last.
    pub fn with_habits(habits: impl IntoIterator<Item = (SubjectId, Box<Baseline>)>) -> Self {
        let known = |(identity, baseline)| (identity, Habits::of(baseline));
        Self {
            habits: habits.into_iter().map(known).collect(),
            ..Self::default()
        }
    }

    /// Keeps every window that closes from now on until it is fetched.
    pub const fn keep_closed(&mut self) {
        self.closed.want();
    }

    /// The windows that closed since this was last asked, oldest first.
    pub fn take_closed(&mut self) -> Vec<ClosedWindow> {
        self.closed.take()
    }

    /// Adds a report to its token's window and judges the window.
    pub fn look(&mut self, bench: &Bench<'_>, heard: Heard, report: &TokenReport) -> Sight {
        self.know(bench, heard.identity);
        if let Some(habits) = self.habits.get_mut(&heard.identity) {
            habits.baseline.note_hours(report);
        }
        let has_place = match self.windows.get(&heard.token) {
            Some(window) => window.parts.has_place(heard.gateway),
            None => self.windows.len() < bench.limits.windows,
        };
        if !has_place {
            // No room to remember: judged by itself, and not learned.
            self.tally.crowded_out += 1;
            let habits = self.habits.get(&heard.identity);
            return Sight {
                verdict: weigh(habits, &mut self.deployments, bench, heard.identity, report),
                gateways: vec![heard.gateway],
                carried_by: vec![heard.gateway],
                last: None,
            };
        }
        let window = self
            .windows
            .entry(heard.token)
            .or_insert_with(|| Window::new(heard.identity));
        let copies = window.parts.copies();
        let room = self.copies < bench.limits.copies;
        window.hear(heard.gateway, report, bench.now, room);
        self.copies += window.parts.copies().saturating_sub(copies);
        let habits = self.habits.get(&heard.identity);
        let mut weigh = |report: &TokenReport| {
            weigh(habits, &mut self.deployments, bench, heard.identity, report)
        };
        let verdict = weigh(&window.report);
        let carried_by = match verdict.level {
            Level::Malicious => {
                let grave = |rest: &TokenReport| weigh(rest).level == Level::Malicious;
                window.parts.carrying(grave)
            }
            Level::Benign | Level::Anomalous => Vec::new(),
        };
        window.sight(verdict, carried_by)
    }

    /// Closes a token's window if it is full. The identity's own window may be judged by that.
    pub fn close_if_full(
        &mut self,
        bench: &Bench<'_>,
        token: SubjectId,
    ) -> Option<(SubjectId, Verdict)> {
        let full = self
            .windows
            .get(&token)
            .is_some_and(|window| window.report.calls() >= WINDOW);
        if full { self.close(bench, token) } else { None }
    }

    /// Closes the windows of tokens that fell silent; verdicts on identities as a whole, each with
    /// the token that was heard last and the gateways behind it.
    pub fn close_silent(&mut self, bench: &Bench<'_>) -> Vec<Closed> {
        let silent = |window: &Window| bench.now.since(window.heard) >= SILENCE;
        let mut closing: Vec<(SubjectId, SubjectId)> = self
            .windows
            .iter()
            .filter(|(_, window)| silent(window))
            .map(|(token, window)| (*token, window.identity))
            .collect();
        // Tables have no order of their own; what is learned first must not depend on chance.
        closing.sort_unstable();
        let mut verdicts = Vec::new();
        for (token, identity) in closing {
            let gateways = self.windows.get(&token).map(Window::gateways);
            let verdict = self.close(bench, token);
            self.windows.remove(&token);
            if let Some((_, verdict)) = verdict {
                verdicts.push(Closed {
                    token,
                    identity,
                    gateways: gateways.unwrap_or_default(),
                    verdict,
                });
            }
        }
        verdicts
    }

    /// Learns a window that an owner cleared, and starts the anchor from there: otherwise what is
    /// fine now would be anomalous for ever. `false` when the window is no longer at hand.
    pub fn learn_cleared(&mut self, verdict: SubjectId, identity: SubjectId) -> bool {
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
        habits.lessons += u64::from(learned);
        if learned && habits.baseline.has_anchor() {
            habits.baseline.set_anchor();
        }
        if learned {
            self.tally.learned.insert(identity);
        }
        learned
    }

    /// Remembers that a verdict on this token was written down, and the window behind it.
    pub fn note(&mut self, token: SubjectId, noted: Noted) {
        if let Some(window) = self.windows.get_mut(&token) {
            window.noted(noted);
            let report = window.report.clone();
            self.withhold(noted.id, report);
        }
    }

    /// Opens a learning window: until then what is new in windows of this role is learned, not held
    /// against them. Hard rules and amounts are judged as ever.
    pub fn announce_deployment(&mut self, role: RoleId, until: Millis, now: Millis) {
        self.deployments.announce(role, until, now);
    }

    /// The habits of an identity, when they are at hand.
    #[must_use]
    pub fn habits(&self, identity: SubjectId) -> Option<&Baseline> {
        self.habits.get(&identity).map(|habits| &*habits.baseline)
    }

    /// What a fast detector needs to know of an identity; `None` while too little is known. It is put
    /// beside the very role that its windows are.
    pub fn portrait(&mut self, bench: &Bench<'_>, identity: SubjectId) -> Option<Portrait> {
        let thresholds = bench.register.thresholds(identity);
        let known = self.habits.get(&identity)?.baseline.compact(thresholds)?;
        self.know(bench, identity);
        let habits = self.habits.get(&identity)?;
        Some(Portrait {
            baseline: known,
            role: habits.role.clone(),
        })
    }

    /// All habits that hold anything, in no order.
    pub fn all_habits(&self) -> impl Iterator<Item = (SubjectId, &Baseline)> + '_ {
        let all = self
            .habits
            .iter()
            .map(|(identity, habits)| (*identity, &*habits.baseline));
        all.filter(|(_, baseline)| baseline.calls() > 0)
    }

    /// The role that these identities play; `None` when none of them has habits.
    #[must_use]
    pub fn role(&self, peers: &[SubjectId]) -> Option<Box<Role>> {
        Role::of(peers.iter().filter_map(|peer| self.habits(*peer))).map(Box::new)
    }

    /// How many identities have habits here, and how many windows are open.
    #[must_use]
    pub fn sizes(&self) -> Limits {
        Limits {
            identities: self.habits.len(),
            windows: self.windows.len(),
            copies: self.copies,
        }
    }

    /// A token's open window.
    #[must_use]
    pub fn window(&self, token: SubjectId) -> Option<&TokenReport> {
        self.windows.get(&token).map(|window| &*window.report)
    }

    /// What became of windows since this was last asked.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    fn close(&mut self, bench: &Bench<'_>, token: SubjectId) -> Option<(SubjectId, Verdict)> {
        let window = self.windows.get_mut(&token)?;
        if window.report.calls() == 0 {
            return None;
        }
        let report = std::mem::take(&mut window.report);
        let parts = std::mem::take(&mut window.parts);
        self.copies = self.copies.saturating_sub(parts.copies());
        let (identity, last) = (window.identity, window.last);
        let habits = self.habits.get(&identity);
        let (verdict, rest) = discount(habits, &mut self.deployments, bench, identity, &report);
        let judged = rest.as_deref().unwrap_or(&report);
        self.keep(bench, token, (&report, judged), &parts, verdict.level);
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

    /// Keeps a window that closes, if somebody wants it.
    fn keep(
        &mut self,
        bench: &Bench<'_>,
        token: SubjectId,
        (report, judged): (&TokenReport, &TokenReport),
        parts: &Parts,
        level: Level,
    ) {
        let Some(window) = self.windows.get_mut(&token) else {
            return;
        };
        let verdicts = std::mem::take(&mut window.verdicts);
        if !self.closed.is_wanted() {
            return;
        }
        let identity = window.identity;
        let habits = self.habits.get(&identity);
        let findings = Habits::findings(habits, bench, identity, judged);
        let carried_by = (level == Level::Malicious).then(|| {
            let deployments = &mut self.deployments;
            let grave = |rest: &TokenReport| {
                weigh(habits, deployments, bench, identity, rest).level == Level::Malicious
            };
            parts.carrying(grave)
        });
        let kept = self.closed.keep(ClosedWindow {
            at: bench.now,
            token,
            identity,
            gateways: parts.gateways().collect(),
            carried_by,
            report: Box::new(report.clone()),
            reach: findings.reach(bench.register.thresholds(identity)),
            findings,
            level,
            verdicts,
        });
        self.tally.unfetched += u64::from(!kept);
    }

    /// Judges an identity's own window once it is full or old; its verdict unless it is benign.
    fn close_pending(&mut self, bench: &Bench<'_>, identity: SubjectId) -> Option<Verdict> {
        let habits = self.habits.get_mut(&identity)?;
        let old = bench.now.since(habits.pending_since) >= PATIENCE;
        if habits.pending.calls() < WINDOW && !old {
            return None;
        }
        let report = std::mem::take(&mut habits.pending);
        let verdict = weigh(
            Some(habits),
            &mut self.deployments,
            bench,
            identity,
            &report,
        );
        // No window shows what adds up over hours, and no token is to blame for it.
        let habits = self.habits.get(&identity);
        let verdict = verdict.with(
            habits
                .into_iter()
                .flat_map(|habits| habits.baseline.hours()),
        );
        self.offer(bench, identity, &report, &verdict);
        (verdict.level != Level::Benign).then_some(verdict)
    }

    fn offer(
        &mut self,
        bench: &Bench<'_>,
        identity: SubjectId,
        report: &TokenReport,
        verdict: &Verdict,
    ) {
        let Some(habits) = self.habits.get_mut(&identity) else {
            return;
        };
        let thresholds = bench.register.thresholds(identity);
        let absorption = habits.baseline.absorb(report, verdict, thresholds);
        let kinds = absorption == Absorption::Refused(Refusal::FitsOthers);
        habits.lessons += u64::from(kinds || absorption == Absorption::Learned);
        match absorption {
            Absorption::Learned => {
                self.tally.absorbed += 1;
                self.tally.learned.insert(identity);
                let role = bench.register.role(identity);
                let window = (report, &*habits.baseline);
                let deployed = self.deployments.deployed(role, window, bench.now);
                habits.baseline.anchor_deployed(report, &deployed);
            }
            Absorption::Refused(_) => self.tally.withheld += 1,
        }
    }

    /// Makes room for an identity's habits, and merges its role anew when that is old.
    fn know(&mut self, bench: &Bench<'_>, identity: SubjectId) {
        if !self.habits.contains_key(&identity) {
            if self.habits.len() >= bench.limits.identities {
                self.tally.crowded_out += 1;
                return;
            }
            self.habits.insert(identity, Habits::default());
        }
        let stale = |habits: &Habits| {
            habits.is_grown(bench.register.thresholds(identity))
                && habits
                    .role_at
                    .is_none_or(|at| bench.now.since(at) >= ROLE_FRESHNESS)
        };
        if !self.habits.get(&identity).is_some_and(stale) {
            return;
        }
        let peers = bench.register.peers(identity);
        let stands = self.behind(&peers);
        if let Some(habits) = self.habits.get_mut(&identity)
            && habits.role_at.is_some()
            && habits.role_of == stands
        {
            // Nobody has learned since: merging would give the same role.
            habits.role_at = Some(bench.now);
            return;
        }
        let role = self.role(&peers);
        if let Some(habits) = self.habits.get_mut(&identity) {
            habits.role_of = stands;
            let peers = role.as_ref().map_or(0, |role| role.members());
            habits.members = usize::try_from(peers)
                .unwrap_or(usize::MAX)
                .saturating_add(1);
            habits.role = role.map(Arc::from);
            habits.role_at = Some(bench.now);
        }
    }

    /// Which peers there are and how much each has learned, as one number.
    fn behind(&self, peers: &[SubjectId]) -> u64 {
        let lessons = |peer| self.habits.get(peer).map_or(0, |habits| habits.lessons + 1);
        peers
            .iter()
            .fold(0, |all, peer| mix(mix(all ^ peer.0) ^ lessons(peer)))
    }

    fn withhold(&mut self, verdict: SubjectId, report: Box<TokenReport>) {
        self.withheld.retain(|(id, _)| *id != verdict);
        if self.withheld.len() >= WITHHELD {
            self.withheld.pop_front();
        }
        self.withheld.push_back((verdict, report));
    }
}

/// Judges a window, less what is being deployed.
fn weigh(
    habits: Option<&Habits>,
    deployments: &mut Deployments,
    bench: &Bench<'_>,
    identity: SubjectId,
    report: &TokenReport,
) -> Verdict {
    discount(habits, deployments, bench, identity, report).0
}

/// Judges a window, and judges it again without what is being deployed: the milder verdict holds, and
/// then the rest of the window comes along. Hard rules are never discounted.
fn discount(
    habits: Option<&Habits>,
    deployments: &mut Deployments,
    bench: &Bench<'_>,
    identity: SubjectId,
    report: &TokenReport,
) -> (Verdict, Option<Box<TokenReport>>) {
    let verdict = Habits::judge(habits, bench, identity, report);
    let proven = verdict.hard_rule.is_some_and(HardRule::proves_abuse);
    let grown = habits.filter(|habits| habits.is_grown(bench.register.thresholds(identity)));
    let Some(habits) = grown.filter(|_| verdict.level != Level::Benign && !proven) else {
        return (verdict, None);
    };
    let role = bench.register.role(identity);
    let window = (report, &*habits.baseline);
    deployments.note((role, habits.members), identity, window, bench.now);
    let deployed = deployments.deployed(role, window, bench.now);
    if deployed.is_empty() {
        return (verdict, None);
    }
    let rest = report.without(&deployed);
    let milder = Habits::judge(Some(habits), bench, identity, &rest);
    if milder.gravity() < verdict.gravity() {
        (milder, Some(rest))
    } else {
        (verdict, None)
    }
}

#[cfg(test)]
mod tests;
