//! Repeatable numbers: the same seed gives the same ones everywhere.

use lanyard_drift::stable_hash;

/// A source of numbers; two with the same seed and name give the same.
pub(super) struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    /// A source of its own for each name, so that one more throw here moves nothing there.
    pub(super) fn named(seed: u64, name: &str) -> Self {
        Self {
            seed: seed ^ stable_hash(name.as_bytes()),
            thrown: 0,
        }
    }

    /// A number below `limit`; 0 when there is none.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.thrown += 1;
        let mut bytes = [0; 16];
        let (seed, thrown) = bytes.split_at_mut(8);
        seed.copy_from_slice(&self.seed.to_le_bytes());
        thrown.copy_from_slice(&self.thrown.to_le_bytes());
        let hash = stable_hash(&bytes);
        // The remainder's bias is below one in 2^40 for the small limits here.
        (hash % (limit as u64).max(1)) as usize
    }
}
