//! Lanyard's gateway as a program: `lanyard-gateway egress`.
//!
//! Egress calls third parties on behalf of callers that hold a Lanyard token and nothing else. It leases credentials
//! from the broker for a minute at a time and keeps them in memory alone: it parses what strangers send, so it has no
//! sealing key, no database and no way to mint a token.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod egress;
