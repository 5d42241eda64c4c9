//! Bits in a row: the compact form in which reports travel.
//!
//! What a report holds are small counts and places in short tables, and most of them need a few bits: in
//! whole bytes it would be half as large again. Nothing is aligned, the last byte is filled up with zeros,
//! and there is one way to write a thing: whatever else could be read as the same is refused. Why not a
//! ready-made format: those write whole bytes, each member whether there is anything in it or not, and an
//! operation's hash as often as it occurs.

use std::fmt;

/// Bits of a number that are written at once, beside one that says whether more follow.
const GROUP: u32 = 3;
/// Groups of the largest number.
const GROUPS: u32 = u64::BITS.div_ceil(GROUP);

/// Why bytes are not what they should be, for whoever wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// Written in another version: the reader is older, or far newer.
    Version(u8),
    /// It ends too soon.
    Short,
    /// Something follows where nothing belongs.
    Trailing,
    /// A number has more digits than it needs, or than there are.
    Overlong,
    /// There is more of something than can be.
    TooMany(&'static str),
    /// Something is out of order, or there twice.
    Disorder(&'static str),
    /// Something cannot be.
    Impossible(&'static str),
    /// The same would be written with other bytes.
    Otherwise,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                write!(
                    f,
                    "written in version {version}, which this build does not read"
                )
            }
            Self::Short => f.write_str("ends in the middle"),
            Self::Trailing => f.write_str("goes on after its end"),
            Self::Overlong => f.write_str("a number longer than it need be"),
            Self::TooMany(what) => write!(f, "too many {what}"),
            Self::Disorder(what) => write!(f, "{what} out of order or repeated"),
            Self::Impossible(what) => f.write_str(what),
            Self::Otherwise => f.write_str("not written the way this is written"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// Writes bits, the highest first.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    /// Bits that are still free in the last byte.
    free: u32,
}

impl Writer {
    /// The low `width` bits of a value.
    pub(crate) fn bits(&mut self, value: u64, width: u32) {
        let mut left = width.min(u64::BITS);
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let now = left.min(self.free);
            left -= now;
            self.free -= now;
            let part = (value >> left) as u8 & ones(now);
            if let Some(last) = self.bytes.last_mut() {
                *last |= part << self.free;
            }
        }
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.bits(u64::from(flag), 1);
    }

    /// A number that is likely to be small.
    pub(crate) fn number(&mut self, value: u64) {
        let digits = u64::BITS - value.leading_zeros();
        for group in (0..digits.div_ceil(GROUP).max(1)).rev() {
            self.flag(group > 0);
            self.bits(value >> (group * GROUP), GROUP);
        }
    }

    /// A number of any size, and likely to be large.
    pub(crate) fn large(&mut self, value: u64) {
        let digits = u64::BITS - value.leading_zeros();
        self.bits(u64::from(digits), LENGTH);
        // The highest digit is a one.
        self.bits(value, digits.saturating_sub(1));
    }

    /// A number that is likely to be nought, half as likely one, and so on.
    pub(crate) fn halving(&mut self, value: u64) {
        for _ in 0..value {
            self.flag(true);
        }
        self.flag(false);
    }

    /// Whole bytes, where a whole byte begins.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.free = 0;
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Bits that say how many digits a number has, 64 at most.
const LENGTH: u32 = 7;

/// Reads what a [`Writer`] wrote.
#[derive(Debug)]
pub(crate) struct Reader<'b> {
    bytes: &'b [u8],
    /// Bits of the first byte that were read.
    read: u32,
}

impl<'b> Reader<'b> {
    pub(crate) const fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, read: 0 }
    }

    /// `width` bits, 64 at most.
    pub(crate) fn bits(&mut self, width: u32) -> Result<u64, Unreadable> {
        let mut left = width.min(u64::BITS);
        let mut value = 0;
        while left > 0 {
            let (first, rest) = self.bytes.split_first().ok_or(Unreadable::Short)?;
            let now = left.min(8 - self.read);
            left -= now;
            self.read += now;
            let part = first >> (8 - self.read) & ones(now);
            value = value << now | u64::from(part);
            if self.read == 8 {
                (self.bytes, self.read) = (rest, 0);
            }
        }
        Ok(value)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Unreadable> {
        Ok(self.bits(1)? == 1)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Unreadable> {
        let mut value: u64 = 0;
        for group in 0..GROUPS {
            let more = self.flag()?;
            let digits = self.bits(GROUP)?;
            let needless = group == 0 && more && digits == 0;
            if needless || value > u64::MAX >> GROUP {
                return Err(Unreadable::Overlong);
            }
            value = value << GROUP | digits;
            if !more {
                return Ok(value);
            }
        }
        Err(Unreadable::Overlong)
    }

    /// A number that must fit 32 bits.
    pub(crate) fn small(&mut self) -> Result<u32, Unreadable> {
        u32::try_from(self.number()?).map_err(|_| Unreadable::Overlong)
    }

    /// How many of something follow.
    pub(crate) fn count(&mut self, most: usize, what: &'static str) -> Result<usize, Unreadable> {
        let count = usize::try_from(self.number()?).ok();
        count
            .filter(|count| *count <= most)
            .ok_or(Unreadable::TooMany(what))
    }

    pub(crate) fn large(&mut self) -> Result<u64, Unreadable> {
        match self.bits(LENGTH)? as u32 {
            0 => Ok(0),
            digits @ 1..=64 => Ok(1 << (digits - 1) | self.bits(digits - 1)?),
            _ => Err(Unreadable::Overlong),
        }
    }

    pub(crate) fn halving(&mut self, most: u64) -> Result<u64, Unreadable> {
        let mut value = 0;
        while self.flag()? {
            value += 1;
            if value > most {
                return Err(Unreadable::Overlong);
            }
        }
        Ok(value)
    }

    /// Whole bytes, from the next whole byte on.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'b [u8], Unreadable> {
        self.align()?;
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or(Unreadable::Short)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// Nothing follows but the zeros that fill the last byte.
    pub(crate) fn end(mut self) -> Result<(), Unreadable> {
        self.align()?;
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(Unreadable::Trailing)
        }
    }

    fn align(&mut self) -> Result<(), Unreadable> {
        if self.read > 0 && self.bits(8 - self.read)? != 0 {
            return Err(Unreadable::Trailing);
        }
        Ok(())
    }
}

/// So many ones.
const fn ones(width: u32) -> u8 {
    if width >= 8 {
        u8::MAX
    } else {
        (1 << width) - 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Word {
        Bits(u64, u32),
        Flag(bool),
        Number(u64),
        Large(u64),
        Halving(u64),
    }

    fn any_size() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift)
    }

    fn word() -> impl Strategy<Value = Word> {
        let bits = (any::<u64>(), 1..=64_u32);
        prop_oneof![
            bits.prop_map(|(value, width)| Word::Bits(value >> (64 - width), width)),
            any::<bool>().prop_map(Word::Flag),
            any_size().prop_map(Word::Number),
            any_size().prop_map(Word::Large),
            (0..64_u64).prop_map(Word::Halving),
        ]
    }

    proptest! {
        #[test]
        fn words_are_read_as_they_were_written(words in prop::collection::vec(word(), 0..40)) {
            let mut writer = Writer::default();
            for word in &words {
                match *word {
                    Word::Bits(value, width) => writer.bits(value, width),
                    Word::Flag(flag) => writer.flag(flag),
                    Word::Number(value) => writer.number(value),
                    Word::Large(value) => writer.large(value),
                    Word::Halving(value) => writer.halving(value),
                }
            }
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            for word in &words {
                match *word {
                    Word::Bits(value, width) => prop_assert_eq!(reader.bits(width), Ok(value)),
                    Word::Flag(flag) => prop_assert_eq!(reader.flag(), Ok(flag)),
                    Word::Number(value) => prop_assert_eq!(reader.number(), Ok(value)),
                    Word::Large(value) => prop_assert_eq!(reader.large(), Ok(value)),
                    Word::Halving(value) => prop_assert_eq!(reader.halving(63), Ok(value)),
                }
            }
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn any_bytes_are_a_number_written_in_its_one_way_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..16),
        ) {
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = reader.number() {
                let mut writer = Writer::default();
                writer.number(value);
                let again = writer.finish();
                prop_assert_eq!(Reader::new(&again).number(), Ok(value));
                prop_assert!(again.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn small_numbers_take_half_a_byte() {
        for (value, bytes) in [(0, 1), (7, 1), (8, 1), (63, 1), (64, 2), (u64::MAX, 11)] {
            let mut writer = Writer::default();
            writer.number(value);
            assert_eq!(writer.finish().len(), bytes, "{value}");
        }
    }

    #[test]
    fn what_ends_too_soon_or_goes_on_or_is_padded_is_an_error() {
        assert_eq!(Reader::new(&[]).flag(), Err(Unreadable::Short));
        assert_eq!(Reader::new(&[0xff]).bits(9), Err(Unreadable::Short));
        assert_eq!(Reader::new(&[0]).end(), Err(Unreadable::Trailing));
        let mut half = Reader::new(&[0b1010_0001]);
        assert_eq!(half.bits(4), Ok(0b1010));
        assert_eq!(half.end(), Err(Unreadable::Trailing));
        // Nought with a nought before it; and more digits than any number has.
        assert_eq!(Reader::new(&[0x80]).number(), Err(Unreadable::Overlong));
        assert_eq!(Reader::new(&[0xff; 12]).number(), Err(Unreadable::Overlong));
        assert_eq!(Reader::new(&[0xff; 12]).large(), Err(Unreadable::Overlong));
        assert_eq!(
            Reader::new(&[0xff; 12]).halving(8),
            Err(Unreadable::Overlong)
        );
    }
}
