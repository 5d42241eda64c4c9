//! One token's open window, and what was last said about it.

use super::parts::Parts;
use crate::event::Millis;
use crate::evidence::Level;
use crate::ladder::SubjectId;
use crate::report::TokenReport;
use crate::signal::HardRule;
use crate::verdict::Verdict;

/// Verdicts named with one window: it says the same every few seconds, or something worse.
const VERDICTS: usize = 16;

/// How long the same verdict on the same token is no news, in milliseconds: a drifting token would
/// otherwise fill a log by itself.
const QUIET: u64 = 10_000;

/// What one token did since its window was opened.
pub(super) struct Window {
    pub(super) identity: SubjectId,
    pub(super) report: Box<TokenReport>,
    /// The same by gateway.
    pub(super) parts: Parts,
    pub(super) heard: Millis,
    /// The latest verdict on this token that was written down.
    pub(super) last: Option<Noted>,
    /// Verdicts that were written down since it was opened.
    pub(super) verdicts: Vec<SubjectId>,
}

/// A verdict that was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// Its number.
    pub id: SubjectId,
    /// What it said.
    pub level: Level,
    /// Whether a hard rule proved it.
    pub hard: bool,
    /// When.
    pub at: Millis,
}

/// What was seen in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// On the window as it is now.
    pub verdict: Verdict,
    /// Whose reports stand behind it; not named for a benign verdict.
    pub gateways: Vec<SubjectId>,
    /// Of a malicious verdict: the gateways each of which it falls with. Left out, what the others say is
    /// not malicious any more. None: it stands without any one of them.
    pub carried_by: Vec<SubjectId>,
    /// What was written down about the token before.
    pub last: Option<Noted>,
}

impl Sight {
    /// Whether there is something to write down: not benign, and not said a moment ago.
    #[must_use]
    pub fn is_news(&self, now: Millis) -> bool {
        let hard = self.hard();
        let said = |last: Noted| {
            self.verdict.level <= last.level && (!hard || last.hard) && now.since(last.at) < QUIET
        };
        self.verdict.level != Level::Benign && !self.last.is_some_and(said)
    }

    /// This verdict as written down under a number.
    #[must_use]
    pub fn noted(&self, id: SubjectId, now: Millis) -> Noted {
        Noted {
            id,
            level: self.verdict.level,
            hard: self.hard(),
            at: now,
        }
    }

    fn hard(&self) -> bool {
        self.verdict.hard_rule.is_some_and(HardRule::proves_abuse)
    }
}

impl Window {
    pub(super) fn new(identity: SubjectId) -> Self {
        Self {
            identity,
            report: Box::default(),
            parts: Parts::default(),
            heard: Millis(0),
            last: None,
            verdicts: Vec::new(),
        }
    }

    pub(super) fn noted(&mut self, noted: Noted) {
        self.last = Some(noted);
        if self.verdicts.len() < VERDICTS {
            self.verdicts.push(noted.id);
        }
    }

    pub(super) fn hear(
        &mut self,
        gateway: SubjectId,
        report: &TokenReport,
        now: Millis,
        room: bool,
    ) {
        self.parts.hear(gateway, report, &self.report, room);
        self.report.merge(report);
        self.heard = now;
    }

    /// Whose reports stand behind it.
    pub(super) fn gateways(&self) -> Vec<SubjectId> {
        self.parts.gateways().collect()
    }

    pub(super) fn sight(&self, verdict: Verdict, carried_by: Vec<SubjectId>) -> Sight {
        let gateways = if verdict.level == Level::Benign {
            Vec::new()
        } else {
            self.gateways()
        };
        Sight {
            verdict,
            gateways,
            carried_by,
            last: self.last,
        }
    }
}
