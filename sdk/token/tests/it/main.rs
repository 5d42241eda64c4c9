//! What the token crate must withstand, over its public interface.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod delegation;
mod feed;
mod gate;
mod hostile;
mod jose;
mod keys;
mod liveness;
mod mutants;
mod wycheproof;
