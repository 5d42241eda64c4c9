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
//! A service behind a gateway:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use lanyard_sdk::{DriftMode, Enrolment, Gateway, Verified};
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let (gateway, running) = Gateway::builder()
//!     .enrolled(Enrolment::read("gateway.json")?)?
//!     .feed("/var/lib/orders/lanyard")
//!     .routes_from_toml(&std::fs::read_to_string("routes.toml")?)?
//!     .drift(DriftMode::Enforce)
//!     .start()?;
//! let hello = |caller: Verified| async move { format!("hello, {}", caller.identity()) };
//! let app: Router = Router::new().route("/hello", get(hello)).layer(gateway.layer());
//! # let _ = (app, running);
//! # Ok(())
//! # }
//! ```
//!
//! And whoever calls it:
//!
//! ```no_run
//! use lanyard_sdk::{Client, Secret};
//!
//! # async fn call(key: String) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("https://broker.example")
//!     .client_credentials("0000010000000007", Secret::new(key))
//!     .build()?;
//! let orders = client.tokens("https://orders.example".parse()?, "orders:read".parse()?);
//! let request = client.http().get("https://orders.example/hello").build()?;
//! let response = orders.send(request).await?;
//! # let _ = response;
//! # Ok(())
//! # }
//! ```
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

/// The examples in the guides compile against this version.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../../../docs/gateway.md")]
struct Guides;
