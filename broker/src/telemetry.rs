//! The broker's telemetry: what is counted, and what a request's span says. How it leaves the process is
//! [`lanyard_telemetry`]'s.

pub mod meter;
pub mod server;

pub use lanyard_telemetry::{Settings, Telemetry, TelemetryError, exports};

/// Starts telemetry for this process. Needs a tokio runtime when OTLP is on.
pub fn start(settings: &Settings) -> Result<Telemetry, TelemetryError> {
    lanyard_telemetry::start("lanyard", settings)
}
