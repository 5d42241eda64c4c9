//! What other policies, another mode or other thresholds would have done here, from the windows that were recorded.
//!
//! A rehearsal of thresholds is an event, with a name made of the candidate and of what it was tried
//! on: only what was rehearsed may be frozen (see [`frozen`](super::frozen)).

use std::sync::Arc;

use lanyard_drift::rehearsal::{self, Rehearsal, Rehearsing};
use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::frozen::{Candidate, CandidateError, JUDGED};
use super::opaque::subjects;
use super::recorder::{ReadBack, Recorder};
use super::responding::PolicySteps;
use super::{Mode, Watch};
use crate::clock::UnixMillis;
use crate::policy::{Broken, Bundle};
use crate::store::StoreError;
use crate::store::event::{By, ContentHash, Kind};

/// The longest time that can be asked about, in days.
pub const MOST_DAYS: u32 = 366;
/// Milliseconds in a day.
const DAY: u64 = 86_400_000;

/// What somebody thinks of switching to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Would {
    /// On windows of the last so many days.
    pub days: u32,
    /// Whether statistics act; absent: as they do now.
    pub mode: Option<Mode>,
    /// Which kind the thresholds are for; absent: all that are judged.
    pub kind: Option<Kind>,
    /// Absent: those in force.
    pub thresholds: Option<Map<String, Value>>,
    /// Policies of responses; absent: those in force.
    pub responses: Option<Sent>,
}

/// Policies of responses that somebody thinks of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// The schema they are written for.
    pub schema: String,
    /// The policies.
    pub policies: String,
}

/// What it would have done.
#[derive(Debug, Serialize)]
pub struct Rehearsed {
    /// Names candidate and windows by their content.
    pub id: ContentHash,
    /// Whether statistics act in it.
    pub mode: Mode,
    /// The policies of responses that were asked; absent where the table of the ladder was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<ContentHash>,
    /// The kinds whose thresholds it changes: these may be frozen with it.
    pub kinds: Vec<Kind>,
    /// Whether the thresholds differ in something that recorded windows cannot show.
    pub unrehearsed: bool,
    /// Segments of the recording that could only be read in part.
    pub cut: u64,
    /// What came of it.
    pub rehearsal: Rehearsal,
}

/// Why nothing was rehearsed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WouldError {
    /// Ask about fewer.
    #[error("`days` is 1 to {MOST_DAYS}")]
    Days,
    /// `kind` says which thresholds are meant.
    #[error("`kind` goes with `thresholds`")]
    KindAlone,
    /// See there.
    #[error(transparent)]
    Candidate(#[from] CandidateError),
    /// Correct what stands at the place.
    #[error("the policies cannot be used: {0}")]
    Policies(#[from] Broken),
    /// Name a folder that has some.
    #[error("none of these policies is about responses")]
    NoResponses,
    /// There is nothing to rehearse on.
    #[error("this broker records no windows")]
    NotRecorded,
    /// The disk.
    #[error("the recorded windows cannot be read")]
    Read(#[source] std::io::Error),
    /// Ask again later.
    #[error("the log takes no events now")]
    Store(#[from] StoreError),
}

impl Watch {
    /// Rehearses, and notes in the log what may be frozen by it.
    pub async fn would(&self, asked: Would, by: By) -> Result<Rehearsed, WouldError> {
        if asked.kind.is_some() && asked.thresholds.is_none() {
            return Err(WouldError::KindAlone);
        }
        let since = self.since_days(asked.days)?;
        let changed = match asked.thresholds {
            None => Vec::new(),
            Some(proposed) => {
                let kinds = asked.kind.map_or(JUDGED.to_vec(), |kind| vec![kind]);
                let candidates = kinds
                    .into_iter()
                    .map(|kind| Candidate::parse(kind, proposed.clone()));
                candidates.collect::<Result<_, _>>()?
            }
        };
        let bundle = match asked.responses {
            Some(Sent { schema, policies }) => {
                let bundle = Bundle::sent(schema, policies)?;
                if !bundle.has_responses() {
                    return Err(WouldError::NoResponses);
                }
                Some(Arc::new(bundle))
            }
            None => self.response_policies(),
        };
        let hash = bundle.as_ref().map(|bundle| bundle.hash());
        let (candidate, unrehearsed) = self.candidate(asked.mode, &changed);
        let mode = candidate.policy.mode;
        let (recorder, state) = (self.recorder()?, Arc::clone(&self.state));
        let rehearsing = tokio::task::spawn_blocking(move || {
            let steps = bundle.map(|bundle| PolicySteps::rehearsed(bundle, &state));
            run(&recorder, since, (&candidate, hash), steps)
        });
        let read = rehearsing.await.map_err(std::io::Error::other);
        let (id, rehearsal, back) = read.flatten().map_err(WouldError::Read)?;
        // What was tried on nothing was not tried.
        for candidate in changed.iter().filter(|_| rehearsal.windows > 0) {
            self.note_rehearsal(candidate, id, by.clone()).await?;
        }
        Ok(Rehearsed {
            id,
            mode,
            bundle: hash,
            kinds: changed.iter().map(Candidate::kind).collect(),
            unrehearsed,
            cut: back.cut,
            rehearsal,
        })
    }

    /// The windows of the last days as lines of JSON, in chunks, oldest first; the stream ends when its
    /// reader is gone.
    pub fn recorded_lines(
        &self,
        days: u32,
    ) -> Result<tokio::sync::mpsc::Receiver<std::io::Result<Vec<u8>>>, WouldError> {
        let since = self.since_days(days)?;
        let recorder = self.recorder()?;
        let (sender, receiver) = tokio::sync::mpsc::channel(CHUNKS_AHEAD);
        tokio::task::spawn_blocking(move || {
            let mut lines = Vec::new();
            let read = recorder.read(since, |window| {
                if serde_json::to_writer(&mut lines, &window).is_ok() {
                    lines.push(b'\n');
                }
                lines.len() < CHUNK_BYTES
                    || sender.blocking_send(Ok(std::mem::take(&mut lines))).is_ok()
            });
            // Whoever is gone misses nothing.
            let _ = sender.blocking_send(read.map(|_| lines));
        });
        Ok(receiver)
    }

    /// Thresholds in force, with those that somebody would change.
    fn candidate(&self, mode: Option<Mode>, changed: &[Candidate]) -> (rehearsal::Candidate, bool) {
        let mut unrehearsed = false;
        let by_kind = self.thresholds().into_iter().map(|in_force| {
            let change = changed.iter().find(|change| change.kind() == in_force.kind);
            let thresholds = change.map_or(&in_force.thresholds, Candidate::thresholds);
            unrehearsed |= rehearsal::Candidate::unrehearsed(thresholds, &in_force.thresholds);
            (in_force.kind.word().to_owned(), *thresholds)
        });
        let thresholds = by_kind.collect();
        let mut policy = self.config.policy;
        policy.mode = mode.unwrap_or(policy.mode);
        let candidate = rehearsal::Candidate {
            policy,
            caps: self.config.caps,
            sole_witnesses: subjects(&self.state.all_sole_witnesses()),
            thresholds,
            otherwise: self.config.thresholds,
        };
        (candidate, unrehearsed)
    }

    fn since_days(&self, days: u32) -> Result<UnixMillis, WouldError> {
        if days == 0 || days > MOST_DAYS {
            return Err(WouldError::Days);
        }
        let back = u64::from(days) * DAY;
        Ok(UnixMillis(self.clock.now().0.saturating_sub(back)))
    }

    fn recorder(&self) -> Result<Arc<Recorder>, WouldError> {
        self.recorder.get().cloned().ok_or(WouldError::NotRecorded)
    }
}

/// Bytes of lines that are sent together, and how many such chunks are read ahead of a slow reader.
const CHUNK_BYTES: usize = 256 * 1024;
const CHUNKS_AHEAD: usize = 4;

fn run(
    recorder: &Recorder,
    since: UnixMillis,
    (candidate, bundle): (&rehearsal::Candidate, Option<ContentHash>),
    mut steps: Option<PolicySteps<'_>>,
) -> std::io::Result<(ContentHash, Rehearsal, ReadBack)> {
    let mut rehearsing = match &mut steps {
        Some(steps) => Rehearsing::by(candidate, steps),
        None => Rehearsing::of(candidate),
    };
    let back = recorder.read(since, |window| {
        rehearsing.take(&window);
        true
    })?;
    let rehearsal = rehearsing.end();
    let tried = (
        candidate,
        bundle,
        rehearsal.between,
        rehearsal.windows,
        rehearsal.calls,
    );
    let bytes = serde_json::to_vec(&tried)?;
    let mut id = [0; 32];
    id.copy_from_slice(digest::digest(&digest::SHA256, &bytes).as_ref());
    Ok((ContentHash(id), rehearsal, back))
}
