//! Recorded traffic through the live loop, simulated fleets with thieves among them, and measurements beside a
//! baseline in the same run.
//!
//! A broker is reached over HTTP, as any user would. Labels of recordings are for scoring: the replay and the drift
//! engine are given calls alone.
#![forbid(unsafe_code)]

pub mod attacker;
pub mod bench;
pub mod broker;
pub mod drift_eval;
pub mod drift_sim;
pub mod ended;
pub mod fleet_rights;
pub mod golden;
pub mod load;
pub mod peers;
mod progress;
pub mod replay;
pub mod replay_policy;
pub mod run;
pub mod server;
mod started;
pub mod world;
mod writable;
