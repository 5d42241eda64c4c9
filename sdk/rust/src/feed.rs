//! The feed, read: what has ended, which keys are believed, and what time the broker has.
//!
//! ```text
//! broker ──frames, heartbeats──► reader ──► Replica: gap? rollback? fork? ──► FeedView ◄── requests
//!                                  └──────► state folder: snapshot, frames, keys (survives restarts)
//! ```
//! Everything arriving is signed by a feed key which the pinned root delegated, so any cache or
//! relay may stand between. A feed key can end tokens and remove keys; it can never add a key.

mod config;
mod death_watch;
mod error;
mod keys;
mod position;
mod reader;
mod state;
mod stream;
mod time;
mod token_source;
mod view;
mod watermarks;

pub use config::{FeedConfig, FeedFailure};
pub use death_watch::DeathWatch;
pub use error::{Evidence, FeedError};
pub use position::{Applied, FeedPosition, Replica};
pub use reader::run;
pub use time::FeedTime;
pub use token_source::{NoToken, StaticToken, TokenFuture, TokenSource};
pub use view::{FeedView, NotAlive};
