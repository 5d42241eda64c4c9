//! What a client calls itself, as a hash, without hashing it each time.
//!
//! The hash is the same everywhere and for ever, and takes a multiplication a byte, one after the other: a
//! browser's name of a hundred bytes would cost as much as all the rest of a check. A thread serves the same
//! few clients again and again, so it remembers the names it saw last, and compares.
//!
//! Bounded and without allocation: few places of fixed size; a longer name is hashed each time.

use std::cell::RefCell;

use lanyard_drift::stable_hash;

/// Names remembered by each thread.
const PLACES: usize = 8;
/// The longest name that is remembered: browsers' are 100 to 130 bytes.
const LONGEST: usize = 144;

#[derive(Clone, Copy)]
struct Place {
    name: [u8; LONGEST],
    length: usize,
    hash: u64,
}

/// The hash of this name.
pub(super) fn hash(name: &str) -> u64 {
    thread_local! {
        static SEEN: RefCell<[Place; PLACES]> = const { RefCell::new([Place::EMPTY; PLACES]) };
    }
    let name = name.as_bytes();
    if name.is_empty() || name.len() > LONGEST {
        return stable_hash(name);
    }
    // A thread that is ending has no places any more.
    let remembered = SEEN.try_with(|seen| {
        let mut seen = seen.try_borrow_mut().ok()?;
        let place = seen.get_mut(index(name))?;
        if place.name.get(..place.length) != Some(name) {
            place.length = name.len();
            place.name.get_mut(..name.len())?.copy_from_slice(name);
            place.hash = stable_hash(name);
        }
        Some(place.hash)
    });
    remembered
        .ok()
        .flatten()
        .unwrap_or_else(|| stable_hash(name))
}

/// Names differ in their length and at their end, where versions stand.
fn index(name: &[u8]) -> usize {
    let last = name.last().map_or(0, |byte| usize::from(*byte));
    (name.len() * 7 + last) % PLACES
}

impl Place {
    const EMPTY: Self = Self {
        name: [0; LONGEST],
        length: 0,
        hash: 0,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_its_own_hash_whatever_was_seen_before_it() {
        let names = (0..300).map(|n| format!("client/{n} {}", "x".repeat(n % 150)));
        let names: Vec<String> = names.chain([String::new(), "é".repeat(70)]).collect();
        for name in names.iter().chain(&names).chain(names.iter().rev()) {
            assert_eq!(hash(name), stable_hash(name.as_bytes()), "{name}");
            assert_eq!(hash(name), stable_hash(name.as_bytes()), "{name} again");
        }
    }
}
