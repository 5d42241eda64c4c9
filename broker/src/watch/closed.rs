//! What becomes of windows once they closed: recorded, drawn, and put before the pager.
//!
//! After the verdicts on them were appended, so that what was done about a window is known when it is
//! recorded. What cannot be written is dropped and counted; nothing here holds up a report.

use std::collections::VecDeque;
use std::sync::Arc;

use lanyard_drift::desk::ClosedWindow;
use lanyard_drift::rehearsal::{Done, RecordedWindow};
use lanyard_token::NodeId;

use super::Watch;
use super::opaque::{node, nodes, place, subject, subjects};
use super::paging::{Pager, SHIPPED};
use super::recorder::{FLUSH_EVERY, Recorder};
use super::series::{Point, Series};
use crate::clock::UnixMillis;
use crate::store::Event;

/// Windows that wait for the disk; beyond, the oldest go.
const WAITING: usize = 4_096;

/// What is kept of windows that closed.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) series: Series,
    pub(super) pager: Pager,
    waiting: VecDeque<RecordedWindow>,
    written: Option<UnixMillis>,
}

impl Kept {
    /// With what was saved last.
    pub(super) fn of(series: Series, pager: Option<Pager>) -> Self {
        Self {
            series,
            pager: pager.unwrap_or_default(),
            ..Self::default()
        }
    }
}

impl Watch {
    /// Records windows in this folder from now on.
    pub fn record_windows(&self, recorder: Recorder) {
        // Said twice: the first word holds.
        let _ = self.recorder.set(Arc::new(recorder));
    }

    /// Takes what closed since: for the recorder, the plots, and the pager.
    pub(super) async fn take_closed(&self) {
        let closed = self.shards.take_closed();
        if closed.is_empty() {
            return;
        }
        let now = self.clock.now();
        let goal = self.state.budget().map_or(SHIPPED, |set| set.goal);
        let mut pages = Vec::new();
        for window in closed {
            let identity = node(window.identity);
            let verdict = window.verdicts.last().copied().map(node);
            let recorded = self.recorder.get().and_then(|_| self.recorded(&window));
            let mut kept = self.kept.lock();
            let point = Point {
                at: now,
                reach: window.reach,
                level: window.level,
                verdict,
            };
            kept.series
                .add(identity, point, self.config.limits.identities);
            let weighed = (identity, window.level, window.reach);
            if kept.pager.window(goal, weighed, now)
                && let Some(verdict) = verdict
            {
                pages.push(Event::Paged {
                    identity,
                    verdict,
                    reach: window.reach.min(1e6),
                });
            }
            if let Some(recorded) = recorded {
                if kept.waiting.len() >= WAITING {
                    kept.waiting.pop_front();
                    self.counters.unrecorded.add(1);
                }
                kept.waiting.push_back(recorded);
            }
        }
        self.counters.pages.add(pages.len() as u64);
        // What the log does not take now waits in the outbox.
        let _ = self.append(vec![pages]).await;
    }

    /// Writes recorded windows when some seconds have passed, or at the end.
    pub(super) async fn write_windows(&self, last: bool) {
        let Some(recorder) = self.recorder.get().cloned() else {
            return;
        };
        let now = self.clock.now();
        let windows = {
            let mut kept = self.kept.lock();
            let written = *kept.written.get_or_insert(now);
            if kept.waiting.is_empty() || (!last && now.millis_since(written) < FLUSH_EVERY) {
                return;
            }
            kept.written = Some(now);
            std::mem::take(&mut kept.waiting)
        };
        let count = windows.len() as u64;
        let writing =
            tokio::task::spawn_blocking(move || recorder.append(&Vec::from(windows), now));
        match writing.await {
            Ok(Ok(())) => self.counters.recorded.add(count),
            Ok(Err(error)) => {
                self.counters.unrecorded.add(count);
                tracing::warn!(error = %error, windows = count, "windows were not recorded");
            }
            Err(_) => self.counters.unrecorded.add(count),
        }
    }

    /// A window with its place in the log and what was done about it. `None` when its token is
    /// forgotten: then nobody knows whose it was.
    fn recorded(&self, window: &ClosedWindow) -> Option<RecordedWindow> {
        let issued = self.state.issued(node(window.token))?;
        let kind = self.state.kind(issued.identity())?;
        let verdicts = window.verdicts.iter().copied().map(node);
        let records = verdicts.filter_map(|verdict| self.state.verdict(verdict));
        let done = records
            .flat_map(|record| record.responses)
            .map(|taken| Done {
                response: taken.response,
                node: taken.node.map(subject),
                enforced: taken.enforced,
            });
        let gateways: Vec<NodeId> = nodes(&window.gateways);
        let names = self.shards.names.lock().of(&window.findings, &gateways);
        Some(RecordedWindow {
            at: window.at,
            place: place(self.store.head()),
            token: window.token,
            path: subjects(&issued.path),
            issued_at: place(issued.place),
            kind: kind.word().to_owned(),
            gateways: window.gateways.clone(),
            carried_by: window.carried_by.clone(),
            findings: super::judge::storable(window.findings.clone()),
            level: window.level,
            done: done.collect(),
            names: names
                .into_iter()
                .map(|named| (named.operation, named.name))
                .collect(),
            report: Some(window.report.clone()),
        })
    }
}
