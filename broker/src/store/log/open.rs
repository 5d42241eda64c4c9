//! Opening: take the folder, recover what it holds, begin the segment of this boot, start the threads.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use lanyard_token::{NodeId, Rev};

use super::anchor::{Anchor, Anchored};
use super::appender::{Appender, NotWritten, Tail};
use super::checkpoint::{Checkpointer, Job};
use super::disk::{failed, is_full, sync_folder};
use super::fields::Hash;
use super::reader::Reader;
use super::recovery::{Recovered, recover, sync_last};
use super::reserve::Reserves;
use super::writer::{Message, Status, Writer};
use super::{
    IndexState, LOCK_FILE, Log, LogConfig, OpenReport, Running, header, index_mac, segments,
};
use crate::clock::Clock;
use crate::crypto::{Mac, SealingRoot};
use crate::store::sled::{self, Index, Standing};
use crate::store::{Event, NodeNumbers, Projections, StoreError};

/// How a log that was restored begins.
pub(crate) struct Beginning {
    pub(crate) epoch: Option<u16>,
    pub(crate) boot: u32,
    pub(crate) events: Vec<Event>,
}

impl Log {
    pub(crate) fn begin(
        config: LogConfig,
        root: Arc<SealingRoot>,
        clock: Arc<dyn Clock>,
        projections: Projections,
        beginning: Option<Beginning>,
    ) -> Result<(Arc<Self>, OpenReport), StoreError> {
        let started = Instant::now();
        if !(1..=header::MAX_TRUST_DOMAIN).contains(&config.trust_domain.len()) {
            let most = header::MAX_TRUST_DOMAIN;
            return Err(StoreError::Refused(format!(
                "the trust domain's name takes 1 to {most} bytes"
            )));
        }
        make_folders(&config.folder)?;
        let lock = lock(&config.folder)?;
        let mac = index_mac(&root, &config.trust_domain)?;
        let mut found = recover(&config, &root, &mac, &projections)?;
        sync_last(&found.segments, &config.folder)?;
        let had_log = found.last.is_some();
        let (index, index_state) = settle_index(&config.folder, &mac, &mut found);
        let beginning = beginning.map_or_else(|| next_boot(found.boot), Ok)?;
        let appender = appender(&config, root, &found, &beginning)?;
        let boot = beginning.boot;

        let status = Arc::new(Status::default());
        let head = found.end.map_or(Rev::ZERO, |end| end.mark.rev);
        status.head.store(head.as_u64(), Ordering::Release);
        status.writable.store(true, Ordering::Release);
        let (queue, messages) = mpsc::channel();
        let (checkpoints, jobs) = mpsc::channel();
        let checkpoint_busy = Arc::new(AtomicBool::new(false));
        let reader = Arc::new(Reader::new(
            found.segments.chain,
            found.end.map(|end| end.mark),
        ));
        let mut writer = Writer {
            appender,
            anchors: Vec::new(),
            boot,
            clock,
            projections,
            reader: reader.clone(),
            status: status.clone(),
            checkpoints,
            checkpoint_busy: checkpoint_busy.clone(),
            checkpoint_records: config.checkpoint_records.max(1),
            checkpoint_events: config.checkpoint_events.max(1),
            checkpoint_pause: config.checkpoint_pause,
            on_stop: config.on_stop.clone(),
            standing: found.last.unwrap_or(Standing {
                rev: head,
                hash: [0; 32],
            }),
            full: false,
            unsaved_records: found.records_replayed,
            unsaved_events: 0,
            last_checkpoint: started,
            last_attempt: None,
            opening: beginning.events,
        };
        open_for_writing(&mut writer)?;
        writer.anchors = open_anchors(&config, &writer.standing, boot)?;

        let report = OpenReport {
            head: writer.standing.rev,
            boot,
            index: index_state,
            rows_loaded: found.rows_loaded,
            records_replayed: found.records_replayed,
            torn_bytes: found.end.map_or(0, |end| end.torn_bytes),
            anchor_missing: had_log && found.missing_anchors > 0,
            writable: !writer.full,
            took: started.elapsed(),
        };
        report.tell();
        let checkpointer = Checkpointer::new(config.folder.clone(), mac, index, checkpoint_busy);
        let running = start(writer, messages, checkpointer, jobs, lock)?;
        let log = Self {
            queue,
            status,
            reader,
            nodes: NodeNumbers::of_boot(boot),
            folder: config.folder,
            running: Mutex::new(Some(running)),
        };
        Ok((Arc::new(log), report))
    }
}

pub(crate) fn make_folders(folder: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    let segments = folder.join(segments::FOLDER);
    let action = || format!("make the folder `{}`", segments.display());
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&segments)
        .map_err(failed(action()))?;
    sync_folder(folder).map_err(failed(action()))
}

/// Takes the folder for this process, for as long as the file is held.
pub(crate) fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK_FILE);
    let action = || format!("lock `{}`", path.display());
    let opened = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let file = opened.map_err(failed(action()))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(std::fs::TryLockError::Error(error)) => return Err(failed(action())(error)),
        }
    }
    Err(StoreError::Refused(format!(
        "the data folder `{}` is in use by another process: stop the broker first",
        folder.display()
    )))
}

/// Half a second in all. A lock outlives its holder for moments: a process that is just ending still
/// has it, and so has the copy of a process between its fork and the program it becomes.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// Keeps the index that was believed, or puts a new one in its place.
fn settle_index(folder: &Path, mac: &Mac, found: &mut Recovered) -> (Option<Index>, IndexState) {
    let open_new = || match Index::open(&folder.join(sled::FOLDER), mac.clone()) {
        Ok(index) => Some(index),
        Err(error) => {
            tracing::warn!(%error, "the index cannot be made; starts replay the whole log until it can");
            None
        }
    };
    match std::mem::replace(&mut found.index, Ok(None)) {
        Ok(Some(index)) if index.standing().is_some() => (Some(index), IndexState::Loaded),
        Ok(Some(index)) => (Some(index), IndexState::Created),
        Ok(None) => (open_new(), IndexState::Created),
        Err(fault) => {
            let moved = sled::move_aside(folder);
            let moved_to = moved.unwrap_or_else(|error| {
                tracing::warn!(%error, "the damaged index cannot be moved aside");
                None
            });
            (
                open_new(),
                IndexState::Rebuilt {
                    reason: fault.0,
                    moved_to,
                },
            )
        }
    }
}

fn next_boot(last: u32) -> Result<Beginning, StoreError> {
    let boot = last.saturating_add(1);
    if boot > NodeId::MAX_BOOT {
        return Err(StoreError::Refused(
            "every boot number has been used".to_owned(),
        ));
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Beginning {
        epoch: None,
        boot,
        events: vec![Event::Booted { boot, version }],
    })
}

fn appender(
    config: &LogConfig,
    root: Arc<SealingRoot>,
    found: &Recovered,
    beginning: &Beginning,
) -> Result<Appender, StoreError> {
    let last = found.segments.chain.last();
    let last_epoch = last.map_or(1, |segment| segment.header.epoch);
    let tail = match (last, found.end) {
        (Some(segment), Some(end)) => Tail {
            ordinal: segment.header.ordinal,
            rev: end.mark.rev,
            hash: end.mark.hash,
            at: end.mark.at,
            length: end.mark.offset,
        },
        _ => Tail {
            ordinal: 0,
            rev: Rev::ZERO,
            hash: Hash::default(),
            at: Default::default(),
            length: 0,
        },
    };
    let folder = config.folder.join(segments::FOLDER);
    let ready = found.segments.reserves.clone();
    let mut reserves = Reserves::new(
        folder.clone(),
        config.disk.clone(),
        config.reserve_bytes,
        ready,
    );
    match reserves.replenish() {
        Ok(()) => {}
        Err(error) if is_full(&error) => {
            tracing::warn!("the disk is too full to make a reserve for revocations")
        }
        Err(error) => return Err(failed("make the reserve for revocations")(error)),
    }
    Ok(Appender::new(
        folder,
        root,
        config.disk.clone(),
        config.trust_domain.clone(),
        beginning.epoch.unwrap_or(last_epoch),
        beginning.boot,
        config.segment_bytes,
        config.prepare_from,
        tail,
        reserves,
    ))
}

/// Writes the opening record. On a disk so full that not even a reserve is left, it is written later,
/// before anything else.
fn open_for_writing(writer: &mut Writer) -> Result<(), StoreError> {
    match writer.write_opening() {
        Ok(()) | Err(NotWritten::Full) => Ok(()),
        Err(NotWritten::TooLarge) => Err(StoreError::Stopped),
        Err(NotWritten::Fatal(reason)) => {
            writer.stop(&reason);
            Err(StoreError::Io {
                action: "open the log".to_owned(),
                reason,
            })
        }
    }
}

fn open_anchors(
    config: &LogConfig,
    standing: &Standing,
    boot: u32,
) -> Result<Vec<Anchor>, StoreError> {
    let anchored = Anchored {
        rev: standing.rev,
        hash: standing.hash,
        boot,
    };
    let mut anchors = Vec::new();
    for path in config.anchor_paths() {
        match Anchor::open(&path, anchored) {
            Ok(mut anchor) => {
                anchor.set_durably(anchored)?;
                anchors.push(anchor);
            }
            Err(StoreError::Full) => {
                tracing::warn!(path = %path.display(), "the disk is too full for an anchor")
            }
            Err(error) => return Err(error),
        }
    }
    Ok(anchors)
}

fn start(
    mut writer: Writer,
    messages: Receiver<Message>,
    checkpointer: Checkpointer,
    jobs: Receiver<Job>,
    lock: File,
) -> Result<Running, StoreError> {
    let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let checkpointer = named("log-index")
        .spawn(move || checkpointer.run(&jobs))
        .map_err(failed("start the thread of the index"))?;
    let writer = named("log-writer")
        .spawn(move || {
            // A projection that panics has applied half a record: nothing after that can be trusted.
            if catch_unwind(AssertUnwindSafe(|| writer.run(&messages))).is_err() {
                writer.stop("the thread that writes the log panicked");
            }
        })
        .map_err(failed("start the thread of the log"))?;
    Ok(Running {
        writer,
        checkpointer,
        _lock: lock,
    })
}
