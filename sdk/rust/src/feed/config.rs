//! What the reader needs to be told, and why it gives up.

use std::path::PathBuf;
use std::sync::Arc;

use lanyard_token::RootKey;

use crate::clock::Clock;

/// What the reader needs to be told.
#[derive(Clone)]
pub struct FeedConfig {
    /// The issuer as tokens name it: delegations must be for exactly this text.
    pub issuer: String,
    /// Where the feed is read, when not at the issuer itself: a relay. It need not be trusted.
    pub feed_url: Option<String>,
    /// The pinned root, from the enrolment file.
    pub root: RootKey,
    /// A folder of its own: snapshot, frames, keys and position survive restarts here.
    pub state_dir: PathBuf,
    /// For all requests. It decides which TLS roots are believed.
    pub http: reqwest::Client,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// The reader cannot begin. What hinders it is on this machine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedFailure {
    /// The state folder cannot be made, read or locked.
    #[error("cannot use the state folder `{folder}`")]
    StateFolder {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another gateway uses the folder: give each its own.
    #[error("another gateway uses the state folder `{folder}`")]
    InUse {
        /// Which.
        folder: PathBuf,
    },
}
