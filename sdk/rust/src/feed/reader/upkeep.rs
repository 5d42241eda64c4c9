//! What the reader does besides reading: keys, time, suspensions that end, a state on disk that stays whole.

use std::time::Duration;

use tokio::time::Instant;

use super::super::keys::KnownTime;
use super::super::time::FeedTime;
use super::{Reader, Setback};
use crate::clock::UnixMillis;

/// How often the keys may be asked for because of an unknown one: whoever sends tokens with invented
/// key names shall not make gateways ask the broker about each.
const KEYS_AT_MOST_EVERY: Duration = Duration::from_secs(10);
/// How often they are asked for anyway. A new key is published twenty minutes before it signs.
const KEYS_EVERY: Duration = Duration::from_secs(300);
/// Frames on disk are replaced by a snapshot when they are this long, or this old: what is on disk is
/// signed by a feed key, and must not outlive the trust in it.
const FRAMES_ON_DISK: u64 = 8 * 1024 * 1024;
const SNAPSHOT_EVERY: Duration = Duration::from_secs(24 * 3_600);
/// While the state on disk is broken, a snapshot is tried this often to make it whole.
const MEND_EVERY: Duration = Duration::from_secs(30);
/// How often the last heartbeat's time is written down.
const TIME_EVERY: Duration = Duration::from_secs(10);

impl Reader {
    pub(super) async fn every_second(&mut self) -> Result<(), Setback> {
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

    pub(super) fn end_suspensions(&mut self) {
        if self
            .replica
            .end_suspensions(self.view.now(self.config.clock.now()))
        {
            self.view.publish_suspensions(self.replica.liveness());
        }
    }

    pub(super) fn heard(&mut self, at: UnixMillis) {
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

    pub(super) async fn ask_for_keys_if_allowed(&mut self) {
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

    pub(super) async fn ask_for_keys(&mut self) -> Result<(), Setback> {
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
    pub(super) fn trust(&self) -> bool {
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

    pub(super) fn known_time(&self) -> KnownTime {
        let now = self.config.clock.now();
        match self.time {
            Some(time) => KnownTime::Heartbeat(time.now(now.boot)),
            None => KnownTime::Wall(now.wall),
        }
    }
}
