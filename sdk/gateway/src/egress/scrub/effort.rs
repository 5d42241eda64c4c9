//! How much work the search of an answer may be.
//!
//! **What it catches.** Answers that begin like a form at every place, alone or in small chunks: the work of a search is
//! then length times length, and the length of both is a third party's to choose.
//!
//! **What it misses.** Work within [`AT_ONCE`]: some milliseconds for each answer.
//!
//! **How it recovers.** Each byte that comes brings [`A_BYTE`] steps; what was not needed is kept, up to [`AT_ONCE`].
//!
//! **Why not a bound on the length of a value?** Certificates and signed tokens are thousands of bytes long, and honest
//! answers are searched for them with a step or two for each byte.

/// Steps that a byte pays for. A text of nothing but `%`, `\\` or `&`, with which every form may begin, takes as many as there
/// are forms: nine for each value, and two values where a token was got with a secret.
const A_BYTE: usize = 32;
/// Steps that are there from the beginning: an answer may be short, and all of it a value in small pieces.
const AT_ONCE: usize = 1 << 20;

/// Steps that are left. A step is one comparison with one character of one form.
pub(super) struct Effort(usize);

/// The search would take too long, so it was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it takes too much work to search")]
pub struct TooDear;

impl Default for Effort {
    fn default() -> Self {
        Self(AT_ONCE)
    }
}

impl Effort {
    /// So many bytes came.
    pub(super) fn more(&mut self, bytes: usize) {
        self.0 = self
            .0
            .min(AT_ONCE)
            .saturating_add(bytes.saturating_mul(A_BYTE));
    }

    /// Takes steps. What is over stays over until more comes.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), TooDear> {
        let left = self.0.checked_sub(steps);
        self.0 = left.unwrap_or(0);
        left.map(|_| ()).ok_or(TooDear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_needed_is_kept_up_to_a_bound() {
        let mut effort = Effort::default();
        for _ in 0..1_000 {
            effort.more(1_000_000);
        }
        effort.more(2);
        assert_eq!(effort.spend(AT_ONCE + 2 * A_BYTE), Ok(()));
        assert_eq!(effort.spend(1), Err(TooDear));
        effort.more(1);
        assert_eq!(effort.spend(A_BYTE), Ok(()));
    }
}
