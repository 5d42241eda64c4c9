//! Egress: a Lanyard token comes in, the real credential goes out.
//!
//! ```text
//! call ─► Gateway (token, rule, scopes, drift) ─► budget ─► lease ─► clean, inject ─► judged address ─► third party
//!                                                             ▲                                             │
//!                 broker ── leases, a minute each ── keeper ──┘           caller ◄── clean, scrub, bounds ◄─┘
//! ```
//!
//! What callers and third parties send is hostile until it has passed: pure functions clean it ([`headers`]), put the
//! credential in ([`inject`]), find it again in answers ([`scrub`]) and count ([`budget`]). The rest is what acts.

mod answer;
mod bearer;
mod body;
pub mod budget;
mod caller_body;
pub mod config;
mod door;
mod dumps;
mod failure;
pub mod headers;
mod hold;
pub mod inject;
mod keeper;
pub mod lease;
mod listener;
mod meter;
mod presented;
pub mod scrub;
mod searchable;
mod serve;
mod shared;
mod station;
pub mod upstream;
mod websocket;

pub use self::answer::Problem;
pub use self::config::{Config, InvalidConfig};
pub use self::dumps::forbid_dumps;
pub use self::keeper::{Keeper, Rerouting};
pub use self::listener::ListenError;
pub use self::serve::{Egress, StartError, run};
