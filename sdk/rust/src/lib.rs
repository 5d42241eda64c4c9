//! Lanyard for Rust services: a client that keeps fresh tokens, and a gateway that checks them.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod clock;
pub mod feed;
mod secret;

pub use clock::{BootTime, Clock, Now, SystemClock, UnixMillis};
pub use secret::Secret;
