//! From the request path to the observer: each call as a note in a ring of fixed size.
//!
//! One ring per processor, chosen by thread, so that two threads with one hot token do not take turns.
//! A note is one cache line. Writing it takes one atomic step that only threads of the same ring could
//! contend for, and eight stores; it allocates nothing, takes no lock and never waits.
//!
//! **What it misses.** When a ring is full, because the observer got no processor for a while, notes
//! are dropped and counted. Two notes of one token that were written by two threads within the same
//! millisecond may be read in either order: there was none that anybody could have known.
//!
//! Why not a lock around a list: whoever is put to sleep with the lock in hand holds up the others.
//! Why not a channel: it allocates, or has one place where all threads meet.

mod note;

use std::array;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub(super) use self::note::{Note, What};

use self::note::Words;
use super::stripe;

/// Notes in one ring: 256 KiB. At a hundred thousand calls a second on one processor, with two notes
/// each, the observer may be late by 20 ms, five of its intervals.
pub(super) const RING: usize = 4_096;

/// All rings of one gateway.
pub(super) struct Journal {
    rings: Box<[Ring]>,
    dropped: AtomicU64,
}

/// What became of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It will be read.
    Noted,
    /// It will be read, and its ring is half full now: the observer should hurry.
    HalfFull,
    /// There was no room.
    Dropped,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self {
            rings: (0..stripe::count()).map(|_| Ring::new()).collect(),
            dropped: AtomicU64::new(0),
        }
    }

    pub(super) fn write(&self, note: &Note) -> Written {
        let written = match self.rings.get(stripe::own(self.rings.len())) {
            Some(ring) => ring.write(&note.words()),
            None => Written::Dropped,
        };
        if written == Written::Dropped {
            self.drop_some(1);
        }
        written
    }

    /// Reads everything that has been written, ring by ring.
    pub(super) fn read(&self, into: &mut Vec<Note>) {
        for ring in &self.rings {
            ring.read(into);
        }
    }

    /// Notes that nobody will see.
    pub(super) fn drop_some(&self, notes: u64) {
        self.dropped.fetch_add(notes, Ordering::Relaxed);
    }

    /// How many were dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Many writers, one reader at a time.
struct Ring {
    /// Places given out so far.
    claimed: Line<AtomicU64>,
    /// Places read so far.
    read: Line<AtomicU64>,
    places: Box<[Place]>,
}

/// In a cache line of its own.
#[repr(align(64))]
struct Line<T>(T);

/// One note. `turn` is written last and says for which round through the ring it holds.
#[repr(align(64))]
struct Place {
    words: [AtomicU64; 7],
    rest: AtomicU32,
    turn: AtomicU32,
}

impl Ring {
    fn new() -> Self {
        Self {
            claimed: Line(AtomicU64::new(0)),
            read: Line(AtomicU64::new(0)),
            places: (0..RING).map(|_| Place::new()).collect(),
        }
    }

    fn write(&self, note: &Words) -> Written {
        let Line(claimed) = &self.claimed;
        let mut mine = claimed.load(Ordering::Relaxed);
        let waiting = loop {
            // Acquire: what stood in the place was read before it is written again.
            let waiting = mine.saturating_sub(self.read.0.load(Ordering::Acquire));
            if waiting >= RING as u64 {
                return Written::Dropped;
            }
            match claimed.compare_exchange_weak(
                mine,
                mine + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => break waiting,
                Err(now) => mine = now,
            }
        };
        if let Some(place) = self.place(mine) {
            for (word, value) in place.words.iter().zip(note.words) {
                word.store(value, Ordering::Relaxed);
            }
            place.rest.store(note.rest, Ordering::Relaxed);
            place.turn.store(turn(mine), Ordering::Release);
        }
        if waiting == RING as u64 / 2 {
            Written::HalfFull
        } else {
            Written::Noted
        }
    }

    /// Reads up to the first place that is claimed and not written yet: its writer was interrupted,
    /// and what others wrote after it stays for the next time, in its order.
    fn read(&self, into: &mut Vec<Note>) {
        let mut next = self.read.0.load(Ordering::Relaxed);
        while let Some(place) = self.place(next) {
            if place.turn.load(Ordering::Acquire) != turn(next) {
                break;
            }
            let words = array::from_fn(|word| {
                place
                    .words
                    .get(word)
                    .map_or(0, |word| word.load(Ordering::Relaxed))
            });
            let rest = place.rest.load(Ordering::Relaxed);
            into.push(Note::of(&Words { words, rest }));
            next += 1;
        }
        self.read.0.store(next, Ordering::Release);
    }

    fn place(&self, number: u64) -> Option<&Place> {
        self.places.get((number % RING as u64) as usize)
    }
}

impl Place {
    fn new() -> Self {
        Self {
            words: array::from_fn(|_| AtomicU64::new(0)),
            rest: AtomicU32::new(0),
            turn: AtomicU32::new(0),
        }
    }
}

/// What stands in a place that was written with this number. Never what stood there the round before,
/// and not the zero of a place that was never written, until four thousand million notes later, when
/// every place was.
const fn turn(number: u64) -> u32 {
    (number as u32).wrapping_add(1)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use lanyard_drift::{Event, Millis, OperationId};

    use super::*;

    fn note(serial: u64) -> Note {
        Note {
            serial,
            at: Millis(serial),
            what: What::Call(Event::of(OperationId::of("a"))),
        }
    }

    fn read(ring: &Ring) -> Vec<u64> {
        let mut notes = Vec::new();
        ring.read(&mut notes);
        notes.iter().map(|note| note.serial).collect()
    }

    #[test]
    fn a_place_is_one_cache_line() {
        assert_eq!(size_of::<Place>(), 64);
    }

    #[test]
    fn notes_are_read_once_and_in_order_round_after_round() {
        let ring = Ring::new();
        for round in 0..5_u64 {
            let numbers: Vec<u64> = (0..3_000).map(|n| round * 3_000 + n).collect();
            for number in &numbers {
                assert_ne!(ring.write(&note(*number).words()), Written::Dropped);
            }
            assert_eq!(read(&ring), numbers);
            assert!(read(&ring).is_empty());
        }
    }

    #[test]
    fn a_full_ring_drops_what_comes_and_keeps_what_it_has() {
        let ring = Ring::new();
        let half = RING as u64 / 2;
        for number in 0..RING as u64 {
            let written = ring.write(&note(number).words());
            let expected = if number == half {
                Written::HalfFull
            } else {
                Written::Noted
            };
            assert_eq!(written, expected, "{number}");
        }
        assert_eq!(ring.write(&note(9).words()), Written::Dropped);
        assert_eq!(read(&ring), (0..RING as u64).collect::<Vec<_>>());
        assert_eq!(ring.write(&note(9).words()), Written::Noted);
        assert_eq!(read(&ring), [9]);
    }

    #[test]
    fn many_writers_lose_nothing_but_what_they_were_told() {
        const EACH: u64 = 100_000;
        let ring = Ring::new();
        let mut seen = Vec::new();
        let noted: u64 = thread::scope(|scope| {
            let writers: Vec<_> = (0..4_u64)
                .map(|writer| {
                    let ring = &ring;
                    scope.spawn(move || {
                        let noted = |n: &u64| {
                            let number = writer * EACH + n;
                            ring.write(&note(number).words()) != Written::Dropped
                        };
                        (0..EACH).filter(noted).count() as u64
                    })
                })
                .collect();
            while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
                seen.extend(read(&ring));
            }
            writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .sum()
        });
        seen.extend(read(&ring));
        assert_eq!(seen.len() as u64, noted);
        for writer in 0..4 {
            let own: Vec<u64> = seen
                .iter()
                .copied()
                .filter(|number| number / EACH == writer)
                .collect();
            assert!(own.is_sorted(), "each writer's notes keep their order");
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len() as u64, noted, "and none is read twice");
    }
}
