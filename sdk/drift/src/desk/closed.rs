//! Windows that closed, for whoever keeps them.
//!
//! A closed window is gone from the desk: what it came to is in the habits, or withheld. A broker that
//! keeps windows for rehearsals, for its pager and for a plot over time asks for it, and fetches them
//! often; what nobody fetches is let go of and counted. Nothing is kept, nor weighed a second time,
//! where nobody asked: a simulation of ten million calls does not.

use std::collections::VecDeque;

use crate::event::Millis;
use crate::evidence::Level;
use crate::ladder::SubjectId;
use crate::report::TokenReport;
use crate::verdict::Verdict;

/// Windows kept until they are fetched: a second's worth of a large fleet, some 10 MiB.
const UNFETCHED: usize = 1_024;

/// One token's window at its end.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedWindow {
    /// When it closed, by the time of whoever receives the reports.
    pub at: Millis,
    /// Which token.
    pub token: SubjectId,
    /// Whose.
    pub identity: SubjectId,
    /// Whose reports stand behind it.
    pub gateways: Vec<SubjectId>,
    /// If it is malicious: which of them each carry that (see [`Sight`](super::Sight)).
    pub carried_by: Option<Vec<SubjectId>>,
    /// The calls, counted.
    pub report: Box<TokenReport>,
    /// Everything that was weighed, before any bar.
    pub findings: Verdict,
    /// What was said of it under the thresholds in force.
    pub level: Level,
    /// How far the strongest finding went, in multiples of its bar.
    pub reach: f64,
    /// Verdicts that were written down while it was open.
    pub verdicts: Vec<SubjectId>,
}

/// Windows that wait to be fetched, oldest first.
#[derive(Default)]
pub(super) struct Unfetched {
    wanted: bool,
    windows: VecDeque<ClosedWindow>,
}

impl Unfetched {
    pub(super) const fn want(&mut self) {
        self.wanted = true;
    }

    pub(super) const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Keeps one more; `false` when the oldest had to go for it.
    pub(super) fn keep(&mut self, window: ClosedWindow) -> bool {
        let room = self.windows.len() < UNFETCHED;
        if !room {
            self.windows.pop_front();
        }
        self.windows.push_back(window);
        room
    }

    pub(super) fn take(&mut self) -> Vec<ClosedWindow> {
        std::mem::take(&mut self.windows).into()
    }
}
