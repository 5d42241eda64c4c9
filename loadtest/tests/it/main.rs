//! The commands as a user runs them.
#![forbid(unsafe_code)]
#![cfg(test)]

mod drift_eval;
mod drift_sim;
mod ending;
mod fleet_rights;
mod golden;
mod replay;
mod replay_policy;
mod run;
