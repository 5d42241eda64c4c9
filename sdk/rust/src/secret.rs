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

    /// Whether others than its owner may read or write a file that a secret is in. Only where files have such rights, and of
    /// files alone: a pipe is read once.
    #[must_use]
    pub fn is_open_to_others(path: impl AsRef<Path>) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::metadata(path).is_ok_and(|file| {
                let mode = file.permissions().mode();
                file.is_file() && mode & 0o077 != 0
            })
        }
        #[cfg(not(unix))]
        {
            let _ = path;
            false
        }
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

    #[cfg(unix)]
    #[test]
    fn a_file_is_closed_where_nobody_else_has_any_right() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.key");
        assert!(!Secret::is_open_to_others(&path), "it is not there");
        std::fs::write(&path, "lyk_x").unwrap();
        for (mode, is_open) in [
            (0o600, false),
            (0o400, false),
            (0o640, true),
            (0o604, true),
            (0o620, true),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Secret::is_open_to_others(&path), is_open, "{mode:o}");
        }
        assert!(!Secret::is_open_to_others(folder.path()), "no file");
    }
}
