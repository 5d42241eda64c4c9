//! What one token did since its last report; what many tokens did, once merged.
//!
//! Counts add up, sketches and peaks merge by maximum, so reports of many gateways can be merged
//! in any order and any grouping with one result. Exactly so as long as the tables have places
//! (128 operations, 256 transitions, 16 origins, 16 destinations, 16 operations with objects); beyond that the
//! heaviest are kept, and totals stay exact. Blocks of calls in their order are a sample. Transitions are counted per token, before merging:
//! a merged stream of calls would invent transitions nobody made. Merging the same report twice
//! counts it twice: whoever receives reports drops repeated ones by gateway and sequence.

mod fitted;
mod legend;
mod sound;
mod written;

use serde::{Deserialize, Serialize};

use crate::baseline::Baseline;
use crate::block::Sample;
use crate::desk::News;
use crate::event::{Millis, OperationId};
use crate::habits::{OBJECTS, ORIGINS, ObjectUse, Origin, Sequence};
use crate::rate::Rate;
use crate::rhythm::{Pauses, ResponseMix};
use crate::signal::HardRule;
use crate::table::Table;
use crate::version::Version;

pub(crate) use legend::Legend;
pub(crate) use written::MOST_BYTES;

/// Version of the serialised form.
const VERSION: u16 = 1;

/// An additive account of calls, of bounded size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenReport {
    version: Version<VERSION>,
    pub(crate) first: Millis,
    pub(crate) last: Millis,
    pub(crate) calls: u64,
    pub(crate) sequence: Sequence,
    /// Some of the calls in their order; none from a gateway that does not send them yet.
    #[serde(default)]
    pub(crate) blocks: Sample,
    pub(crate) objects: Table<OperationId, ObjectUse, OBJECTS>,
    pub(crate) origins: Table<Origin, u32, ORIGINS>,
    /// Calls that came back to an origin of their token with another one in between, gateway by gateway.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(crate) returns: u32,
    /// By operation and destination together.
    pub(crate) destinations: Table<u64, u32, ORIGINS>,
    pub(crate) responses: ResponseMix,
    /// Outcomes that came with a byte count; 0 means the channel is absent.
    pub(crate) measured: u64,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) call_rate: Rate,
    pub(crate) byte_rate: Rate,
    pub(crate) pauses: Pauses,
    pub(crate) task_violations: u64,
    pub(crate) bound_violations: u64,
    pub(crate) hard_rule: Option<HardRule>,
    /// The highest sum at which a fast detector raised an alarm, in whole nats; 0 without one.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(crate) alarm: u32,
}

/// Reports without an alarm, or without returns, are written as they were before there were any.
const fn is_none(count: &u32) -> bool {
    *count == 0
}

impl Default for TokenReport {
    fn default() -> Self {
        Self::empty()
    }
}

impl TokenReport {
    /// A report of nothing: merging it changes nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            version: Version,
            first: Millis(u64::MAX),
            last: Millis(0),
            calls: 0,
            sequence: Sequence::new(),
            blocks: Sample::default(),
            objects: Table::new(),
            origins: Table::new(),
            returns: 0,
            destinations: Table::new(),
            responses: ResponseMix::default(),
            measured: 0,
            request_bytes: 0,
            response_bytes: 0,
            call_rate: Rate::default(),
            byte_rate: Rate::default(),
            pauses: Pauses::default(),
            task_violations: 0,
            bound_violations: 0,
            hard_rule: None,
            alarm: 0,
        }
    }

    /// A report of nothing but what led to a suspicion: for a gateway that could not tell when it arose.
    #[must_use]
    pub fn suspected(rule: Option<HardRule>, alarm: Option<f64>) -> Self {
        Self {
            hard_rule: rule,
            // A cast saturates, and a value that is no number becomes 0.
            alarm: alarm.map_or(0, |sum| sum.round() as u32),
            ..Self::empty()
        }
    }

    /// Adds another report of the same token, or of another token of the same identity.
    pub fn merge(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.calls = self.calls.saturating_add(other.calls);
        self.sequence.merge(&other.sequence);
        self.blocks.merge(&other.blocks);
        self.objects.merge(&other.objects);
        self.origins.merge(&other.origins);
        self.returns = self.returns.saturating_add(other.returns);
        self.destinations.merge(&other.destinations);
        self.responses.merge(&other.responses);
        self.measured = self.measured.saturating_add(other.measured);
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        self.call_rate.merge(&other.call_rate);
        self.byte_rate.merge(&other.byte_rate);
        self.pauses.merge(&other.pauses);
        self.task_violations = self.task_violations.saturating_add(other.task_violations);
        self.bound_violations = self.bound_violations.saturating_add(other.bound_violations);
        self.hard_rule = self.hard_rule.max(other.hard_rule);
        self.alarm = self.alarm.max(other.alarm);
    }

    /// What the habits do not know. A history without networks or clients cannot call one new.
    pub(crate) fn news<'a>(&'a self, habits: &'a Baseline) -> impl Iterator<Item = News> + 'a {
        let operations = self.sequence.operations.entries().iter();
        let operations = operations
            .filter(|(operation, _)| habits.sequence.operation(*operation).count == 0)
            .map(|(operation, _)| News::Operation(*operation));
        let origins = self.origins.entries().iter().map(|(origin, _)| origin);
        let clients = origins.clone().filter_map(|origin| origin.client);
        let clients = clients.filter(|client| habits.clients.get(*client).is_none());
        let networks = origins.filter_map(|origin| origin.source);
        let networks = networks.filter(|network| habits.sources.get(*network).is_none());
        let destinations = self.destinations.entries().iter();
        let destinations = destinations
            .map(|(destination, _)| *destination)
            .filter(|destination| !habits.destinations.is_habit(*destination));
        operations
            .chain(clients.map(News::Client))
            .chain(networks.map(News::Network))
            .chain(destinations.map(News::Destination))
    }

    /// The same window as if these had not been in it: for judging what remains.
    pub(crate) fn without(&self, news: &[News]) -> Box<Self> {
        let is = |one: News| news.contains(&one);
        let mut rest = Box::new(self.clone());
        let operation = |operation| !is(News::Operation(operation));
        rest.sequence.operations.retain(operation);
        rest.sequence
            .transitions
            .retain(|(from, to)| operation(from) && operation(to));
        rest.blocks = self.blocks.retained(operation);
        rest.destinations
            .retain(|destination| !is(News::Destination(destination)));
        let moved = |one: &News| matches!(one, News::Network(_) | News::Client(_));
        if news.iter().any(moved) {
            // Turns between the old and the new release, as far as is known.
            rest.returns = 0;
        }
        rest.origins = Table::new();
        for (origin, count) in self.origins.entries() {
            let origin = Origin {
                source: origin.source.filter(|source| !is(News::Network(*source))),
                client: origin.client.filter(|client| !is(News::Client(*client))),
            };
            rest.origins.add(origin, count);
        }
        // Which of the calls raised it is not known.
        rest.alarm = 0;
        rest
    }

    /// Calls in the report.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.calls
    }

    /// Time of the first and the last call; `None` for an empty report.
    #[must_use]
    pub fn span(&self) -> Option<(Millis, Millis)> {
        (self.first <= self.last).then_some((self.first, self.last))
    }

    /// Operations with their counts, ascending by id; those without a place are left out.
    pub fn operations(&self) -> impl Iterator<Item = (OperationId, u32)> + '_ {
        self.sequence.operations.entries().iter().copied()
    }

    /// Every operation that a verdict on it could name.
    pub fn spoken_of(&self) -> impl Iterator<Item = OperationId> + '_ {
        let counted = self.operations().map(|(operation, _)| operation);
        let rule = self.hard_rule.and_then(HardRule::operation);
        let spoken_of = counted.chain(rule);
        spoken_of.filter(|operation| *operation != OperationId::OTHER)
    }

    /// Estimated distinct objects of an operation; `None` when it named none.
    #[must_use]
    pub fn distinct_objects(&self, operation: OperationId) -> Option<u32> {
        self.objects
            .get(operation)
            .map(|used| used.objects.estimate())
    }

    /// Longest run of neighbouring object numbers on an operation; `None` when it named none.
    #[must_use]
    pub fn longest_run(&self, operation: OperationId) -> Option<u32> {
        self.objects
            .get(operation)
            .map(|used| used.habit.longest_run)
    }

    /// Bytes of requests and of responses; `None` when the gateway could not count them.
    #[must_use]
    pub fn bytes(&self) -> Option<(u64, u64)> {
        (self.measured > 0).then_some((self.request_bytes, self.response_bytes))
    }

    /// Answers by class of status; all zero when the gateway could not see them.
    #[must_use]
    pub const fn responses(&self) -> &ResponseMix {
        &self.responses
    }

    /// Calls that left the task scope, and calls beyond an enumeration bound.
    #[must_use]
    pub const fn violations(&self) -> (u64, u64) {
        (self.task_violations, self.bound_violations)
    }

    /// The highest sum at which a gateway's fast detector raised an alarm, in nats.
    #[must_use]
    pub fn alarm(&self) -> Option<f64> {
        (self.alarm > 0).then(|| f64::from(self.alarm))
    }

    /// The most telling hard rule that was broken.
    #[must_use]
    pub const fn hard_rule(&self) -> Option<HardRule> {
        self.hard_rule
    }
}
