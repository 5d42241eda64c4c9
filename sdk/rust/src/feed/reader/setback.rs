//! Why an attempt to follow the feed ended.

use http::StatusCode;

use super::super::error::FeedError;
use super::super::stream::NoFeed;
use super::super::token_source::NoToken;

/// Why an attempt ended. Only words for the log hang on it, and how soon the next one begins.
#[derive(Debug, thiserror::Error)]
pub(super) enum Setback {
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
