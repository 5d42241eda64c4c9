//! What operators see, what they must never see, and what survives.

mod arriving;
mod canaries;
mod injection;
mod kills;
mod probe;
mod sinks;
mod vault;

use lanyard_telemetry::testing as receiver;
