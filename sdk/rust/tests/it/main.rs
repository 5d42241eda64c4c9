//! The SDK as a program uses it: over real sockets wherever there is a wire.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up fails loudly"
)]

mod allocation;
mod client;
mod concurrency;
mod feed;
mod gateway;
mod hostile;
mod junk;
mod lane;
mod layer;
mod lease;
mod start;
mod support;
mod tls;
