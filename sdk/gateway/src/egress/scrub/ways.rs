//! Following a form through a text: on several ways where a byte stands for itself or begins something encoded.

use super::effort::{Effort, TooDear};
use super::spelling::{INTRODUCERS, spelled};

/// Places of a text that a form may have reached, each once.
#[derive(Default)]
pub(super) struct Ways {
    at: Vec<usize>,
    next: Vec<usize>,
}

impl Ways {
    /// The farthest end of a form that begins at `start`; and whether the text ends within it, on some way.
    pub(super) fn follow(
        &mut self,
        form: &str,
        text: &[u8],
        start: usize,
        effort: &mut Effort,
    ) -> Result<(Option<usize>, bool), TooDear> {
        let rest = text.get(start..).unwrap_or_default();
        // As long as everything stands for itself there is one way.
        let plain = form
            .bytes()
            .zip(rest)
            .take_while(|(own, found)| {
                own == *found && own.is_ascii() && !INTRODUCERS.contains(own)
            })
            .count();
        effort.spend(plain)?;
        let mut is_unfinished = false;
        self.at.clear();
        self.at.push(start + plain);
        for character in form.get(plain..).unwrap_or_default().chars() {
            let Self { at, next } = self;
            effort.spend(at.len())?;
            next.clear();
            for place in at.iter() {
                let rest = text.get(*place..).unwrap_or_default();
                is_unfinished |= spelled(character, rest, |length| next.push(place + length));
            }
            // Two ways that meet are one.
            next.sort_unstable();
            next.dedup();
            std::mem::swap(at, next);
            if at.is_empty() {
                return Ok((None, is_unfinished));
            }
        }
        Ok((self.at.last().copied(), is_unfinished))
    }
}
