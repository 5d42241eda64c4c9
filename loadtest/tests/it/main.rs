//! The commands as a user runs them.
#![forbid(unsafe_code)]

mod drift_eval;
mod drift_sim;
mod replay;
