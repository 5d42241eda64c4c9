//! Finding a credential in what a third party sends back, and hiding it.
//!
//! **What it catches.** The value as it is, in hexadecimal, percent-encoded, with JSON's escapes, and in both alphabets of
//! Base64 at each of the three places it can begin within a longer text, so also inside an echoed `Basic` header; over
//! any borders of chunks. Each byte of it becomes `*`, so a length that was promised still holds.
//!
//! **What it misses.** What is encrypted, compressed (an answer with a content coding is not handed on), encoded twice,
//! reversed, broken by white space or split over several answers; one to three characters at the ends of a Base64
//! form, which are made of other bytes too; values of fewer than [`SHORTEST`] bytes, which stand in any text.
//!
//! **Why not one automaton for all forms?** It would keep a copy of the value in tables that are not wiped. A search per
//! form costs some tens of nanoseconds more for each, and the forms lie in memory that is wiped.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use memchr::memmem;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use zeroize::Zeroizing;

/// The shortest value that is looked for: a shorter one is found where nobody meant it.
pub const SHORTEST: usize = 6;

/// What stands unencoded in a query (RFC 3986, 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Every form in which a value is looked for. Wiped when dropped.
pub struct Needles {
    forms: Vec<Zeroizing<Vec<u8>>>,
    longest: usize,
}

impl Needles {
    /// The forms of these texts.
    #[must_use]
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut forms: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        for text in texts {
            if text.len() < SHORTEST {
                continue;
            }
            for form in forms_of(text) {
                if form.len() >= SHORTEST && !forms.contains(&form) {
                    forms.push(form);
                }
            }
        }
        let longest = forms.iter().map(|form| form.len()).max().unwrap_or(0);
        Self { forms, longest }
    }

    /// Hides all of them in a text that is whole; `None` when there is none.
    #[must_use]
    pub fn hide(&self, text: &[u8]) -> Option<Vec<u8>> {
        let found = self.find(text);
        if found.is_empty() {
            return None;
        }
        let mut hidden = text.to_vec();
        for (start, end) in found {
            mask(&mut hidden, start, end);
        }
        Some(hidden)
    }

    fn find(&self, text: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for form in &self.forms {
            // Every beginning, also of those that overlap.
            let mut from = 0;
            while let Some(at) = text.get(from..).and_then(|rest| memmem::find(rest, form)) {
                let start = from + at;
                found.push((start, start + form.len()));
                from = start + 1;
            }
        }
        found
    }

    /// How much at the end of a text may be the beginning of a form.
    fn begun(&self, text: &[u8]) -> usize {
        let most = self.longest.saturating_sub(1).min(text.len());
        (1..=most)
            .rev()
            .find(|length| {
                text.get(text.len() - length..).is_some_and(|end| {
                    self.forms
                        .iter()
                        .any(|form| form.len() > *length && form.starts_with(end))
                })
            })
            .unwrap_or(0)
    }
}

fn mask(text: &mut [u8], start: usize, end: usize) {
    if let Some(part) = text.get_mut(start..end) {
        part.fill(b'*');
    }
}

fn forms_of(text: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let bytes = text.as_bytes();
    let own = |form: String| Zeroizing::new(form.into_bytes());
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let encoded = percent_encode(bytes, ENCODED).to_string();
    let json = serde_json::to_string(text).unwrap_or_default();
    let json = json.trim_matches('"').to_owned();
    let mut forms = vec![
        Zeroizing::new(bytes.to_vec()),
        own(hex.to_ascii_uppercase()),
        own(hex),
        own(lower_escapes(&encoded)),
        own(encoded.replace("%20", "+")),
        own(encoded),
        own(json.replace('/', "\\/")),
        own(json),
    ];
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        forms.extend((0..3).map(|offset| own(base64_core(&engine, bytes, offset))));
    }
    forms
}

fn lower_escapes(encoded: &str) -> String {
    let mut left = 0;
    encoded
        .chars()
        .map(|letter| {
            if letter == '%' {
                left = 2;
            } else if left > 0 {
                left -= 1;
                return letter.to_ascii_lowercase();
            }
            letter
        })
        .collect()
}

/// The characters that only the value decides, when `offset` bytes (mod 3) stand before it.
fn base64_core(engine: &impl Engine, bytes: &[u8], offset: usize) -> String {
    let mut padded = Zeroizing::new(vec![0; offset]);
    padded.extend_from_slice(bytes);
    let whole = Zeroizing::new(engine.encode(&*padded));
    let first = (offset * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    whole.get(first..last).unwrap_or_default().to_owned()
}

/// Hides a value in a stream, whatever its chunks are.
pub struct Scrubber {
    /// The end of what came, which may be the beginning of a form; and what of it is to be hidden already.
    held: Zeroizing<Vec<u8>>,
    hidden: Vec<bool>,
    found: u64,
}

impl Default for Scrubber {
    fn default() -> Self {
        Self {
            held: Zeroizing::new(Vec::new()),
            hidden: Vec::new(),
            found: 0,
        }
    }
}

impl Scrubber {
    /// How many forms were hidden so far.
    #[must_use]
    pub const fn found(&self) -> u64 {
        self.found
    }

    /// Bytes that came and were not handed on yet.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.len() as u64
    }

    /// The next chunk: gives what can be handed on.
    pub fn push(&mut self, needles: &Needles, chunk: Bytes) -> Bytes {
        if self.held.is_empty() {
            let found = needles.find(&chunk);
            let begun = needles.begun(&chunk);
            if found.is_empty() && begun == 0 {
                return chunk;
            }
            return self.hand_on(chunk.to_vec(), vec![false; chunk.len()], &found, begun);
        }
        let mut text = std::mem::take(&mut *self.held);
        let mut hidden = std::mem::take(&mut self.hidden);
        text.extend_from_slice(&chunk);
        hidden.resize(text.len(), false);
        let found = needles.find(&text);
        let begun = needles.begun(&text);
        self.hand_on(text, hidden, &found, begun)
    }

    /// What was held, at the end of the stream.
    pub fn finish(&mut self) -> Bytes {
        let text = std::mem::take(&mut *self.held);
        let hidden = std::mem::take(&mut self.hidden);
        self.hand_on(text, hidden, &[], 0)
    }

    fn hand_on(
        &mut self,
        mut text: Vec<u8>,
        mut hidden: Vec<bool>,
        found: &[(usize, usize)],
        begun: usize,
    ) -> Bytes {
        self.found = self.found.saturating_add(found.len() as u64);
        for (start, end) in found {
            if let Some(part) = hidden.get_mut(*start..*end) {
                part.fill(true);
            }
        }
        let kept = text.len() - begun.min(text.len());
        self.held
            .extend_from_slice(text.get(kept..).unwrap_or_default());
        self.hidden = hidden.split_off(kept);
        text.truncate(kept);
        for (byte, _) in text.iter_mut().zip(&hidden).filter(|(_, hide)| **hide) {
            *byte = b'*';
        }
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUE: &str = "sk_live/4eC39HqLyjWD\"arjtT1zdp7dc";

    fn scrubbed(needles: &Needles, text: &[u8], chunk: usize) -> Vec<u8> {
        let mut scrubber = Scrubber::default();
        let mut out = Vec::new();
        for part in text.chunks(chunk) {
            out.extend_from_slice(&scrubber.push(needles, Bytes::copy_from_slice(part)));
        }
        out.extend_from_slice(&scrubber.finish());
        out
    }

    #[test]
    fn each_form_is_hidden_over_every_border_and_the_length_stays() {
        let needles = Needles::of([VALUE]);
        for form in forms_of(VALUE) {
            let text = [b"before ", form.as_slice(), b" after"].concat();
            for chunk in 1..=text.len() {
                let out = scrubbed(&needles, &text, chunk);
                assert_eq!(out.len(), text.len());
                assert!(out.starts_with(b"before ") && out.ends_with(b" after"));
                assert!(memmem::find(&out, &form).is_none(), "{chunk}");
                assert!(out.iter().filter(|byte| **byte == b'*').count() >= form.len());
            }
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
        let needles = Needles::of([VALUE]);
        let mut scrubber = Scrubber::default();
        let event = Bytes::from_static(b"data: {\"n\":1}\n\n");
        assert_eq!(scrubber.push(&needles, event.clone()), event);
        assert_eq!((scrubber.found(), scrubber.finish().len()), (0, 0));
        assert!(needles.hide(b"nothing of it").is_none());
    }

    #[test]
    fn what_only_begins_like_it_is_handed_on_later_and_unchanged() {
        let needles = Needles::of([VALUE]);
        assert_eq!(
            scrubbed(&needles, b"sk_live/4eC sk_li", 3),
            b"sk_live/4eC sk_li"
        );
    }

    #[test]
    fn a_value_of_a_few_letters_is_not_looked_for() {
        assert!(Needles::of(["abc"]).hide(b"abcabc").is_none());
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
    }
}
