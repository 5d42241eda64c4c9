//! The thread that saves projections into the index, so that the writer never waits for it.
//!
//! Rows are taken from the projections by the writer, between two records, and handed over. What could
//! not be saved stays here and goes along the next time: an index that lags costs a longer replay at the
//! next start and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use super::reserve::free_bytes;
use crate::crypto::Mac;
use crate::store::StoreError;
use crate::store::sled::{FOLDER, Index, NamedRow, Standing, row_key};

/// The engine rewrites whole pages and grows its file ahead: it gets this much more than the rows take.
const SPARE_BYTES: u64 = 8 << 20;

/// How far behind the other threads it is, as `nice` counts: under full load it gets a quarter of the time that one of
/// them gets. A storm of revocations leaves far more to save than to write, and nobody waits for what is saved.
const BEHIND: i32 = 5;

/// Rows that changed, and the place they stand at.
pub(crate) struct Job {
    pub(crate) rows: Vec<NamedRow>,
    pub(crate) standing: Standing,
    /// Told when it is done.
    pub(crate) done: Option<Sender<Result<Standing, StoreError>>>,
}

pub(crate) struct Checkpointer {
    folder: PathBuf,
    mac: Mac,
    index: Option<Index>,
    /// What the index on disk stands at, as far as is known.
    saved: Option<Standing>,
    pending: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// The rows on disk and those here no longer make a whole: off until the next start.
    lost: bool,
    busy: Arc<AtomicBool>,
}

impl Checkpointer {
    pub(crate) fn new(
        folder: PathBuf,
        mac: Mac,
        index: Option<Index>,
        busy: Arc<AtomicBool>,
    ) -> Self {
        let saved = index.as_ref().and_then(Index::standing);
        Self {
            folder,
            mac,
            index,
            saved,
            pending: BTreeMap::new(),
            lost: false,
            busy,
        }
    }

    /// Works until the writer is gone.
    pub(crate) fn run(mut self, jobs: &Receiver<Job>) {
        // On Linux this is about the calling thread. Where it is not allowed, it works beside the others.
        let _ = rustix::process::nice(BEHIND);
        while let Ok(job) = jobs.recv() {
            let result = self.save(job.rows, job.standing);
            if let Err(error) = &result {
                tracing::warn!(%error, "the index was not saved; the next start replays more of the log");
            }
            self.busy.store(false, Ordering::Release);
            if let Some(done) = job.done {
                // Whoever asked may have gone.
                let _ = done.send(result);
            }
        }
    }

    fn save(&mut self, rows: Vec<NamedRow>, standing: Standing) -> Result<Standing, StoreError> {
        if self.lost {
            return Err(unsaved(
                "it was lost while running and is rebuilt at the next start",
            ));
        }
        for (name, row) in rows {
            self.pending.insert(row_key(name, &row.key), row.value);
        }
        let size: usize = self
            .pending
            .iter()
            .map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len))
            .sum();
        let needed = SPARE_BYTES.saturating_add((size as u64).saturating_mul(3));
        if free_bytes(&self.folder).is_some_and(|free| free < needed) {
            return Err(StoreError::Full);
        }
        self.open()?;
        let Some(index) = &mut self.index else {
            return Err(unsaved("it is not open"));
        };
        let rows = self
            .pending
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_deref()));
        if let Err(error) = index.save(rows, standing) {
            // Its engine may not work on after an error; the next attempt opens it again.
            self.index = None;
            return Err(unsaved(&error.to_string()));
        }
        self.pending.clear();
        self.saved = Some(standing);
        Ok(standing)
    }

    /// Opens the index again after an error, if it still stands where it was left.
    fn open(&mut self) -> Result<(), StoreError> {
        if self.index.is_some() {
            return Ok(());
        }
        let found = Index::open(&self.folder.join(FOLDER), self.mac.clone());
        let index = found.map_err(|error| unsaved(&error.to_string()))?;
        if index.standing() != self.saved {
            self.lost = true;
            self.pending.clear();
            return Err(unsaved("it does not stand where it was left"));
        }
        self.index = Some(index);
        Ok(())
    }
}

fn unsaved(reason: &str) -> StoreError {
    StoreError::Io {
        action: "save the index".to_owned(),
        reason: reason.to_owned(),
    }
}
