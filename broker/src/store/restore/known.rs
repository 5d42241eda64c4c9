//! What the target of a restore, and the world, know of the log: what a copy is held against.

use std::path::Path;

use lanyard_token::Rev;

use super::{Copy, Restore};
use crate::crypto::{SealingRoot, seal_ring};
use crate::store::StoreError;
use crate::store::backup::Manifest;
use crate::store::log::anchor::{self, Anchored};
use crate::store::log::anchor_path;
use crate::store::log::disk::failed;
use crate::store::log::segments::{FOLDER, survey, walk};
use crate::store::sled::{FOLDER as INDEX, Standing};

/// What is known about the target.
#[derive(Default)]
pub(super) struct Known {
    pub(super) rev: Option<Rev>,
    places: Vec<(Rev, [u8; 32])>,
    pub(super) boot: u32,
    pub(super) occupied: bool,
}

impl Known {
    pub(super) fn of(
        restore: &Restore<'_>,
        root: &SealingRoot,
        manifest: &Manifest,
    ) -> Result<Self, StoreError> {
        let mut known = Self {
            rev: restore.last_seen,
            ..Self::default()
        };
        let inside = anchor_path(restore.to);
        for path in [Some(inside.as_path()), restore.anchor_file]
            .into_iter()
            .flatten()
        {
            // A damaged anchor is one of the reasons to restore: what it said is not known then.
            if let Ok(Some(anchored)) = anchor::read(path) {
                known.see(anchored);
            }
        }
        known.occupied =
            restore.to.join(FOLDER).exists() || inside.exists() || restore.to.join(INDEX).exists();
        if !known.occupied {
            return refuse_foreign_folder(restore.to).map(|()| known);
        }
        // A log that is damaged is another reason; whatever of it can be read is counted.
        let Ok(segments) = survey(restore.to, Some(root)) else {
            return Ok(known);
        };
        if let Some(first) = segments.chain.first()
            && first.header.trust_domain != manifest.trust_domain
        {
            return Err(StoreError::Refused(format!(
                "`{}` holds the log of `{}`, and the backup that of `{}`",
                restore.to.display(),
                first.header.trust_domain,
                manifest.trust_domain
            )));
        }
        for segment in &segments.chain {
            known.boot = known.boot.max(segment.header.boot);
        }
        let mut last = None;
        let _ = walk(&segments.chain, |_, entry| {
            last = Some((entry.rev, entry.hash));
            Ok(())
        });
        if let Some((rev, hash)) = last {
            known.see(Anchored { rev, hash, boot: 0 });
        }
        Ok(known)
    }

    fn see(&mut self, anchored: Anchored) {
        self.rev = self.rev.max(Some(anchored.rev));
        self.boot = self.boot.max(anchored.boot);
        self.places.push((anchored.rev, anchored.hash));
    }

    /// Whether something is known that the copy does not hold: a later place, or another history.
    pub(super) fn is_newer_than(&self, copy: &Copy) -> bool {
        let holds = |place: &(Rev, [u8; 32])| {
            copy.places.contains(&Standing {
                rev: place.0,
                hash: place.1,
            })
        };
        self.rev.is_some_and(|rev| rev > copy.head) || !self.places.iter().all(holds)
    }
}

/// A folder that is not empty and holds no log is somebody else's.
fn refuse_foreign_folder(folder: &Path) -> Result<(), StoreError> {
    let entries =
        std::fs::read_dir(folder).map_err(failed(format!("read `{}`", folder.display())))?;
    for name in entries.flatten().map(|entry| entry.file_name()) {
        let name = name.to_string_lossy();
        let ours = ["lock", "restoring", "admin.sock", seal_ring::FILE].contains(&&*name)
            || ["before-restore", "index.damaged-"]
                .iter()
                .any(|start| name.starts_with(start));
        if !ours {
            let reason = format!("`{}` is not empty and holds no log", folder.display());
            return Err(StoreError::Refused(reason));
        }
    }
    Ok(())
}
