//! What is named by a hash, and written in hexadecimal digits.

/// HMAC-SHA256 of an API key under the pepper.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// First eight bytes of SHA-256 over a token's signing input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenDigest(pub [u8; 8]);

/// SHA-256 over something that it names by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl std::fmt::Display for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

mod hex_bytes {
    use super::{ContentHash, KeyHash, TokenDigest};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    fn write<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        serializer.serialize_str(&text)
    }

    fn read<const N: usize>(text: &str) -> Option<[u8; N]> {
        if text.len() != N * 2 {
            return None;
        }
        let mut bytes = [0; N];
        let mut digits = text.chars().map(|c| c.to_digit(16));
        for byte in &mut bytes {
            let (high, low) = (digits.next()??, digits.next()??);
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        Some(bytes)
    }

    macro_rules! as_hex {
        ($kind:ident) => {
            impl Serialize for $kind {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    write(&self.0, serializer)
                }
            }
            impl<'de> Deserialize<'de> for $kind {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                    read(&text)
                        .map($kind)
                        .ok_or_else(|| D::Error::custom("expected hexadecimal digits"))
                }
            }
        };
    }
    as_hex!(KeyHash);
    as_hex!(TokenDigest);
    as_hex!(ContentHash);
}
