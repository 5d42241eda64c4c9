use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use proptest::prelude::*;

use super::*;

/// Every character that some encoder treats in a way of its own.
const VALUE: &str = "sk~*/+ <&>\"'\\%=-_.!(){}:é😀q7";

/// What `encodeURIComponent` leaves as it is (ECMA-262, 19.2.6.4).
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

fn scrubbed(needles: &Needles, text: &[u8], chunk: usize) -> Vec<u8> {
    let mut scrubber = Scrubber::default();
    let mut out = Vec::new();
    for part in text.chunks(chunk) {
        let clean = scrubber.push(needles, Bytes::copy_from_slice(part));
        out.extend_from_slice(&clean.unwrap());
    }
    out.extend_from_slice(&scrubber.finish());
    out
}

/// What encoders in the world make of a text.
fn encoded(text: &str) -> Vec<(&'static str, String)> {
    let bytes = text.as_bytes();
    let all = |before: &str| -> String {
        bytes
            .iter()
            .map(|byte| format!("{before}{byte:02X}"))
            .collect()
    };
    let component = percent_encode(bytes, COMPONENT).to_string();
    let form: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let json = serde_json::to_string(text).unwrap();
    let json = json[1..json.len() - 1].to_owned();
    let go = json
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026");
    let python: String = json
        .encode_utf16()
        .map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
            _ => format!("\\u{unit:04x}"),
        })
        .collect();
    let html = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
        .replace('/', "&#x2F;");
    let basic = STANDARD.encode(format!("user:{text}"));
    vec![
        ("as it is", text.to_owned()),
        ("a form, as injection sends it", form.clone()),
        ("a form, in small digits", form.to_ascii_lowercase_digits()),
        ("encodeURIComponent", component.clone()),
        (
            "encodeURIComponent, in small digits",
            component.to_ascii_lowercase_digits(),
        ),
        (
            "RFC 3986",
            percent_encode(bytes, NON_ALPHANUMERIC).to_string(),
        ),
        ("every byte", all("%")),
        ("every byte, in small digits", all("%").to_lowercase()),
        ("every byte of JavaScript", all("\\x")),
        ("JSON", json.clone()),
        ("PHP's JSON", python.replace('/', "\\/")),
        ("Python's JSON", python),
        ("Go's JSON", go),
        ("HTML", html),
        ("hexadecimal", all("").to_lowercase()),
        ("hexadecimal, in capitals", all("")),
    ]
    .into_iter()
    .chain([
        ("Base64", STANDARD.encode(text)),
        ("Base64 of URLs", URL_SAFE.encode(text)),
        ("Base64 in PHP's JSON", basic.replace('/', "\\/")),
        (
            "Base64 in a form",
            url::form_urlencoded::byte_serialize(basic.as_bytes()).collect(),
        ),
        ("Base64 in Go's JSON", basic.replace('+', "\\u002b")),
    ])
    .collect()
}

trait Digits {
    fn to_ascii_lowercase_digits(&self) -> String;
}

impl Digits for String {
    /// `%7E` becomes `%7e`; letters that stand for themselves stay.
    fn to_ascii_lowercase_digits(&self) -> String {
        let mut left = 0;
        self.chars()
            .map(|letter| {
                left = if letter == '%' { 2_i32 } else { left - 1 };
                if left >= 0 {
                    letter.to_ascii_lowercase()
                } else {
                    letter
                }
            })
            .collect()
    }
}

#[test]
fn each_encoding_is_hidden_over_every_border_and_the_length_stays() {
    let needles = Needles::of([VALUE]);
    for (encoder, form) in encoded(VALUE) {
        let text = format!("before {form} after");
        for chunk in 1..=text.len() {
            let out = scrubbed(&needles, text.as_bytes(), chunk);
            assert_eq!(out.len(), text.len(), "{encoder}");
            assert!(
                out.starts_with(b"before ") && out.ends_with(b" after"),
                "{encoder}"
            );
            let shown = &out["before ".len()..out.len() - " after".len()];
            let shown: Vec<u8> = shown.iter().copied().filter(|byte| *byte != b'*').collect();
            // At the ends of Base64 stand characters that are made of other bytes too: of `user:`, and of nothing.
            let most = if encoder.starts_with("Base64") { 15 } else { 0 };
            assert!(
                shown.len() <= most,
                "{encoder}, in chunks of {chunk}: {}",
                String::from_utf8_lossy(&out)
            );
        }
    }
}

#[test]
fn a_mixture_of_encodings_is_hidden_too() {
    let needles = Needles::of(["a/b+c<d e"]);
    for text in [
        "a\\/b%2Bc\\u003cd+e",
        "%61/b+c&lt;d%20e",
        "a&#47;b\\x2bc<d e",
    ] {
        let hidden = needles.hide(text.as_bytes()).unwrap_or_default();
        assert!(
            hidden.len() == text.len() && hidden.iter().all(|byte| *byte == b'*'),
            "{text}"
        );
    }
}

#[test]
fn a_basic_header_that_is_echoed_shows_nothing_of_the_password() {
    let needles = Needles::of([VALUE]);
    for user in ["", "u", "us", "use"] {
        let text = STANDARD_NO_PAD.encode(format!("{user}:{VALUE}"));
        let out = needles.hide(text.as_bytes()).unwrap();
        let shown = out.iter().filter(|byte| **byte != b'*').count();
        assert!(shown <= user.len() * 4 / 3 + 6, "{shown}");
    }
}

#[test]
fn what_is_not_there_passes_as_it_came_and_at_once() {
    let needles = Needles::of(["sk_live/4eC39HqLyjWD"]);
    let mut scrubber = Scrubber::default();
    for event in [
        "data: {\"n\":1}\n\n",
        "a\\n\\\"b\\\" 100% of it &amp; more\n",
    ] {
        let event = Bytes::copy_from_slice(event.as_bytes());
        assert_eq!(scrubber.push(&needles, event.clone()), Ok(event));
    }
    assert_eq!((scrubber.found(), scrubber.finish().len()), (0, 0));
    assert!(needles.hide(b"nothing of it").is_none());
}

#[test]
fn what_only_begins_like_it_is_handed_on_later_and_unchanged() {
    let needles = Needles::of(["sk_live/4eC39HqLyjWD"]);
    for text in [
        "sk_live/4eC sk_li",
        "sk_live%2F4eC sk_live%2",
        "sk_live\\u002f4 sk_live\\u0",
    ] {
        assert_eq!(scrubbed(&needles, text.as_bytes(), 3), text.as_bytes());
    }
}

#[test]
fn each_occurrence_is_counted_once() {
    let needles = Needles::of(["abcdef%"]);
    let mut scrubber = Scrubber::default();
    // The end of the first may still become `%25`.
    for part in ["abcdef%", "2 abcdef%25", " abcdef%"] {
        scrubber.push(&needles, Bytes::from(part)).unwrap();
    }
    scrubber.finish();
    assert_eq!(scrubber.found(), 3);
}

#[test]
fn a_value_of_a_few_letters_is_not_looked_for() {
    assert!(Needles::of(["abc"]).hide(b"abcabc").is_none());
}

#[test]
fn a_name_of_a_header_shows_a_value_though_its_capitals_are_gone() {
    let needles = Needles::of(["sk_Live_4711"]);
    assert!(needles.are_in_name("x-sk_live_4711-y"));
    let hex: String = "sk_Live_4711"
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(needles.are_in_name(&hex));
    assert!(!needles.are_in_name("sk_live_471"));
}

/// A value and a text, both chosen so that the text begins like the value everywhere.
fn alike_everywhere() -> (Needles, Bytes) {
    let value = format!("{}b", "a".repeat(8_000));
    (Needles::of([value.as_str()]), vec![b'a'; 256 * 1024].into())
}

#[test]
fn a_text_that_begins_like_a_value_everywhere_is_given_up_and_not_handed_on() {
    let (needles, text) = alike_everywhere();
    let mut scrubber = Scrubber::default();
    let whole = scrubber.push(&needles, text.clone());
    assert_eq!(whole, Err(TooDear));
    let mut scrubber = Scrubber::default();
    let ended = text
        .chunks(1)
        .find_map(|byte| scrubber.push(&needles, Bytes::copy_from_slice(byte)).err());
    assert_eq!(ended, Some(TooDear));
    let hidden = needles.hide(&text).unwrap();
    assert!(hidden.len() == text.len() && hidden.iter().all(|byte| *byte == b'*'));
    // Many ways through a text are no other thing.
    let backslashes = Needles::of(["\\".repeat(4_000).as_str()]);
    let text = Bytes::from("\\".repeat(20_000));
    assert_eq!(Scrubber::default().push(&backslashes, text), Err(TooDear));
}

#[test]
fn honest_answers_are_searched_to_their_end_whatever_they_are_made_of() {
    let token: String = (0..8_000_u32)
        .map(|at| {
            char::from(b'a' + u8::try_from(at.wrapping_mul(2_654_435_761) >> 27).unwrap() % 26)
        })
        .collect();
    let needles = Needles::of(["sk_live/4eC39HqLyjWD", token.as_str()]);
    for piece in [
        token.as_str(),
        "%25%2F%7e100%",
        "\\\"\\\\\\/",
        "&amp;&lt;&#x2F;&",
        "{\"a\": [1, 2.5, null], \"b\": \"sk_live\"}\n",
    ] {
        let text = piece.repeat(400_000 / piece.len());
        for chunk in [1_400, 16 * 1024] {
            let out = scrubbed(&needles, text.as_bytes(), chunk);
            assert_eq!(out.len(), text.len(), "{}", &piece[..8]);
        }
    }
}

proptest! {
    #[test]
    fn chunks_make_no_difference(
        text in "[ab*]{0,60}", cuts in 1_usize..9, value in "[ab]{6,9}"
    ) {
        let needles = Needles::of([value.as_str()]);
        let whole = needles.hide(text.as_bytes()).unwrap_or_else(|| text.clone().into_bytes());
        prop_assert_eq!(scrubbed(&needles, text.as_bytes(), cuts), whole);
    }

    #[test]
    fn chunks_make_no_difference_to_what_is_encoded(
        text in r"[%25\&amp;#x+u0c6]{0,60}", cuts in 1_usize..9, value in r"[%\&2 a]{6,7}"
    ) {
        let needles = Needles::of([value.as_str()]);
        let whole = needles.hide(text.as_bytes()).unwrap_or_else(|| text.clone().into_bytes());
        prop_assert_eq!(scrubbed(&needles, text.as_bytes(), cuts), whole);
    }
}
