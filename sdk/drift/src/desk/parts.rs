//! What each gateway said of one window, kept apart: so that it can be judged as if any one of them had
//! said nothing.
//!
//! **Catches** a verdict that falls when one gateway is left out: that gateway may be wrong, or lie.
//! **Misses** two gateways that lie together. **Warms up** not at all; it begins anew with each window.
//! Why not simply "two gateways reported": an honest one that saw ordinary calls would lend its name to
//! whoever lies beside it.
//!
//! Bounded: [`PARTS`] parts, and a gateway that finds no place of its own shares the smallest. Leaving a
//! shared part out leaves out more than one, so the answer is never less careful for it. One gateway
//! alone needs no copy of what the window holds anyway.

use crate::ladder::SubjectId;
use crate::report::TokenReport;

/// Parts of one window. Few tokens are seen by more gateways within a hundred calls, and each part is
/// as large as the window.
const PARTS: usize = 4;

/// Gateways named behind one window. What further ones say is judged by itself.
const GATEWAYS: usize = 64;

/// One window by whom it was heard from.
#[derive(Default)]
pub(super) struct Parts(Vec<Part>);

struct Part {
    gateways: Vec<SubjectId>,
    /// Nothing while there is one part: then it is the window.
    report: Option<Box<TokenReport>>,
}

impl Parts {
    /// Whether this gateway can be named beside the others.
    pub(super) fn has_place(&self, gateway: SubjectId) -> bool {
        let named = self.gateways().count();
        named < GATEWAYS || self.gateways().any(|known| known == gateway)
    }

    /// Another report of a window that held `before` until now. Whether there is `room` for another copy is
    /// for the desk to say.
    pub(super) fn hear(
        &mut self,
        gateway: SubjectId,
        report: &TokenReport,
        before: &TokenReport,
        room: bool,
    ) {
        let speaks = |part: &Part| part.gateways.contains(&gateway);
        if let Some(part) = self.0.iter_mut().find(|part| speaks(part)) {
            part.add(report);
        } else if self.0.is_empty() {
            self.0.push(Part {
                gateways: vec![gateway],
                report: None,
            });
        } else if self.0.len() < PARTS && room {
            for part in &mut self.0 {
                part.report.get_or_insert_with(|| Box::new(before.clone()));
            }
            self.0.push(Part {
                gateways: vec![gateway],
                report: Some(Box::new(report.clone())),
            });
        } else if let Some(part) = self.0.iter_mut().min_by_key(|part| part.calls()) {
            part.gateways.push(gateway);
            part.add(report);
        }
    }

    /// Everybody who was heard.
    pub(super) fn gateways(&self) -> impl Iterator<Item = SubjectId> + '_ {
        self.0.iter().flat_map(|part| part.gateways.iter().copied())
    }

    /// How many copies of reports are kept.
    pub(super) fn copies(&self) -> usize {
        self.0.iter().filter(|part| part.report.is_some()).count()
    }

    /// The gateways without whose part the rest is not grave any more; none when it stands without any one
    /// of them.
    pub(super) fn carrying(
        &self,
        mut is_grave: impl FnMut(&TokenReport) -> bool,
    ) -> Vec<SubjectId> {
        let mut carrying = Vec::new();
        for (index, part) in self.0.iter().enumerate() {
            let falls = self.without(index).is_none_or(|rest| !is_grave(&rest));
            if falls {
                carrying.extend(&part.gateways);
            }
        }
        carrying
    }

    /// What the others said; `None` when nobody else said anything.
    fn without(&self, left_out: usize) -> Option<Box<TokenReport>> {
        let others = self.0.iter().enumerate();
        let mut others = others.filter(|(index, _)| *index != left_out);
        let (_, first) = others.next()?;
        let mut rest = first.report.clone()?;
        for report in others.filter_map(|(_, part)| part.report.as_deref()) {
            rest.merge(report);
        }
        Some(rest)
    }
}

impl Part {
    fn add(&mut self, report: &TokenReport) {
        if let Some(kept) = &mut self.report {
            kept.merge(report);
        }
    }

    fn calls(&self) -> u64 {
        self.report.as_deref().map_or(0, TokenReport::calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Bounds;
    use crate::event::{Event, Millis, OperationId};
    use crate::thresholds::Thresholds;
    use crate::tracker::Tracker;

    fn calls(count: u64) -> TokenReport {
        let mut tracker = Tracker::new(Millis(0), Bounds::cold(&Thresholds::default()));
        for n in 0..count {
            let _ = tracker.observe(&Event::of(OperationId::of("GET /a")), Millis(n));
        }
        tracker.report().unwrap()
    }

    /// Parts as these gateways reported these calls, and who carries it if so many calls are grave.
    fn carrying(said: &[(u64, u64)], grave: u64, room: bool) -> Vec<u64> {
        let (mut parts, mut window) = (Parts::default(), TokenReport::empty());
        for (gateway, count) in said {
            let report = calls(*count);
            parts.hear(SubjectId(*gateway), &report, &window, room);
            window.merge(&report);
        }
        let carrying = parts.carrying(|rest| rest.calls() >= grave);
        carrying.iter().map(|gateway| gateway.0).collect()
    }

    #[test]
    fn whoever_cannot_be_left_out_carries_it() {
        /// What each gateway said, how much of it is grave, and who carries that.
        type Row = (&'static [(u64, u64)], u64, &'static [u64]);
        let table: [Row; 8] = [
            (&[(1, 50)], 30, &[1]),
            (&[(1, 20), (1, 20)], 30, &[1]),
            (&[(1, 50), (2, 5)], 30, &[1]),
            (&[(2, 5), (1, 50)], 30, &[1]),
            (&[(1, 50), (2, 50)], 30, &[]),
            (&[(1, 20), (2, 20)], 30, &[1, 2]),
            (&[(1, 15), (2, 15), (3, 15)], 30, &[]),
            (&[(1, 9), (2, 9), (3, 9), (4, 9), (5, 9)], 27, &[]),
        ];
        for (said, grave, expected) in table {
            assert_eq!(carrying(said, grave, true), expected, "{said:?}");
        }
    }

    #[test]
    fn whoever_shares_a_part_is_left_out_with_it() {
        let said = [(1, 9), (2, 9), (3, 9), (4, 2), (5, 9)];
        assert_eq!(carrying(&said, 28, true), [4, 5]);
        // No room for copies: nobody can be told from the others.
        assert_eq!(carrying(&[(1, 50), (2, 50)], 30, false), [1, 2]);
    }

    #[test]
    fn one_gateway_costs_no_copy_and_many_cost_four() {
        let mut parts = Parts::default();
        let report = calls(1);
        for gateway in 0..100 {
            let gateway = SubjectId(gateway);
            if parts.has_place(gateway) {
                parts.hear(gateway, &report, &report, true);
            }
            let copies = parts.copies();
            assert!(copies <= PARTS && (gateway.0 > 0 || copies == 0));
        }
        assert_eq!(parts.gateways().count(), GATEWAYS);
        assert!(parts.has_place(SubjectId(3)) && !parts.has_place(SubjectId(99)));
    }
}
