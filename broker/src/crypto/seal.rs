//! Sealing under data keys: single records, numbered sequences, and what is derived from the first key.

use std::collections::BTreeMap;
use std::path::Path;

use ring::{aead, hkdf, hmac};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{CryptoError, DataKey, HeldKey, Mac, Pepper, random};

/// The number of a data key. Zero is the sealing key itself: what it sealed before there were data keys.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct DataKeyId(pub u32);

impl std::fmt::Display for DataKeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The opened data keys: everything stored is sealed under the newest, and opens under its own.
pub struct SealingRoot {
    keys: BTreeMap<DataKeyId, hkdf::Prk>,
    newest: DataKeyId,
    /// Of the first data key, for as long as the installation lives: pepper and MACs hang on it.
    first: hkdf::Prk,
    /// Sealing keys, this one and those before: what was sealed straight under one of them, such as the
    /// file of the trust root, opens.
    straight: Vec<hkdf::Prk>,
}

/// A record sealed under data key 0.
const FIRST_FORM: u8 = 1;
/// A record sealed under the data key whose number follows.
const NUMBERED_FORM: u8 = 2;

impl SealingRoot {
    /// A key file alone, without data keys: as installations were before, and as the file of a trust
    /// root is sealed.
    pub fn from_file(path: &Path) -> Result<Self, CryptoError> {
        Ok(HeldKey::from_file(path)?.alone())
    }

    /// Makes a new key file (0400); refuses to overwrite one.
    pub fn generate(path: &Path) -> Result<Self, CryptoError> {
        Ok(HeldKey::generate(path)?.alone())
    }

    /// From the bytes of a sealing key alone.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let key = extract(bytes);
        Self {
            keys: BTreeMap::from([(DataKeyId(0), key.clone())]),
            newest: DataKeyId(0),
            first: key.clone(),
            straight: vec![key],
        }
    }

    /// From opened data keys; `straight` are sealing keys that things were sealed under without one.
    pub(super) fn from_keys(
        keys: &BTreeMap<DataKeyId, DataKey>,
        newest: DataKeyId,
        straight: &[&DataKey],
    ) -> Option<Self> {
        let (_, first) = keys.first_key_value()?;
        keys.contains_key(&newest).then(|| Self {
            newest,
            first: extract(first.bytes()),
            straight: straight.iter().map(|key| extract(key.bytes())).collect(),
            keys: keys
                .iter()
                .map(|(number, key)| (*number, extract(key.bytes())))
                .collect(),
        })
    }

    /// The data key that new things are sealed under.
    pub const fn newest(&self) -> DataKeyId {
        self.newest
    }

    /// The pepper under which API keys are hashed.
    pub fn pepper(&self) -> Result<Pepper, CryptoError> {
        let bytes = expand(&self.first, &[b"pepper v1"])?;
        Ok(Pepper(hmac::Key::new(hmac::HMAC_SHA256, &*bytes)))
    }

    /// A key that authenticates things kept open, such as the rows of the index.
    pub fn mac(&self, purpose: &'static str, place: &[u8]) -> Result<Mac, CryptoError> {
        let bytes = expand(&self.first, &[b"mac v1", purpose.as_bytes(), place])?;
        Ok(Mac(hmac::Key::new(hmac::HMAC_SHA256, &*bytes)))
    }

    /// The key of one numbered sequence of messages, such as a segment of the log. `salt` must be
    /// fresh for each sequence: the same numbers are used again in the next one.
    pub fn sequence(
        &self,
        purpose: &'static str,
        salt: &[u8; 32],
    ) -> Result<SequenceSeal, CryptoError> {
        sequence(self.newest_key()?, purpose, salt)
    }

    /// The keys that a sequence with this salt can have been begun under, the likeliest first. Its first
    /// message tells which; there are as many as data keys, a handful.
    pub fn sequences(
        &self,
        purpose: &'static str,
        salt: &[u8; 32],
    ) -> impl Iterator<Item = Result<SequenceSeal, CryptoError>> {
        self.keys
            .values()
            .rev()
            .map(move |key| sequence(key, purpose, salt))
    }

    /// Seals one message under a key of its own:
    /// `2 ‖ data key 4 ‖ salt 32 ‖ commitment 32 ‖ ciphertext ‖ tag 16`, or `1 ‖ salt …` under data key 0.
    /// `place` is authenticated, so a sealed thing cannot be moved.
    pub fn seal(
        &self,
        purpose: &'static str,
        place: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.seal_salted(purpose, place, plain, &random::<32>()?)
    }

    fn seal_salted(
        &self,
        purpose: &'static str,
        place: &[u8],
        plain: &[u8],
        salt: &[u8; 32],
    ) -> Result<Vec<u8>, CryptoError> {
        let record = Record {
            key: self.newest_key()?,
            number: self.newest,
            purpose,
            place,
            salt,
        };
        // Room for the tag from the start: a vector that grows leaves a copy of the plain text behind.
        let mut body = Zeroizing::new(Vec::with_capacity(plain.len() + SequenceSeal::OVERHEAD));
        body.extend_from_slice(plain);
        record
            .key()?
            .seal_in_place_append_tag(nonce(0), aead::Aad::from(place), &mut *body)
            .map_err(|_| CryptoError::Unusable("seal"))?;
        let mut sealed = Vec::with_capacity(69 + body.len());
        if self.newest == DataKeyId(0) {
            sealed.push(FIRST_FORM);
        } else {
            sealed.push(NUMBERED_FORM);
            sealed.extend_from_slice(&self.newest.0.to_be_bytes());
        }
        sealed.extend_from_slice(salt);
        sealed.extend_from_slice(&*record.commitment()?);
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens what [`SealingRoot::seal`] sealed for the same purpose and place.
    pub fn open(
        &self,
        purpose: &'static str,
        place: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let refused = || CryptoError::Sealed { purpose };
        let (number, rest) = numbered(sealed).ok_or_else(refused)?;
        let (salt, rest) = rest.split_first_chunk::<32>().ok_or_else(refused)?;
        let (commitment, body) = rest.split_first_chunk::<32>().ok_or_else(refused)?;
        let straight = self.straight.iter().filter(|_| number == DataKeyId(0));
        for key in self.keys.get(&number).into_iter().chain(straight) {
            let record = Record {
                key,
                number,
                purpose,
                place,
                salt,
            };
            // What the key was committed to: whoever passes here is the only one who can open it.
            let expected = record.commitment()?;
            if bool::from(subtle::ConstantTimeEq::ct_eq(
                &expected[..],
                &commitment[..],
            )) {
                return record.open(body);
            }
        }
        Err(refused())
    }

    fn newest_key(&self) -> Result<&hkdf::Prk, CryptoError> {
        self.keys
            .get(&self.newest)
            .ok_or(CryptoError::Unusable("find the newest data key"))
    }
}

/// The data key that a record says it was sealed under.
pub fn sealed_under(sealed: &[u8]) -> Option<DataKeyId> {
    numbered(sealed).map(|(number, _)| number)
}

fn numbered(sealed: &[u8]) -> Option<(DataKeyId, &[u8])> {
    match sealed.split_first_chunk::<1>()? {
        (&[FIRST_FORM], rest) => Some((DataKeyId(0), rest)),
        (&[NUMBERED_FORM], rest) => {
            let (number, rest) = rest.split_first_chunk::<4>()?;
            let number = DataKeyId(u32::from_be_bytes(*number));
            // One thing is written in one way only.
            (number != DataKeyId(0)).then_some((number, rest))
        }
        _ => None,
    }
}

/// Everything that the key of one record hangs on.
struct Record<'a> {
    key: &'a hkdf::Prk,
    number: DataKeyId,
    purpose: &'static str,
    place: &'a [u8],
    salt: &'a [u8; 32],
}

impl Record<'_> {
    fn key(&self) -> Result<aead::LessSafeKey, CryptoError> {
        sealing_key(&*self.expand(b"record key v1", b"record key v2")?)
    }

    fn commitment(&self) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
        self.expand(b"record commitment v1", b"record commitment v2")
    }

    fn expand(&self, first: &[u8], numbered: &[u8]) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
        let purpose = self.purpose.as_bytes();
        if self.number == DataKeyId(0) {
            return expand(self.key, &[first, purpose, self.salt, self.place]);
        }
        let number = self.number.0.to_be_bytes();
        expand(
            self.key,
            &[numbered, purpose, &number, self.salt, self.place],
        )
    }

    fn open(&self, body: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let mut body = Zeroizing::new(body.to_vec());
        let plain_len = self
            .key()?
            .open_in_place(nonce(0), aead::Aad::from(self.place), &mut body)
            .map_err(|_| CryptoError::Sealed {
                purpose: self.purpose,
            })?
            .len();
        body.truncate(plain_len);
        Ok(body)
    }
}

/// Seals a numbered sequence of messages; each number at most once.
pub struct SequenceSeal {
    purpose: &'static str,
    key: aead::LessSafeKey,
}

fn sequence(
    key: &hkdf::Prk,
    purpose: &'static str,
    salt: &[u8; 32],
) -> Result<SequenceSeal, CryptoError> {
    let key = sealing_key(&*expand(key, &[b"sequence v1", purpose.as_bytes(), salt])?)?;
    Ok(SequenceSeal { purpose, key })
}

impl SequenceSeal {
    /// Bytes a sealed message is longer than its plain text.
    pub const OVERHEAD: usize = 16;

    /// Seals message `number` in place, and appends the tag.
    pub fn seal(
        &self,
        number: u64,
        place: &[u8],
        message: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        self.key
            .seal_in_place_append_tag(nonce(number), aead::Aad::from(place), message)
            .map_err(|_| CryptoError::Unusable("seal"))
    }

    /// Opens message `number` in place, and cuts off the tag.
    pub fn open(
        &self,
        number: u64,
        place: &[u8],
        message: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        let plain_len = self
            .key
            .open_in_place(nonce(number), aead::Aad::from(place), message)
            .map_err(|_| CryptoError::Sealed {
                purpose: self.purpose,
            })?
            .len();
        message.truncate(plain_len);
        Ok(())
    }
}

/// Parts with their lengths ahead, so that no two lists of parts give the same bytes.
pub fn parts(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

fn nonce(number: u64) -> aead::Nonce {
    let mut bytes = [0; aead::NONCE_LEN];
    let (_, low) = bytes.split_at_mut(aead::NONCE_LEN - 8);
    low.copy_from_slice(&number.to_be_bytes());
    aead::Nonce::assume_unique_for_key(bytes)
}

fn sealing_key(bytes: &[u8; 32]) -> Result<aead::LessSafeKey, CryptoError> {
    aead::UnboundKey::new(&aead::AES_256_GCM, bytes)
        .map(aead::LessSafeKey::new)
        .map_err(|_| CryptoError::Unusable("make a sealing key"))
}

/// HKDF-Extract (RFC 5869 2.2).
fn extract(bytes: &[u8]) -> hkdf::Prk {
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"lanyard root v1").extract(bytes)
}

/// A name for a sealing key that tells nothing of it: eight derived bytes.
pub(super) fn fingerprint(bytes: &[u8]) -> Result<[u8; 8], CryptoError> {
    let derived = expand(&extract(bytes), &[b"root key id v1"])?;
    derived
        .first_chunk()
        .copied()
        .ok_or(CryptoError::Unusable("name a key"))
}

/// HKDF-Expand (RFC 5869 2.3) of [`parts`].
fn expand(key: &hkdf::Prk, list: &[&[u8]]) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    expand_info(key, &parts(list))
}

fn expand_info(key: &hkdf::Prk, info: &[u8]) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    struct ThirtyTwo;
    impl hkdf::KeyType for ThirtyTwo {
        fn len(&self) -> usize {
            32
        }
    }
    let mut out = Zeroizing::new([0; 32]);
    key.expand(&[info], ThirtyTwo)
        .and_then(|material| material.fill(&mut *out))
        .map_err(|_| CryptoError::Unusable("derive a key"))?;
    Ok(out)
}

#[cfg(test)]
mod tests;
