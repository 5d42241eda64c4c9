//! One identity on the desk: its habits, its role, and its own window.

use std::sync::Arc;

use super::Bench;
use crate::baseline::Baseline;
use crate::event::Millis;
use crate::judge::judge;
use crate::ladder::SubjectId;
use crate::report::TokenReport;
use crate::role::Role;
use crate::thresholds::Thresholds;
use crate::verdict::Verdict;

/// One identity's habits and its own window.
#[derive(Default)]
pub(super) struct Habits {
    pub(super) baseline: Box<Baseline>,
    pub(super) role: Option<Arc<Role>>,
    pub(super) role_at: Option<Millis>,
    /// What stood behind the role when it was merged.
    pub(super) role_of: u64,
    /// Windows that changed what a role sees of these habits.
    pub(super) lessons: u64,
    /// Members of the role with habits, itself included.
    pub(super) members: usize,
    pub(super) pending: Box<TokenReport>,
    pub(super) pending_since: Millis,
}

impl Habits {
    /// With what was learned before.
    pub(super) fn of(baseline: Box<Baseline>) -> Self {
        Self {
            baseline,
            ..Self::default()
        }
    }

    pub(super) fn judge(
        habits: Option<&Self>,
        bench: &Bench<'_>,
        identity: SubjectId,
        report: &TokenReport,
    ) -> Verdict {
        Self::judge_by(
            habits,
            bench.register.thresholds(identity),
            bench.now,
            report,
        )
    }

    /// The same before any bar.
    pub(super) fn findings(
        habits: Option<&Self>,
        bench: &Bench<'_>,
        identity: SubjectId,
        report: &TokenReport,
    ) -> Verdict {
        let opened = bench.register.thresholds(identity).opened();
        Self::judge_by(habits, &opened, bench.now, report)
    }

    /// By the clock of the calls, not of the receiver: recorded traffic is judged in its own time.
    fn judge_by(
        habits: Option<&Self>,
        thresholds: &Thresholds,
        now: Millis,
        report: &TokenReport,
    ) -> Verdict {
        let now = report.span().map_or(now, |(_, last)| last);
        let Some(habits) = habits else {
            return judge(report, &Baseline::empty(), None, thresholds, now);
        };
        let role = habits
            .role
            .as_deref()
            .filter(|_| habits.is_grown(thresholds));
        judge(report, &habits.baseline, role, thresholds, now)
    }

    /// Whoever has no habits yet fits its role better than itself, which is no sign of anything: a
    /// new member of an old role would be anomalous and never learn.
    pub(super) fn is_grown(&self, thresholds: &Thresholds) -> bool {
        self.baseline.calls() >= thresholds.established_calls
    }
}
