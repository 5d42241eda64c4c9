//! The one thread that writes: it takes what is waiting, makes one record of it, and answers when the
//! record is durable and every projection has applied it.
//!
//! While one record is being synced the next callers queue up, so under load a sync is shared by hundreds, and a lone
//! caller waits for nobody. Only after a group of several the writer lets a moment pass before the next: those who were
//! just answered ask again one by one, and whoever came first would have a sync for himself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use lanyard_token::Rev;
use tokio::sync::oneshot;

use super::anchor::{Anchor, Anchored};
use super::appender::{Appender, NotWritten, Written};
use super::checkpoint::Job;
use super::reader::Reader;
use crate::clock::Clock;
use crate::crypto::SequenceSeal;
use crate::store::sled::Standing;
use crate::store::{Event, MAX_EVENTS, Projections, Record, StoreError};

/// So many callers in one record show that more are about to come.
const BUSY: usize = 4;
/// About as long as a sync takes: nobody waits for more than one more of them.
const MOMENT: Duration = Duration::from_micros(250);
/// While the disk is full, space is looked for at least this often.
const TICK: Duration = Duration::from_secs(1);
/// And, however many callers ask, at most this often.
const HEAL_PAUSE: Duration = Duration::from_millis(100);

/// What others ask of the writer.
pub(crate) enum Message {
    Append(Batch),
    Checkpoint(Sender<Result<Standing, StoreError>>),
    Close,
}

/// One caller's events.
pub(crate) struct Batch {
    pub(crate) events: Vec<Event>,
    /// The same as JSON, without the brackets: callers do that work, not the one thread that writes.
    pub(crate) json: Vec<u8>,
    pub(crate) answer: oneshot::Sender<Result<Rev, StoreError>>,
}

/// What everybody may see of the writer.
#[derive(Default)]
pub(crate) struct Status {
    pub(crate) head: AtomicU64,
    pub(crate) writable: AtomicBool,
    pub(crate) stopped: AtomicBool,
}

/// Called once, with the reason, when the store must not go on.
pub type StopHook = Arc<dyn Fn(&str) + Send + Sync>;

pub(crate) struct Writer {
    pub(crate) appender: Appender,
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) boot: u32,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) projections: Projections,
    pub(crate) reader: Arc<Reader>,
    pub(crate) status: Arc<Status>,
    pub(crate) checkpoints: Sender<Job>,
    pub(crate) checkpoint_busy: Arc<AtomicBool>,
    pub(crate) checkpoint_records: u64,
    pub(crate) checkpoint_events: u64,
    pub(crate) checkpoint_pause: Duration,
    pub(crate) on_stop: Option<StopHook>,
    pub(crate) standing: Standing,
    pub(crate) full: bool,
    pub(crate) unsaved_records: u64,
    pub(crate) unsaved_events: u64,
    pub(crate) last_checkpoint: Instant,
    pub(crate) last_attempt: Option<Instant>,
    /// What must be written before anything else; left over when the log was opened on a full disk.
    pub(crate) opening: Vec<Event>,
}

impl Writer {
    /// Works until it is closed, everybody is gone, or it must stop.
    pub(crate) fn run(&mut self, queue: &Receiver<Message>) {
        let mut waiting = VecDeque::new();
        let mut group = 0;
        while !self.status.stopped.load(Ordering::Acquire) {
            if waiting.is_empty() {
                match queue.recv_timeout(TICK) {
                    Ok(message) => waiting.push_back(message),
                    Err(RecvTimeoutError::Timeout) => {
                        self.tick();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            if group >= BUSY {
                std::thread::sleep(MOMENT);
            }
            waiting.extend(queue.try_iter().take(MAX_EVENTS));
            let batches = take_group(&mut waiting);
            group = batches.len();
            if !batches.is_empty() {
                self.commit(batches);
                self.checkpoint_when_due();
                continue;
            }
            match waiting.pop_front() {
                Some(Message::Checkpoint(done)) => self.checkpoint(Some(done)),
                Some(Message::Close) => break,
                Some(Message::Append(_)) | None => {}
            }
        }
        if !self.status.stopped.load(Ordering::Acquire) {
            self.appender.trim();
        }
        self.status.writable.store(false, Ordering::Release);
        self.status.stopped.store(true, Ordering::Release);
    }

    /// Makes one record of the batches, durable, applied and answered.
    pub(crate) fn commit(&mut self, mut batches: Vec<Batch>) {
        self.heal_when_due(false);
        if self.full {
            let (taken, refused): (Vec<_>, Vec<_>) = batches
                .into_iter()
                .partition(|batch| batch.events.iter().all(Event::ends_access));
            answer_all(refused, &Err(StoreError::Full));
            batches = taken;
        }
        if batches.is_empty() {
            return;
        }
        match self.write_opening() {
            Ok(()) => {}
            Err(NotWritten::Fatal(reason)) => {
                answer_all(batches, &Err(StoreError::Stopped));
                return self.stop(&reason);
            }
            Err(_) => return answer_all(batches, &Err(StoreError::Full)),
        }
        let count = batches
            .iter()
            .map(|batch| batch.events.len())
            .sum::<usize>();
        let at = self.clock.now().max(self.appender.last_time());
        let json = json_array(&batches);
        match self.appender.append(
            json,
            u32::try_from(count).unwrap_or(u32::MAX),
            at,
            self.full,
        ) {
            Ok(written) => self.publish(written, at, batches),
            Err(NotWritten::Full) if !self.full => {
                self.set_full(true);
                self.commit(batches);
            }
            Err(NotWritten::Full) => answer_all(batches, &Err(StoreError::Full)),
            Err(NotWritten::TooLarge) => {
                let (action, reason) = (
                    "append".to_owned(),
                    "the events take too many bytes".to_owned(),
                );
                answer_all(batches, &Err(StoreError::Io { action, reason }));
            }
            Err(NotWritten::Fatal(reason)) => {
                answer_all(batches, &Err(StoreError::Stopped));
                self.stop(&reason);
            }
        }
    }

    /// Writes the opening record, into the reserve when it must be.
    pub(crate) fn write_opening(&mut self) -> Result<(), NotWritten> {
        if self.opening.is_empty() {
            return Ok(());
        }
        let fatal = |error: serde_json::Error| NotWritten::Fatal(error.to_string());
        let json = serde_json::to_vec(&self.opening).map_err(fatal)?;
        let count = u32::try_from(self.opening.len()).unwrap_or(u32::MAX);
        let at = self.clock.now().max(self.appender.last_time());
        let mut written = self.appender.append(json.clone(), count, at, self.full);
        if matches!(written, Err(NotWritten::Full)) && !self.full {
            self.set_full(true);
            written = self.appender.append(json, count, at, true);
        }
        let written = written?;
        // Nobody waits for it.
        let (answer, _) = oneshot::channel();
        let events = std::mem::take(&mut self.opening);
        self.publish(
            written,
            at,
            vec![Batch {
                events,
                json: Vec::new(),
                answer,
            }],
        );
        Ok(())
    }

    fn publish(&mut self, written: Written, at: crate::clock::UnixMillis, batches: Vec<Batch>) {
        let anchored = Anchored {
            rev: written.rev,
            hash: written.hash,
            boot: self.boot,
        };
        for anchor in &mut self.anchors {
            anchor.set(anchored);
        }
        let (mut events, mut answers) = (Vec::new(), Vec::with_capacity(batches.len()));
        for batch in batches {
            events.extend(batch.events);
            answers.push(batch.answer);
        }
        let record = Record {
            rev: written.rev,
            at,
            events,
        };
        for projection in &self.projections {
            projection.apply(&record);
        }
        let count = u64::try_from(record.events.len()).unwrap_or(u64::MAX);
        self.unsaved_events = self.unsaved_events.saturating_add(count);
        self.reader.extend(written.begun, written.mark);
        self.standing = Standing {
            rev: written.rev,
            hash: written.hash,
        };
        self.unsaved_records = self.unsaved_records.saturating_add(1);
        self.status
            .head
            .store(written.rev.as_u64(), Ordering::Release);
        for answer in answers {
            // A caller who does not wait has still appended.
            let _ = answer.send(Ok(written.rev));
        }
    }

    fn tick(&mut self) {
        self.heal_when_due(true);
        self.checkpoint_when_due();
    }

    fn heal_when_due(&mut self, now: bool) {
        if !self.full
            || (!now
                && self
                    .last_attempt
                    .is_some_and(|last| last.elapsed() < HEAL_PAUSE))
        {
            return;
        }
        self.last_attempt = Some(Instant::now());
        if self.appender.reserves.has_space_again() && self.appender.reserves.replenish().is_ok() {
            self.appender.leave_segment();
            self.set_full(false);
        }
    }

    pub(crate) fn set_full(&mut self, full: bool) {
        self.full = full;
        self.status.writable.store(!full, Ordering::Release);
        if full {
            self.last_attempt = Some(Instant::now());
            tracing::error!("the disk is full: only revocations are taken, from the reserve");
        } else {
            tracing::info!("the disk has space again: everything is taken");
        }
    }

    fn checkpoint_when_due(&mut self) {
        let due = self.unsaved_records >= self.checkpoint_records
            || self.unsaved_events >= self.checkpoint_events
            || (self.unsaved_records > 0
                && self.last_checkpoint.elapsed() >= self.checkpoint_pause);
        if due && !self.checkpoint_busy.load(Ordering::Acquire) {
            self.checkpoint(None);
        }
    }

    fn checkpoint(&mut self, done: Option<Sender<Result<Standing, StoreError>>>) {
        let mut rows = Vec::new();
        for projection in &self.projections {
            rows.extend(
                projection
                    .changed_rows()
                    .into_iter()
                    .map(|row| (projection.name(), row)),
            );
        }
        for anchor in &self.anchors {
            anchor.sync();
        }
        self.unsaved_records = 0;
        self.unsaved_events = 0;
        self.last_checkpoint = Instant::now();
        self.checkpoint_busy.store(true, Ordering::Release);
        // Without the thread there is no index; the log is whole without it.
        let _ = self.checkpoints.send(Job {
            rows,
            standing: self.standing,
            done,
        });
    }

    pub(crate) fn stop(&self, reason: &str) {
        self.status.writable.store(false, Ordering::Release);
        self.status.stopped.store(true, Ordering::Release);
        tracing::error!(
            reason,
            "the store stops: what is on disk is not known any more"
        );
        if let Some(hook) = &self.on_stop {
            hook(reason);
        }
    }
}

/// Takes batches off the front, as many as one record holds; none when something else is ahead.
fn take_group(waiting: &mut VecDeque<Message>) -> Vec<Batch> {
    let (mut batches, mut count) = (Vec::new(), 0);
    while let Some(Message::Append(batch)) = waiting.front() {
        count += batch.events.len();
        if count > MAX_EVENTS {
            break;
        }
        let Some(Message::Append(batch)) = waiting.pop_front() else {
            break;
        };
        batches.push(batch);
    }
    batches
}

fn json_array(batches: &[Batch]) -> Vec<u8> {
    let mut json = Vec::with_capacity(
        2 + SequenceSeal::OVERHEAD
            + batches
                .iter()
                .map(|batch| batch.json.len() + 1)
                .sum::<usize>(),
    );
    json.push(b'[');
    for (position, batch) in batches.iter().enumerate() {
        if position > 0 {
            json.push(b',');
        }
        json.extend_from_slice(&batch.json);
    }
    json.push(b']');
    json
}

fn answer_all(batches: Vec<Batch>, answer: &Result<Rev, StoreError>) {
    for batch in batches {
        let _ = batch.answer.send(answer.clone());
    }
}
