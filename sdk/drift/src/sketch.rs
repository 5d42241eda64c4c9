//! How many different objects: a HyperLogLog of 128 one-byte registers.
//!
//! Counts distinct hashes of any number in 128 bytes with a standard error of 9 % (about 7 % at
//! a hundred, where it counts empty registers instead). Merging takes the maximum, so the same
//! object seen at two gateways counts once. It cannot say *which* objects, and it cannot forget
//! one. Why not an exact set: ten million objects must not cost more than ten.

mod written;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::mix;

/// 7 bits of the hash choose the register.
const INDEX_BITS: u32 = 7;
const REGISTERS: usize = 1 << INDEX_BITS;
/// Ranks stop here. A rank of 42 stands for 10^14 objects, and one register stays one printable
/// character on the wire.
const HIGHEST_RANK: u8 = 42;
/// A register is written as the character this far above its rank.
const FIRST_CHARACTER: u8 = b'0';

/// A set of hashes that knows only its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sketch {
    registers: [u8; REGISTERS],
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            registers: [0; REGISTERS],
        }
    }
}

impl Sketch {
    /// Adds a hash.
    pub(crate) fn insert(&mut self, hash: u64) {
        self.raise(hash);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (register, theirs) in self.registers.iter_mut().zip(&other.registers) {
            *register = (*register).max(*theirs);
        }
    }

    /// Estimated number of distinct hashes.
    pub(crate) fn estimate(&self) -> u32 {
        let empty = self.registers.iter().filter(|rank| **rank == 0).count();
        let sum = self.registers.iter().map(|rank| share(*rank)).sum();
        estimate(empty as u32, sum)
    }

    pub(crate) fn clear(&mut self) {
        self.registers = [0; REGISTERS];
    }

    /// Adds a hash; returns the ranks of its register before and after, if that changed.
    fn raise(&mut self, hash: u64) -> Option<(u8, u8)> {
        let hash = mix(hash);
        let index = (hash >> (64 - INDEX_BITS)) as usize;
        let rank = ((hash << INDEX_BITS).leading_zeros() as u8 + 1).min(HIGHEST_RANK);
        let register = self.registers.get_mut(index)?;
        let before = *register;
        (before < rank).then(|| {
            *register = rank;
            (before, rank)
        })
    }
}

/// A sketch that keeps its estimate at hand, for the request path.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    sketch: Sketch,
    empty: u32,
    sum: u64,
    estimate: u32,
}

impl Default for Counter {
    fn default() -> Self {
        Self {
            sketch: Sketch::default(),
            empty: REGISTERS as u32,
            sum: REGISTERS as u64 * share(0),
            estimate: 0,
        }
    }
}

impl Counter {
    /// Adds a hash and returns the estimate.
    pub(crate) fn insert(&mut self, hash: u64) -> u32 {
        if let Some((before, after)) = self.sketch.raise(hash) {
            self.empty -= u32::from(before == 0);
            self.sum -= share(before) - share(after);
            self.estimate = estimate(self.empty, self.sum);
        }
        self.estimate
    }

    pub(crate) fn estimate(&self) -> u32 {
        self.estimate
    }
}

/// `2^-rank`, in units of `2^-HIGHEST_RANK`: whole numbers, so sums have no order.
fn share(rank: u8) -> u64 {
    1 << (HIGHEST_RANK - rank.min(HIGHEST_RANK))
}

fn estimate(empty: u32, sum: u64) -> u32 {
    let m = REGISTERS as f64;
    let bias = 0.7213 / (1.0 + 1.079 / m);
    let raw = bias * m * m / (sum as f64 / share(0) as f64);
    let estimate = if raw <= 2.5 * m && empty > 0 {
        m * (m / f64::from(empty)).ln()
    } else {
        raw
    };
    estimate.round() as u32
}

impl Serialize for Sketch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = self
            .registers
            .iter()
            .map(|rank| char::from(FIRST_CHARACTER + (*rank).min(HIGHEST_RANK)))
            .collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Sketch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() != REGISTERS {
            return Err(D::Error::custom(format_args!(
                "a sketch of {} registers where {REGISTERS} belong",
                text.len()
            )));
        }
        let mut sketch = Self::default();
        for (register, character) in sketch.registers.iter_mut().zip(text.bytes()) {
            *register = character
                .checked_sub(FIRST_CHARACTER)
                .filter(|rank| *rank <= HIGHEST_RANK)
                .ok_or_else(|| D::Error::custom("a sketch register out of range"))?;
        }
        Ok(sketch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: std::ops::Range<u64>) -> Sketch {
        let mut sketch = Sketch::default();
        for n in range {
            sketch.insert(n);
        }
        sketch
    }

    #[test]
    fn estimates_stay_within_a_third_from_ten_to_ten_million() {
        for count in [10u64, 100, 1_000, 100_000, 10_000_000] {
            let estimate = f64::from(of(0..count).estimate());
            let error = (estimate - count as f64).abs() / count as f64;
            assert!(error < 0.33, "{count} objects were estimated as {estimate}");
        }
        assert_eq!(Sketch::default().estimate(), 0);
    }

    #[test]
    fn seeing_an_object_again_changes_nothing() {
        let once = of(0..500);
        let mut twice = of(0..500);
        for n in 0..500 {
            assert_eq!(twice.raise(n), None);
        }
        assert_eq!(once, twice);
    }

    #[test]
    fn a_counter_always_knows_what_a_sketch_would_work_out() {
        let mut counter = Counter::default();
        let mut sketch = Sketch::default();
        for n in 0..20_000 {
            sketch.insert(n);
            assert_eq!(counter.insert(n), sketch.estimate());
        }
    }

    #[test]
    fn merging_counts_a_shared_object_once() {
        let mut left = of(0..600);
        left.merge(&of(300..900));
        assert_eq!(left, of(0..900));
    }

    #[test]
    fn a_sketch_survives_the_wire_and_a_damaged_one_is_refused() {
        let sketch = of(0..12_345);
        let text = serde_json::to_string(&sketch).unwrap();
        assert_eq!(serde_json::from_str::<Sketch>(&text).unwrap(), sketch);
        assert!(serde_json::from_str::<Sketch>("\"012\"").is_err());
        let wild = format!("\"{}\"", "z".repeat(REGISTERS));
        assert!(serde_json::from_str::<Sketch>(&wild).is_err());
    }
}
