//! A sample of blocks on the wire: calls as places in the report's legend.

use super::{Block, CALLS, SAMPLE, Sample};
use crate::event::OperationId;
use crate::report::Legend;
use crate::wire::{Reader, Unreadable, Writer};

const TAG_BITS: u32 = 32;
/// Bits of the number of calls in a block.
const USED_BITS: u32 = 4;

impl Sample {
    /// Calls in all blocks.
    pub(crate) fn calls(&self) -> u64 {
        self.blocks().iter().map(|block| block.calls() as u64).sum()
    }

    /// The first `most` of its blocks: a sample still, of fewer.
    pub(crate) fn thinned(&self, most: usize) -> Self {
        let mut thin = Self::default();
        for block in self.blocks().iter().take(most) {
            thin.add(block);
        }
        thin
    }

    pub(crate) fn write(&self, legend: &Legend, to: &mut Writer) {
        to.number(self.blocks().len() as u64);
        for block in self.blocks() {
            to.bits(u64::from(block.tag), TAG_BITS);
            to.bits(block.calls() as u64, USED_BITS);
            legend.write_place(block.before, to);
            for (_, call) in block.pairs() {
                legend.write_place(call, to);
            }
        }
    }

    pub(crate) fn read(legend: &Legend, from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let count = from.count(SAMPLE, "blocks")?;
        let mut sample = Self {
            used: count as u8,
            ..Self::default()
        };
        for place in sample.blocks.iter_mut().take(count) {
            *place = Block::read(legend, from)?;
        }
        if sample.blocks().is_sorted() {
            Ok(sample)
        } else {
            Err(Unreadable::Disorder("blocks"))
        }
    }
}

impl Block {
    fn read(legend: &Legend, from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let tag = from.bits(TAG_BITS)? as u32;
        let used = from.bits(USED_BITS)? as usize;
        if used == 0 || used > CALLS {
            return Err(Unreadable::Impossible("a block holds one to ten calls"));
        }
        let mut block = Self {
            tag,
            before: legend.read_place(from)?,
            used: used as u8,
            ..Self::default()
        };
        for call in block.calls.iter_mut().take(used) {
            *call = legend.read_place(from)?;
            if *call == OperationId::OTHER {
                return Err(Unreadable::Impossible("a block of calls of nothing"));
            }
        }
        Ok(block)
    }
}
