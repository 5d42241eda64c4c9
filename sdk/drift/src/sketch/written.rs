//! A sketch on the wire: which registers are raised, and how high.
//!
//! Few objects raise few registers, and those are named; from [`NAMED`] on, a bit for each register is
//! shorter. Ranks lie close above the lowest one, half as many with each step, and are written so.

use super::{HIGHEST_RANK, INDEX_BITS, REGISTERS, Sketch};
use crate::wire::{Reader, Unreadable, Writer};

/// As many names take as many bits as one for each register.
const NAMED: usize = REGISTERS / INDEX_BITS as usize;
/// Bits of the lowest rank.
const RANK_BITS: u32 = 6;

impl Sketch {
    /// Registers that are raised: no more than objects were named.
    pub(crate) fn raised(&self) -> usize {
        self.registers.iter().filter(|rank| **rank > 0).count()
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        let raised = self.raised();
        let each = self.registers.iter().enumerate();
        let each = each.filter(|(_, rank)| **rank > 0);
        to.number(raised as u64);
        if raised <= NAMED {
            for (register, _) in each.clone() {
                to.bits(register as u64, INDEX_BITS);
            }
        } else {
            for rank in &self.registers {
                to.flag(*rank > 0);
            }
        }
        let ranks = each.map(|(_, rank)| *rank);
        let Some(lowest) = ranks.clone().min() else {
            return;
        };
        to.bits(u64::from(lowest), RANK_BITS);
        for rank in ranks {
            to.halving(u64::from(rank - lowest));
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let mut sketch = Self::default();
        let raised = from.count(REGISTERS, "registers")?;
        if raised == 0 {
            return Ok(sketch);
        }
        let places = places(raised, from)?;
        let lowest = from.bits(RANK_BITS)?;
        let most = u64::from(HIGHEST_RANK);
        let above = most.checked_sub(lowest).filter(|_| lowest > 0);
        let above = above.ok_or(Unreadable::Impossible("a sketch's register out of range"))?;
        let mut found = most;
        for place in places {
            let rank = lowest + from.halving(above)?;
            found = found.min(rank);
            if let Some(register) = sketch.registers.get_mut(place) {
                *register = rank as u8;
            }
        }
        if found > lowest {
            return Err(Unreadable::Overlong);
        }
        Ok(sketch)
    }
}

fn places(raised: usize, from: &mut Reader<'_>) -> Result<Vec<usize>, Unreadable> {
    let mut places = Vec::with_capacity(raised);
    if raised <= NAMED {
        for _ in 0..raised {
            places.push(from.bits(INDEX_BITS)? as usize);
        }
        if !places.is_sorted_by(|left, right| left < right) {
            return Err(Unreadable::Disorder("a sketch's registers"));
        }
    } else {
        for register in 0..REGISTERS {
            if from.flag()? {
                places.push(register);
            }
        }
        if places.len() != raised {
            return Err(Unreadable::Impossible(
                "a sketch that does not have the registers it says",
            ));
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sketches_of_any_number_of_objects_are_read_as_they_were_written() {
        for (objects, most_bytes) in [
            (0, 1),
            (1, 3),
            (10, 20),
            (18, 30),
            (128, 55),
            (10_000, 105),
            (1_000_000, 105),
        ] {
            let mut sketch = Sketch::default();
            for object in 0..objects {
                sketch.insert(object);
            }
            let mut writer = Writer::default();
            sketch.write(&mut writer);
            let bytes = writer.finish();
            assert!(bytes.len() <= most_bytes, "{objects}: {}", bytes.len());
            let mut reader = Reader::new(&bytes);
            assert_eq!(Sketch::read(&mut reader), Ok(sketch));
            assert_eq!(reader.end(), Ok(()));
        }
    }

    #[test]
    fn registers_out_of_order_or_out_of_range_are_refused() {
        let written = |registers: &[u64], lowest, ranks: &[u64]| {
            let mut writer = Writer::default();
            writer.number(registers.len() as u64);
            for register in registers {
                writer.bits(*register, INDEX_BITS);
            }
            writer.bits(lowest, RANK_BITS);
            for rank in ranks {
                writer.halving(*rank);
            }
            Sketch::read(&mut Reader::new(&writer.finish()))
        };
        assert!(written(&[3, 5], 1, &[0, 4]).is_ok());
        let disorder = Err(Unreadable::Disorder("a sketch's registers"));
        assert_eq!(written(&[5, 3], 1, &[0, 4]), disorder);
        assert_eq!(written(&[3, 3], 1, &[0, 4]), disorder);
        assert!(
            written(&[3], 0, &[0]).is_err(),
            "a register that is not raised"
        );
        assert!(written(&[3], 43, &[0]).is_err());
        assert!(written(&[3, 5], 40, &[0, 3]).is_err());
        assert!(
            written(&[3, 5], 1, &[1, 1]).is_err(),
            "a lowest rank that is none"
        );
    }
}
