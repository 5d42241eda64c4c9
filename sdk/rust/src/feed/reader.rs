//! The task that follows the feed: from the disk, else from a snapshot, then along the stream, for ever.

mod confirm;
mod remote;
mod restored;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use lanyard_token::{FeedMessage, FrameError, VerifiedMessage};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use self::confirm::Reached;
use self::remote::Remote;
use self::restored::Restored;
use super::config::{FeedConfig, FeedFailure};
use super::keys::{Delegations, KnownTime};
use super::position::{Applied, FeedError, Replica};
use super::state::{Journal, Persisted, StateFolder, boot_id};
use super::stream::{CONFIRM_PLEASE, NoFeed, Splitter};
use super::time::FeedTime;
use super::token_source::{NoToken, TokenSource};
use super::view::FeedView;
use crate::clock::UnixMillis;

/// Ten heartbeats: a stream that is silent for longer is dead, whatever TCP believes.
const SILENCE: Duration = Duration::from_secs(5);
/// First and longest pause between attempts; each is drawn from between half and all of it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A stream that held this long was a good one: the next attempt begins without a pause.
const GOOD_STREAM: Duration = Duration::from_secs(1);
/// How often the keys may be asked for because of an unknown one: whoever sends tokens with invented
/// key names shall not make gateways ask the broker about each.
const KEYS_AT_MOST_EVERY: Duration = Duration::from_secs(10);
/// How often they are asked for anyway. A new key is published twenty minutes before it signs.
const KEYS_EVERY: Duration = Duration::from_secs(300);
/// Up to as many missing frames are fetched one by one; beyond, a snapshot is cheaper.
const LARGEST_GAP: u64 = 256;
/// Frames on disk are replaced by a snapshot when they are this long, or this old: what is on disk is
/// signed by a feed key, and must not outlive the trust in it.
const FRAMES_ON_DISK: u64 = 8 * 1024 * 1024;
const SNAPSHOT_EVERY: Duration = Duration::from_secs(24 * 3_600);
/// While the state on disk is broken, a snapshot is tried this often to make it whole.
const MEND_EVERY: Duration = Duration::from_secs(30);
/// How often the last heartbeat's time is written down.
const TIME_EVERY: Duration = Duration::from_secs(10);

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

/// Why an attempt ended. Only words for the log hang on it, and how soon the next one begins.
#[derive(Debug, thiserror::Error)]
enum Setback {
    #[error("cannot reach the broker")]
    Network(#[source] reqwest::Error),
    #[error("the broker is silent")]
    Silent,
    #[error("the broker answered {0}")]
    Answer(StatusCode),
    #[error("the answer is too long")]
    TooLong,
    #[error("the broker's keys cannot be read")]
    NoKeys,
    #[error("no feed key is delegated by the pinned root for this issuer")]
    NoTrustedKeys,
    #[error("our position is older than the broker remembers")]
    TooOld,
    #[error("the broker knows less than we do: its log was rolled back")]
    BrokerRolledBack,
    #[error("the stream ended")]
    Ended,
    #[error(transparent)]
    Token(NoToken),
    #[error(transparent)]
    Feed(#[from] FeedError),
    #[error(transparent)]
    Stream(#[from] NoFeed),
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

    fn heard(&mut self, at: UnixMillis) {
        let boot = self.config.clock.now().boot;
        let heard = match self.time {
            None => Some(FeedTime::first(at, boot)),
            Some(time) => time.heartbeat(at, boot),
        };
        let Some(time) = heard else { return };
        let first = self.time.replace(time).is_none();
        self.view.publish_time(time);
        if first {
            // Until now a delegation counted within a day around the wall clock.
            self.trust();
        }
        if self
            .time_saved
            .is_none_or(|saved| saved.elapsed() >= TIME_EVERY)
        {
            self.time_saved = Some(Instant::now());
            self.journal.time(time);
        }
    }

    async fn every_second(&mut self) -> Result<(), Setback> {
        self.end_suspensions();
        if self
            .keys_asked
            .is_none_or(|asked| asked.elapsed() >= KEYS_EVERY)
        {
            self.ask_for_keys_if_allowed().await;
        }
        let disk = *self.persisted.borrow();
        let wanted = self.snapshot_wanted
            || disk.broken
            || disk.frame_bytes > FRAMES_ON_DISK
            || self.snapshot_taken.elapsed() >= SNAPSHOT_EVERY;
        if wanted && self.snapshot_tried.elapsed() >= MEND_EVERY {
            self.take_snapshot().await?;
        }
        Ok(())
    }

    fn end_suspensions(&mut self) {
        if self
            .replica
            .end_suspensions(self.view.now(self.config.clock.now()))
        {
            self.view.publish_suspensions(self.replica.liveness());
        }
    }

    async fn ask_for_keys_if_allowed(&mut self) {
        if self
            .keys_asked
            .is_some_and(|asked| asked.elapsed() < KEYS_AT_MOST_EVERY)
        {
            return;
        }
        if let Err(setback) = self.ask_for_keys().await {
            tracing::warn!(reason = %setback, "the broker's keys cannot be renewed");
        }
    }

    async fn ask_for_keys(&mut self) -> Result<(), Setback> {
        self.keys_asked = Some(Instant::now());
        let delegations = self.remote.keys().await?;
        if delegations == self.delegations {
            self.trust();
        } else {
            let old = std::mem::replace(&mut self.delegations, delegations);
            if self.trust() {
                self.journal.keys(self.delegations.clone());
            } else {
                // An answer in which nothing can be believed is no reason to forget what is.
                self.delegations = old;
                self.trust();
            }
        }
        if self.view.keys().feed().is_empty() {
            Err(Setback::NoTrustedKeys)
        } else {
            Ok(())
        }
    }

    /// Publishes the keys that the root stands behind now; whether there is a feed key among them.
    fn trust(&self) -> bool {
        let keys = self.delegations.trusted(
            &self.config.root,
            &self.config.issuer,
            self.known_time(),
            self.replica.removed_keys(),
        );
        let any = !keys.feed().is_empty();
        if keys != *self.view.keys() {
            self.view.publish_keys(keys);
        }
        any
    }

    fn known_time(&self) -> KnownTime {
        let now = self.config.clock.now();
        match self.time {
            Some(time) => KnownTime::Heartbeat(time.now(now.boot)),
            None => KnownTime::Wall(now.wall),
        }
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
