//! Lanyard, the credential broker: issue, watch, revoke, and one log that is the truth.
#![forbid(unsafe_code)]

pub mod audit;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod http;
pub mod issue;
pub mod outbound;
pub mod policy;
pub mod revoke;
pub mod store;
pub mod telemetry;
pub mod vault;
pub mod watch;
