//! The data keys of a copy that is put in place of a log.

use std::path::Path;

use super::document::alone;
use super::file::{InFolder, RingFile, replace};
use super::read;
use crate::crypto::{CryptoError, RootKey, SealingRoot};

/// How a copy of a log is opened, and which file of data keys belongs to it afterwards.
pub struct ForRestore {
    /// Opens the copy, and the target's own log if it can.
    pub root: SealingRoot,
    /// What becomes of the target's file.
    pub file: Exchange,
}

/// What becomes of a folder's file of data keys when a copy is put in place there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// It stays: it holds all that the copy needs, if there is one at all.
    Stays,
    /// This one takes its place.
    Becomes(Vec<u8>),
    /// It goes: the copy is from before there were data keys, and would not open beside it.
    Goes,
}

/// The data keys for a restore of `copy` into `target`. The target's own file counts too: it was wrapped
/// anew with every change of the sealing key, and the copy's was not.
pub fn for_restore(
    copy: &Path,
    target: &Path,
    root: &dyn RootKey,
) -> Result<ForRestore, CryptoError> {
    let (copy, target) = (InFolder(copy), InFolder(target));
    let of_copy = read(&copy)?;
    let of_target = match read(&target) {
        Ok(Some(document)) => document.opened(root, &target.path()).ok(),
        // A damaged one is one of the reasons to restore.
        Ok(None) | Err(_) => None,
    };
    let Some(document) = of_copy else {
        // Sealed under the sealing key of then: that is number 0, if the target has left it behind since.
        let with_first = of_target.filter(|ring| ring.keys.iter().any(|key| key.number.0 == 0));
        return Ok(match with_first {
            Some(ring) => ForRestore {
                root: ring.sealing_root(root)?,
                file: Exchange::Stays,
            },
            None => ForRestore {
                root: alone(root)?,
                file: Exchange::Goes,
            },
        });
    };
    let bytes = copy.read().map_err(copy.failed("read"))?;
    let (ring, file) = match (document.opened(root, &copy.path()), of_target) {
        (Ok(needed), Some(there)) if there.holds(&needed) => (there, Exchange::Stays),
        (Ok(needed), _) => (needed, Exchange::Becomes(bytes.unwrap_or_default())),
        (Err(_), Some(there)) => (there, Exchange::Stays),
        (Err(error), None) => return Err(error),
    };
    Ok(ForRestore {
        root: ring.sealing_root(root)?,
        file,
    })
}

/// Exchanges a folder's file of data keys, durably.
pub fn exchange(folder: &Path, file: &Exchange) -> Result<(), CryptoError> {
    let files = InFolder(folder);
    match file {
        Exchange::Stays => Ok(()),
        Exchange::Becomes(bytes) => replace(&files, bytes).map_err(files.failed("write")),
        Exchange::Goes => files.remove().map_err(files.failed("remove")),
    }
}
