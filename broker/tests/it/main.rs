//! Everything that takes more than one room, in one binary.
#![forbid(unsafe_code)]

mod issue;
mod watch;
