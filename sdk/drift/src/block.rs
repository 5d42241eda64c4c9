//! Ten calls of one token in their order, and a sample of such blocks.
//!
//! Counts of transitions are enough to learn from, but not to judge by: a burst of ten odd calls and
//! ten odd calls spread over an hour have the same counts. So a report carries up to [`SAMPLE`] blocks
//! as they happened. Of more it keeps those with the smallest tags (a bottom-k sample: a tag is a hash
//! of time and content, so the sample is uniform, and the sample of a union is the union's sample:
//! reports merge in any order).
//!
//! What it misses: a busy token's blocks that were not drawn; for those the score is an estimate. Why
//! not all of them: a hundred calls a second for a minute would be a report of 24 KiB.

mod written;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::{Millis, OperationId, mix};

/// Calls in a block: what the fast detector adds up at once.
pub(crate) const CALLS: usize = 10;
/// Blocks in a sample: a whole window of a hundred calls, and two more that began in it.
pub(crate) const SAMPLE: usize = 12;

/// Some calls of one token in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    /// First, so that blocks sort by it.
    tag: u32,
    /// [`OperationId::OTHER`] when nothing is known to have come before.
    before: OperationId,
    calls: [OperationId; CALLS],
    used: u8,
}

impl Block {
    /// Begins after a call.
    pub(crate) fn after(before: Option<OperationId>) -> Self {
        Self {
            before: before.unwrap_or(OperationId::OTHER),
            ..Self::default()
        }
    }

    /// Adds a call; whether the block is full now.
    pub(crate) fn push(&mut self, operation: OperationId, now: Millis) -> bool {
        if let Some(place) = self.calls.get_mut(usize::from(self.used)) {
            *place = operation;
            self.used += 1;
        }
        let seen = mix(u64::from(self.tag) << 32 | u64::from(operation.get())) ^ now.0;
        self.tag = mix(seen) as u32;
        usize::from(self.used) == CALLS
    }

    /// Calls in it.
    #[must_use]
    pub fn calls(&self) -> usize {
        usize::from(self.used)
    }

    /// What came before the first call, where that is known.
    pub(crate) fn before(&self) -> Option<OperationId> {
        (self.before != OperationId::OTHER).then_some(self.before)
    }

    /// The calls alone.
    pub(crate) fn each(&self) -> impl Iterator<Item = OperationId> + '_ {
        self.calls.iter().take(usize::from(self.used)).copied()
    }

    /// Each call with the one before it, where that is known.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (Option<OperationId>, OperationId)> + '_ {
        let befores = std::iter::once(&self.before).chain(&self.calls);
        let known = |before: OperationId| (before != OperationId::OTHER).then_some(before);
        befores
            .zip(&self.calls)
            .take(usize::from(self.used))
            .map(move |(before, call)| (known(*before), *call))
    }
}

/// At most [`SAMPLE`] blocks, by their tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    blocks: [Block; SAMPLE],
    used: u8,
}

impl Sample {
    pub(crate) fn blocks(&self) -> &[Block] {
        self.blocks.get(..usize::from(self.used)).unwrap_or(&[])
    }

    pub(crate) fn add(&mut self, block: &Block) {
        if block.used == 0 {
            return;
        }
        let place = self.blocks().partition_point(|held| held < block);
        let full = usize::from(self.used) == SAMPLE;
        let Some(moved) = self.blocks.get_mut(place..) else {
            return;
        };
        if moved.is_empty() {
            return;
        }
        moved.rotate_right(1);
        if let Some(free) = moved.first_mut() {
            *free = *block;
        }
        self.used += u8::from(!full);
    }

    /// The same calls without some: what came after one of those came after something unknown.
    pub(crate) fn retained(&self, keep: impl Fn(OperationId) -> bool) -> Self {
        let mut rest = Self::default();
        for block in self.blocks() {
            let begin = |before: Option<OperationId>| Block {
                tag: block.tag,
                ..Block::after(before)
            };
            let first = block.pairs().next().and_then(|(before, _)| before);
            let mut run = begin(first.filter(|before| keep(*before)));
            for (_, call) in block.pairs() {
                if keep(call) {
                    if let Some(place) = run.calls.get_mut(usize::from(run.used)) {
                        *place = call;
                        run.used += 1;
                    }
                } else {
                    rest.add(&run);
                    run = begin(None);
                }
            }
            rest.add(&run);
        }
        rest
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for block in other.blocks() {
            self.add(block);
        }
    }
}

/// A block on the wire: its tag, what came before it, and its calls.
type Written = (u32, OperationId, Vec<OperationId>);

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.blocks().iter().map(|block| {
            let calls = block.pairs().map(|(_, call)| call).collect();
            (block.tag, block.before, calls) as Written
        }))
    }
}

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Vec::<Written>::deserialize(deserializer)?;
        if written.len() > SAMPLE {
            return Err(D::Error::custom(format_args!("more than {SAMPLE} blocks")));
        }
        let mut sample = Self::default();
        for (tag, before, calls) in written {
            if calls.is_empty() || calls.len() > CALLS || calls.contains(&OperationId::OTHER) {
                return Err(D::Error::custom(format_args!(
                    "a block holds 1 to {CALLS} calls"
                )));
            }
            let mut block = Block {
                tag,
                before,
                used: calls.len() as u8,
                ..Block::default()
            };
            for (place, call) in block.calls.iter_mut().zip(calls) {
                *place = call;
            }
            sample.add(&block);
        }
        Ok(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(n: u64) -> Block {
        let mut block = Block::after((!n.is_multiple_of(3)).then(|| OperationId::of("before")));
        for call in 0..CALLS as u64 {
            block.push(OperationId::of(&format!("op {}", n * call % 7)), Millis(n));
        }
        block
    }

    #[test]
    fn a_block_is_full_after_ten_calls_and_knows_what_came_before_each() {
        let mut block = Block::after(None);
        let ops: Vec<_> = (0..10).map(|n| OperationId::of(&format!("{n}"))).collect();
        let full: Vec<bool> = ops.iter().map(|op| block.push(*op, Millis(1))).collect();
        assert_eq!(full.iter().position(|full| *full), Some(9));
        let pairs: Vec<_> = block.pairs().collect();
        assert_eq!(pairs[0], (None, ops[0]));
        assert_eq!(pairs[9], (Some(ops[8]), ops[9]));
    }

    #[test]
    fn samples_merge_in_any_order_and_any_grouping() {
        let mut samples = [Sample::default(); 4];
        for n in 0..100 {
            samples[n as usize % 4].add(&block(n));
        }
        let mut left = samples[0];
        left.merge(&samples[1]);
        left.merge(&samples[2]);
        left.merge(&samples[3]);
        let mut right = samples[3];
        let mut middle = samples[2];
        middle.merge(&samples[0]);
        right.merge(&middle);
        right.merge(&samples[1]);
        assert_eq!(left, right);
        assert_eq!(left.blocks().len(), SAMPLE);
        assert!(left.blocks().is_sorted());
    }

    #[test]
    fn without_some_calls_the_rest_stays_in_order_and_no_transition_is_invented() {
        let mut sample = Sample::default();
        let mut block = Block::after(None);
        for name in ["a", "b", "new", "c", "d"] {
            block.push(OperationId::of(name), Millis(1));
        }
        sample.add(&block);
        let rest = sample.retained(|call| call != OperationId::of("new"));
        let mut pairs: Vec<_> = rest.blocks().iter().flat_map(Block::pairs).collect();
        pairs.sort_unstable();
        let op = OperationId::of;
        let mut expected = [
            (None, op("a")),
            (Some(op("a")), op("b")),
            (None, op("c")),
            (Some(op("c")), op("d")),
        ];
        expected.sort_unstable();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn a_sample_survives_the_wire_and_bad_blocks_are_refused() {
        let mut sample = Sample::default();
        for n in 0..5 {
            sample.add(&block(n));
        }
        let text = serde_json::to_string(&sample).unwrap();
        assert_eq!(serde_json::from_str::<Sample>(&text).unwrap(), sample);
        for bad in [
            "[[1,2,[]]]",
            "[[1,2,[0]]]",
            "[[1,2,[1,1,1,1,1,1,1,1,1,1,1]]]",
        ] {
            assert!(serde_json::from_str::<Sample>(bad).is_err(), "{bad}");
        }
    }
}
