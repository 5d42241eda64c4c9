//! Thumbprints: SHA-256 names of keys and certificates.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base64url;

/// A SHA-256 as base64url: exactly 43 characters, canonical.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint([u8; Self::LENGTH]);

/// The text is not the base64url of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a thumbprint is 43 characters of base64url")]
pub struct InvalidThumbprint;

impl Thumbprint {
    /// Length of the text, in bytes.
    pub const LENGTH: usize = 43;

    /// The thumbprint that names these 32 bytes.
    pub fn of_digest(digest: &[u8; 32]) -> Self {
        let mut text = [0; Self::LENGTH];
        // 32 bytes always become 43 characters, so the slice is always filled.
        for (place, byte) in text.iter_mut().zip(base64url::encode(digest).bytes()) {
            *place = byte;
        }
        Self(text)
    }

    /// The thumbprint as text.
    pub fn as_str(&self) -> &str {
        // Only characters of the base64url alphabet are ever stored.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The text as bytes, as frames carry it.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl FromStr for Thumbprint {
    type Err = InvalidThumbprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        base64url::decode_exact::<32>(text).ok_or(InvalidThumbprint)?;
        text.as_bytes()
            .try_into()
            .map(Self)
            .map_err(|_| InvalidThumbprint)
    }
}

/// The name of a public key: its RFC 7638 thumbprint, which is also its `kid`.
///
/// A key therefore cannot be called by another key's name, and no two brokers can disagree about
/// what a name means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Thumbprint);

impl KeyId {
    /// Length of the text, in bytes.
    pub const LENGTH: usize = Thumbprint::LENGTH;

    /// The name of a key with this RFC 7638 digest.
    pub(crate) fn of_digest(digest: &[u8; 32]) -> Self {
        Self(Thumbprint::of_digest(digest))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The text as bytes, as frames carry it.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        self.0.as_bytes()
    }
}

impl From<KeyId> for Thumbprint {
    fn from(kid: KeyId) -> Self {
        kid.0
    }
}

impl FromStr for KeyId {
    type Err = InvalidThumbprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text!(Thumbprint KeyId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_reads_back_what_it_prints() {
        let thumbprint = Thumbprint::of_digest(&[0xff; 32]);
        assert_eq!(thumbprint.to_string().len(), Thumbprint::LENGTH);
        assert_eq!(thumbprint.to_string().parse(), Ok(thumbprint));
    }

    #[test]
    fn paths_padding_and_loose_tails_name_no_key() {
        let loose = format!("{}B", "A".repeat(42));
        let standard = format!("+{}A", "A".repeat(41));
        for text in [
            "",
            "../../dev/null",
            &"A".repeat(42),
            &"A".repeat(44),
            &loose,
            &standard,
        ] {
            assert_eq!(text.parse::<KeyId>(), Err(InvalidThumbprint), "{text:?}");
        }
        assert!("A".repeat(43).parse::<KeyId>().is_ok());
    }
}
