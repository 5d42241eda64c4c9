//! The masquerade data: what people called, and apart from it what is known about their windows.
//!
//! The engine is driven with [`Person`]s, which hold no label; [`Labels`] go to the scoring alone. Which calls are an
//! identity's own history is told by their number, not by their label.

use std::collections::BTreeMap;

use lanyard_drift::OperationId;

use crate::replay::{Call, Recording};

/// Calls in a window, as the data was collected.
pub(super) const WINDOW: usize = 100;
/// Calls at the beginning of each identity's recording that are known to be its own.
pub(super) const KNOWN: usize = 5_000;
/// The label of a window that somebody else typed.
const MASQUERADE: &str = "masquerade";

/// Everybody in a recording.
pub(super) struct People {
    pub(super) people: Vec<Person>,
    pub(super) labels: Labels,
}

/// What one identity called, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) identity: String,
    calls: Vec<OperationId>,
}

/// Which windows somebody else typed, by identity, counted from the first window after the known history.
#[derive(Debug, Clone, Default)]
pub(super) struct Labels(BTreeMap<String, Vec<bool>>);

impl People {
    pub(super) fn of(recording: &Recording) -> Self {
        let people = persons(&recording.calls);
        let mut hostile: BTreeMap<String, Vec<bool>> = BTreeMap::new();
        for (call, label) in recording.calls.iter().zip(&recording.labels) {
            let flags = hostile.entry(call.identity.clone()).or_default();
            flags.push(label.0 == MASQUERADE);
        }
        let windows = |flags: Vec<bool>| {
            let later = flags.get(KNOWN..).unwrap_or_default();
            later
                .chunks(WINDOW)
                .map(|window| window.contains(&true))
                .collect()
        };
        let labels = Labels::of(
            hostile
                .into_iter()
                .map(|(identity, flags)| (identity, windows(flags))),
        );
        Self { people, labels }
    }

    /// Two halves that share nobody: by turns, in the order of the recording.
    pub(super) fn halves(&self) -> (Self, Self) {
        let by_turns = |odd: usize| Self {
            people: self.people.iter().skip(odd).step_by(2).cloned().collect(),
            labels: self.labels.clone(),
        };
        (by_turns(0), by_turns(1))
    }
}

/// Calls by identity, in the order of their first appearance.
fn persons(calls: &[Call]) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls {
        let place = *places.entry(&call.identity).or_insert_with(|| {
            people.push(Person {
                identity: call.identity.clone(),
                calls: Vec::new(),
            });
            people.len() - 1
        });
        if let Some(person) = people.get_mut(place) {
            person.calls.push(OperationId::of(&call.operation));
        }
    }
    people
}

impl Person {
    /// The calls known to be its own.
    pub(super) fn known(&self) -> &[OperationId] {
        self.calls.get(..KNOWN).unwrap_or(&self.calls)
    }

    /// The whole windows after them.
    pub(super) fn windows(&self) -> impl Iterator<Item = &[OperationId]> {
        self.calls
            .get(KNOWN..)
            .unwrap_or_default()
            .chunks_exact(WINDOW)
    }

    /// The same identity with the same history, after which other calls come.
    pub(super) fn continued_by(&self, calls: Vec<OperationId>) -> Self {
        Self {
            identity: self.identity.clone(),
            calls: self.known().iter().copied().chain(calls).collect(),
        }
    }
}

impl Labels {
    pub(super) fn of(windows: impl IntoIterator<Item = (String, Vec<bool>)>) -> Self {
        Self(windows.into_iter().collect())
    }

    pub(super) fn is_masquerade(&self, identity: &str, window: usize) -> bool {
        self.0
            .get(identity)
            .and_then(|windows| windows.get(window))
            .copied()
            .unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Label;

    fn recording(label: impl Fn(usize) -> &'static str) -> Recording {
        let call = |identity: &str, n: usize| Call {
            identity: identity.to_owned(),
            session: None,
            at_millis: n as u64,
            operation: format!("op {}", n % 7),
            resource: None,
            source: None,
            agent: None,
            bytes: None,
            status: 200,
        };
        let numbers = 0..KNOWN + 3 * WINDOW + 10;
        let calls: Vec<Call> = ["a", "b", "c"]
            .iter()
            .flat_map(|who| numbers.clone().map(|n| call(who, n)))
            .collect();
        Recording {
            labels: calls
                .iter()
                .map(|call| Label(label(call.at_millis as usize).to_owned()))
                .collect(),
            scenarios: vec![String::new(); calls.len()],
            calls,
            without_call: 0,
        }
    }

    #[test]
    fn what_the_engine_is_driven_with_is_the_same_whatever_the_labels_say() {
        let honest = People::of(&recording(|n| if n < KNOWN { "train" } else { "benign" }));
        let hostile = People::of(&recording(|_| "masquerade"));
        assert_eq!(honest.people, hostile.people);
        assert!(!honest.labels.is_masquerade("a", 1));
        assert!(hostile.labels.is_masquerade("a", 1));
    }

    #[test]
    fn windows_count_from_the_end_of_the_known_history_and_are_whole() {
        let people = People::of(&recording(|n| {
            if (KNOWN + WINDOW..KNOWN + 2 * WINDOW).contains(&n) {
                "masquerade"
            } else {
                "benign"
            }
        }));
        let person = &people.people[0];
        assert_eq!(person.known().len(), KNOWN);
        assert_eq!(person.windows().count(), 3);
        let flags: Vec<_> = (0..3)
            .map(|window| people.labels.is_masquerade("a", window))
            .collect();
        assert_eq!(flags, [false, true, false]);
    }

    #[test]
    fn halves_share_nobody_and_leave_nobody_out() {
        let people = People::of(&recording(|_| "benign"));
        let (a, b) = people.halves();
        let names = |half: &People| -> Vec<String> {
            half.people.iter().map(|p| p.identity.clone()).collect()
        };
        assert_eq!(names(&a), ["a", "c"]);
        assert_eq!(names(&b), ["b"]);
    }
}
