//! What operators see, what they must never see, and what survives.

mod arriving;
mod canaries;
mod injection;
mod kills;
mod probe;
mod receiver;
mod sinks;
mod vault;
