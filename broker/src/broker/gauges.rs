//! Numbers of this moment, for whoever collects telemetry over OTLP; `/metrics` has the same.

use std::sync::Arc;

use opentelemetry::{KeyValue, global};

use crate::vault::rotate::VaultHealth;

/// Asks for numbers.
type Pulse = Arc<dyn Fn() -> VaultHealth + Send + Sync>;

/// Registers them with the process-wide meter; call after telemetry has started.
pub(super) fn register(pulse: &Pulse) {
    let meter = global::meter("lanyard");
    let secrets = Arc::clone(pulse);
    meter
        .u64_observable_gauge("lanyard.secrets.age")
        .with_unit("s")
        .with_description(
            "How long ago the version of a secret that is in force was put; the thousand oldest",
        )
        .with_callback(move |observer| {
            for (secret, age) in secrets().ages {
                observer.observe(age, &[KeyValue::new("lanyard.secret", secret)]);
            }
        })
        .build();
    let rotations = Arc::clone(pulse);
    meter
        .u64_observable_gauge("lanyard.rotations")
        .with_description("Exchanges of secrets under way, by step")
        .with_callback(move |observer| {
            for (step, count) in rotations().under_way {
                observer.observe(count, &[KeyValue::new("lanyard.step", step)]);
            }
        })
        .build();
    let alarmed = Arc::clone(pulse);
    meter
        .u64_observable_gauge("lanyard.rotations.alarmed")
        .with_description("Exchanges of secrets under way that somebody has to look at")
        .with_callback(move |observer| observer.observe(alarmed().alarmed, &[]))
        .build();
    let waiting = Arc::clone(pulse);
    meter
        .u64_observable_gauge("lanyard.rotations.kept_waiting")
        .with_description("Secrets that are due to be exchanged and cannot be")
        .with_callback(move |observer| observer.observe(waiting().kept_waiting, &[]))
        .build();
    let ended = Arc::clone(pulse);
    meter
        .u64_observable_counter("lanyard.rotations.ended")
        .with_description("Exchanges of secrets that ended since the log began, by outcome")
        .with_callback(move |observer| {
            for (outcome, count) in ended().ended {
                observer.observe(count, &[KeyValue::new("lanyard.outcome", outcome.word())]);
            }
        })
        .build();
}
