//! Finding a credential in what a third party sends back, and hiding it.
//!
//! **What it catches.** The value, its hexadecimal form, and both alphabets of Base64 at each of the three places it can
//! begin within a longer text, so also inside an echoed `Basic` header; each of them in any mixture of the spellings that
//! [`spelling`] knows, and over any borders of chunks. Each byte of it becomes `*`, so a length that was promised still
//! holds.
//!
//! **What it misses.** What is encrypted, compressed (an answer with a content coding is not handed on), encoded twice,
//! reversed, broken by white space or split over several answers; one to three characters at the ends of a Base64
//! form, which are made of other bytes too; values of fewer than [`SHORTEST`] bytes, which stand in any text.
//!
//! **Why not one automaton for all forms?** It would keep a copy of the value in tables that are not wiped. Here a byte of
//! an answer costs one look into a table of the bytes with which a form can begin; most begin none.
//!
//! **What it costs at worst.** Whoever chooses an answer can choose one that begins like a form everywhere, and a third party
//! that gives tokens chooses these too. So each byte pays for [`effort`]: an answer that takes more is not searched to its
//! end, and is [`TooDear`] to be handed on.

mod effort;
mod spelling;
mod ways;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use zeroize::Zeroizing;

use self::effort::Effort;
use self::spelling::INTRODUCERS;
use self::ways::Ways;

pub use self::effort::TooDear;

/// The shortest value that is looked for: a shorter one is found where nobody meant it.
pub const SHORTEST: usize = 6;

/// Every form in which a value is looked for. Wiped when dropped.
pub struct Needles {
    forms: Vec<Zeroizing<String>>,
    /// For each byte, the forms that may begin with it.
    beginning: Vec<Vec<usize>>,
    /// The forms in small letters: names of headers are nothing else.
    small: Vec<Zeroizing<String>>,
}

/// What a text holds of them.
struct Seen {
    /// From where to where.
    found: Vec<(usize, usize)>,
    /// From here on it may be the beginning of one.
    begun: usize,
}

impl Needles {
    /// The forms of these texts.
    #[must_use]
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut forms: Vec<Zeroizing<String>> = Vec::new();
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
        let mut beginning = vec![Vec::new(); 256];
        for (index, form) in forms.iter().enumerate() {
            let as_it_is = form.bytes().next();
            let as_a_space = form.starts_with(' ').then_some(b'+');
            let mut firsts: Vec<u8> = INTRODUCERS
                .into_iter()
                .chain(as_it_is)
                .chain(as_a_space)
                .collect();
            firsts.sort_unstable();
            firsts.dedup();
            for first in firsts {
                if let Some(forms) = beginning.get_mut(usize::from(first)) {
                    forms.push(index);
                }
            }
        }
        let mut small: Vec<Zeroizing<String>> = Vec::new();
        for form in &forms {
            let form = Zeroizing::new(form.to_ascii_lowercase());
            if !small.contains(&form) {
                small.push(form);
            }
        }
        Self {
            forms,
            beginning,
            small,
        }
    }

    /// Whether one of them stands in a header's name, which has lost its capitals.
    #[must_use]
    pub fn are_in_name(&self, name: &str) -> bool {
        self.small.iter().any(|form| name.contains(form.as_str()))
    }

    /// Hides all of them in a text that is whole; `None` when there is none. Of a text that cannot be searched with
    /// [`effort`] in measure nothing is left.
    #[must_use]
    pub fn hide(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut effort = Effort::default();
        effort.more(text.len());
        let Ok(Seen { found, .. }) = self.look(text, &mut effort) else {
            return Some(vec![b'*'; text.len()]);
        };
        if found.is_empty() {
            return None;
        }
        let mut hidden = text.to_vec();
        for (start, end) in found {
            if let Some(part) = hidden.get_mut(start..end) {
                part.fill(b'*');
            }
        }
        Some(hidden)
    }

    fn look(&self, text: &[u8], effort: &mut Effort) -> Result<Seen, TooDear> {
        let mut seen = Seen {
            found: Vec::new(),
            begun: text.len(),
        };
        let mut ways = Ways::default();
        for (start, first) in text.iter().enumerate() {
            let beginning = self.beginning.get(usize::from(*first));
            for form in beginning.into_iter().flatten() {
                let Some(form) = self.forms.get(*form) else {
                    continue;
                };
                let (end, is_unfinished) = ways.follow(form, text, start, effort)?;
                seen.found.extend(end.map(|end| (start, end)));
                if is_unfinished {
                    seen.begun = seen.begun.min(start);
                }
            }
        }
        Ok(seen)
    }
}

fn forms_of(text: &str) -> Vec<Zeroizing<String>> {
    let bytes = text.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        Zeroizing::new(text.to_owned()),
        Zeroizing::new(hex.to_ascii_uppercase()),
        Zeroizing::new(hex),
    ];
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        forms.extend((0..3).map(|offset| Zeroizing::new(base64_core(&engine, bytes, offset))));
    }
    forms
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
#[derive(Default)]
pub struct Scrubber {
    /// The end of what came, which may be the beginning of a form; and what of it is to be hidden already.
    held: Zeroizing<Vec<u8>>,
    hidden: Vec<bool>,
    /// Forms that begin in what is held: they are counted when it is handed on.
    held_found: u64,
    found: u64,
    effort: Effort,
}

impl Scrubber {
    /// How many forms were hidden so far.
    #[must_use]
    pub const fn found(&self) -> u64 {
        self.found
    }

    /// How many were hidden since this was asked.
    pub fn take_found(&mut self) -> u64 {
        std::mem::take(&mut self.found)
    }

    /// Bytes that came and were not handed on yet.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.len() as u64
    }

    /// The next chunk: gives what can be handed on. After an error nothing more may be.
    pub fn push(&mut self, needles: &Needles, chunk: Bytes) -> Result<Bytes, TooDear> {
        self.effort.more(chunk.len());
        if self.held.is_empty() {
            let seen = needles.look(&chunk, &mut self.effort)?;
            if seen.found.is_empty() && seen.begun == chunk.len() {
                return Ok(chunk);
            }
            return Ok(self.hand_on(chunk.to_vec(), vec![false; chunk.len()], &seen));
        }
        let mut text = std::mem::take(&mut *self.held);
        let mut hidden = std::mem::take(&mut self.hidden);
        // What is held is looked through once more.
        self.effort.spend(text.len())?;
        text.extend_from_slice(&chunk);
        hidden.resize(text.len(), false);
        let seen = needles.look(&text, &mut self.effort)?;
        Ok(self.hand_on(text, hidden, &seen))
    }

    /// What was held, at the end of the stream.
    pub fn finish(&mut self) -> Bytes {
        let text = std::mem::take(&mut *self.held);
        let hidden = std::mem::take(&mut self.hidden);
        self.found = self
            .found
            .saturating_add(std::mem::take(&mut self.held_found));
        let seen = Seen {
            found: Vec::new(),
            begun: text.len(),
        };
        self.hand_on(text, hidden, &seen)
    }

    fn hand_on(&mut self, mut text: Vec<u8>, mut hidden: Vec<bool>, seen: &Seen) -> Bytes {
        let held_found = seen.found.iter().filter(|(start, _)| *start >= seen.begun);
        self.held_found = held_found.count() as u64;
        let found = seen.found.len() as u64 - self.held_found;
        self.found = self.found.saturating_add(found);
        for (start, end) in &seen.found {
            if let Some(part) = hidden.get_mut(*start..*end) {
                part.fill(true);
            }
        }
        self.held
            .extend_from_slice(text.get(seen.begun..).unwrap_or_default());
        self.hidden = hidden.split_off(seen.begun);
        text.truncate(seen.begun);
        for (byte, _) in text.iter_mut().zip(&hidden).filter(|(_, hide)| **hide) {
            *byte = b'*';
        }
        text.into()
    }
}

#[cfg(test)]
mod tests;
