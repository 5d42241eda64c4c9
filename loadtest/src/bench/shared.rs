//! One hot credential on two threads, beside the same on one.
//!
//! A busy service calls with one token from all its connections. If its calls took turns at a lock or at one cache
//! line, a second core would bring nothing. The ratio is the cost of a call on one thread over its cost on two: 1 is
//! perfect, a half means that the second thread brought nothing at all.

use std::error::Error;
use std::sync::Barrier;
use std::thread;

use lanyard_token::Algorithm;

use super::Ratio;
use super::seen::{Subject, scattered};
use super::target::{Goal, Target};

const CALLS_PER_ROUND: u32 = 20_000;
const THREADS: usize = 2;

/// The ratio, and how much more a call costs beside another thread: what P2 asks for.
pub(super) fn measure(rounds: usize) -> Result<(Ratio, Option<Target>), Box<dyn Error>> {
    let subject = Subject::new(Algorithm::Es256, 1)?;
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        let alone = subject.nanoseconds_each(CALLS_PER_ROUND, &mut scattered(1))?;
        pairs.push((together(&subject)?, alone));
    }
    let dearer = pairs.iter().map(|(together, alone)| together / alone);
    let target = Target::of("P2", "x", super::micro::COMMAND, Goal::AtMost(1.3), dearer);
    let name = "seen token on two threads at once, beside one thread".to_owned();
    Ok((Ratio::of(name, &pairs), target))
}

/// What a call costs while both threads make them: the mean of both.
fn together(subject: &Subject) -> Result<f64, Box<dyn Error>> {
    let begin = Barrier::new(THREADS);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    begin.wait();
                    let cost = subject.nanoseconds_each(CALLS_PER_ROUND, &mut scattered(1));
                    cost.map_err(|error| error.to_string())
                })
            })
            .collect();
        let mut sum = 0.0;
        for thread in threads {
            sum += thread.join().map_err(|_| "a thread ended by a panic")??;
        }
        Ok(sum / THREADS as f64)
    })
}
