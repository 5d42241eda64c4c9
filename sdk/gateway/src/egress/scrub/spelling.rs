//! How a text can be written within another one: character by character, so that every mixture is recognised.
//!
//! **What it catches.** A character as it is; percent-encoded with digits of either case, a space also as `+`; escaped as in
//! JSON and JavaScript (`\"`, `\/`, `\u003c`, `\x3c`); as an entity of HTML (`&lt;`, `&#60;`, `&#x3c;`).
//!
//! **What it misses.** What is encoded twice, and entities with more than [`MOST_DIGITS`] digits.
//!
//! **Why not a list of forms?** Encoders differ in what they leave as it is: a form encodes `~`, `encodeURIComponent` does
//! not, Go's JSON escapes `<` and `&`, PHP's `/`. A list has some of them; nobody knows all.

/// Digits of an entity, leading zeros among them.
const MOST_DIGITS: usize = 8;

/// Bytes that begin something encoded, whatever stands for itself.
pub(super) const INTRODUCERS: [u8; 3] = [b'%', b'\\', b'&'];

/// How much of a text one spelling of a character takes up.
#[derive(Clone, Copy)]
enum Reach {
    Not,
    /// The text ends within it.
    Unfinished,
    Bytes(usize),
}

/// Gives the length of each spelling of a character at the beginning of `rest`; whether the text ends within one.
pub(super) fn spelled(character: char, rest: &[u8], mut take: impl FnMut(usize)) -> bool {
    let mut bytes = [0; 4];
    let bytes = character.encode_utf8(&mut bytes).as_bytes();
    let mut is_unfinished = false;
    let mut look = |reach| match reach {
        Reach::Not => {}
        Reach::Unfinished => is_unfinished = true,
        Reach::Bytes(length) => take(length),
    };
    look(same(bytes, rest));
    match rest.first() {
        Some(b'+') if character == ' ' => look(Reach::Bytes(1)),
        Some(b'%') => look(alike(
            bytes.iter().flat_map(|byte| before(*b"%", *byte)),
            rest,
        )),
        Some(b'\\') => {
            if character.is_ascii_punctuation() {
                look(alike(b"\\".iter().chain(bytes).copied(), rest));
            }
            look(alike(
                bytes.iter().flat_map(|byte| before(*b"\\x", *byte)),
                rest,
            ));
            look(alike(in_json(character), rest));
        }
        Some(b'&') => {
            if let Some(entity) = named(character) {
                look(alike(entity.bytes(), rest));
            }
            look(numbered(character, rest));
        }
        _ => {}
    }
    is_unfinished
}

fn same(bytes: &[u8], rest: &[u8]) -> Reach {
    if rest.starts_with(bytes) {
        Reach::Bytes(bytes.len())
    } else if bytes.starts_with(rest) {
        Reach::Unfinished
    } else {
        Reach::Not
    }
}

/// Compares with a spelling in small letters.
fn alike(spelling: impl Iterator<Item = u8>, rest: &[u8]) -> Reach {
    let mut length = 0;
    for byte in spelling {
        match rest.get(length) {
            None => return Reach::Unfinished,
            Some(found) if found.to_ascii_lowercase() == byte => length += 1,
            Some(_) => return Reach::Not,
        }
    }
    Reach::Bytes(length)
}

/// A byte in two digits, with something before it.
fn before<const N: usize>(introducer: [u8; N], byte: u8) -> impl Iterator<Item = u8> {
    introducer
        .into_iter()
        .chain([digit(byte >> 4), digit(byte & 15)])
}

fn digit(of: u8) -> u8 {
    match of {
        0..=9 => b'0' + of,
        _ => b'a' + of - 10,
    }
}

/// `\u` and four digits; twice for what lies beyond the first 65,536 characters.
fn in_json(character: char) -> impl Iterator<Item = u8> {
    let mut units = [0; 2];
    let length = character.encode_utf16(&mut units).len();
    units.into_iter().take(length).flat_map(|unit| {
        let [high, low] = unit.to_be_bytes();
        before(*b"\\u", high).chain([digit(low >> 4), digit(low & 15)])
    })
}

const fn named(character: char) -> Option<&'static str> {
    match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&apos;"),
        _ => None,
    }
}

fn numbered(character: char, rest: &[u8]) -> Reach {
    let Some(digits) = rest.strip_prefix(b"&#") else {
        return same(b"&#", rest);
    };
    let (radix, digits, before) = match digits {
        [] => return Reach::Unfinished,
        [b'x' | b'X', digits @ ..] => (16, digits, 3),
        digits => (10, digits, 2),
    };
    let mut number = 0_u32;
    for (at, byte) in digits.iter().take(MOST_DIGITS + 1).enumerate() {
        if *byte == b';' {
            return if at > 0 && number == u32::from(character) {
                Reach::Bytes(before + at + 1)
            } else {
                Reach::Not
            };
        }
        let Some(digit) = char::from(*byte).to_digit(radix) else {
            return Reach::Not;
        };
        number = number.saturating_mul(radix).saturating_add(digit);
    }
    if digits.len() > MOST_DIGITS {
        Reach::Not
    } else {
        Reach::Unfinished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(character: char, rest: &str) -> (Vec<usize>, bool) {
        let mut lengths = Vec::new();
        let is_unfinished = spelled(character, rest.as_bytes(), |length| lengths.push(length));
        (lengths, is_unfinished)
    }

    #[test]
    fn a_character_is_known_in_each_of_its_spellings() {
        for (character, rest) in [
            ('~', "~"),
            ('~', "%7E"),
            ('~', "%7e"),
            (' ', "+"),
            (' ', "%20"),
            ('"', "\\\""),
            ('"', "&quot;"),
            ('"', "&#34;"),
            ('/', "\\/"),
            ('/', "\\u002F"),
            ('/', "\\x2f"),
            ('/', "&#x2F;"),
            ('/', "&#00047;"),
            ('<', "\\u003c"),
            ('&', "\\u0026"),
            ('é', "é"),
            ('é', "%C3%a9"),
            ('é', "\\u00e9"),
            ('😀', "\\ud83d\\uDE00"),
            ('😀', "%F0%9F%98%80"),
        ] {
            let (lengths, is_unfinished) = lengths(character, rest);
            assert_eq!(lengths, [rest.len()], "{character} as {rest}");
            assert!(!is_unfinished, "{character} as {rest}");
        }
    }

    #[test]
    fn two_spellings_at_one_place_are_both_given() {
        assert_eq!(lengths('%', "%25"), (vec![1, 3], false));
        assert_eq!(lengths('\\', "\\\\"), (vec![1, 2], false));
        assert_eq!(lengths('&', "&amp;"), (vec![1, 5], false));
    }

    #[test]
    fn what_the_text_ends_within_may_still_become_one() {
        for (character, rest) in [
            ('~', &b""[..]),
            ('~', b"%"),
            ('~', b"%7"),
            ('é', b"\xc3"),
            ('é', b"%c3%"),
            ('<', b"\\u003"),
            ('<', b"&"),
            ('<', b"&l"),
            ('<', b"&#"),
            ('<', b"&#x"),
            ('<', b"&#0000060"),
        ] {
            let is_unfinished = spelled(character, rest, |_| panic!("{rest:?}"));
            assert!(is_unfinished, "{rest:?}");
        }
        for rest in ["x", "%6", "\\t", "&#1;", "&#;", "&#000000060;", "&g"] {
            assert_eq!(lengths('<', rest), (Vec::new(), false), "{rest}");
        }
    }
}
