//! How far the measurement is: a bar on standard error, where that is a terminal.

use std::error::Error;

use indicatif::{ProgressBar, ProgressStyle};

pub(super) struct Tally(ProgressBar);

impl Tally {
    pub(super) fn of() -> Result<Self, Box<dyn Error>> {
        let bar = ProgressBar::new(0);
        bar.set_style(ProgressStyle::with_template(
            "{msg:24} {wide_bar} {pos}/{len} {eta}",
        )?);
        Ok(Self(bar))
    }

    /// What is gone through now, in so many steps.
    pub(super) fn begin(&self, what: &'static str, steps: usize) {
        self.0.set_message(what);
        self.0.set_length(steps as u64);
        self.0.reset();
    }

    /// A person, a session or the like has been gone through.
    pub(super) fn step(&self) {
        self.0.inc(1);
    }

    pub(super) fn done(&self) {
        self.0.finish_and_clear();
    }
}
