//! A window weighed before any bar: what may be put under other bars later.
//!
//! A verdict keeps only what reached its bar. To try other thresholds on a window, or to say how far
//! a benign one was from the bar, everything that was weighed is needed: *findings* are a verdict
//! under bars that everything reaches. They remember which evidence may never be more than a hint.
//!
//! What other thresholds this cannot try: those that enter while weighing (bounds of enumeration,
//! minutes before rates are compared) and those that decide what is learned. The bars of enumeration
//! are such a case too: the way to the bound is told in their terms, so lower ones than those in
//! force find nothing more. Nor do lower ones for the fast detector: gateways tell of what reached the
//! bar in force.

use super::Verdict;
use crate::evidence::{Evidence, Level, Measure};
use crate::judge::{level, sort};
use crate::thresholds::{Bar, Thresholds};

/// What everything reaches that speaks against a window at all.
const OPEN: Bar = Bar {
    notable: f64::MIN_POSITIVE,
    strong: f64::MIN_POSITIVE,
};

impl Thresholds {
    /// The same with bars that everything reaches: what is judged by these gives findings.
    #[must_use]
    pub const fn opened(&self) -> Self {
        Self {
            order: OPEN,
            estrangement: OPEN,
            sudden: OPEN,
            operations: OPEN,
            volume: OPEN,
            cadence: OPEN,
            origin: OPEN,
            destination: OPEN,
            refusals: OPEN,
            ..*self
        }
    }

    /// The bar that a measure has to reach; `None` where it is no threshold.
    const fn bar(&self, measure: Measure) -> Option<Bar> {
        match measure {
            Measure::OrderScore => Some(self.order),
            Measure::Estrangement => Some(self.estrangement),
            Measure::SuddenOrder => Some(self.sudden),
            Measure::NewOperations => Some(self.operations),
            Measure::LongestRun | Measure::DistinctObjects => Some(self.enumeration),
            Measure::BytesPerMinute => Some(self.volume),
            Measure::CallsPerMinute | Measure::Pause => Some(self.cadence),
            Measure::NewNetworkAndClient
            | Measure::NewNetwork
            | Measure::NewClient
            | Measure::InterleavedOrigins => Some(self.origin),
            Measure::NewDestinations => Some(self.destination),
            Measure::RefusedShare => Some(self.refusals),
            Measure::OutsideTask
            | Measure::BytesOverHours
            | Measure::ObjectsOverHours
            | Measure::BytesOverDays
            | Measure::ObjectsOverDays => None,
        }
    }
}

impl Verdict {
    /// Findings under these thresholds: the verdict they would have given.
    #[must_use]
    pub fn under(&self, thresholds: &Thresholds) -> Self {
        let mut evidence: Vec<Evidence> = self
            .evidence
            .iter()
            .filter_map(|found| under(found, thresholds))
            .collect();
        sort(&mut evidence);
        let level = level(self.hard_rule, self.history, &evidence, thresholds);
        let mut heaviest = self.heaviest.clone();
        if level == Level::Benign {
            heaviest.clear();
        }
        Self {
            level,
            evidence,
            heaviest,
            ..self.clone()
        }
    }

    /// How far the strongest finding went, in multiples of its bar: from 1 on the window is not
    /// benign. A hard rule that proves abuse goes twice as far at least. Never negative.
    #[must_use]
    pub fn reach(&self, thresholds: &Thresholds) -> f64 {
        let part = |found: &Evidence| match thresholds.bar(found.measure) {
            Some(bar) => found.weight / bar.notable.max(f64::MIN_POSITIVE),
            None => 1.0,
        };
        let furthest = self.evidence.iter().map(part).fold(0.0, f64::max);
        if self.hard_rule.is_some_and(crate::HardRule::proves_abuse) {
            furthest.max(PROVEN)
        } else {
            furthest
        }
    }
}

/// How far a proof goes when no evidence goes further.
const PROVEN: f64 = 2.0;

fn under(found: &Evidence, thresholds: &Thresholds) -> Option<Evidence> {
    let Some(bar) = thresholds.bar(found.measure) else {
        return Some(*found);
    };
    let numbers = match found.measure {
        // What is expected of these is to stay below their bars.
        Measure::Estrangement | Measure::SuddenOrder => (found.observed, bar.notable),
        _ => (found.observed, found.expected),
    };
    let mut weighed = Evidence::weigh(found.measure, numbers, found.weight, bar)?;
    weighed.operation = found.operation;
    // A hint stays a hint.
    weighed.strength = weighed.strength.min(found.strength);
    Some(weighed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Strength;
    use crate::{Baseline, Bounds, Event, Millis, OperationId, Tracker, judge};

    /// Two kinds of call a second apart, the second from `client`.
    fn window(calls: u64, other: &str, client: u64) -> crate::TokenReport {
        let thresholds = Thresholds::default();
        let mut tracker = Tracker::new(Millis(0), Bounds::cold(&thresholds));
        for n in 0..calls {
            let name = if n % 5 == 4 { other } else { "GET /a" };
            let event = Event {
                source: Some(1),
                client: Some(client),
                ..Event::of(OperationId::of(name))
            };
            let _ = tracker.observe(&event, Millis(n * 1_000));
        }
        tracker.report().unwrap()
    }

    fn known() -> Box<Baseline> {
        let mut known = Box::new(Baseline::empty());
        for _ in 0..30 {
            let _ = known.absorb_cleared(&window(100, "GET /b", 1));
        }
        known
    }

    #[test]
    fn findings_under_the_thresholds_in_force_are_the_verdict() {
        let (known, thresholds) = (known(), Thresholds::default());
        for (other, client) in [("GET /b", 1), ("GET /b", 2), ("GET /x", 1), ("GET /x", 2)] {
            let window = window(100, other, client);
            let now = Millis(100_000);
            let verdict = judge(&window, &known, None, &thresholds, now);
            let findings = judge(&window, &known, None, &thresholds.opened(), now);
            assert_eq!(findings.under(&thresholds), verdict, "{other} {client}");
            assert_eq!(
                findings.reach(&thresholds) >= 1.0,
                verdict.level != Level::Benign
            );
        }
    }

    #[test]
    fn higher_bars_find_less_and_lower_ones_more() {
        let (known, thresholds) = (known(), Thresholds::default());
        let window = window(100, "GET /b", 2);
        let findings = judge(&window, &known, None, &thresholds.opened(), Millis(100_000));
        assert_eq!(findings.under(&thresholds).level, Level::Anomalous);
        let with = |notable| Thresholds {
            origin: Bar {
                notable,
                strong: 1e3,
            },
            ..thresholds
        };
        assert_eq!(findings.under(&with(500.0)).level, Level::Benign);
        assert_eq!(findings.under(&with(0.1)).level, Level::Anomalous);
        // One new thing is a hint, however low the bar: it is never one of two witnesses.
        let low = Thresholds {
            origin: OPEN,
            ..thresholds
        };
        let strengths: Vec<_> = findings
            .under(&low)
            .evidence
            .iter()
            .map(|e| e.strength)
            .collect();
        assert!(!strengths.contains(&Strength::Strong), "{strengths:?}");
    }
}
