//! Load that can be believed.
//!
//! Two questions, two generators. *How much can it do?* [`closed`]: every connection asks again as soon as it was
//! answered, so the server is never idle, and what counts is requests a second and the processor time of the server's
//! process, read from the operating system. *How long does somebody wait?* [`open`]: requests are due at fixed
//! instants, whether or not earlier ones were answered, and each is timed from when it was due. A generator that
//! waits for a slow answer before it asks again leaves out just the requests that would have waited (coordinated
//! omission).
//!
//! Clients and servers share a machine here, so no rate means anything by itself: cases take turns in short rounds,
//! and each round gives one ratio.

mod closed;
mod connection;
mod instants;
mod open;
mod processor;
mod question;

pub use closed::closed;
pub use connection::{Connection, ConnectionError};
pub use instants::{Turns, instants};
pub use open::open;
pub use processor::{ProcessorTime, machine_load, resident_bytes};
pub use question::Question;

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest wait that is told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(60);
/// Three digits: a latency of a millisecond is known to a microsecond.
const DIGITS: u8 = 3;

/// What came back.
pub struct Answers {
    /// Requests that were answered as expected.
    pub answered: u64,
    /// Requests that were answered otherwise.
    pub refused: u64,
    /// Connections that broke.
    pub broken: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// How long was waited, in nanoseconds.
    pub waits: Histogram<u64>,
}

impl Answers {
    fn none() -> Self {
        Self {
            answered: 0,
            refused: 0,
            broken: 0,
            elapsed: Duration::ZERO,
            waits: histogram(),
        }
    }

    /// Answered as expected, a second.
    pub fn per_second(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The wait that this share of requests did not exceed.
    pub fn wait_at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.waits.value_at_quantile(share))
    }

    /// Adds what another connection saw at the same time.
    fn beside(&mut self, other: &Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.broken += other.broken;
        self.elapsed = self.elapsed.max(other.elapsed);
        // Of the same bounds, so nothing is out of range.
        let _ = self.waits.add(&other.waits);
    }

    fn count(&mut self, expected: bool, wait: Duration) {
        if expected {
            self.answered += 1;
        } else {
            self.refused += 1;
        }
        let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        self.waits.saturating_record(nanos);
    }
}

/// How waits are spread, for a picture: to the right one in ten, one in a hundred, one in a thousand; upwards
/// milliseconds.
pub fn quantiles(waits: &Histogram<u64>) -> Vec<(f64, f64)> {
    // Up to one in as many as there are: beyond, the picture would be of luck.
    let most = (waits.len().max(1) as f64).log10();
    let steps = (most * 10.0) as u32;
    (0..=steps)
        .map(|step| {
            let rarity = 10_f64.powf(f64::from(step) / 10.0);
            let nanos = waits.value_at_quantile(1.0 - 1.0 / rarity);
            (rarity, nanos as f64 / 1e6)
        })
        .collect()
}

/// For waits in nanoseconds. One without bounds takes the longest wait for the shortest when it saturates.
#[expect(
    clippy::expect_used,
    reason = "the bounds are constants; a test makes one"
)]
pub(crate) fn histogram() -> Histogram<u64> {
    let most = u64::try_from(LONGEST.as_nanos()).unwrap_or(u64::MAX);
    Histogram::new_with_bounds(1, most, DIGITS).expect("bounds that fit one another")
}

#[cfg(test)]
mod tests;
