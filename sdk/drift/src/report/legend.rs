//! The operations that a report speaks of, each told once; from then on they go by their place.
//!
//! Ids are hashes of 32 bits, so whoever reads needs no table of its own: a broker that has just started
//! reads as well as one that has heard of everything. Numbers that both sides agree on once would be 16 bits
//! in place of 32, each told once in a report, and could be misunderstood.

use crate::event::OperationId;
use crate::report::TokenReport;
use crate::wire::{Reader, Unreadable, Writer};

/// More operations than a report can speak of: those of its tables and of its blocks.
const MOST: usize = 1_024;
const ID_BITS: u32 = 32;

/// Ascending, without [`OperationId::OTHER`]: that is place 0 in every legend.
#[derive(Debug)]
pub(crate) struct Legend(Vec<OperationId>);

impl Legend {
    pub(super) fn of(report: &TokenReport) -> Self {
        let operations = report.sequence.operations.entries().iter();
        let transitions = report.sequence.transitions.entries().iter();
        let objects = report.objects.entries().iter();
        let blocks = report.blocks.blocks().iter();
        let rule = report.hard_rule.and_then(|rule| rule.operation());
        let mut spoken_of: Vec<OperationId> = operations.map(|(operation, _)| *operation).collect();
        spoken_of.extend(transitions.flat_map(|((from, to), _)| [*from, *to]));
        spoken_of.extend(objects.map(|(operation, _)| *operation));
        for (before, call) in blocks.flat_map(|block| block.pairs()) {
            spoken_of.extend(before);
            spoken_of.push(call);
        }
        spoken_of.extend(rule);
        spoken_of.retain(|operation| *operation != OperationId::OTHER);
        spoken_of.sort_unstable();
        spoken_of.dedup();
        Self(spoken_of)
    }

    /// In the order of their places, from 1 on.
    pub(super) fn operations(&self) -> impl Iterator<Item = OperationId> + '_ {
        self.0.iter().copied()
    }

    /// Places, the one of all others included.
    pub(super) fn places(&self) -> u64 {
        self.0.len() as u64 + 1
    }

    /// Where an operation stands; one that is not there is one of the others.
    pub(crate) fn place(&self, operation: OperationId) -> u64 {
        let place = self.0.binary_search(&operation);
        place.map_or(0, |place| place as u64 + 1)
    }

    /// Who stands there.
    pub(crate) fn at(&self, place: u64) -> Result<OperationId, Unreadable> {
        let Some(place) = place.checked_sub(1) else {
            return Ok(OperationId::OTHER);
        };
        let place = usize::try_from(place).ok();
        let operation = place.and_then(|place| self.0.get(place));
        operation.copied().ok_or(Unreadable::Impossible(
            "an operation that is not in the legend",
        ))
    }

    pub(crate) fn write_place(&self, operation: OperationId, to: &mut Writer) {
        to.bits(self.place(operation), self.width());
    }

    pub(crate) fn read_place(&self, from: &mut Reader<'_>) -> Result<OperationId, Unreadable> {
        self.at(from.bits(self.width())?)
    }

    pub(super) fn write(&self, to: &mut Writer) {
        to.number(self.0.len() as u64);
        for operation in &self.0 {
            to.bits(u64::from(operation.get()), ID_BITS);
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let count = from.count(MOST, "operations")?;
        let mut operations = Vec::with_capacity(count);
        for _ in 0..count {
            operations.push(OperationId::numbered(from.bits(ID_BITS)? as u32));
        }
        let ascending = operations.is_sorted_by(|left, right| left < right);
        if ascending && operations.first() != Some(&OperationId::OTHER) {
            Ok(Self(operations))
        } else {
            Err(Unreadable::Disorder("operations"))
        }
    }

    /// Bits of a place.
    fn width(&self) -> u32 {
        u64::BITS - (self.0.len() as u64).leading_zeros()
    }
}
