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

/// Whether all of a text belongs to the alphabet. Looks at all of it in any case: without a way out in the
/// middle many bytes are looked at in one step.
pub(crate) fn are_symbols(text: &str) -> bool {
    !text
        .bytes()
        .fold(false, |foreign, byte| foreign | !is_symbol(byte))
}

const fn is_symbol(byte: u8) -> bool {
    // Without branches, for the same reason.
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let digit = byte.wrapping_sub(b'0') < 10;
    letter | digit | (byte == b'-') | (byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_what_is_decoded() {
        for byte in 0..=127 {
            let text = String::from(char::from(byte)).repeat(4);
            let decoded = decode_exact::<3>(&text).is_some();
            assert_eq!(are_symbols(&text), decoded, "{text:?}");
        }
        assert!(!are_symbols(&format!("{}é", "a".repeat(500))));
    }

    #[test]
    fn a_tail_with_set_bits_is_another_text_and_refused() {
        assert_eq!(decode_exact::<1>("AA"), Some([0]));
        for text in ["AB", "AA==", "AA=", " AA", "AA\n", "A", "+A", "/A", ""] {
            assert_eq!(decode_exact::<1>(text), None, "{text:?}");
        }
    }
}
