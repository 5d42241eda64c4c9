//! Figures of merit: from scores and from what is known about them, in that order.
//!
//! Everything in here sees labels. Nothing in here can reach the engine: scores come in as plain numbers.

pub(super) mod calls;
pub(super) mod windows;

use super::people::Labels;
use super::subject::Scored;
use windows::Roc;

/// The windows of some people, split by what they were.
pub(super) fn roc(scored: &[Scored], labels: &Labels) -> Roc {
    let (mut benign, mut hostile) = (Vec::new(), Vec::new());
    for person in scored {
        for (window, score) in person.windows.iter().enumerate() {
            if labels.is_masquerade(&person.identity, window) {
                hostile.push(*score);
            } else {
                benign.push(*score);
            }
        }
    }
    Roc::of(benign, hostile)
}
