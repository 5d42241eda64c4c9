//! API keys: `lyk_`, 30 base62 characters (178 bits), 6 base62 characters of CRC-32.
//!
//! The form catches junk before it costs anything: a secret scanner recognises the prefix, the
//! checksum refuses what was guessed, cut or mistyped without a hash and without a look-up. It
//! proves nothing; the keyed hash does. A password hash would prove no more, since 178 random bits
//! cannot be guessed, and would hand out a lever for keeping the broker busy.

use std::sync::atomic::{AtomicU64, Ordering};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::crypto::{self, CryptoError, Pepper};
use crate::store::event::KeyHash;

/// What every key begins with.
const PREFIX: &str = "lyk_";
/// Random characters: log2(62^30) is 178 bits.
const RANDOM: usize = 30;
/// Characters of the checksum: 62^6 is above 2^32.
const CHECKSUM: usize = 6;
/// The whole key, in bytes.
const LENGTH: usize = PREFIX.len() + RANDOM + CHECKSUM;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// An API key of the right form. Shown once, when it is made; never stored.
pub struct ApiKey(Zeroizing<String>);

impl ApiKey {
    /// A new key.
    pub fn generate() -> Result<Self, CryptoError> {
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        text.push_str(PREFIX);
        while text.len() < PREFIX.len() + RANDOM {
            for byte in *Zeroizing::new(crypto::random::<64>()?) {
                // 248 is the largest multiple of 62 in a byte: what is above would make the first
                // eight characters likelier.
                if byte < 248 && text.len() < PREFIX.len() + RANDOM {
                    text.push(digit(u32::from(byte)));
                }
            }
        }
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Ok(Self(text))
    }

    /// Reads a key; `None` when its form or its checksum is wrong. No hash, no look-up.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH || !text.starts_with(PREFIX) {
            return None;
        }
        let (body, sum) = text.split_at_checked(PREFIX.len() + RANDOM)?;
        let random = body.get(PREFIX.len()..)?;
        if !random.bytes().all(|byte| byte.is_ascii_alphanumeric()) || checksum(body) != sum {
            return None;
        }
        Some(Self(Zeroizing::new(text.to_owned())))
    }

    /// Whether a text claims to be an API key, so that it is told apart from a token.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// The key itself: for the one answer that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

fn digit(number: u32) -> char {
    BASE62
        .get((number % 62) as usize)
        .map_or('0', |byte| char::from(*byte))
}

fn checksum(body: &str) -> String {
    let sum = crc32fast::hash(body.as_bytes());
    (0..CHECKSUM as u32)
        .rev()
        .map(|place| digit(u32::try_from(u64::from(sum) / 62_u64.pow(place) % 62).unwrap_or(0)))
        .collect()
}

/// Hashes keys under the pepper, and counts how often: junk must not move the count.
pub struct KeyHasher {
    pepper: Pepper,
    hashed: AtomicU64,
}

impl KeyHasher {
    /// Under this pepper.
    pub const fn new(pepper: Pepper) -> Self {
        Self {
            pepper,
            hashed: AtomicU64::new(0),
        }
    }

    /// The hash the log keeps.
    pub fn hash(&self, key: &ApiKey) -> KeyHash {
        self.hashed.fetch_add(1, Ordering::Relaxed);
        KeyHash(self.pepper.hash(key.expose()))
    }

    /// How many keys were hashed since the start.
    pub fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }
}

/// Where a hash is looked up: its first eight bytes, which say nothing about the key.
pub fn index(hash: &KeyHash) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = hash.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Whether two hashes are the same, in the same time wherever they differ.
pub fn same(one: &KeyHash, other: &KeyHash) -> bool {
    bool::from(one.0[..].ct_eq(&other.0[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_has_the_form_and_reads_back() {
        let key = ApiKey::generate().unwrap();
        assert_eq!(key.expose().len(), 40);
        assert!(key.expose().starts_with("lyk_"));
        assert_eq!(ApiKey::parse(key.expose()).unwrap().expose(), key.expose());
        assert_ne!(ApiKey::generate().unwrap().expose(), key.expose());
    }

    #[test]
    fn the_checksum_notices_every_changed_character() {
        let key = ApiKey::generate().unwrap();
        for at in 0..key.expose().len() {
            for other in *b"0Zz_\0" {
                let mut changed = key.expose().as_bytes().to_vec();
                if changed[at] == other {
                    continue;
                }
                changed[at] = other;
                let changed = String::from_utf8(changed).unwrap();
                assert!(ApiKey::parse(&changed).is_none(), "{at}");
            }
        }
    }

    #[test]
    fn other_lengths_prefixes_and_letters_are_no_key() {
        let key = ApiKey::generate().unwrap();
        let text = key.expose();
        let foreign = format!("lyk_{}", "é".repeat(18));
        for bad in [
            "",
            "lyk_",
            &text[..39],
            &format!("{text}0"),
            &text.replace("lyk_", "lyK_"),
            foreign.as_str(),
        ] {
            assert!(ApiKey::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_alphabet_is_used_evenly() {
        let mut counts = std::collections::HashMap::<char, u32>::new();
        for _ in 0..2_000 {
            for letter in ApiKey::generate().unwrap().expose()[4..34].chars() {
                *counts.entry(letter).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), 62);
        // 60,000 draws over 62 letters: 968 each; five standard deviations are 154.
        assert!(
            counts.values().all(|count| (814..1_122).contains(count)),
            "{counts:?}"
        );
    }
}
