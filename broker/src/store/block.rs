//! Neighbouring nodes, as rows of the index hold them together.

use lanyard_token::{NodeId, Rev};

use super::DamagedRow;
use super::log::fields::Fields;

/// How many nodes a block has: enough that what a row costs by itself no longer matters, and few enough that
/// changing one of them is cheap.
const NODES: u64 = 64;

/// Sixty-four nodes that were numbered one after another, by one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Block(u64);

impl Block {
    /// The block of a node.
    pub const fn of(node: NodeId) -> Self {
        Self(node.as_u64() / NODES)
    }

    /// Its nodes, each with its place.
    pub fn nodes(self) -> impl Iterator<Item = (u8, NodeId)> {
        (0_u8..).zip((0..NODES).map(move |place| NodeId::from_u64(self.0 * NODES + place)))
    }

    /// The node at a place.
    pub fn node(self, place: u8) -> Option<NodeId> {
        let place = u64::from(place);
        (place < NODES).then(|| NodeId::from_u64(self.0 * NODES + place))
    }

    /// As rows are keyed.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// Back again; nothing that is no block.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let number = u64::from_be_bytes(bytes.try_into().ok()?);
        (number <= u64::MAX / NODES).then_some(Self(number))
    }

    /// The watermarks of its nodes as a row, `place u8 │ rev u64` each; nothing when none has one.
    ///
    /// A storm ends a million nodes that were numbered as tokens were issued, one after another: a row of each would be a
    /// page to change for each.
    pub fn watermarks(self, watermark: impl Fn(NodeId) -> Option<Rev>) -> Option<Vec<u8>> {
        let mut row = Vec::new();
        for (place, node) in self.nodes() {
            if let Some(rev) = watermark(node) {
                row.push(place);
                row.extend_from_slice(&rev.as_u64().to_le_bytes());
            }
        }
        (!row.is_empty()).then_some(row)
    }

    /// Reads such a row.
    pub fn read_watermarks(
        self,
        row: &[u8],
        mut take: impl FnMut(NodeId, Rev),
    ) -> Result<(), DamagedRow> {
        let mut fields = Fields(row);
        while let Some([place]) = fields.bytes() {
            let node = self.node(place).ok_or(DamagedRow)?;
            let rev = fields.u64().and_then(Rev::from_u64).ok_or(DamagedRow)?;
            take(node, rev);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_is_in_its_block_at_its_place() {
        for number in [0, 1, 63, 64, 1 << 40, u64::MAX - 64, u64::MAX] {
            let node = NodeId::from_u64(number);
            let block = Block::of(node);
            let (place, _) = block.nodes().find(|(_, other)| *other == node).unwrap();
            assert_eq!(block.node(place), Some(node));
            assert_eq!(block.nodes().count(), 64);
            assert_eq!(Block::parse(&block.to_bytes()), Some(block));
        }
        assert_eq!(Block::of(NodeId::from_u64(0)).node(64), None);
        assert_eq!(Block::parse(&u64::MAX.to_be_bytes()), None);
        assert_eq!(Block::parse(&[0; 7]), None);
    }

    #[test]
    fn watermarks_come_back_from_a_row_and_half_a_row_is_damaged() {
        let block = Block::of(NodeId::from_u64(640));
        let known: Vec<_> = [0, 5, 63]
            .map(|place| {
                (
                    NodeId::from_u64(640 + place),
                    Rev::from_u64(7 + place).unwrap(),
                )
            })
            .to_vec();
        let find = |node| {
            known
                .iter()
                .find(|(other, _)| *other == node)
                .map(|(_, rev)| *rev)
        };
        let row = block.watermarks(find).unwrap();
        let mut read = Vec::new();
        block
            .read_watermarks(&row, |node, rev| read.push((node, rev)))
            .unwrap();
        assert_eq!(read, known);
        assert_eq!(block.watermarks(|_| None), None);
        assert!(
            block
                .read_watermarks(&row[..row.len() - 1], |_, _| {})
                .is_err()
        );
        assert!(block.read_watermarks(&[64; 9], |_, _| {}).is_err());
    }
}
