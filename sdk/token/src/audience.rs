//! Audiences: for whom a token is meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The one resource a token is for (`aud`, RFC 9068 section 2.2; RFC 8707).
///
/// 1 to 256 bytes of visible ASCII without quotes and backslash. Compared byte for byte: another
/// case, a trailing slash or a percent-encoding is another audience.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Audience(Box<str>);

/// The text cannot name an audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an audience is 1 to 256 bytes of visible ASCII without quotes and backslash")]
pub struct InvalidAudience;

impl Audience {
    /// No resource: nothing that is expected anywhere.
    pub(crate) fn nowhere() -> Self {
        Self(Box::default())
    }

    /// The longest audience, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// The audience as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Audience {
    type Err = InvalidAudience;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let byte_allowed =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
        if text.is_empty() || text.len() > Self::MAX_BYTES || !text.bytes().all(byte_allowed) {
            return Err(InvalidAudience);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Audience {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Audience;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one audience as a string")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Audience, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_is_compared_byte_for_byte() {
        let audience: Audience = "https://api.example.com".parse().unwrap();
        for other in [
            "https://API.example.com",
            "https://api.example.com/",
            "https://api.example%2Ecom",
        ] {
            assert_ne!(other.parse::<Audience>().unwrap(), audience);
        }
    }

    #[test]
    fn spaces_quotes_controls_and_foreign_letters_name_no_audience() {
        for text in ["", "a b", "a\"", "a'", "a\\", "a\n", "\u{430}pi", "a\u{7f}"] {
            assert_eq!(text.parse::<Audience>(), Err(InvalidAudience), "{text:?}");
        }
        assert_eq!("a".repeat(257).parse::<Audience>(), Err(InvalidAudience));
        assert!(serde_json::from_str::<Audience>(r#"["a"]"#).is_err());
    }
}
