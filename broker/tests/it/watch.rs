//! The watch room over real HTTP: reports in, verdicts and responses in the log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod abuse;
mod compact;
mod doors;
mod egress;
mod framing;
mod frozen;
mod golden;
mod judges;
mod learning;
mod operating;
mod portraits;
mod recording;
mod responding;
mod world;
