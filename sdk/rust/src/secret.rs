//! Text that must never be seen: client secrets and access tokens.

use std::path::Path;

use zeroize::Zeroizing;

/// A secret text. It cannot be printed, copied or serialised, and is wiped when dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Reads it from a file, such as `lanyard key add NAME --out FILE` writes: without the line break at its end.
    pub fn from_file(path: impl AsRef<Path>) -> std::io::Result<Self> {
        let text = Zeroizing::new(std::fs::read_to_string(path)?);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Self::new(line.strip_suffix('\r').unwrap_or(line)))
    }

    /// The text itself. Every caller of this is a place to look at when secrets leak.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_end_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.key");
        for text in ["lyk_x", "lyk_x\n", "lyk_x\r\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Secret::from_file(&path).unwrap().expose(), "lyk_x");
        }
    }
}
