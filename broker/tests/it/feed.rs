//! The feed, from a revocation in the log to a reader's memory.

mod doors;
mod frames;
mod reach;
mod readers;
mod world;
