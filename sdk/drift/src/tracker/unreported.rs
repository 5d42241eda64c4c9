//! The counts of one token that the next report takes along: smaller tables than a report's, because
//! a token does little between two reports, and there is one such set per active token.

use crate::block::{Block, Sample};
use crate::event::{Event, Millis, OperationId, Outcome, mix};
use crate::habits::Origin;
use crate::rate::Rate;
use crate::report::TokenReport;
use crate::rhythm::{Pauses, ResponseMix};
use crate::signal::HardRule;

use super::few::Few;

/// Operations told apart between two reports of one token.
const OPERATIONS: usize = 64;
/// Transitions told apart between two reports of one token.
const TRANSITIONS: usize = 128;
/// Origins, and destinations, told apart between two reports of one token: a token has one origin,
/// rarely two.
const ORIGINS: usize = 8;

/// What the next report takes along.
#[derive(Clone, Debug)]
pub(super) struct Unreported {
    first: Millis,
    pub(super) calls: u64,
    operations: Few<OperationId, u32, OPERATIONS>,
    transitions: Few<(OperationId, OperationId), u32, TRANSITIONS>,
    block: Block,
    /// None before the first whole block.
    blocks: Option<Box<Sample>>,
    origins: Few<Origin, u32, ORIGINS>,
    returns: u32,
    /// By operation and destination together.
    destinations: Few<u64, u32, ORIGINS>,
    responses: ResponseMix,
    measured: u64,
    request_bytes: u64,
    response_bytes: u64,
    pub(super) call_rate: Rate,
    pub(super) byte_rate: Rate,
    pauses: Pauses,
    pub(super) task_violations: u64,
    pub(super) bound_violations: u64,
    pub(super) hard_rule: Option<HardRule>,
    pub(super) alarm: u32,
}

impl Unreported {
    /// What comes after a call.
    pub(super) fn after(before: Option<OperationId>) -> Self {
        Self {
            first: Millis(u64::MAX),
            calls: 0,
            operations: Few::Empty,
            transitions: Few::Empty,
            block: Block::after(before),
            blocks: None,
            origins: Few::Empty,
            returns: 0,
            destinations: Few::Empty,
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

    /// Bytes that its tables take.
    pub(super) const fn table_bytes(&self) -> usize {
        let blocks = if self.blocks.is_some() {
            size_of::<Sample>()
        } else {
            0
        };
        self.operations.bytes()
            + self.transitions.bytes()
            + self.origins.bytes()
            + self.destinations.bytes()
            + blocks
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls == 0 && self.measured == 0 && self.responses.total() == 0
    }

    /// Adds a call, which came some milliseconds after the one before, from an origin that it came back to
    /// or not; the block that it filled.
    pub(super) fn count(
        &mut self,
        event: &Event,
        followed: Option<(OperationId, u64)>,
        origin: Option<(Origin, bool)>,
        now: Millis,
    ) -> Option<Block> {
        if self.calls == 0 {
            self.first = now;
        }
        self.calls = self.calls.saturating_add(1);
        self.operations.add(event.operation, &1);
        if let Some((previous, pause)) = followed {
            self.transitions.add((previous, event.operation), &1);
            self.pauses.record(pause);
        }
        if let Some((origin, returns)) = origin {
            self.origins.add(origin, &1);
            self.returns = self.returns.saturating_add(u32::from(returns));
        }
        if let Some(destination) = event.destination {
            // As pairs: to pay somebody and to read his page are two habits.
            let operation = u64::from(event.operation.get());
            self.destinations.add(mix(destination ^ mix(operation)), &1);
        }
        if !self.block.push(event.operation, now) {
            return None;
        }
        let full = std::mem::replace(&mut self.block, Block::after(Some(event.operation)));
        self.blocks.get_or_insert_default().add(&full);
        Some(full)
    }

    /// Adds an outcome; returns its bytes in both directions, `None` when it counts none.
    pub(super) fn settle(&mut self, outcome: &Outcome) -> Option<u64> {
        if let Some(status) = outcome.status {
            self.responses.record(status);
        }
        if outcome.request_bytes.is_none() && outcome.response_bytes.is_none() {
            return None;
        }
        let request = outcome.request_bytes.unwrap_or(0);
        let response = outcome.response_bytes.unwrap_or(0);
        self.measured = self.measured.saturating_add(1);
        self.request_bytes = self.request_bytes.saturating_add(request);
        self.response_bytes = self.response_bytes.saturating_add(response);
        Some(request.saturating_add(response))
    }

    /// All of it as a report, without objects, which the watches hold.
    pub(super) fn into_report(self, last: Millis) -> TokenReport {
        let mut report = TokenReport::empty();
        report.blocks = self.blocks.map_or_else(Sample::default, |blocks| *blocks);
        // What was begun goes along: a token may never come to ten calls.
        report.blocks.add(&self.block);
        report.first = self.first.min(last);
        report.last = last;
        report.calls = self.calls;
        report.sequence.operations = self.operations.widened();
        report.sequence.transitions = self.transitions.widened();
        report.origins = self.origins.widened();
        report.returns = self.returns;
        report.destinations = self.destinations.widened();
        report.responses = self.responses;
        report.measured = self.measured;
        report.request_bytes = self.request_bytes;
        report.response_bytes = self.response_bytes;
        report.call_rate = self.call_rate;
        report.byte_rate = self.byte_rate;
        report.pauses = self.pauses;
        report.task_violations = self.task_violations;
        report.bound_violations = self.bound_violations;
        report.hard_rule = self.hard_rule;
        report.alarm = self.alarm;
        report
    }
}
