//! Reads records that are durable, while the writer goes on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lanyard_token::Rev;

use super::record::Mark;
use super::segments::Segment;
use crate::store::{Record, StoreError};

/// A place to start from is remembered about this often, in bytes: reading begins at the last one
/// before the wanted record, so at most this much is read for nothing.
const MARK_EVERY_BYTES: u64 = 256 << 10;

/// The segments, as far as they are durable and applied.
pub(crate) struct Reader {
    parts: Mutex<Vec<Part>>,
}

struct Part {
    segment: Segment,
    /// Behind the last record.
    end: Mark,
    marks: Vec<Mark>,
}

impl Reader {
    /// `ends` are the places behind the last records of `chain`.
    pub(crate) fn new(chain: Vec<Segment>, last: Option<Mark>) -> Self {
        let count = chain.len();
        let parts = chain.into_iter().enumerate().map(|(position, segment)| {
            let mut end = segment.start();
            if let Some(length) = segment.valid_length {
                end.offset = length;
            } else if let (Some(last), true) = (last, position + 1 == count) {
                end = last;
            }
            Part {
                marks: vec![segment.start()],
                segment,
                end,
            }
        });
        Self {
            parts: Mutex::new(parts.collect()),
        }
    }

    /// Segments were begun, and the last one now ends at `end`.
    pub(crate) fn extend(&self, begun: Vec<Segment>, end: Mark) {
        let mut parts = self.parts();
        parts.extend(begun.into_iter().map(|segment| {
            let start = segment.start();
            Part {
                segment,
                end: start,
                marks: vec![start],
            }
        }));
        if let Some(last) = parts.last_mut() {
            last.end = end;
            last.remember(end);
        }
    }

    /// Records after `after`, oldest first, at most `limit`.
    pub(crate) fn read(&self, after: Rev, limit: usize) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        let mut position = self.first_position(after);
        while records.len() < limit {
            let Some((segment, start, end)) = self.part(position, after) else {
                break;
            };
            let mut marks = Vec::new();
            self.read_segment(
                &segment,
                start,
                &end,
                after,
                limit,
                &mut records,
                &mut marks,
            )?;
            self.remember(position, &marks);
            position += 1;
        }
        Ok(records)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the inner loop of `read`, cut out to be readable"
    )]
    fn read_segment(
        &self,
        segment: &Segment,
        start: Mark,
        end: &Mark,
        after: Rev,
        limit: usize,
        records: &mut Vec<Record>,
        marks: &mut Vec<Mark>,
    ) -> Result<(), StoreError> {
        let Some(seal) = &segment.seal else {
            return Ok(());
        };
        let mut cursor = segment.cursor(start, end.offset)?;
        while records.len() < limit {
            let offset = cursor.mark().offset;
            let next = cursor
                .next()
                .map_err(|fault| segment.damaged(offset, &fault.to_string()))?;
            let Some(entry) = next else { break };
            marks.push(*cursor.mark());
            if entry.rev > after {
                records.push(
                    entry
                        .open(seal)
                        .map_err(|reason| segment.damaged(offset, reason))?,
                );
            }
        }
        Ok(())
    }

    fn first_position(&self, after: Rev) -> usize {
        let parts = self.parts();
        parts
            .partition_point(|part| part.segment.header.start() <= after)
            .saturating_sub(1)
    }

    fn part(&self, position: usize, after: Rev) -> Option<(Segment, Mark, Mark)> {
        let parts = self.parts();
        let part = parts.get(position)?;
        let known = part
            .marks
            .partition_point(|mark| mark.rev <= after)
            .saturating_sub(1);
        let start = part
            .marks
            .get(known)
            .copied()
            .unwrap_or(part.segment.start());
        Some((part.segment.clone(), start, part.end))
    }

    fn remember(&self, position: usize, marks: &[Mark]) {
        if let Some(part) = self.parts().get_mut(position) {
            for mark in marks {
                part.remember(*mark);
            }
        }
    }

    fn parts(&self) -> MutexGuard<'_, Vec<Part>> {
        // Whole entries are pushed, so a panic elsewhere leaves them readable.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    fn remember(&mut self, mark: Mark) {
        if self
            .marks
            .last()
            .is_none_or(|last| mark.offset >= last.offset.saturating_add(MARK_EVERY_BYTES))
        {
            self.marks.push(mark);
        }
    }
}
