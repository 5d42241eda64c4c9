//! The feed, from a revocation in the log to a reader's memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up fails loudly"
)]

mod doors;
mod frames;
mod readers;
mod world;
