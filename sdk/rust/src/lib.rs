//! Lanyard for Rust services: a client that keeps fresh tokens, and a gateway that checks them.
//!
//! # The public interface
//!
//! * [`Client`] gets tokens with an API key, keeps them fresh, exchanges them for narrower ones, and
//!   makes calls with them.
//! * [`Gateway`] checks calls: as a function ([`Gateway::check`]), or as a `tower` layer
//!   ([`Gateway::layer`]) with an extractor ([`Verified`]) for axum.
//! * [`feed`] is how a gateway hears of revocations; [`Gateway::builder`] starts it.
//!
//! Nothing here can issue a token, and nothing here installs anything for the whole process.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod client;
mod clock;
mod enrolment;
pub mod feed;
pub mod gateway;
mod secret;
mod transport;

pub use client::{AccessToken, Client, ClientError, Exchange};
pub use clock::{BootTime, Clock, Now, SystemClock, UnixMillis};
pub use enrolment::{Enrolment, EnrolmentError};
pub use gateway::{
    Decision, Denial, DriftMode, Gateway, Lease, Request, Route, RouteTable, Verified,
};
pub use secret::Secret;
pub use transport::TransportError;
