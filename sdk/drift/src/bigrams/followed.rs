//! A transition in three bytes: twelve bits of fingerprint, twelve of count.
//!
//! Together with the set that it stands in a fingerprint is some eighteen bits of its hash. What it
//! misses: an absent transition is taken for one of the eight in its set in one of five hundred
//! lookups, which is no more than a call that is thought to be a little more usual than it is. Why not
//! two bytes of each: a quarter of the transitions of a person has then no place in two kibibytes, which
//! costs three times as much. Why not a count in one byte with steps that grow: its errors add up over
//! the hundred calls of a window, and cost as much as they save (both measured).

/// A fingerprint and how often it was seen; nothing when that is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Followed([u8; 3]);

impl Followed {
    pub(super) const NONE: Self = Self([0; 3]);
    /// The largest count, and the largest mark.
    pub(super) const MOST: u32 = 0xfff;

    /// Both are cut to twelve bits.
    pub(super) const fn new(mark: u16, count: u32) -> Self {
        let packed = ((mark as u32 & Self::MOST) << 12) | (count & Self::MOST);
        let [_, high, middle, low] = packed.to_be_bytes();
        Self([high, middle, low])
    }

    pub(super) const fn mark(self) -> u16 {
        (self.packed() >> 12) as u16
    }

    pub(super) const fn count(self) -> u32 {
        self.packed() & Self::MOST
    }

    /// Whether this is that transition.
    pub(super) const fn is(self, mark: u16) -> bool {
        self.count() > 0 && self.mark() == mark
    }

    const fn packed(self) -> u32 {
        let [high, middle, low] = self.0;
        u32::from_be_bytes([0, high, middle, low])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_and_count_do_not_touch_each_other() {
        for mark in [0, 1, 0x5a5, 0xfff] {
            for count in [1, 31, 0xa5a, 0xfff] {
                let followed = Followed::new(mark, count);
                assert_eq!((followed.mark(), followed.count()), (mark, count));
                assert!(followed.is(mark) && !followed.is(mark ^ 1));
            }
        }
        assert!(!Followed::NONE.is(0));
        assert_eq!(size_of::<Followed>(), 3);
    }
}
