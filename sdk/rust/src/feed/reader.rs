//! The task that follows the feed: from the disk, else from a snapshot, then along the stream, for ever.

mod confirm;
mod remote;
mod restored;
mod setback;
mod upkeep;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lanyard_token::{FeedMessage, FrameError, VerifiedMessage};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use self::confirm::Reached;
use self::remote::Remote;
use self::restored::Restored;
use self::setback::Setback;
use super::config::{FeedConfig, FeedFailure};
use super::error::FeedError;
use super::keys::Delegations;
use super::position::{Applied, Replica};
use super::state::{Journal, Persisted, StateFolder, boot_id};
use super::stream::{CONFIRM_PLEASE, Splitter};
use super::time::FeedTime;
use super::token_source::TokenSource;
use super::view::FeedView;
use crate::clock::UnixMillis;

/// Ten heartbeats: a stream that is silent for longer is dead, whatever TCP believes.
const SILENCE: Duration = Duration::from_secs(5);
/// First and longest pause between attempts; each is drawn from between half and all of it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A stream that held this long was a good one: the next attempt begins without a pause.
const GOOD_STREAM: Duration = Duration::from_secs(1);
/// Up to as many missing frames are fetched one by one; beyond, a snapshot is cheaper.
const LARGEST_GAP: u64 = 256;
/// Follows the feed into `view` until `shutdown` resolves.
///
/// Fails only where this machine hinders it before it has begun; everything else is retried for
/// ever, because a gateway must come back by itself. Needs a Tokio runtime with time and I/O.
pub async fn run(
    config: FeedConfig,
    tokens: Arc<dyn TokenSource>,
    view: Arc<FeedView>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), FeedFailure> {
    let mut reader = Reader::open(config, tokens, view).await?;
    let confirming = tokio::spawn(confirm::run(
        reader.remote.clone(),
        Arc::clone(&reader.asked),
        reader.reached.subscribe(),
        reader.journal.persisted(),
    ));
    tokio::select! {
        () = reader.follow() => {}
        () = shutdown => {}
    }
    confirming.abort();
    let journal = reader.journal;
    // Closing waits for the disk; a thread that panicked has said so itself.
    let _ = tokio::task::spawn_blocking(move || journal.close()).await;
    Ok(())
}

struct Reader {
    config: FeedConfig,
    remote: Remote,
    view: Arc<FeedView>,
    replica: Replica,
    delegations: Delegations,
    time: Option<FeedTime>,
    journal: Journal,
    persisted: watch::Receiver<Persisted>,
    reached: watch::Sender<Option<Reached>>,
    asked: Arc<Notify>,
    keys_asked: Option<Instant>,
    snapshot_taken: Instant,
    snapshot_tried: Instant,
    snapshot_wanted: bool,
    time_saved: Option<Instant>,
}

impl Reader {
    async fn open(
        config: FeedConfig,
        tokens: Arc<dyn TokenSource>,
        view: Arc<FeedView>,
    ) -> Result<Self, FeedFailure> {
        let state_dir = config.state_dir.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let boot_id = boot_id();
            let folder = StateFolder::open(&state_dir)?;
            let instance = folder.instance()?;
            let saved = folder.load(&boot_id);
            Ok((folder, boot_id, instance, saved))
        });
        let unusable = |folder: &FeedConfig, source| FeedFailure::StateFolder {
            folder: folder.state_dir.clone(),
            source,
        };
        let (folder, boot_id, instance, saved) = opened
            .await
            .map_err(|error| unusable(&config, std::io::Error::other(error)))??;
        let issuer = config.issuer.trim_end_matches('/').to_owned();
        let remote = Remote {
            http: config.http.clone(),
            feed: config.feed_url.as_deref().map_or_else(
                || issuer.clone(),
                |url| url.trim_end_matches('/').to_owned(),
            ),
            issuer,
            tokens,
            instance,
        };
        let restored = saved.and_then(|saved| Restored::verify(saved, &config));
        let restored = match restored {
            Ok(restored) => restored,
            Err(damage) => {
                tracing::error!(damage, folder = %config.state_dir.display(), "the feed's state folder is damaged; everything is fetched anew");
                folder.clear().map_err(|source| unusable(&config, source))?;
                Restored::default()
            }
        };
        let on_disk = restored
            .replica
            .position()
            .map_or_else(Persisted::default, |position| Persisted {
                epoch: position.epoch,
                n: position.n,
                frame_bytes: restored.frame_bytes,
                broken: false,
            });
        let journal =
            Journal::start(folder, boot_id, on_disk).map_err(|source| unusable(&config, source))?;
        let now = Instant::now();
        let reader = Self {
            remote,
            replica: restored.replica,
            delegations: restored.delegations,
            time: restored.time,
            persisted: journal.persisted(),
            journal,
            reached: watch::Sender::new(None),
            asked: Arc::new(Notify::new()),
            keys_asked: None,
            snapshot_taken: now,
            snapshot_tried: now,
            // A restart is a good moment to have the state signed by today's key.
            snapshot_wanted: restored.frame_bytes > 0,
            time_saved: None,
            view,
            config,
        };
        reader.publish_restored(restored.made);
        Ok(reader)
    }

    fn publish_restored(&self, made: UnixMillis) {
        self.trust();
        if let Some(time) = self.time {
            self.view.publish_time(time);
        }
        if let Some(position) = self.replica.position() {
            self.view.publish_known_time(made);
            self.view
                .publish_state(self.replica.liveness(), self.replica.reached());
            tracing::info!(
                epoch = position.epoch,
                n = position.n,
                "the feed goes on from the disk"
            );
        }
        self.publish_position();
    }

    /// Attempt after attempt.
    async fn follow(&mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let Err(setback) = self.attempt().await;
            if began.elapsed() >= GOOD_STREAM {
                pause = FIRST_PAUSE;
            }
            match &setback {
                Setback::Ended | Setback::TooOld => {
                    tracing::debug!(reason = %setback, "the feed is opened again")
                }
                Setback::BrokerRolledBack
                | Setback::Feed(FeedError::Fork(_) | FeedError::Rollback { .. }) => {
                    tracing::error!(reason = %setback, "the feed contradicts what is known here; nothing of it is taken");
                }
                setback => {
                    let source = std::error::Error::source(setback).map(ToString::to_string);
                    tracing::warn!(reason = %setback, source, "the feed is interrupted");
                }
            }
            if matches!(setback, Setback::Ended) && began.elapsed() >= GOOD_STREAM {
                continue;
            }
            self.wait(jittered(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits, while suspensions still end on time.
    async fn wait(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        while let Some(left) = until
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            sleep(left.min(Duration::from_secs(1))).await;
            self.end_suspensions();
        }
    }

    /// One connection, from keys to the end of the stream.
    async fn attempt(&mut self) -> Result<std::convert::Infallible, Setback> {
        if self.view.keys().feed().is_empty() {
            self.ask_for_keys().await?;
        }
        let after = match self.replica.position() {
            Some(position) => position,
            None => self.take_snapshot().await?,
        };
        let mut stream = match self.remote.stream(after).await {
            Err(Setback::TooOld) => {
                self.take_snapshot().await?;
                return Err(Setback::TooOld);
            }
            other => other?,
        };
        let mut splitter = Splitter::default();
        let mut every_second = interval(Duration::from_secs(1));
        every_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let view = Arc::clone(&self.view);
        loop {
            tokio::select! {
                chunk = timeout(SILENCE, stream.chunk()) => {
                    let chunk = chunk.map_err(|_| Setback::Silent)?.map_err(Setback::Network)?;
                    splitter.push(&chunk.ok_or(Setback::Ended)?);
                    while let Some(message) = splitter.next()? {
                        self.take(message).await?;
                    }
                    self.publish_position();
                }
                _ = every_second.tick() => self.every_second().await?,
                () = view.keys_are_wanted() => self.ask_for_keys_if_allowed().await,
            }
        }
    }

    async fn take(&mut self, bytes: Bytes) -> Result<(), Setback> {
        if bytes == CONFIRM_PLEASE {
            self.publish_position();
            self.asked.notify_one();
            return Ok(());
        }
        let message = self.verify(&bytes).await?;
        match self.apply(&message, &bytes) {
            Err(FeedError::Gap { have, known }) => {
                tracing::info!(
                    have,
                    known,
                    "the feed has a gap; what is missing is fetched"
                );
                self.fill(have, known).await?;
                Ok(self.apply(&message, &bytes).map(|_| ())?)
            }
            Err(FeedError::NewEpoch { ours, theirs }) => {
                tracing::warn!(ours, theirs, "the broker's log began a new epoch");
                self.take_snapshot().await?;
                Ok(self.apply(&message, &bytes).map(|_| ())?)
            }
            other => Ok(other.map(|_| ())?),
        }
    }

    /// Fetches frames `have + 1` to `known`.
    async fn fill(&mut self, have: u64, known: u64) -> Result<(), Setback> {
        let Some(position) = self
            .replica
            .position()
            .filter(|_| known - have <= LARGEST_GAP)
        else {
            self.take_snapshot().await?;
            return Ok(());
        };
        for n in have + 1..=known {
            let bytes = match self.remote.frame(position.epoch, n).await {
                Err(Setback::TooOld) => {
                    self.take_snapshot().await?;
                    return Ok(());
                }
                other => other?,
            };
            let message = self.verify(&bytes).await?;
            self.apply(&message, &bytes)?;
        }
        Ok(())
    }

    async fn take_snapshot(&mut self) -> Result<super::FeedPosition, Setback> {
        self.snapshot_tried = Instant::now();
        let bytes = self.remote.snapshot().await?;
        let message = self.verify(&bytes).await?;
        self.apply(&message, &bytes)?;
        self.snapshot_taken = Instant::now();
        self.replica
            .position()
            .ok_or(Setback::Feed(FeedError::NoSnapshot))
    }

    /// Checks the signature; an unknown key is asked for once.
    async fn verify(&mut self, bytes: &Bytes) -> Result<VerifiedMessage, Setback> {
        let now = self.known_time().earliest();
        let message = FeedMessage::decode(bytes).map_err(FeedError::Message)?;
        let verified = message.verify(self.view.keys().feed(), now);
        if !matches!(verified, Err(FrameError::UnknownKey)) {
            return Ok(verified.map_err(FeedError::Message)?);
        }
        self.ask_for_keys_if_allowed().await;
        let message = FeedMessage::decode(bytes).map_err(FeedError::Message)?;
        Ok(message
            .verify(self.view.keys().feed(), now)
            .map_err(FeedError::Message)?)
    }

    /// The replica decides; what it takes is published and written down.
    fn apply(&mut self, message: &VerifiedMessage, bytes: &Bytes) -> Result<Applied, FeedError> {
        let floor = self.replica.liveness().floor();
        let applied = self.replica.apply(message, bytes).inspect_err(|error| {
            if let FeedError::Fork(evidence) = error {
                self.journal.evidence(evidence.clone());
            }
        })?;
        match (applied, message.message()) {
            (Applied::Frame, FeedMessage::Frame(frame)) => {
                self.view.publish_frame(frame);
                self.journal.frame(frame.epoch, frame.n, bytes.clone());
                if frame
                    .entries
                    .iter()
                    .any(|entry| matches!(entry, lanyard_token::Entry::RemoveKey(_)))
                {
                    self.trust();
                    self.snapshot_wanted = true;
                }
            }
            (Applied::Heartbeat, FeedMessage::Heartbeat(heartbeat)) => {
                if self.replica.liveness().floor() > floor {
                    self.view.publish_floor(heartbeat.floor);
                }
                self.view.publish_reached(heartbeat.head);
                self.heard(UnixMillis(heartbeat.at_ms));
            }
            (Applied::Snapshot, FeedMessage::Snapshot(snapshot)) => {
                self.view.publish_known_time(UnixMillis(snapshot.at_ms));
                self.view
                    .publish_state(self.replica.liveness(), self.replica.reached());
                self.trust();
                self.journal
                    .snapshot(snapshot.epoch, snapshot.n, bytes.clone());
                self.snapshot_wanted = false;
            }
            _ => {}
        }
        Ok(applied)
    }

    fn publish_position(&self) {
        let now = self.replica.position().map(|position| Reached {
            position,
            rev: self.replica.reached(),
        });
        self.reached
            .send_if_modified(|before| std::mem::replace(before, now) != now);
    }
}

/// Between half and all of a pause, so that gateways cut off together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis / 2 + random_u64() % (millis / 2 + 1))
}

/// Random bits; zero where the system has none, which only costs the jitter.
pub(super) fn random_u64() -> u64 {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut bytes = [0; 8];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        tracing::warn!("the system gives no randomness");
    }
    u64::from_be_bytes(bytes)
}
