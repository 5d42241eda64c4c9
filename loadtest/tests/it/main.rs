//! The commands as a user runs them.
#![forbid(unsafe_code)]

mod replay;
