//! One call, or what came of one, in the words that a ring holds.

use lanyard_drift::{Event, Millis, Object, OperationId, Outcome, TaskFit};

/// What a token did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Which token, by the number the gateway gave it.
    pub(crate) serial: u64,
    pub(crate) at: Millis,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Call(Event),
    Outcome(Outcome),
}

/// A note as it stands in a place of a ring: with the turn it is one cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) words: [u64; 7],
    pub(super) rest: u32,
}

/// Low bits of the word of the time: which of the other words mean something, and how the task fits.
const MARKS: u32 = 16;
/// Times are milliseconds: 48 bits last for nine thousand years. Later ones are the latest.
const LATEST: u64 = (1 << (64 - MARKS)) - 1;
const OUTCOME: u64 = 1;
const FIRST: u64 = 1 << 1;
const SECOND: u64 = 1 << 2;
const THIRD: u64 = 1 << 3;
const FOURTH: u64 = 1 << 4;
const FIFTH: u64 = 1 << 5;
/// From this bit on, the fit with the task.
const TASK: u32 = 6;

impl Note {
    pub(super) fn words(&self) -> Words {
        let mut marks = 0;
        let mut given = |value: Option<u64>, mark: u64| {
            marks |= if value.is_some() { mark } else { 0 };
            value.unwrap_or(0)
        };
        let (facts, rest) = match &self.what {
            What::Call(event) => {
                let number = event.object.and_then(|object| object.number);
                let facts = [
                    given(event.object.map(|object| object.hash), FIRST),
                    given(number, SECOND),
                    given(event.source, THIRD),
                    given(event.client, FOURTH),
                    given(event.destination, FIFTH),
                ];
                marks |= fit_number(event.task) << TASK;
                (facts, event.operation.get())
            }
            What::Outcome(outcome) => {
                let facts = [
                    given(outcome.status.map(u64::from), FIRST),
                    given(outcome.request_bytes, SECOND),
                    given(outcome.response_bytes, THIRD),
                    0,
                    0,
                ];
                marks |= OUTCOME;
                (facts, 0)
            }
        };
        let [a, b, c, d, e] = facts;
        let at = self.at.0.min(LATEST) << MARKS | marks;
        Words {
            words: [self.serial, at, a, b, c, d, e],
            rest,
        }
    }

    pub(super) fn of(stored: &Words) -> Self {
        let [serial, at, a, b, c, d, e] = stored.words;
        let marked = |value: u64, mark: u64| (at & mark != 0).then_some(value);
        let what = if at & OUTCOME == 0 {
            What::Call(Event {
                operation: OperationId::numbered(stored.rest),
                object: marked(a, FIRST).map(|hash| Object {
                    hash,
                    number: marked(b, SECOND),
                }),
                source: marked(c, THIRD),
                client: marked(d, FOURTH),
                destination: marked(e, FIFTH),
                task: fit(at >> TASK & 7),
            })
        } else {
            What::Outcome(Outcome {
                status: marked(a, FIRST).and_then(|status| u16::try_from(status).ok()),
                request_bytes: marked(b, SECOND),
                response_bytes: marked(c, THIRD),
            })
        };
        Self {
            serial,
            at: Millis(at >> MARKS),
            what,
        }
    }
}

const fn fit_number(fit: Option<TaskFit>) -> u64 {
    match fit {
        None => 0,
        Some(TaskFit::Inside) => 1,
        Some(TaskFit::OutsideOperation) => 2,
        Some(TaskFit::OutsideDestination) => 3,
        Some(TaskFit::CallsSpent) => 4,
    }
}

const fn fit(number: u64) -> Option<TaskFit> {
    match number {
        1 => Some(TaskFit::Inside),
        2 => Some(TaskFit::OutsideOperation),
        3 => Some(TaskFit::OutsideDestination),
        4 => Some(TaskFit::CallsSpent),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fact() -> impl Strategy<Value = Option<u64>> {
        proptest::option::of(any::<u64>())
    }

    fn event() -> impl Strategy<Value = Event> {
        let object = proptest::option::of((any::<u64>(), fact()));
        let task = (0..5_u64).prop_map(fit);
        (any::<u32>(), object, fact(), fact(), fact(), task).prop_map(
            |(operation, object, source, client, destination, task)| Event {
                operation: OperationId::numbered(operation),
                object: object.map(|(hash, number)| Object { hash, number }),
                source,
                client,
                destination,
                task,
            },
        )
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        let status = proptest::option::of(any::<u16>());
        (status, fact(), fact()).prop_map(|(status, request_bytes, response_bytes)| Outcome {
            status,
            request_bytes,
            response_bytes,
        })
    }

    proptest! {
        #[test]
        fn a_note_comes_out_of_its_words_as_it_went_in(
            serial in any::<u64>(),
            at in 0..=LATEST,
            what in prop_oneof![event().prop_map(What::Call), outcome().prop_map(What::Outcome)],
        ) {
            let note = Note { serial, at: Millis(at), what };
            prop_assert_eq!(Note::of(&note.words()), note);
        }
    }

    #[test]
    fn a_time_beyond_all_times_is_the_latest_and_harms_no_other_word() {
        let note = Note {
            serial: 7,
            at: Millis(u64::MAX),
            what: What::Call(Event::of(OperationId::of("a"))),
        };
        let read = Note::of(&note.words());
        assert_eq!((read.serial, read.at), (7, Millis(LATEST)));
        assert_eq!(read.what, note.what);
    }
}
