//! Egress between real sockets: a caller, a third party, and leases as a broker gives them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot be set up fails loudly"
)]

mod calls;
mod support;
