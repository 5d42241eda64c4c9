//! The file: mode 0600, replaced as a whole, gone at the end.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lanyard_token::MAX_TOKEN_BYTES;
use zeroize::Zeroizing;

use crate::cli::CliError;

/// Removed when dropped.
pub(super) struct TokenFile {
    path: PathBuf,
    /// Made for it alone, and removed with it.
    folder: Option<PathBuf>,
    written: Option<Zeroizing<String>>,
}

impl TokenFile {
    /// At this place, where an earlier token may be and nothing else: the command line of a daemon must not be
    /// able to destroy what it names by mistake.
    pub(super) fn at(path: PathBuf) -> Result<Self, CliError> {
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Ok(found) if found.is_file() && found.len() <= MAX_TOKEN_BYTES as u64 => {
                let text = std::fs::read(&path).map_err(|error| {
                    CliError::cannot(format_args!("read `{}`", path.display()), &error)
                })?;
                if !looks_like_a_token(&text) {
                    return Err(in_the_way(&path));
                }
            }
            Ok(_) => return Err(in_the_way(&path)),
            Err(error) => {
                return Err(CliError::cannot(
                    format_args!("look at `{}`", path.display()),
                    &error,
                ));
            }
        }
        Ok(Self {
            path,
            folder: None,
            written: None,
        })
    }

    /// In a new folder, in memory where the system has such a place.
    pub(super) fn private() -> Result<Self, CliError> {
        let parent = std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|path| path.is_dir())
            .unwrap_or_else(std::env::temp_dir);
        // A name nobody can have prepared: creation fails when it exists.
        let folder = parent.join(format!("lanyard-{}", uuid::Uuid::new_v4().simple()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|error| {
                CliError::cannot(
                    format_args!("make the folder `{}`", folder.display()),
                    &error,
                )
            })?;
        Ok(Self {
            path: folder.join("token"),
            folder: Some(folder),
            written: None,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts this token into it, unless it is there. Whoever reads meanwhile has the old one or the new one.
    pub(super) fn write(&mut self, token: &str) -> Result<(), CliError> {
        let is_written = self.written.as_ref().is_some_and(|text| **text == token);
        if is_written && self.path.exists() {
            return Ok(());
        }
        let new = self.beside();
        // Of an earlier process with our number, which did not come to its end.
        let _ = std::fs::remove_file(&new);
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(token.as_bytes()))
            .and_then(|()| std::fs::rename(&new, &self.path))
            .map_err(|error| {
                let _ = std::fs::remove_file(&new);
                CliError::cannot(format_args!("write `{}`", self.path.display()), &error)
            })?;
        self.written = Some(Zeroizing::new(token.to_owned()));
        Ok(())
    }

    /// Whether what is there was written here last: another process may have the place since.
    fn is_ours(&self) -> bool {
        let is_file = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|found| found.is_file() && found.len() <= MAX_TOKEN_BYTES as u64);
        let Some(written) = self.written.as_ref().filter(|_| is_file) else {
            return false;
        };
        let found = std::fs::read(&self.path).map(Zeroizing::new);
        found.is_ok_and(|found| **found == *written.as_bytes())
    }

    fn beside(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default();
        let name = format!(".{}.{}.new", name.display(), std::process::id());
        self.path.with_file_name(name)
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        if self.is_ours() {
            let _ = std::fs::remove_file(&self.path);
        }
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

fn in_the_way(path: &Path) -> CliError {
    CliError::Usage(format!(
        "`{}` is there and holds no token: name another file",
        path.display()
    ))
}

/// Three parts of Base64 (RFC 7515), or nothing at all.
fn looks_like_a_token(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let parts = text.split(|byte| *byte == b'.');
    let is_part = |part: &[u8]| {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !part.is_empty() && part.iter().all(allowed)
    };
    text.is_empty() || (parts.clone().count() == 3 && parts.into_iter().all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_replaced_as_a_whole_and_gone_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "a.b.c\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let mut file = TokenFile::at(path.clone()).ok().unwrap();
        for token in ["d.e.f", "g.h.i"] {
            file.write(token).ok().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), token);
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::remove_file(&path).unwrap();
        file.write("g.h.i").ok().unwrap();
        assert!(path.exists(), "what somebody removed is put there again");
        drop(file);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_another_process_has_put_there_since_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let mut file = TokenFile::at(path.clone()).ok().unwrap();
        file.write("a.b.c").ok().unwrap();
        let mut next = TokenFile::at(path.clone()).ok().unwrap();
        next.write("d.e.f").ok().unwrap();
        drop(file);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "d.e.f");
        drop(next);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_token_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("id_ed25519");
        std::fs::write(&path, "-----BEGIN OPENSSH PRIVATE KEY-----").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for place in [path.clone(), link, folder.path().to_owned()] {
            let Err(CliError::Usage(words)) = TokenFile::at(place) else {
                panic!("it was taken");
            };
            assert!(words.contains("holds no token"), "{words}");
        }
        assert!(path.exists());
    }
}
