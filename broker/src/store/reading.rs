//! Reads a log where it lies, also beside a broker that writes it: for questions about the past.
//!
//! What is just being written is not read yet. Nothing is changed, and no index is needed.

use std::path::Path;

use super::log::segments::{FOLDER, survey, walk};
use super::{Record, StoreError};
use crate::crypto::SealingRoot;

/// Shows every record of the log in `folder` to `each`, oldest first.
pub fn read(
    folder: &Path,
    root: &SealingRoot,
    mut each: impl FnMut(&Record),
) -> Result<(), StoreError> {
    if !folder.join(FOLDER).is_dir() {
        return Err(StoreError::Refused(format!(
            "`{}` holds no log",
            folder.display()
        )));
    }
    let segments = survey(folder, Some(root))?;
    walk(&segments.chain, |segment, entry| {
        let offset = entry.offset;
        if let Some(seal) = &segment.seal {
            let record = entry
                .open(seal)
                .map_err(|reason| segment.damaged(offset, reason))?;
            each(&record);
        }
        Ok(())
    })?;
    Ok(())
}
