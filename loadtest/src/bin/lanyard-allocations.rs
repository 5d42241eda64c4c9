//! `lanyard-allocations`: how often the path of a seen token allocates, a line for each round.
//!
//! A program of its own, because its allocator counts, and every other measurement would pay for that.
//! `lanyard-loadtest bench micro` runs it when it lies beside it.
#![forbid(unsafe_code)]

use std::error::Error;

use lanyard_loadtest::bench::SeenPath;

const ROUNDS: u32 = 5;
const CALLS: u32 = 1_000;

#[expect(clippy::print_stdout, reason = "the counts are its answer")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = SeenPath::new()?;
    for _ in 0..ROUNDS {
        let mut outcome = Ok(());
        let counted = allocation_counter::measure(|| {
            for _ in 0..CALLS {
                if let Err(error) = path.take() {
                    outcome = Err(error);
                }
            }
        });
        outcome?;
        path.look();
        println!("{}", counted.count_total as f64 / f64::from(CALLS));
    }
    Ok(())
}
