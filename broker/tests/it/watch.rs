//! The watch room over real HTTP: reports in, verdicts and responses in the log.

mod abuse;
mod doors;
mod framing;
mod learning;
mod world;
