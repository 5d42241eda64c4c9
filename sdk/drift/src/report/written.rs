//! A report on the wire: the compact form, which gateways send.
//!
//! Everything is exact, nothing is rounded: what is read is the report that was written, as long as that is
//! within [`MOST_BYTES`]; see [`TokenReport::to_bytes`] for what is cut of a longer one. What is not there
//! takes a bit; what follows from the blocks (the counts of a token that made few calls) is not said again.
//!
//! **Read strictly.** Whoever reads does not trust whoever wrote: another version, a number longer than it
//! need be, something out of order or twice, something after the end, and counts that do not add up are
//! refused, each in words. There is one way to write a report, so whatever is read would be written again
//! with the same bytes.

use super::TokenReport;
use super::legend::Legend;
use crate::block::Sample;
use crate::event::{Millis, OperationId};
use crate::habits::{OBJECTS, ORIGINS, ObjectHabit, ObjectUse, Origin, Sequence, TRANSITIONS};
use crate::rate::Rate;
use crate::rhythm::{Pauses, ResponseMix};
use crate::signal::HardRule;
use crate::sketch::Sketch;
use crate::table::{Table, Value};
use crate::version::Version;
use crate::wire::{Reader, Unreadable, Writer};

/// The longest report, in bytes. One of a simulated service, integration or agent takes 69 in the middle and
/// at most 136 in ninety-nine of a hundred cases; a whole window of a hundred calls of a person, in their
/// order, 240 and 350; six hundred calls in a minute some 600. A bound of 256 would cut every second window of a
/// person, and was measured to lose most of what such a window tells: docs/drift.md has the figures.
pub(crate) const MOST_BYTES: usize = 1_024;
/// Version of the compact form.
const VERSION: u8 = 1;
const HASH_BITS: u32 = 64;
const RULE_BITS: u32 = 3;

impl TokenReport {
    /// Reads the compact form, and nothing else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        if bytes.len() > MOST_BYTES {
            return Err(Unreadable::TooMany("bytes"));
        }
        let mut from = Reader::new(bytes);
        match from.bits(u8::BITS)? as u8 {
            VERSION => {}
            other => return Err(Unreadable::Version(other)),
        }
        let report = Self::read(&mut from)?;
        from.end()?;
        report.adds_up()?;
        if report.written() == bytes {
            Ok(report)
        } else {
            Err(Unreadable::Otherwise)
        }
    }

    /// The compact form, as long as it comes.
    pub(super) fn written(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.bits(u64::from(VERSION), u8::BITS);
        self.write(&mut to);
        to.finish()
    }

    fn write(&self, to: &mut Writer) {
        // A member that is added and not written does not compile.
        let Self {
            version: Version,
            first,
            last,
            calls,
            sequence,
            blocks,
            objects,
            origins,
            returns,
            destinations,
            responses,
            measured,
            request_bytes,
            response_bytes,
            call_rate,
            byte_rate,
            pauses,
            task_violations,
            bound_violations,
            hard_rule,
            alarm,
        } = self;
        let Sequence {
            operations,
            transitions,
        } = sequence;
        let legend = Legend::of(self);
        to.flag(first <= last);
        if first <= last {
            to.large(first.0);
            to.number(last.0 - first.0);
        }
        to.number(*calls);
        legend.write(to);
        blocks.write(&legend, to);
        let implied = *sequence == Sequence::of(blocks);
        optional(to, !implied, |to| {
            for operation in legend.operations() {
                to.number(u64::from(operations.get(operation).copied().unwrap_or(0)));
            }
            write_transitions(transitions, &legend, to);
        });
        write_objects(objects, &legend, to);
        write_origins(origins, to);
        to.number(destinations.len() as u64);
        for (destination, count) in destinations.entries() {
            to.bits(*destination, HASH_BITS);
            to.number(u64::from(*count));
        }
        let overflow = [
            operations.overflow(),
            transitions.overflow(),
            objects.overflow(),
            origins.overflow(),
            destinations.overflow(),
        ];
        optional(to, overflow.iter().any(|overflow| *overflow > 0), |to| {
            for overflow in overflow {
                to.number(overflow);
            }
        });
        optional(to, *responses != ResponseMix::default(), |to| {
            responses.write(to)
        });
        optional(to, *measured > 0, |to| {
            to.number(*measured);
            to.number(*request_bytes);
            to.number(*response_bytes);
        });
        for rate in [call_rate, byte_rate] {
            optional(to, *rate != Rate::default(), |to| rate.write(to));
        }
        optional(to, *pauses != Pauses::default(), |to| pauses.write(to));
        let violations = [*task_violations, *bound_violations];
        optional(to, violations != [0, 0] || hard_rule.is_some(), |to| {
            for count in violations {
                to.number(count);
            }
            optional(to, hard_rule.is_some(), |to| {
                write_rule(hard_rule.unwrap_or(HardRule::TaskCalls), &legend, to);
            });
        });
        for count in [*alarm, *returns] {
            optional(to, count > 0, |to| to.number(u64::from(count)));
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let mut report = Self::empty();
        if from.flag()? {
            report.first = Millis(from.large()?);
            report.last = Millis(
                report
                    .first
                    .0
                    .checked_add(from.number()?)
                    .ok_or(Unreadable::Overlong)?,
            );
        }
        report.calls = from.number()?;
        let legend = Legend::read(from)?;
        report.blocks = Sample::read(&legend, from)?;
        let counted = if from.flag()? {
            Some(read_counts(&legend, from)?)
        } else {
            None
        };
        let objects = read_objects(&legend, from)?;
        let origins = read_origins(from)?;
        let mut destinations = Vec::new();
        for _ in 0..from.count(ORIGINS, "destinations")? {
            destinations.push((from.bits(HASH_BITS)?, positive(from)?));
        }
        let mut overflow = [0; 5];
        if from.flag()? {
            for one in &mut overflow {
                *one = from.number()?;
            }
        }
        let [
            of_operations,
            of_transitions,
            of_objects,
            of_origins,
            of_destinations,
        ] = overflow;
        report.sequence = match counted {
            Some((operations, transitions)) => Sequence {
                operations: table(&operations, of_operations, "operations")?,
                transitions: table(&transitions, of_transitions, "transitions")?,
            },
            None => Sequence::of(&report.blocks),
        };
        report.objects = table(&objects, of_objects, "operations with objects")?;
        report.origins = table(&origins, of_origins, "origins")?;
        report.destinations = table(&destinations, of_destinations, "destinations")?;
        if from.flag()? {
            report.responses = ResponseMix::read(from)?;
        }
        if from.flag()? {
            report.measured = from.number()?;
            report.request_bytes = from.number()?;
            report.response_bytes = from.number()?;
        }
        for rate in [&mut report.call_rate, &mut report.byte_rate] {
            if from.flag()? {
                *rate = Rate::read(from)?;
            }
        }
        if from.flag()? {
            report.pauses = Pauses::read(from)?;
        }
        if from.flag()? {
            report.task_violations = from.number()?;
            report.bound_violations = from.number()?;
            if from.flag()? {
                report.hard_rule = Some(read_rule(&legend, from)?);
            }
        }
        for count in [&mut report.alarm, &mut report.returns] {
            if from.flag()? {
                *count = positive(from)?;
            }
        }
        Ok(report)
    }
}

/// A bit that says whether something is there, and then the thing.
fn optional(to: &mut Writer, there: bool, write: impl FnOnce(&mut Writer)) {
    to.flag(there);
    if there {
        write(to);
    }
}

/// A count of something that is there.
fn positive(from: &mut Reader<'_>) -> Result<u32, Unreadable> {
    match from.small()? {
        0 => Err(Unreadable::Impossible("a count of nothing")),
        count => Ok(count),
    }
}

fn table<K: Copy + Ord + Default, V: Value, const N: usize>(
    entries: &[(K, V)],
    overflow: u64,
    what: &'static str,
) -> Result<Table<K, V, N>, Unreadable> {
    if entries.len() > N {
        return Err(Unreadable::TooMany(what));
    }
    if !entries.is_sorted_by(|(left, _), (right, _)| left < right) {
        return Err(Unreadable::Disorder(what));
    }
    Ok(Table::holding(entries, overflow))
}

/// As steps from one to the next, in the square of all places: most take half a byte.
fn write_transitions<const N: usize>(
    transitions: &Table<(OperationId, OperationId), u32, N>,
    legend: &Legend,
    to: &mut Writer,
) {
    to.number(transitions.len() as u64);
    let mut next = 0;
    for ((before, after), count) in transitions.entries() {
        let square = legend.place(*before) * legend.places() + legend.place(*after);
        to.number(square - next);
        to.number(u64::from(*count));
        next = square + 1;
    }
}

/// Operations and transitions, each with its count.
type Counts = (Vec<(OperationId, u32)>, Vec<Transition>);

fn read_counts(legend: &Legend, from: &mut Reader<'_>) -> Result<Counts, Unreadable> {
    let mut operations = Vec::new();
    for operation in legend.operations() {
        operations.push((operation, from.small()?));
    }
    operations.retain(|(_, count)| *count > 0);
    Ok((operations, read_transitions(legend, from)?))
}

type Transition = ((OperationId, OperationId), u32);

fn read_transitions(legend: &Legend, from: &mut Reader<'_>) -> Result<Vec<Transition>, Unreadable> {
    let count = from.count(TRANSITIONS, "transitions")?;
    let mut transitions = Vec::with_capacity(count);
    let mut next: u64 = 0;
    for _ in 0..count {
        let square = next
            .checked_add(from.number()?)
            .ok_or(Unreadable::Overlong)?;
        let before = legend.at(square / legend.places())?;
        let after = legend.at(square % legend.places())?;
        transitions.push(((before, after), positive(from)?));
        next = square + 1;
    }
    Ok(transitions)
}

fn write_objects<const N: usize>(
    objects: &Table<OperationId, ObjectUse, N>,
    legend: &Legend,
    to: &mut Writer,
) {
    to.number(objects.len() as u64);
    for (operation, used) in objects.entries() {
        legend.write_place(*operation, to);
        let ObjectUse { habit, objects } = used;
        to.number(u64::from(habit.calls));
        to.number(u64::from(habit.longest_run));
        habit.distinct.write(to);
        objects.write(to);
    }
}

fn read_objects(
    legend: &Legend,
    from: &mut Reader<'_>,
) -> Result<Vec<(OperationId, ObjectUse)>, Unreadable> {
    let count = from.count(OBJECTS, "operations with objects")?;
    let mut objects = Vec::with_capacity(count);
    for _ in 0..count {
        let operation = legend.read_place(from)?;
        let habit = ObjectHabit {
            calls: positive(from)?,
            longest_run: from.small()?,
            distinct: Rate::read(from)?,
        };
        let seen = Sketch::read(from)?;
        objects.push((
            operation,
            ObjectUse {
                habit,
                objects: seen,
            },
        ));
    }
    Ok(objects)
}

fn write_origins<const N: usize>(origins: &Table<Origin, u32, N>, to: &mut Writer) {
    to.number(origins.len() as u64);
    for (origin, count) in origins.entries() {
        for hash in [origin.source, origin.client] {
            optional(to, hash.is_some(), |to| {
                to.bits(hash.unwrap_or_default(), HASH_BITS);
            });
        }
        to.number(u64::from(*count));
    }
}

fn read_origins(from: &mut Reader<'_>) -> Result<Vec<(Origin, u32)>, Unreadable> {
    let count = from.count(ORIGINS, "origins")?;
    let mut origins = Vec::with_capacity(count);
    for _ in 0..count {
        let mut hash = || -> Result<Option<u64>, Unreadable> {
            Ok(if from.flag()? {
                Some(from.bits(HASH_BITS)?)
            } else {
                None
            })
        };
        let origin = Origin {
            source: hash()?,
            client: hash()?,
        };
        origins.push((origin, positive(from)?));
    }
    Ok(origins)
}

fn write_rule(rule: HardRule, legend: &Legend, to: &mut Writer) {
    let (kind, numbers) = match rule {
        HardRule::TaskCalls => (0, None),
        HardRule::EnumerationDistinct {
            observed, bound, ..
        } => (1, Some((observed, bound))),
        HardRule::EnumerationRun {
            observed, bound, ..
        } => (2, Some((observed, bound))),
        HardRule::TaskOperation { .. } => (3, None),
        HardRule::TaskDestination { .. } => (4, None),
    };
    to.bits(kind, RULE_BITS);
    if let Some((observed, bound)) = numbers {
        to.number(u64::from(observed));
        to.number(u64::from(bound));
    }
    if let Some(operation) = rule.operation() {
        legend.write_place(operation, to);
    }
}

fn read_rule(legend: &Legend, from: &mut Reader<'_>) -> Result<HardRule, Unreadable> {
    Ok(match from.bits(RULE_BITS)? {
        0 => HardRule::TaskCalls,
        kind @ (1 | 2) => {
            let (observed, bound) = (from.small()?, from.small()?);
            let operation = legend.read_place(from)?;
            if kind == 1 {
                HardRule::EnumerationDistinct {
                    observed,
                    bound,
                    operation,
                }
            } else {
                HardRule::EnumerationRun {
                    observed,
                    bound,
                    operation,
                }
            }
        }
        3 => HardRule::TaskOperation {
            operation: legend.read_place(from)?,
        },
        4 => HardRule::TaskDestination {
            operation: legend.read_place(from)?,
        },
        _ => return Err(Unreadable::Impossible("a rule that does not exist")),
    })
}
