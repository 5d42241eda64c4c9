//! A bar for whoever waits at a terminal: which step is on, of how many, and for how long already. Where nobody looks,
//! nothing is drawn.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often the time is drawn anew while a step takes long: seldom enough not to be seen in what is measured.
const TICK: Duration = Duration::from_millis(500);

/// Goes when it is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Of so many steps, none of which has begun.
    pub(crate) fn of(steps: usize) -> Self {
        let bar = ProgressBar::new(steps as u64);
        let style =
            ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {elapsed}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// The next step begins.
    pub(crate) fn begin(&self, what: impl Into<String>) {
        self.0.set_message(what.into());
    }

    /// It is done.
    pub(crate) fn done(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
