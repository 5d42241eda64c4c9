//! What a secret holds: text that can be put into a header without becoming two.

use zeroize::Zeroizing;

use crate::crypto::Secret;

/// The longest value, in bytes: more than any key, certificate chain or service account needs.
pub const LONGEST_VALUE: usize = 64 * 1024;

/// A value that may be kept: UTF-8, one line, not too long. It cannot be printed, copied or serialised.
pub struct SecretValue(Secret);

/// Why a value is not kept; says nothing of what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// Keep it elsewhere.
    #[error("is longer than {LONGEST_VALUE} bytes")]
    TooLong,
    /// Encode it, as base64 does: in a header it would begin another line.
    #[error("holds a line break or NUL: encode it, such as with base64")]
    LineBreak,
    /// It cannot stand in a header.
    #[error("holds a character that no header can carry")]
    NotForHeaders,
}

impl SecretValue {
    /// Takes a text in, and wipes it.
    pub fn parse(text: Zeroizing<String>) -> Result<Self, InvalidValue> {
        if text.is_empty() {
            return Err(InvalidValue::Empty);
        }
        if text.len() > LONGEST_VALUE {
            return Err(InvalidValue::TooLong);
        }
        if text.contains(['\r', '\n', '\0']) {
            return Err(InvalidValue::LineBreak);
        }
        Ok(Self(Secret::new(text)))
    }

    /// The text itself. Every caller of this is a place to look at when secrets leak.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Whether both are the same, in the same time wherever they differ.
    pub fn is(&self, other: &Self) -> bool {
        let (own, other) = (self.expose().as_bytes(), other.expose().as_bytes());
        subtle::ConstantTimeEq::ct_eq(own, other).into()
    }

    /// Asked again where it is used: what was kept by an earlier version was judged by its rules.
    pub fn for_header(&self) -> Result<HeaderSafe<'_>, InvalidValue> {
        let text = self.expose();
        if text.contains(['\r', '\n', '\0']) {
            return Err(InvalidValue::LineBreak);
        }
        // As RFC 9110 5.5 has it: visible characters, spaces and tabs; not at the edges, where they are cut off.
        let edges = text.starts_with([' ', '\t']) || text.ends_with([' ', '\t']);
        if edges || !text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return Err(InvalidValue::NotForHeaders);
        }
        Ok(HeaderSafe(text))
    }
}

/// A value that can stand in a header as it is.
pub struct HeaderSafe<'a>(&'a str);

impl HeaderSafe<'_> {
    /// The text itself.
    pub const fn expose(&self) -> &str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SecretValue, InvalidValue> {
        SecretValue::parse(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn line_breaks_and_nul_are_refused_wherever_they_stand() {
        for bad in ["\r", "\n", "\0", "\r\n"] {
            for text in [
                format!("{bad}key"),
                format!("ke{bad}y"),
                format!("key{bad}"),
            ] {
                assert_eq!(
                    parse(&text).err(),
                    Some(InvalidValue::LineBreak),
                    "{text:?}"
                );
            }
        }
        assert_eq!(parse("").err(), Some(InvalidValue::Empty));
        assert!(parse(&"k".repeat(LONGEST_VALUE)).is_ok());
        assert_eq!(
            parse(&"k".repeat(LONGEST_VALUE + 1)).err(),
            Some(InvalidValue::TooLong)
        );
    }

    #[test]
    fn what_may_be_kept_may_still_not_be_fit_for_a_header() {
        assert_eq!(
            parse("Basic abc=").unwrap().for_header().unwrap().expose(),
            "Basic abc="
        );
        for text in ["pässwort", "\u{1b}[31m", " key", "key ", "key\t", "\u{7f}"] {
            let value = parse(text).unwrap();
            assert_eq!(
                value.for_header().err(),
                Some(InvalidValue::NotForHeaders),
                "{text:?}"
            );
        }
    }
}
