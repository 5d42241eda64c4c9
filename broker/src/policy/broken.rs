//! Why a folder of policies cannot be used: where it stands, and in words.

use std::fmt;
use std::path::Path;

use miette::Diagnostic;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Broken {
    /// `file`, `file:line` or `file:line:column`.
    pub place: String,
    /// What is wrong there.
    pub words: String,
    /// What to do about it, when that is known.
    pub advice: Option<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.words)?;
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl Broken {
    /// Something about a whole file.
    pub(super) fn file(path: &Path, words: impl Into<String>) -> Self {
        Self {
            place: path.display().to_string(),
            words: words.into(),
            advice: None,
        }
    }

    /// Something about a line.
    pub(super) fn line(path: &Path, line: usize, words: impl Into<String>) -> Self {
        Self {
            place: format!("{}:{line}", path.display()),
            words: words.into(),
            advice: None,
        }
    }

    /// With what to do about it.
    pub(super) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// What Cedar says about a file's text.
    pub(super) fn told(path: &Path, text: &str, error: &dyn Diagnostic) -> Self {
        let labels = error.labels().into_iter().flatten();
        let offset = labels.map(|label| label.offset()).min();
        let place = match offset.map(|offset| place_in(text, offset)) {
            Some((line, column)) => format!("{}:{line}:{column}", path.display()),
            None => path.display().to_string(),
        };
        Self {
            place,
            words: one_line(&chain(error)),
            advice: error.help().map(|help| one_line(&help.to_string())),
        }
    }
}

/// Line and column of a byte, both from one.
fn place_in(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    (line, column)
}

fn chain(error: &dyn Diagnostic) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words.push_str(": ");
            words.push_str(&cause_words);
        }
        source = cause.source();
    }
    words
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_characters_from_one() {
        assert_eq!(place_in("ab\ncd", 0), (1, 1));
        assert_eq!(place_in("ab\ncd", 4), (2, 2));
        assert_eq!(place_in("é\nüx", 5), (2, 2));
        assert_eq!(place_in("ab", 99), (1, 3));
    }
}
