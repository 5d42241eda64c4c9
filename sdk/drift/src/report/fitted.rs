//! A report within a number of bytes.
//!
//! **What goes, and in which order.** First every second block of calls: six are a sample as good as twelve
//! for all but the next window. Then transitions, the rest of the blocks, objects; and only when all of those
//! are gone destinations, origins and operations. Of a table the lightest entries go first. Whatever goes is
//! counted as what the table had no room for: totals stay exact, so do amounts, bounds and rules.
//!
//! **Why this order**: what is new about a thief is an operation, an origin or a destination of few calls,
//! the very entries that a cut by weight would take first. Transitions and blocks tell of order, and whoever
//! has so many of them has many more where they came from.

use super::{MOST_BYTES, TokenReport};

/// So many of its parts each cut leaves of something: three of four.
const fn left_of(count: usize) -> usize {
    count - count.div_ceil(4)
}

/// Blocks that stay until there is nothing else to cut.
const BLOCKS: usize = 6;

/// Each takes a part of something away, until nothing of it is left to take.
const CUTS: [fn(&mut TokenReport) -> bool; 7] = [
    |report| {
        let most = left_of(report.blocks.blocks().len());
        let cut = most >= BLOCKS;
        if cut {
            report.blocks = report.blocks.thinned(most);
        }
        cut
    },
    |report| report.sequence.transitions.cut_to(left_of),
    |report| {
        let blocks = report.blocks.blocks().len();
        report.blocks = report.blocks.thinned(left_of(blocks));
        blocks > 0
    },
    |report| report.objects.cut_to(left_of),
    |report| report.destinations.cut_to(left_of),
    |report| report.origins.cut_to(left_of),
    |report| report.sequence.operations.cut_to(left_of),
];

impl TokenReport {
    /// The compact form, in [`MOST_BYTES`] at most.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.fitted(MOST_BYTES)
    }

    fn fitted(&self, most: usize) -> Vec<u8> {
        let mut bytes = self.written();
        if bytes.len() <= most {
            return bytes;
        }
        let mut smaller = Box::new(self.clone());
        for cut in CUTS {
            while bytes.len() > most && cut(&mut smaller) {
                bytes = smaller.written();
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Bounds;
    use crate::event::{Event, Millis, Object, OperationId, Outcome, stable_hash};
    use crate::thresholds::Thresholds;
    use crate::tracker::Tracker;

    /// Some calls of a token on so many operations and places, as one report or as many.
    fn busy(calls: u64, (operations, places): (u64, u64), each: u64) -> TokenReport {
        let mut whole = TokenReport::empty();
        let mut tracker = Tracker::new(Millis(0), Bounds::cold(&Thresholds::default()));
        for n in 0..calls {
            let random = stable_hash(&n.to_le_bytes());
            let event = Event {
                object: Some(Object::of(&random.to_string())),
                source: Some(random % places),
                client: Some(7),
                destination: Some(random % places),
                ..Event::of(OperationId::of(&format!("op {}", random % operations)))
            };
            let _ = tracker.observe(&event, Millis(n * 100));
            let outcome = Outcome {
                status: Some(200),
                request_bytes: Some(random % 1_000),
                response_bytes: Some(random % 100_000),
            };
            let _ = tracker.settle(&outcome, Millis(n * 100));
            if n % each == each - 1 {
                whole.merge(&tracker.report().unwrap());
            }
        }
        whole
    }

    /// Of a token that did everything there is, for hours.
    fn enormous() -> TokenReport {
        busy(40_000, (200, 50), 100)
    }

    #[test]
    fn whatever_was_done_the_report_fits_and_its_totals_are_exact() {
        let whole = enormous();
        assert!(whole.written().len() > 2 * MOST_BYTES);
        let bytes = whole.to_bytes();
        assert!(bytes.len() <= MOST_BYTES, "{}", bytes.len());
        let read = TokenReport::from_bytes(&bytes).unwrap();
        assert_eq!(read.calls(), whole.calls());
        assert_eq!(read.bytes(), whole.bytes());
        assert_eq!(read.responses(), whole.responses());
        assert_eq!(read.span(), whole.span());
        let totals = |report: &TokenReport| {
            let sequence = &report.sequence;
            let sequence = [sequence.operations.total(), sequence.transitions.total()];
            let others = [report.origins.total(), report.destinations.total()];
            (sequence, others, report.objects.total())
        };
        assert_eq!(totals(&read), totals(&whole));
    }

    #[test]
    fn what_is_new_about_a_thief_is_cut_last() {
        let whole = busy(2_000, (64, 2), 2_000);
        assert!(whole.written().len() > MOST_BYTES);
        let read = TokenReport::from_bytes(&whole.to_bytes()).unwrap();
        assert_eq!(read.sequence.operations, whole.sequence.operations);
        assert_eq!(read.origins, whole.origins);
        assert_eq!(read.destinations, whole.destinations);
        assert!(read.sequence.transitions.len() < whole.sequence.transitions.len());
    }

    #[test]
    fn even_next_to_nothing_can_be_fitted_into() {
        let bytes = enormous().fitted(120);
        let read = TokenReport::from_bytes(&bytes).unwrap();
        assert!(bytes.len() <= 120, "{}", bytes.len());
        assert_eq!(read.calls(), 40_000);
    }
}
