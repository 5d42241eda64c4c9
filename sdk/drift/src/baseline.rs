//! What an identity normally does.
//!
//! **Holds** which operations it uses and which follows which (2 KiB, and 1 KiB of how that was once),
//! how it treats objects, how much it does in a minute, from where, how its calls are answered. What
//! the identities of a role do is a [`Role`](crate::Role), made of their baselines; leave the judged
//! identity itself out of it.
//!
//! **Warm-up.** The first [`Thresholds::minimum_history`] calls are learned on the word of the
//! verdict alone, since there is nothing yet that could object; and until
//! [`Thresholds::settled_minutes`] have been seen, a busier minute is learned too. A thief who is
//! there from the first call becomes part of the habits.
//!
//! **Learning.** What speaks against a window by what it calls is weighed by the belief that is carried
//! from window to window (see the takeover module): a window is learned when it is rather the owner's.
//! What speaks against it otherwise (from where, how much, where to, refused) stops it as it is.
//!
//! **Poisoning.** A slow ramp can move the adaptive counts, not the anchor: a frozen copy of the
//! sequence from the end of the warm-up, which the estrangement is measured against. What it misses: a
//! ramp in rates or objects, which have no anchor.
//!
//! **Recovery.** A mild anomaly in one family that goes on for [`Thresholds::persistence`] windows
//! is a changed habit and is learned, and a strange origin alone, however strange, in a fifth of that:
//! whoever comes back with one fresh token after the other holds the key, which is what a strange
//! origin puts in doubt. Anything stronger waits for an operator, who clears windows
//! ([`Baseline::absorb_cleared`]) and sets the anchor anew ([`Baseline::set_anchor`]). Old counts
//! age by halves. Why not an exponential average per count: halving in steps keeps whole numbers,
//! so that equal histories are equal bytes and the content hash means something.

use serde::{Deserialize, Serialize};

use crate::bigrams::{Adaptive, Frozen};
use crate::bounds::Bounds;
use crate::compact::Compact;
use crate::cusum::Pulse;
use crate::desk::News;
use crate::event::{Millis, OperationId};
use crate::evidence::{Evidence, Family, Level, Measure, Strength};
use crate::habits::{OBJECTS, ORIGINS, ObjectHabit};
use crate::rate::Rate;
use crate::report::TokenReport;
use crate::rhythm::{Pauses, ResponseMix};
use crate::signal::HardRule;
use crate::slow::Slow;
use crate::table::Table;
use crate::takeover::{Lesson, Takeover};
use crate::thresholds::Thresholds;
use crate::verdict::Verdict;
use crate::version::Version;

mod destinations;
mod novelty;

use destinations::Destinations;
pub(crate) use novelty::Novelty;

/// Version of the serialised form.
const VERSION: u16 = 3;
/// Calls in the adaptive counts at which all of them are halved: a busy service then remembers
/// days, a quiet one years.
const AGE_AT: u32 = 65_536;

/// How many mild windows one counts for in which nothing but the origin is strange: a dozen of them, an
/// hour of fresh tokens, make it a habit.
const ORIGIN_COUNTS: u32 = 5;

/// The habits of one identity, or of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    version: Version<VERSION>,
    identities: u32,
    calls: u64,
    since: Millis,
    updated: Millis,
    pub(crate) sequence: Adaptive,
    pub(crate) takeover: Takeover,
    pub(crate) pulse: Pulse,
    pub(crate) novelty: Novelty,
    pub(crate) objects: Table<OperationId, ObjectHabit, OBJECTS>,
    pub(crate) call_rate: Rate,
    pub(crate) byte_rate: Rate,
    pub(crate) pauses: Pauses,
    pub(crate) responses: ResponseMix,
    pub(crate) sources: Table<u64, u32, ORIGINS>,
    pub(crate) clients: Table<u64, u32, ORIGINS>,
    pub(crate) destinations: Destinations,
    anchor: Option<Box<Frozen>>,
    mild_windows: u32,
    /// Hours of an identity, learned from everything it is reported to do; none of a role's.
    #[serde(
        default,
        skip_serializing_if = "Slow::is_empty",
        deserialize_with = "Slow::read"
    )]
    slow: Slow,
}

/// What became of a window offered for learning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Absorption {
    /// It is part of the baseline now.
    Learned,
    /// It is not, and the baseline's habits are unchanged.
    Refused(Refusal),
}

/// Why a window was not learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The window holds no call.
    Empty,
    /// It broke a hard rule or was judged malicious.
    Malicious,
    /// It was judged anomalous, too strongly or not for long enough.
    Anomalous {
        /// Mild windows so far without a stronger one between them.
        mild_windows: u32,
    },
    /// Its mix of operations fits others better than this identity or its anchor.
    FitsOthers,
}

impl Baseline {
    /// Bytes that one identity takes: its habits and their frozen anchor.
    #[must_use]
    pub fn bytes() -> usize {
        // Follows the anchor's type, whatever that becomes.
        fn boxed<T>(_: impl Fn(&Baseline) -> &Option<Box<T>>) -> usize {
            size_of::<T>()
        }
        size_of::<Self>() + boxed(|baseline| &baseline.anchor)
    }
}

impl Default for Baseline {
    fn default() -> Self {
        Self::empty()
    }
}

impl Baseline {
    /// The baseline of an identity that has not been seen yet. Merging it changes nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            version: Version,
            identities: 0,
            calls: 0,
            since: Millis(u64::MAX),
            updated: Millis(0),
            sequence: Adaptive::new(),
            takeover: Takeover::default(),
            pulse: Pulse::default(),
            novelty: Novelty::default(),
            objects: Table::new(),
            call_rate: Rate::default(),
            byte_rate: Rate::default(),
            pauses: Pauses::default(),
            responses: ResponseMix::default(),
            sources: Table::new(),
            clients: Table::new(),
            destinations: Destinations::new(),
            anchor: None,
            mild_windows: 0,
            slow: Slow::default(),
        }
    }

    /// Learns a window if its verdict allows. The verdict must be the one [`crate::judge()`] gave on
    /// this very report and this baseline.
    pub fn absorb(
        &mut self,
        report: &TokenReport,
        verdict: &Verdict,
        thresholds: &Thresholds,
    ) -> Absorption {
        if report.calls() > 0 {
            self.takeover = verdict.takeover;
            self.pulse = verdict.pulse;
        }
        match self.objection(report, verdict, thresholds) {
            Some(refusal) => Absorption::Refused(refusal),
            None => {
                self.learn(report);
                if self.anchor.is_none() && self.calls >= thresholds.minimum_history {
                    self.set_anchor();
                }
                Absorption::Learned
            }
        }
    }

    /// Learns a window because a person (or a deployment event) says it is fine.
    pub fn absorb_cleared(&mut self, report: &TokenReport) -> Absorption {
        if report.calls() == 0 {
            return Absorption::Refused(Refusal::Empty);
        }
        self.mild_windows = 0;
        self.takeover = Takeover::default();
        self.learn(report);
        Absorption::Learned
    }

    /// Takes note of what any token of the identity did, learned or not: hours are counted whole.
    pub(crate) fn note_hours(&mut self, report: &TokenReport) {
        self.slow.note(report);
    }

    /// What its hours say against it.
    pub(crate) fn hours(&self) -> impl Iterator<Item = Evidence> {
        self.slow.evidence()
    }

    /// Freezes the sequence as it is now as the anchor.
    pub fn set_anchor(&mut self) {
        self.anchor = Some(Box::new(self.sequence.condensed()));
        self.takeover = self.takeover.reconciled();
    }

    /// The anchor learns of a window what is being deployed, and nothing else of it.
    pub(crate) fn anchor_deployed(&mut self, report: &TokenReport, deployed: &[News]) {
        let is = |operation| deployed.contains(&News::Operation(operation));
        let Some(anchor) = self.anchor.as_mut().filter(|_| !deployed.is_empty()) else {
            return;
        };
        let mut release = report.sequence.clone();
        release.operations.retain(is);
        release.transitions.retain(|(from, to)| is(from) || is(to));
        anchor.learn(&release);
    }

    /// Adds another identity's baseline: how the habits of a role are made. Anchors, and what is
    /// believed, stay with their identities.
    pub fn merge(&mut self, other: &Self) {
        self.identities = self.identities.saturating_add(other.identities);
        self.calls = self.calls.saturating_add(other.calls);
        self.since = self.since.min(other.since);
        self.updated = self.updated.max(other.updated);
        self.sequence.merge(&other.sequence);
        self.novelty.merge(&other.novelty);
        self.objects.merge(&other.objects);
        self.call_rate.merge(&other.call_rate);
        self.byte_rate.merge(&other.byte_rate);
        self.pauses.merge(&other.pauses);
        self.responses.merge(&other.responses);
        self.sources.merge(&other.sources);
        self.clients.merge(&other.clients);
        self.destinations.merge(&other.destinations);
        self.anchor = None;
        self.takeover = Takeover::default();
        self.pulse = Pulse::default();
        self.mild_windows = 0;
    }

    /// The little of it that a live token carries.
    #[must_use]
    pub fn bounds(&self, thresholds: &Thresholds) -> Bounds {
        Bounds::of(self, thresholds)
    }

    /// What the fast detector needs of it; `None` while it knows too little to call anything unusual.
    #[must_use]
    pub fn compact(&self, thresholds: &Thresholds) -> Option<Compact> {
        Compact::of(self, thresholds)
    }

    /// Calls ever learned.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.calls
    }

    /// Identities behind it: 1 for an own baseline, more for a role's, 0 while empty.
    #[must_use]
    pub const fn identities(&self) -> u32 {
        self.identities
    }

    /// Time of the first and the last call learned; `None` while empty.
    #[must_use]
    pub fn span(&self) -> Option<(Millis, Millis)> {
        (self.since <= self.updated).then_some((self.since, self.updated))
    }

    /// Known operations with their calls, in no meaningful order. Counts age.
    pub fn operations(&self) -> impl Iterator<Item = (OperationId, u32)> + '_ {
        self.sequence
            .operations()
            .map(|(operation, known)| (operation, u32::from(known.count)))
    }

    /// Whether an anchor has been frozen.
    #[must_use]
    pub const fn has_anchor(&self) -> bool {
        self.anchor.is_some()
    }

    pub(crate) fn anchor(&self) -> Option<&Frozen> {
        self.anchor.as_deref()
    }

    fn objection(
        &mut self,
        report: &TokenReport,
        verdict: &Verdict,
        thresholds: &Thresholds,
    ) -> Option<Refusal> {
        if report.calls() == 0 {
            return Some(Refusal::Empty);
        }
        let abuse = report.hard_rule().is_some_and(HardRule::proves_abuse);
        if abuse || verdict.level == Level::Malicious {
            self.mild_windows = 0;
            return Some(Refusal::Malicious);
        }
        if verdict.level == Level::Anomalous
            && !believed(verdict)
            && !self.settling(verdict, thresholds)
            && !self.lasts(verdict, thresholds)
        {
            return Some(Refusal::Anomalous {
                mild_windows: self.mild_windows,
            });
        }
        if self.calls < thresholds.minimum_history {
            return None;
        }
        let lesson = verdict.takeover.lesson();
        if lesson == Lesson::Kinds {
            self.sequence.learn_kinds(&report.sequence);
        }
        (lesson != Lesson::Habits).then_some(Refusal::FitsOthers)
    }

    /// Whether this is only more than before, while the history is too short to know the busiest
    /// minute: bursts of an honest service must become habit before the bounds close in.
    fn settling(&self, verdict: &Verdict, thresholds: &Thresholds) -> bool {
        let young = self.calls < thresholds.minimum_history
            || self.call_rate.minutes() < thresholds.settled_minutes;
        let only_more = verdict
            .evidence
            .iter()
            .all(|found| found.family() == Family::Volume);
        young && only_more
    }

    /// Whether a mild anomaly has gone on long enough to be a habit.
    fn lasts(&mut self, verdict: &Verdict, thresholds: &Thresholds) -> bool {
        let family = verdict.evidence.first().map(|first| first.family());
        let mild = verdict
            .evidence
            .iter()
            .all(|found| found.strength == Strength::Notable && Some(found.family()) == family);
        let origin = family == Some(Family::Source)
            && verdict
                .evidence
                .iter()
                .all(|found| found.family() == Family::Source);
        self.mild_windows = match (origin, mild) {
            (true, _) => self.mild_windows.saturating_add(ORIGIN_COUNTS),
            (false, true) => self.mild_windows.saturating_add(1),
            (false, false) => 0,
        };
        let lasts = self.mild_windows >= thresholds.persistence.max(1);
        if lasts {
            self.mild_windows = 0;
        }
        lasts
    }

    fn learn(&mut self, report: &TokenReport) {
        let news = Novelty::in_window(self, report);
        self.novelty.merge(&news);
        self.identities = self.identities.max(1);
        self.calls = self.calls.saturating_add(report.calls);
        self.since = self.since.min(report.first);
        self.updated = self.updated.max(report.last);
        self.sequence.learn(&report.sequence);
        for (operation, used) in report.objects.entries() {
            self.objects.add(*operation, &used.habit);
        }
        self.call_rate.merge(&report.call_rate);
        self.byte_rate.merge(&report.byte_rate);
        self.pauses.learn(&report.pauses);
        self.responses.merge(&report.responses);
        for (origin, count) in report.origins.entries() {
            if let Some(source) = origin.source {
                self.sources.add(source, count);
            }
            if let Some(client) = origin.client {
                self.clients.add(client, count);
            }
        }
        self.destinations.learn(report);
        if self.sequence.total() > AGE_AT {
            self.age();
        }
    }

    fn age(&mut self) {
        self.sequence.age();
        self.novelty.age();
        self.objects.halve();
        self.call_rate.age();
        self.byte_rate.age();
        self.pauses.age();
        self.responses.age();
    }
}

/// Whether all that speaks against a window is what it calls: how much of such a window is the
/// owner's is what the belief says. A window that is mostly like the owner with something new in it is
/// the owner's, and the new is known from then on.
fn believed(verdict: &Verdict) -> bool {
    let of_sequence = |found: &Evidence| {
        matches!(
            found.measure,
            Measure::OrderScore
                | Measure::Estrangement
                | Measure::SuddenOrder
                | Measure::NewOperations
        )
    };
    verdict.evidence.iter().all(of_sequence)
}
