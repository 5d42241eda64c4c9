//! What observation adds to a seen token: the same calls at a gateway that observes, beside one that does not.
//!
//! The difference of the two times is what the token's accumulator and two notes cost, the call and its outcome. What
//! is made of the notes happens off the path and is not in it.

use std::error::Error;

use lanyard_sdk::DriftMode;
use lanyard_token::Algorithm;

use super::Ratio;
use super::seen::{Subject, scattered};
use super::target::{Goal, Target};

const CALLS_PER_ROUND: u32 = 20_000;

/// The ratio, and the difference: what P14 asks for.
pub(super) fn measure(rounds: usize) -> Result<(Ratio, Option<Target>), Box<dyn Error>> {
    let observed = Subject::with(Algorithm::Es256, 1, DriftMode::Observe)?;
    let unobserved = Subject::with(Algorithm::Es256, 1, DriftMode::Off)?;
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        pairs.push((
            observed.nanoseconds_each(CALLS_PER_ROUND, &mut scattered(1))?,
            unobserved.nanoseconds_each(CALLS_PER_ROUND, &mut scattered(1))?,
        ));
    }
    let added = pairs.iter().map(|(observed, not)| observed - not);
    let target = Target::of(
        "P14-ns",
        "ns",
        super::micro::COMMAND,
        Goal::AtMost(25.0),
        added,
    );
    let name = "seen token observed, beside one that is not observed".to_owned();
    Ok((Ratio::of(name, &pairs), target))
}
