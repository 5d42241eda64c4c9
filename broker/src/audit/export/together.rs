//! Revocations that one call brought are told together.
//!
//! Telling takes longer than ending does: a line of its own for each of a million nodes is a million writes to the
//! screen, by the one thread that writes the log, while everybody waits. So what stands side by side in a record, for
//! one reason and by the same hand, becomes one line that names every node: nothing is left out, and the line's two
//! places say so. A few nodes have a line each, as whoever reads them expects.

use lanyard_token::Rev;

use crate::store::event::{By, Cause};
use crate::store::{Event, Record};

/// Up to so many have a line each: what somebody revokes by hand.
const MOST_APART: usize = 64;
/// Sixteen digits and the space before the next.
const NODE_BYTES: usize = 17;

/// What is told at once.
pub(super) enum Told<'r> {
    One(Rev, &'r Event),
    Revocations(Revocations<'r>),
}

/// Nodes that were revoked side by side.
pub(super) struct Revocations<'r> {
    pub(super) first: Rev,
    pub(super) last: Rev,
    pub(super) count: usize,
    /// With a space between.
    pub(super) nodes: String,
    pub(super) cause: &'r Cause,
    pub(super) by: &'r By,
}

/// The whole record, in its order.
pub(super) fn told(record: &Record) -> Vec<Told<'_>> {
    let entries: Vec<(Rev, &Event)> = record.entries().collect();
    let mut all = Vec::new();
    for run in entries.chunk_by(|(_, one), (_, next)| alike(one, next)) {
        match revocations(run) {
            Some(many) => all.push(Told::Revocations(many)),
            None => all.extend(run.iter().map(|(rev, event)| Told::One(*rev, event))),
        }
    }
    all
}

fn alike(one: &Event, next: &Event) -> bool {
    match (revocation(one), revocation(next)) {
        (Some(one), Some(next)) => one == next,
        _ => false,
    }
}

fn revocation(event: &Event) -> Option<(&Cause, &By)> {
    match event {
        Event::Revoked { cause, by, .. } => Some((cause, by)),
        _ => None,
    }
}

fn revocations<'r>(run: &[(Rev, &'r Event)]) -> Option<Revocations<'r>> {
    let [(first, event), .., (last, _)] = run else {
        return None;
    };
    let (cause, by) = revocation(event).filter(|_| run.len() > MOST_APART)?;
    let mut nodes = String::with_capacity(NODE_BYTES * run.len());
    for (_, event) in run {
        if let Event::Revoked { node, .. } = event {
            let space = if nodes.is_empty() { "" } else { " " };
            nodes.extend([space, &node.to_string()]);
        }
    }
    Some(Revocations {
        first: *first,
        last: *last,
        count: run.len(),
        nodes,
        cause,
        by,
    })
}

#[cfg(test)]
mod tests {
    use lanyard_token::NodeId;

    use super::*;
    use crate::clock::UnixMillis;

    fn revoked(node: u64, reason: &str) -> Event {
        Event::Revoked {
            node: NodeId::from_u64(node),
            cause: Cause::Administrator(reason.to_owned()),
            by: By::Broker,
        }
    }

    fn record(events: Vec<Event>) -> Record {
        Record {
            rev: Rev::from_u64(10_000).unwrap(),
            at: UnixMillis(1),
            events,
        }
    }

    #[test]
    fn a_storm_is_one_line_that_names_every_node_and_its_first_and_last_place() {
        let record = record((1..=1_000).map(|node| revoked(node, "a storm")).collect());
        let told = told(&record);
        let [Told::Revocations(many)] = told.as_slice() else {
            panic!("{} lines", told.len());
        };
        assert_eq!(many.count, 1_000);
        assert_eq!((many.first.as_u64(), many.last.as_u64()), (9_001, 10_000));
        let named: Vec<&str> = many.nodes.split(' ').collect();
        let meant: Vec<String> = (1..=1_000)
            .map(|node| NodeId::from_u64(node).to_string())
            .collect();
        assert_eq!(named, meant);
    }

    #[test]
    fn a_few_nodes_have_a_line_each_and_reasons_are_never_mixed() {
        let few = record((1..=64).map(|node| revoked(node, "by hand")).collect());
        assert_eq!(told(&few).len(), 64);

        let mut events: Vec<Event> = (1..=100).map(|node| revoked(node, "one")).collect();
        events.extend((101..=200).map(|node| revoked(node, "another")));
        events.push(Event::Resumed {
            node: NodeId::from_u64(7),
            until: None,
            by: By::Broker,
        });
        let two = record(events);
        let reasons: Vec<_> = told(&two)
            .into_iter()
            .map(|told| match told {
                Told::Revocations(many) => (many.count, many.cause.clone()),
                Told::One(rev, event) => {
                    assert_eq!(rev.as_u64(), 10_000, "{event:?}");
                    (1, Cause::Requested)
                }
            })
            .collect();
        let reason = |text: &str| Cause::Administrator(text.to_owned());
        assert_eq!(
            reasons,
            [
                (100, reason("one")),
                (100, reason("another")),
                (1, Cause::Requested)
            ]
        );
    }
}
