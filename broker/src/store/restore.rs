//! `lanyard restore`: puts a backup in place, and notices when it is older than what was acknowledged.
//!
//! What was acknowledged is known from the anchors of the target, from its log, and from what the operator
//! says a gateway has last seen. An older copy is refused: tokens and, worse, revocations would be lost.
//! With `accept_rollback` a new epoch begins, and its floor ends *every* token issued before it, not only
//! those after the copy: a revocation lost with the newer log may have been about an older token, and
//! nobody can tell which. Owners mint anew in milliseconds; a revocation that is undone stays undone.
//!
//! Boots jump to the next multiple of 4096, so that no number a lost boot gave to a node is given twice.
//! The folder that was there is kept inside, as `before-restore-N`; other files in it stay where they are.

mod known;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_token::{NodeId, Rev};
use serde::Serialize;

use super::backup::{Manifest, copy_file, installed_name, verify};
use super::event::By;
use super::log::anchor::{self, Anchored};
use super::log::disk::{failed, sync_folder};
use super::log::fields::hex;
use super::log::segments::{End, FOLDER, survey, walk};
use super::log::{Beginning, LOCK_FILE, Log, LogConfig, anchor_path, lock};
use super::sled::{FOLDER as INDEX, Standing};
use super::{Event, Projections, StoreError};
use crate::clock::Clock;
use crate::crypto::SealingRoot;
use crate::crypto::seal_ring::{self, Exchange};
use known::Known;

/// Boots after a restore begin at a multiple of this: more boots than anybody loses between two backups.
const BOOT_STEP: u32 = 4_096;

/// What to restore, and what is known of the world since.
pub struct Restore<'a> {
    /// The backup.
    pub from: &'a Path,
    /// The data folder.
    pub to: &'a Path,
    /// The anchor outside of the data folder, if there is one.
    pub anchor_file: Option<&'a Path>,
    /// The last place somebody else has seen, such as a gateway.
    pub last_seen: Option<Rev>,
    /// Whether an older copy may be put in place, and all tokens ended.
    pub accept_rollback: bool,
    /// What becomes of the target's data keys.
    pub data_keys: Exchange,
    /// Who does this.
    pub by: By,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RestoreReport {
    /// Whose log it is.
    pub trust_domain: String,
    /// The last place of the backup.
    pub kept: Rev,
    /// The newest place that was known, if it is lost now.
    pub lost: Option<Rev>,
    /// The new epoch, when one was begun: every token from before is dead.
    pub new_epoch: Option<u16>,
    /// Where the log stands now.
    pub head: Rev,
    /// Whether anything was there to compare the backup with. When not, nobody knows whether it is the
    /// newest; gateways refuse a feed that went back.
    pub compared: bool,
    /// Where the log that was there lies now.
    pub set_aside: Option<PathBuf>,
}

/// Puts a backup in place. Either all of it happens or the target is as it was.
pub fn restore(
    restore: &Restore<'_>,
    root: Arc<SealingRoot>,
    clock: Arc<dyn Clock>,
) -> Result<RestoreReport, StoreError> {
    let manifest = verify(restore.from)?;
    let copy = Copy::read(restore.from, &root, &manifest)?;
    let is_new = !restore.to.exists();
    make_folder(restore.to)?;
    let held = lock(restore.to)?;
    let restored = put_in_place(restore, &manifest, &copy, root, clock);
    if restored.is_err() && is_new {
        // Nothing but the lock lies in it; a folder that holds more is left by the second step.
        let _ = std::fs::remove_file(restore.to.join(LOCK_FILE));
        let _ = std::fs::remove_dir(restore.to);
    }
    drop(held);
    restored
}

/// What [`restore`] does while it holds the folder.
fn put_in_place(
    restore: &Restore<'_>,
    manifest: &Manifest,
    copy: &Copy,
    root: Arc<SealingRoot>,
    clock: Arc<dyn Clock>,
) -> Result<RestoreReport, StoreError> {
    let known = Known::of(restore, &root, manifest)?;
    let older = known.is_newer_than(copy);
    let compared = known.rev.is_some();
    if let (Some(expected), true, false) = (known.rev, older, restore.accept_rollback) {
        return Err(StoreError::RolledBack {
            found: manifest.head,
            expected,
        });
    }
    let new_life = restore.accept_rollback && (older || !compared);
    let newest_epoch = known
        .rev
        .unwrap_or(Rev::ZERO)
        .epoch()
        .max(manifest.head.epoch());
    let new_epoch = new_life.then(|| newest_epoch.saturating_add(1));
    let boot = (known.boot.max(copy.boot) / BOOT_STEP)
        .saturating_add(1)
        .saturating_mul(BOOT_STEP);
    if new_epoch.is_some_and(|epoch| epoch > Rev::MAX_EPOCH) || boot > NodeId::MAX_BOOT {
        return Err(StoreError::Refused(
            "every epoch or boot number has been used".to_owned(),
        ));
    }
    let lost = known.rev.filter(|_| older);
    let events = beginning(new_epoch, boot, manifest.head, lost, restore.by.clone());
    let restoring = restore.to.join("restoring");
    let config = LogConfig::new(&restoring, manifest.trust_domain.as_str());
    let placed = copy.build(&restoring).and_then(|()| {
        let opening = Beginning {
            epoch: new_epoch,
            boot,
            events,
        };
        let (log, report) = Log::begin(config, root, clock, Projections::new(), Some(opening))?;
        log.close();
        if report.head <= manifest.head {
            Err(StoreError::Full)
        } else {
            Ok(report.head)
        }
    });
    let head = match placed {
        Ok(head) => head,
        Err(error) => {
            // Nothing of the target was touched; this only gives the space back.
            let _ = std::fs::remove_dir_all(&restoring);
            return Err(error);
        }
    };
    let set_aside = install(restore, &restoring, known.occupied)?;
    Ok(RestoreReport {
        trust_domain: manifest.trust_domain.clone(),
        kept: manifest.head,
        lost,
        new_epoch,
        head,
        compared,
        set_aside,
    })
}

fn beginning(
    new_epoch: Option<u16>,
    boot: u32,
    kept: Rev,
    lost: Option<Rev>,
    by: By,
) -> Vec<Event> {
    match new_epoch.and_then(|epoch| Rev::new(epoch, 0)) {
        Some(floor) => vec![
            Event::EpochStarted { kept, lost, by },
            Event::FloorRaised { floor },
        ],
        None => vec![Event::Booted {
            boot,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }],
    }
}

/// A backup that was read through.
struct Copy {
    head: Rev,
    boot: u32,
    places: Vec<Standing>,
    files: Vec<(PathBuf, String, u64)>,
}

impl Copy {
    fn read(from: &Path, root: &SealingRoot, manifest: &Manifest) -> Result<Self, StoreError> {
        let segments = survey(from, Some(root))?;
        let mut places = Vec::new();
        let end = walk(&segments.chain, |segment, entry| {
            let (offset, standing) = (
                entry.offset,
                Standing {
                    rev: entry.rev,
                    hash: entry.hash,
                },
            );
            if let Some(seal) = &segment.seal {
                entry
                    .open(seal)
                    .map_err(|reason| segment.damaged(offset, reason))?;
            }
            places.push(standing);
            Ok(())
        })?;
        let last = places.last().map(|place| (place.rev, hex(&place.hash)));
        let whole = end.is_some_and(|end: End| end.torn_bytes == 0)
            && last == Some((manifest.head, manifest.hash.clone()))
            && segments.chain.len() == manifest.segments.len();
        if !whole {
            return Err(StoreError::Refused(format!(
                "`{}` does not hold what its manifest says",
                from.display()
            )));
        }
        let boot = segments
            .chain
            .iter()
            .map(|segment| segment.header.boot)
            .max()
            .unwrap_or(0);
        let mut files = Vec::new();
        for segment in &segments.chain {
            let length = super::log::segments::file_length(segment)?;
            files.push((segment.path.clone(), installed_name(segment), length));
        }
        Ok(Self {
            head: manifest.head,
            boot,
            places,
            files,
        })
    }

    fn build(&self, restoring: &Path) -> Result<(), StoreError> {
        if restoring.exists() {
            // Left by an attempt that was interrupted; it was never part of the data folder.
            std::fs::remove_dir_all(restoring).map_err(failed("remove an unfinished restore"))?;
        }
        let folder = restoring.join(FOLDER);
        make_folder(&folder)?;
        for (path, name, length) in &self.files {
            copy_file(path, &folder.join(name), *length)?;
        }
        sync_folder(&folder).map_err(failed("sync the restored segments"))
    }
}

/// Exchanges what is in the data folder for what was built, and moves the anchors.
fn install(
    restore: &Restore<'_>,
    restoring: &Path,
    occupied: bool,
) -> Result<Option<PathBuf>, StoreError> {
    let to = restore.to;
    let action = || format!("put the restored log into `{}`", to.display());
    let mut set_aside = None;
    if occupied {
        let aside = (1_u32..)
            .map(|n| to.join(format!("before-restore-{n}")))
            .find(|path| !path.exists());
        let aside = aside.unwrap_or_else(|| to.join("before-restore"));
        make_folder(&aside)?;
        for path in [to.join(FOLDER), to.join(INDEX)] {
            if let Some(name) = path.file_name().filter(|_| path.exists()) {
                std::fs::rename(&path, aside.join(name)).map_err(failed(action()))?;
            }
        }
        set_aside = Some(aside);
    }
    exchange_data_keys(to, &restore.data_keys, set_aside.as_deref())?;
    // Between these two steps the folder has an anchor and no log: a broker refuses to start on that, and
    // restoring again puts it right.
    std::fs::rename(restoring.join(FOLDER), to.join(FOLDER)).map_err(failed(action()))?;
    let anchored = anchor::read(&anchor_path(restoring))?;
    for path in [
        Some(anchor_path(to)),
        restore.anchor_file.map(Path::to_owned),
    ]
    .into_iter()
    .flatten()
    {
        move_anchor(&path, anchored, set_aside.as_deref())?;
    }
    sync_folder(to).map_err(failed(action()))?;
    let _ = std::fs::remove_dir_all(restoring);
    Ok(set_aside)
}

/// Before the segments that need them. The ones from before stay with the log from before.
fn exchange_data_keys(
    to: &Path,
    data_keys: &Exchange,
    aside: Option<&Path>,
) -> Result<(), StoreError> {
    let present = to.join(seal_ring::FILE);
    let replaced = *data_keys != Exchange::Stays && present.exists();
    if let Some(aside) = aside.filter(|_| replaced) {
        let kept = aside.join(seal_ring::FILE);
        std::fs::copy(&present, &kept)
            .and_then(|_| std::fs::File::open(&kept)?.sync_all())
            .map_err(failed("set the data keys aside"))?;
    }
    seal_ring::exchange(to, data_keys).map_err(|error| StoreError::Io {
        action: "put the data keys in place".to_owned(),
        reason: error.to_string(),
    })
}

fn move_anchor(
    path: &Path,
    anchored: Option<Anchored>,
    aside: Option<&Path>,
) -> Result<(), StoreError> {
    if let (Some(aside), Some(name)) = (aside, path.file_name())
        && path.exists()
    {
        // An anchor whose slots are damaged could not be moved on.
        std::fs::rename(path, aside.join(name))
            .or_else(|_| std::fs::remove_file(path))
            .map_err(failed("move the anchor"))?;
    }
    let Some(anchored) = anchored else {
        return Ok(());
    };
    anchor::Anchor::open(path, anchored)?.set_durably(anchored)
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(failed(format!("make the folder `{}`", path.display())))
}
