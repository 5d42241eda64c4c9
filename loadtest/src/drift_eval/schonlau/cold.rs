//! Cold start: the same people, of whose history only the end is known.

use std::collections::BTreeMap;

use super::{Members, WORKING_RATE, number};
use crate::drift_eval::metrics;
use crate::drift_eval::people::People;
use crate::drift_eval::subject::{self, Subject};
use crate::drift_eval::tally::Tally;

/// How many of the last own calls are known.
pub(in crate::drift_eval) const HISTORIES: [&str; 5] = ["200", "500", "1000", "2000", "5000"];

/// Hits at the working rate, by how many own calls were known.
pub(super) fn starts(
    members: &Members<'_>,
    data: &People,
    tally: &Tally,
) -> BTreeMap<&'static str, f64> {
    let with = |history: &'static str| {
        let scored: Vec<_> = data
            .people
            .iter()
            .map(|person| {
                tally.step();
                let known = person.known();
                let end = known.len().saturating_sub(number(history) as usize);
                let subject = Subject::knowing(known.get(end..).unwrap_or(known));
                subject::score(person, subject, &members.without(&[&person.identity]))
            })
            .collect();
        let hits = metrics::roc(&scored, &data.labels).hits_at(WORKING_RATE);
        (history, hits)
    };
    HISTORIES.map(with).into()
}
