//! When to make which key: a pure function, so that a year of rotations is a test of milliseconds.

use lanyard_token::Algorithm;

use super::{algorithm_for, in_force};
use crate::clock::UnixMillis;
use crate::store::event::{KeyUse, SigningKey};

/// How long a key signs: a day.
pub(super) const SIGNS_MILLIS: u64 = 24 * HOUR;
/// How long a key is published before it signs, at least: twice the JWKS max-age.
const PUBLISHED_MILLIS: u64 = 20 * 60_000;
/// How long before the last key's end its successor is made. Much longer than it is published for,
/// so that a broker that was down for an hour still keeps to the overlap.
const AHEAD_MILLIS: u64 = 3 * HOUR;
const HOUR: u64 = 3_600_000;

/// One key to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addition {
    /// What it will sign.
    pub key_use: KeyUse,
    /// How.
    pub algorithm: Algorithm,
    /// From when on.
    pub signs_from: UnixMillis,
}

/// The keys to make now, so that one of each use always signs and every new one is known in time.
///
/// `keys` are the ones that are believed, `mint` is the algorithm tokens should be signed with. With
/// no key in force there is nobody to wait for: the new one signs at once.
pub fn plan(keys: &[SigningKey], mint: Algorithm, now: UnixMillis) -> Vec<Addition> {
    [KeyUse::Mint, KeyUse::Feed]
        .into_iter()
        .filter_map(|key_use| {
            let algorithm = algorithm_for(key_use, mint);
            let signs_from = next_start(keys, key_use, algorithm, now)?;
            Some(Addition {
                key_use,
                algorithm,
                signs_from,
            })
        })
        .collect()
}

fn next_start(
    keys: &[SigningKey],
    key_use: KeyUse,
    algorithm: Algorithm,
    now: UnixMillis,
) -> Option<UnixMillis> {
    if in_force(keys.iter(), key_use, now).is_none() {
        return Some(now);
    }
    let known_in_time = now.plus_millis(PUBLISHED_MILLIS);
    let fitting = keys
        .iter()
        .filter(|key| key.key_use == key_use && key.algorithm == algorithm);
    match fitting.map(|key| key.signs_until).max() {
        // The operator chose another algorithm.
        None => Some(known_in_time),
        Some(end) if end <= now.plus_millis(AHEAD_MILLIS) => Some(end.max(known_in_time)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use lanyard_token::KeyId;

    use super::*;

    const START: UnixMillis = UnixMillis(1_700_000_000_000);

    fn made(addition: Addition, number: usize) -> SigningKey {
        let mut name = format!("{number:042}");
        name.push('A');
        let key: KeyId = name.parse().unwrap();
        let signs_until = addition.signs_from.plus_millis(SIGNS_MILLIS);
        SigningKey {
            key,
            key_use: addition.key_use,
            algorithm: addition.algorithm,
            sealed: String::new(),
            delegation: String::new(),
            signs_from: addition.signs_from,
            signs_until,
            verifies_until: signs_until.plus_millis(3_660_000),
        }
    }

    #[test]
    fn the_first_keys_sign_at_once() {
        let additions = plan(&[], Algorithm::Es256, START);
        assert_eq!(additions.len(), 2);
        assert!(
            additions
                .iter()
                .all(|addition| addition.signs_from == START)
        );
        assert_eq!(
            additions[1].algorithm,
            Algorithm::EdDsa,
            "feed messages are Ed25519"
        );
    }

    #[test]
    fn for_a_month_one_key_always_signs_and_each_is_known_before() {
        let mut keys: Vec<SigningKey> = Vec::new();
        let mut now = START;
        let mut total = 0;
        while now < START.plus_millis(30 * SIGNS_MILLIS) {
            for addition in plan(&keys, Algorithm::Es256, now) {
                if total >= 2 {
                    assert!(addition.signs_from.millis_since(now) >= PUBLISHED_MILLIS);
                }
                keys.push(made(addition, total));
                total += 1;
            }
            for key_use in [KeyUse::Mint, KeyUse::Feed] {
                assert!(in_force(keys.iter(), key_use, now).is_some());
                assert!(keys.iter().filter(|key| key.key_use == key_use).count() <= 3);
            }
            keys.retain(|key| key.verifies_until > now);
            now = now.plus_millis(60_000);
        }
        assert!((60..=64).contains(&total), "{total} keys in 30 days");
    }

    #[test]
    fn another_algorithm_takes_over_after_it_was_published() {
        let keys: Vec<SigningKey> = plan(&[], Algorithm::Es256, START)
            .into_iter()
            .enumerate()
            .map(|(n, a)| made(a, n))
            .collect();
        let additions = plan(&keys, Algorithm::EdDsa, START.plus_millis(HOUR));
        assert_eq!(additions.len(), 1);
        let mut both = keys.clone();
        both.push(made(additions[0], 9));
        let signer = |after| {
            in_force(both.iter(), KeyUse::Mint, START.plus_millis(after))
                .unwrap()
                .algorithm
        };
        assert_eq!(signer(HOUR), Algorithm::Es256);
        assert_eq!(signer(HOUR + PUBLISHED_MILLIS), Algorithm::EdDsa);
        assert!(plan(&both, Algorithm::EdDsa, START.plus_millis(HOUR + 1)).is_empty());
    }

    #[test]
    fn a_broker_that_slept_too_long_signs_again_at_once() {
        let keys: Vec<SigningKey> = plan(&[], Algorithm::Es256, START)
            .into_iter()
            .enumerate()
            .map(|(n, a)| made(a, n))
            .collect();
        let later = START.plus_millis(5 * SIGNS_MILLIS);
        assert!(
            plan(&keys, Algorithm::Es256, later)
                .iter()
                .all(|addition| addition.signs_from == later)
        );
    }
}
