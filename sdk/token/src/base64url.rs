//! base64url without padding (RFC 7515 section 2), canonical or refused.
//!
//! Canonical matters: a second text for the same bytes would be a second name for one token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The text of `bytes`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends the text of `bytes`.
pub(crate) fn encode_into(bytes: &[u8], text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Exactly `N` bytes, or `None`: padding, whitespace, foreign characters, tail bits that are not
/// zero and any other length are all refused.
pub(crate) fn decode_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let written = decode_into(text, &mut bytes)?;
    (written.len() == N).then_some(bytes)
}

/// Decodes into the front of `buffer` without allocating; `None` when refused or when it does not
/// fit.
pub(crate) fn decode_into<'b>(text: &str, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let length = URL_SAFE_NO_PAD.decode_slice(text, buffer).ok()?;
    buffer.get(..length)
}

/// Whether `byte` belongs to the alphabet.
pub(crate) const fn is_symbol(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_with_set_bits_is_another_text_and_refused() {
        assert_eq!(decode_exact::<1>("AA"), Some([0]));
        for text in ["AB", "AA==", "AA=", " AA", "AA\n", "A", "+A", "/A", ""] {
            assert_eq!(decode_exact::<1>(text), None, "{text:?}");
        }
    }
}
