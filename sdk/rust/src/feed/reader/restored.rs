//! What the folder held, believed again only as far as its signatures go.

use lanyard_token::FeedMessage;

use super::super::config::FeedConfig;
use super::super::error::FeedError;
use super::super::keys::{Delegations, KnownTime};
use super::super::position::Replica;
use super::super::state::Saved;
use super::super::time::FeedTime;
use crate::clock::UnixMillis;

/// What the folder held, each signature checked again.
#[derive(Default)]
pub(super) struct Restored {
    pub(super) replica: Replica,
    pub(super) delegations: Delegations,
    pub(super) time: Option<FeedTime>,
    /// When the last message was made.
    pub(super) made: UnixMillis,
    pub(super) frame_bytes: u64,
}

impl Restored {
    /// An error says in words what is damaged.
    pub(super) fn verify(saved: Saved, config: &FeedConfig) -> Result<Self, String> {
        let now = config.clock.now();
        let time = saved.time.map_or(KnownTime::Wall(now.wall), |time| {
            KnownTime::Heartbeat(time.now(now.boot))
        });
        let keys =
            saved
                .delegations
                .trusted(&config.root, &config.issuer, time, std::iter::empty());
        let mut restored = Self {
            delegations: saved.delegations,
            time: saved.time,
            ..Self::default()
        };
        let Some(snapshot) = saved.snapshot else {
            return Ok(restored);
        };
        for (place, bytes) in std::iter::once(&snapshot).chain(&saved.frames).enumerate() {
            let refused = |error: &FeedError| match error {
                FeedError::Message(reason) => format!("message {place} is refused: {reason}"),
                error => format!("message {place} is refused: {error}"),
            };
            let message = FeedMessage::decode(bytes)
                .and_then(|message| message.verify(keys.feed(), time.earliest()))
                .map_err(|error| refused(&FeedError::Message(error)))?;
            restored
                .replica
                .apply(&message, bytes)
                .map_err(|error| refused(&error))?;
            restored.made = UnixMillis(match message.message() {
                FeedMessage::Frame(frame) => frame.at_ms,
                FeedMessage::Heartbeat(heartbeat) => heartbeat.at_ms,
                FeedMessage::Snapshot(snapshot) => snapshot.at_ms,
            });
        }
        restored.frame_bytes = saved
            .frames
            .iter()
            .map(|frame| 4 + frame.len() as u64)
            .sum();
        Ok(restored)
    }
}
