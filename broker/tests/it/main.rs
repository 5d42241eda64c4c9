//! Everything that takes more than one room, in one binary.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up fails loudly; helpers of tests are tests"
)]

mod architecture;
mod demo;
mod deploy;
mod edge;
mod feed;
mod issue;
mod policies;
mod store;
mod support;
mod telemetry;
mod vault;
mod watch;
