//! Pauses and answers on the wire.

use super::{CLASSES, Pauses, ResponseMix};
use crate::wire::{Reader, Unreadable, Writer};

impl Pauses {
    /// All pauses.
    pub(crate) fn count(&self) -> u64 {
        self.total()
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        for count in &self.classes {
            to.flag(*count > 0);
        }
        for count in self.classes.iter().filter(|count| **count > 0) {
            to.number(u64::from(*count));
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let mut there = [false; CLASSES];
        for class in &mut there {
            *class = from.flag()?;
        }
        let mut pauses = Self::default();
        let classes = pauses.classes.iter_mut().zip(there);
        for (count, _) in classes.filter(|(_, there)| *there) {
            *count = from.small()?;
            if *count == 0 {
                return Err(Unreadable::Overlong);
            }
        }
        Ok(pauses)
    }
}

impl ResponseMix {
    pub(crate) fn write(&self, to: &mut Writer) {
        for count in [
            self.fine,
            self.denied,
            self.missing,
            self.mistaken,
            self.failed,
        ] {
            to.number(count);
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            fine: from.number()?,
            denied: from.number()?,
            missing: from.number()?,
            mistaken: from.number()?,
            failed: from.number()?,
        })
    }
}
