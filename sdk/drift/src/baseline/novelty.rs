//! How often something new is normal for an identity: the measure of every "never seen before".

use serde::{Deserialize, Serialize};

use super::Baseline;
use crate::habits::ORIGINS;
use crate::report::TokenReport;
use crate::table::Table;

/// Calls after which an operation not seen before counts as a novelty, not as a beginning.
const BEGINNING: u64 = 100;

/// Counts of windows and calls, and of what was new in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Novelty {
    /// Operations that first appeared after the beginning, and the calls since then.
    pub(crate) operations: u32,
    pub(crate) calls: u64,
    /// Windows that knew their origin, and those of them with a new source, with a new client.
    pub(crate) windows: u32,
    pub(crate) with_new_source: u32,
    pub(crate) with_new_client: u32,
    /// Calls that knew their origin, and those of them that came back to one with another in between.
    #[serde(default)]
    pub(crate) located: u64,
    #[serde(default)]
    pub(crate) returns: u64,
}

impl Novelty {
    /// What is new in a window, against a baseline that has not learned it yet. The beginning of a
    /// history, where everything is new, says nothing about later.
    pub(super) fn in_window(known: &Baseline, report: &TokenReport) -> Self {
        let mut news = Self::default();
        if known.calls() >= BEGINNING {
            let sequence = &known.sequence;
            let new = report
                .operations()
                .filter(|(operation, _)| sequence.operation(*operation).count == 0);
            news.operations = u32::try_from(new.count()).unwrap_or(u32::MAX);
            news.calls = report.calls;
        }
        news.located = report.origins.total();
        news.returns = u64::from(report.returns);
        news.note_origins(known, report);
        news
    }

    fn note_origins(&mut self, known: &Baseline, report: &TokenReport) {
        let origins = report.origins.entries();
        if origins.is_empty() {
            return;
        }
        self.windows = 1;
        if known.sources.len() == 0 && known.clients.len() == 0 {
            return;
        }
        let sources = origins.iter().filter_map(|(origin, _)| origin.source);
        let clients = origins.iter().filter_map(|(origin, _)| origin.client);
        self.with_new_source = any_new(&known.sources, sources);
        self.with_new_client = any_new(&known.clients, clients);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.operations = self.operations.saturating_add(other.operations);
        self.calls = self.calls.saturating_add(other.calls);
        self.windows = self.windows.saturating_add(other.windows);
        self.with_new_source = self.with_new_source.saturating_add(other.with_new_source);
        self.with_new_client = self.with_new_client.saturating_add(other.with_new_client);
        self.located = self.located.saturating_add(other.located);
        self.returns = self.returns.saturating_add(other.returns);
    }

    pub(super) fn age(&mut self) {
        self.operations /= 2;
        self.calls /= 2;
        self.windows /= 2;
        self.with_new_source /= 2;
        self.with_new_client /= 2;
        self.located /= 2;
        self.returns /= 2;
    }
}

fn any_new(known: &Table<u64, u32, ORIGINS>, mut seen: impl Iterator<Item = u64>) -> u32 {
    u32::from(seen.any(|key| known.get(key).is_none()))
}
