//! The issue room behind its real doors, over a loopback listener.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails loudly; helpers are tests too"
)]

mod administration;
mod exchange;
mod hostile;
mod keys;
mod limits;
mod race;
mod revocation;
mod token_endpoint;
mod world;
