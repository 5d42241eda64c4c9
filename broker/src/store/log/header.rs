//! The first 512 bytes of a segment: whose it is, where it stands in the chain, and how much of its
//! predecessor counts.
//!
//! ```text
//!   0 magic 8 │ format u32 │ boot u32 │ ordinal u64 │ epoch u64 │ first number u64 │ begun at u64
//!  48 previous rev u64 │ previous length u64 │ previous hash 32 │ salt 32
//! 128 trust domain length u16, text, zeros │ 492 tag 16 │ 508 CRC-32 of everything before
//! ```
//! The tag is the segment key's over everything before it, so another sealing key is found at the first
//! segment, before anything else is tried, and a header cannot be forged.

use lanyard_token::Rev;

use super::fields::{Fields, Hash, sha256};
use crate::clock::UnixMillis;
use crate::crypto::{CryptoError, SealingRoot, SequenceSeal};

pub(crate) const HEADER_BYTES: usize = 512;
/// The format written; a higher one is refused in words.
pub(crate) const FORMAT: u32 = 1;
/// Longest name of a trust domain, in bytes.
pub(crate) const MAX_TRUST_DOMAIN: usize = 255;

const MAGIC: [u8; 8] = *b"lanyard\n";
const TAG_AT: usize = 492;
const CRC_AT: usize = 508;
const PURPOSE: &str = "log segment";
/// The header's number in the segment's sequence; records count from zero and never come here.
const HEADER_NUMBER: u64 = u64::MAX;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Which life of the log its records belong to.
    pub(crate) epoch: u16,
    /// The number of its first event.
    pub(crate) first_number: u64,
    /// Its place in the chain, from 1.
    pub(crate) ordinal: u64,
    /// The boot that began it.
    pub(crate) boot: u32,
    /// No record of it is earlier.
    pub(crate) begun_at: UnixMillis,
    /// The last event before it.
    pub(crate) previous_rev: Rev,
    /// How many bytes of the predecessor count: what follows was never acknowledged.
    pub(crate) previous_length: u64,
    /// The chain's hash at that place.
    pub(crate) previous_hash: Hash,
    /// Makes the key of this segment.
    pub(crate) salt: [u8; 32],
    /// Whose log it is.
    pub(crate) trust_domain: String,
}

/// Why 512 bytes are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderFault {
    #[error("it was not begun")]
    Unused,
    #[error("its format is {0}, and this version of lanyard knows formats up to {FORMAT}")]
    Format(u32),
    #[error("its header is damaged")]
    Damaged,
}

impl Header {
    /// The key that seals the records of a new segment.
    pub(crate) fn seal(&self, root: &SealingRoot) -> Result<SequenceSeal, CryptoError> {
        root.sequence(PURPOSE, &self.salt)
    }

    /// The key that this header, read as `bytes`, was written under; `None`: none of ours.
    pub(crate) fn sealed_by(
        &self,
        bytes: &[u8; HEADER_BYTES],
        root: &SealingRoot,
    ) -> Result<Option<SequenceSeal>, CryptoError> {
        for seal in root.sequences(PURPOSE, &self.salt) {
            let seal = seal?;
            if Self::is_sealed_by(bytes, &seal) {
                return Ok(Some(seal));
            }
        }
        Ok(None)
    }

    pub(crate) fn encode(&self, seal: &SequenceSeal) -> Result<Vec<u8>, CryptoError> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.boot.to_le_bytes());
        for number in [
            self.ordinal,
            u64::from(self.epoch),
            self.first_number,
            self.begun_at.0,
            self.previous_rev.as_u64(),
            self.previous_length,
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.previous_hash);
        bytes.extend_from_slice(&self.salt);
        let name = self.trust_domain.as_bytes();
        bytes.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend_from_slice(name);
        bytes.resize(TAG_AT, 0);
        let mut tag = Vec::new();
        seal.seal(HEADER_NUMBER, &bytes, &mut tag)?;
        bytes.append(&mut tag);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        Ok(bytes)
    }

    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderFault> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(HeaderFault::Unused);
        }
        Self::fields(bytes)?.ok_or(HeaderFault::Damaged)
    }

    fn fields(bytes: &[u8; HEADER_BYTES]) -> Result<Option<Self>, HeaderFault> {
        let (body, crc) = bytes.split_at(CRC_AT);
        let mut fields = Fields(body);
        if fields.bytes() != Some(MAGIC) {
            return Ok(None);
        }
        let format = fields.u32().unwrap_or(0);
        if format > FORMAT {
            return Err(HeaderFault::Format(format));
        }
        if format != FORMAT || crc32fast::hash(body).to_le_bytes() != *crc {
            return Ok(None);
        }
        Ok(Self::body(fields))
    }

    fn body(mut fields: Fields<'_>) -> Option<Self> {
        let boot = fields.u32()?;
        let ordinal = fields.u64()?;
        let epoch = u16::try_from(fields.u64()?)
            .ok()
            .filter(|epoch| *epoch <= Rev::MAX_EPOCH)?;
        let first_number = fields
            .u64()
            .filter(|number| (1..=Rev::MAX_NUMBER).contains(number))?;
        let begun_at = UnixMillis(fields.u64()?);
        let previous_rev = Rev::from_u64(fields.u64()?)?;
        let previous_length = fields.u64()?;
        let previous_hash = fields.bytes()?;
        let salt = fields.bytes()?;
        let name_length = usize::from(fields.u16()?);
        let trust_domain = String::from_utf8(fields.slice(name_length)?.to_vec()).ok()?;
        Some(Self {
            epoch,
            first_number,
            ordinal,
            boot,
            begun_at,
            previous_rev,
            previous_length,
            previous_hash,
            salt,
            trust_domain,
        })
    }

    /// Whether it was written under this key.
    fn is_sealed_by(bytes: &[u8; HEADER_BYTES], seal: &SequenceSeal) -> bool {
        let (place, rest) = bytes.split_at(TAG_AT);
        let mut tag = rest
            .get(..SequenceSeal::OVERHEAD)
            .unwrap_or_default()
            .to_vec();
        seal.open(HEADER_NUMBER, place, &mut tag).is_ok()
    }

    /// The link the segment's first record holds on to.
    pub(crate) fn hash(bytes: &[u8]) -> Hash {
        sha256(bytes)
    }

    /// The place before its first event.
    pub(crate) fn start(&self) -> Rev {
        Rev::new(self.epoch, self.first_number.saturating_sub(1)).unwrap_or(Rev::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            epoch: 3,
            first_number: 17,
            ordinal: 9,
            boot: 4_096,
            begun_at: UnixMillis(1_700_000_000_000),
            previous_rev: Rev::new(3, 16).unwrap(),
            previous_length: 4_711,
            previous_hash: [5; 32],
            salt: [6; 32],
            trust_domain: "https://login.example".to_owned(),
        }
    }

    #[test]
    fn a_header_reads_back_what_was_written_and_no_changed_bit_passes() {
        let root = SealingRoot::from_bytes(&[1; 32]);
        let seal = header().seal(&root).unwrap();
        let bytes: [u8; HEADER_BYTES] = header().encode(&seal).unwrap().try_into().unwrap();
        assert_eq!(Header::decode(&bytes), Ok(header()));
        assert!(Header::is_sealed_by(&bytes, &seal));
        for bit in 0..HEADER_BYTES * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_header_sealed_under_another_key_is_told_from_a_damaged_one() {
        let root = SealingRoot::from_bytes(&[1; 32]);
        let bytes: [u8; HEADER_BYTES] = header()
            .encode(&header().seal(&root).unwrap())
            .unwrap()
            .try_into()
            .unwrap();
        let other = header().seal(&SealingRoot::from_bytes(&[2; 32])).unwrap();
        assert!(!Header::is_sealed_by(&bytes, &other));
    }

    #[test]
    fn a_future_format_is_named() {
        let root = SealingRoot::from_bytes(&[1; 32]);
        let mut bytes: [u8; HEADER_BYTES] = header()
            .encode(&header().seal(&root).unwrap())
            .unwrap()
            .try_into()
            .unwrap();
        bytes[8] = 2;
        assert_eq!(Header::decode(&bytes), Err(HeaderFault::Format(2)));
        assert_eq!(Header::decode(&[0; HEADER_BYTES]), Err(HeaderFault::Unused));
    }
}
