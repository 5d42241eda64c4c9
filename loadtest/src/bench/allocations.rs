//! Whether the path of a seen token allocates: counted by the allocator, on the thread that makes the calls.

use std::error::Error;

use lanyard_token::Algorithm;

use super::micro::COMMAND;
use super::seen::{CALLS_A_PORTION, Subject};
use super::target::{Goal, Target};

/// Allocations of one call, all checks and its settlement included.
pub(super) fn measure(rounds: usize) -> Result<Option<Target>, Box<dyn Error>> {
    let subject = Subject::new(Algorithm::Es256, 1)?;
    let mut each = Vec::new();
    for _ in 0..rounds {
        let mut outcome = Ok(());
        let counted = allocation_counter::measure(|| {
            for _ in 0..CALLS_A_PORTION {
                if let Err(error) = subject.call(0) {
                    outcome = Err(error);
                }
            }
        });
        outcome?;
        subject.look();
        each.push(counted.count_total as f64 / f64::from(CALLS_A_PORTION));
    }
    let goal = Goal::AtMost(0.0);
    Ok(Target::of("P1-allocations", "", COMMAND, goal, each))
}
