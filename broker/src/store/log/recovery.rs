//! What an opened folder holds: the chain is read, the index believed if it fits, the rest replayed.
//!
//! Nothing on disk is changed here. Only records from the place the index stands at (or the anchor, when
//! that is older) are read; older segments are checked when they are read, and by `lanyard store check`.

use std::path::Path;

use lanyard_token::Rev;

use super::anchor::{self, Anchored};
use super::record::Entry;
use super::segments::{
    End, Segment, Segments, check_acknowledged, file_length, position_of, survey, walk,
};
use super::{LogConfig, Progress};
use crate::crypto::{Mac, SealingRoot};
use crate::store::sled::{self, Index, Standing, Unusable};
use crate::store::{Projections, StoreError};

/// Progress is told after this many records.
const PROGRESS_RECORDS: u64 = 1_000;

pub(crate) struct Recovered {
    pub(crate) segments: Segments,
    pub(crate) end: Option<End>,
    /// The last record.
    pub(crate) last: Option<Standing>,
    /// The highest boot anything knows of.
    pub(crate) boot: u32,
    pub(crate) index: Result<Option<Index>, Unusable>,
    pub(crate) rows_loaded: u64,
    pub(crate) records_replayed: u64,
    /// Anchor files that were expected and are not there.
    pub(crate) missing_anchors: usize,
}

pub(crate) fn recover(
    config: &LogConfig,
    root: &SealingRoot,
    mac: &Mac,
    projections: &Projections,
) -> Result<Recovered, StoreError> {
    let segments = survey(&config.folder, Some(root))?;
    check_trust_domain(&segments, &config.trust_domain)?;
    let mut anchors = Vec::new();
    let mut missing_anchors = 0;
    for path in config.anchor_paths() {
        match anchor::read(&path)? {
            Some(anchored) => anchors.push(anchored),
            None => missing_anchors += 1,
        }
    }
    let boots = segments.chain.iter().map(|segment| segment.header.boot);
    let boot = boots
        .chain(anchors.iter().map(|anchored| anchored.boot))
        .max()
        .unwrap_or(0);
    let index_folder = config.folder.join(sled::FOLDER);
    let mut index = if index_folder.exists() {
        Index::open(&index_folder, mac.clone()).map(Some)
    } else {
        Ok(None)
    };
    let mut replay = Replay {
        config,
        segments: &segments,
        anchors: &anchors,
        projections,
    };
    let mut outcome = match &index {
        Ok(Some(open)) if open.standing().is_some() => replay.run(Some(open))?,
        _ => replay.run(None)?,
    };
    if let Some(reason) = outcome.index_fault.take() {
        index = Err(reason);
        for projection in projections {
            projection.reset();
        }
        outcome = replay.run(None)?;
    }
    replay.check_anchors(&outcome)?;
    let Outcome {
        end,
        last,
        rows_loaded,
        records_replayed,
        ..
    } = outcome;
    Ok(Recovered {
        segments,
        end,
        last,
        boot,
        index,
        rows_loaded,
        records_replayed,
        missing_anchors,
    })
}

fn check_trust_domain(segments: &Segments, expected: &str) -> Result<(), StoreError> {
    match segments.chain.first() {
        Some(first) if first.header.trust_domain != expected => Err(StoreError::Refused(format!(
            "it is the log of `{}`, not of `{expected}`; `lanyard store check` shows what it holds",
            first.header.trust_domain
        ))),
        _ => Ok(()),
    }
}

struct Replay<'a> {
    config: &'a LogConfig,
    segments: &'a Segments,
    anchors: &'a [Anchored],
    projections: &'a Projections,
}

#[derive(Default)]
struct Outcome {
    end: Option<End>,
    last: Option<Standing>,
    rows_loaded: u64,
    records_replayed: u64,
    index_fault: Option<Unusable>,
    /// The hash of the record at each anchor's place.
    at_anchors: Vec<Option<[u8; 32]>>,
    total_bytes: u64,
    read_bytes: u64,
}

impl Replay<'_> {
    fn run(&mut self, index: Option<&Index>) -> Result<Outcome, StoreError> {
        let chain = &self.segments.chain;
        let standing = index.and_then(Index::standing);
        let from = match standing {
            // The anchors are places to pass as well, so that what stands there can be compared.
            Some(standing) => {
                let places = self
                    .anchors
                    .iter()
                    .map(|anchored| anchored.rev)
                    .chain([standing.rev]);
                position_of(chain, places.min().unwrap_or(Rev::ZERO))
            }
            None => 0,
        };
        let walked = chain.get(from..).unwrap_or_default();
        let mut outcome = Outcome {
            at_anchors: vec![None; self.anchors.len()],
            ..Outcome::default()
        };
        for segment in walked {
            outcome.total_bytes += file_length(segment)?;
        }
        let mut waiting_for = standing;
        let end = walk(walked, |segment, entry| {
            for (anchored, hash) in self.anchors.iter().zip(&mut outcome.at_anchors) {
                if anchored.rev == entry.rev {
                    *hash = Some(entry.hash);
                }
            }
            outcome.last = Some(Standing {
                rev: entry.rev,
                hash: entry.hash,
            });
            outcome.read_bytes += entry.length();
            match (waiting_for, index) {
                (Some(standing), _) if entry.rev < standing.rev => Ok(()),
                (Some(standing), Some(index)) => {
                    waiting_for = None;
                    let fits = standing
                        == Standing {
                            rev: entry.rev,
                            hash: entry.hash,
                        };
                    let loaded = if fits {
                        self.load(index)
                    } else {
                        Err(other_log())
                    };
                    outcome.rows_loaded = loaded.map_err(|fault| {
                        outcome.index_fault = Some(fault);
                        // Only ends the walk; the fault is what the caller looks at.
                        StoreError::Stopped
                    })?;
                    Ok(())
                }
                _ => self.apply(segment, entry, &mut outcome),
            }
        });
        match end {
            Err(_) if outcome.index_fault.is_some() => return Ok(outcome),
            end => outcome.end = end?,
        }
        if waiting_for.is_some() {
            outcome.index_fault = Some(other_log());
        }
        Ok(outcome)
    }

    fn apply(
        &self,
        segment: &Segment,
        entry: Entry,
        outcome: &mut Outcome,
    ) -> Result<(), StoreError> {
        let offset = entry.offset;
        let Some(seal) = &segment.seal else {
            return Ok(());
        };
        let record = entry
            .open(seal)
            .map_err(|reason| segment.damaged(offset, reason))?;
        for projection in self.projections {
            projection.apply(&record);
        }
        outcome.records_replayed += 1;
        if let (Some(progress), true) = (
            &self.config.progress,
            outcome.records_replayed.is_multiple_of(PROGRESS_RECORDS),
        ) {
            progress(Progress {
                records: outcome.records_replayed,
                bytes: outcome.read_bytes,
                total_bytes: outcome.total_bytes,
            });
        }
        Ok(())
    }

    fn load(&self, index: &Index) -> Result<u64, Unusable> {
        let rows = index.load(|name, key, value| {
            // Rows of a projection that is gone, or of an older format of one that is not, would leave
            // that one empty: only a replay fills it.
            let projection = self
                .projections
                .iter()
                .find(|projection| projection.name() == name);
            let projection =
                projection.ok_or_else(|| Unusable(format!("nobody reads the rows of `{name}`")))?;
            projection
                .load_row(key, value)
                .map_err(|error| Unusable(format!("{error} (of `{name}`)")))
        })?;
        let mut unfilled = self.projections.iter().filter(|known| !known.is_filled());
        match unfilled.next() {
            Some(new) => Err(Unusable(format!("it has no rows of `{}` yet", new.name()))),
            None => Ok(rows),
        }
    }

    fn check_anchors(&self, outcome: &Outcome) -> Result<(), StoreError> {
        for (anchored, hash) in self.anchors.iter().zip(&outcome.at_anchors) {
            let Some(end) = &outcome.end else {
                return Err(StoreError::RolledBack {
                    found: Rev::ZERO,
                    expected: anchored.rev,
                });
            };
            check_acknowledged(
                &self.segments.chain,
                end,
                anchored.rev,
                &anchored.hash,
                hash.as_ref(),
            )?;
        }
        Ok(())
    }
}

fn other_log() -> Unusable {
    Unusable("it does not stand at a place of this log".to_owned())
}

/// Makes what the last boot left durable, before anything is built on it: a process that was killed may
/// have written records that are still only in memory.
pub(crate) fn sync_last(segments: &Segments, folder: &Path) -> Result<(), StoreError> {
    let Some(last) = segments.chain.last() else {
        return Ok(());
    };
    let action = || format!("sync the segment `{}`", last.name());
    let file = std::fs::File::open(&last.path).map_err(super::disk::failed(action()))?;
    file.sync_all().map_err(super::disk::failed(action()))?;
    super::disk::sync_folder(&folder.join(super::segments::FOLDER))
        .map_err(super::disk::failed(action()))
}
