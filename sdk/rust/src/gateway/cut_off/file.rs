//! The file that local suspensions are written to, whole and seldom: a checksum, then JSON. A few lines at
//! most, in an outage; so it is written where it is decided, and not by the thread that writes frames.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use ring::digest::{SHA256, digest};

use super::Suspension;

/// More than a hundredth of the tokens of any gateway.
const MAX_BYTES: u64 = 1024 * 1024;

/// What is in it. What cannot be read is said, and is nothing: no token is suspended by a guess.
pub(super) fn read(path: &Path) -> Vec<Suspension> {
    match try_read(path) {
        Ok(suspended) => suspended,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "what was suspended here before the start cannot be read"
            );
            Vec::new()
        }
    }
}

/// Replaces it in one step, durably.
pub(super) fn write(path: &Path, suspended: &[Suspension]) -> io::Result<()> {
    let text = serde_json::to_vec(suspended).map_err(io::Error::other)?;
    let next = path.with_extension("next");
    let mut file = File::create(&next)?;
    file.write_all(digest(&SHA256, &text).as_ref())?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn try_read(path: &Path) -> io::Result<Vec<Suspension>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    let whole = bytes.split_first_chunk::<32>();
    let text = whole.filter(|(checksum, text)| digest(&SHA256, text).as_ref() == *checksum);
    let (_, text) = text.ok_or_else(|| io::Error::other("it was changed, or cut short"))?;
    serde_json::from_slice(text).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_suspends_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("suspended");
        assert_eq!(read(&path), []);
        write(&path, &[]).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        assert!(try_read(&path).is_ok());
        bytes.push(b' ');
        fs::write(&path, &bytes).unwrap();
        assert!(try_read(&path).is_err());
        assert_eq!(read(&path), []);
    }
}
