//! What is counted, for `/metrics` and over OTLP. Labels are integrations and rules as they are written down, never what
//! callers sent.

mod operation;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::metrics::{Counter as Sum, Gauge as Level, Histogram as Spread};
use opentelemetry::{KeyValue, global};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub(super) use self::operation::{Operation, Operations};

/// Upper bounds in seconds: what egress adds lies below the first, what a slow third party takes below the last.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Called {
    integration: String,
    operation: String,
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    integration: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    integration: String,
    code: String,
}

/// All counters.
pub(super) struct Meter {
    registry: Registry,
    exported: Exported,
    calls: Family<Called, Counter>,
    duration: Family<Of, Histogram, fn() -> Histogram>,
    refused: Family<Refused, Counter>,
    scrubbed: Counter,
    lease_ends: Family<Of, Gauge>,
}

impl Meter {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("lanyard_egress");
        let calls = Family::<Called, Counter>::default();
        registry.register("calls", "Calls that third parties answered", calls.clone());
        let make: fn() -> Histogram = || Histogram::new(BUCKETS);
        let duration = Family::<Of, Histogram, fn() -> Histogram>::new_with_constructor(make);
        registry.register(
            "call_duration_seconds",
            "From a call to the head of its answer",
            duration.clone(),
        );
        let refused = Family::<Refused, Counter>::default();
        registry.register(
            "refused",
            "Calls that egress answered itself",
            refused.clone(),
        );
        let scrubbed = Counter::default();
        registry.register(
            "scrubbed",
            "Credentials that were hidden in answers",
            scrubbed.clone(),
        );
        let lease_ends = Family::<Of, Gauge>::default();
        registry.register(
            "lease_seconds_left",
            "How long the lease in force still holds, when it was last looked at",
            lease_ends.clone(),
        );
        Self {
            registry,
            exported: Exported::new(),
            calls,
            duration,
            refused,
            scrubbed,
            lease_ends,
        }
    }

    /// A call that a third party answered.
    pub(super) fn called(&self, operation: &Operation, status: u16, took: Duration) {
        let took = took.as_secs_f64();
        let integration = &operation.integration;
        let duration = || self.duration.get_or_create(&of(integration)).clone();
        operation.duration.get_or_init(duration).observe(took);
        let calls = |integration: &str, operation: &str, status: &str| {
            let labels = Called {
                integration: integration.to_owned(),
                operation: operation.to_owned(),
                status: status.to_owned(),
            };
            self.calls.get_or_create(&labels).clone()
        };
        if let Some(class) = operation.class(status, calls) {
            class.calls.inc();
            self.exported.calls.add(1, &class.labels);
            let [integration, ..] = &class.labels;
            let integration = std::slice::from_ref(integration);
            self.exported.duration.record(took, integration);
        }
    }

    /// A call that egress answered.
    pub(super) fn refused(&self, integration: &Arc<str>, code: &'static str) {
        self.exported.refused(integration, code);
        let labels = Refused {
            integration: integration.to_string(),
            code: code.to_owned(),
        };
        self.refused.get_or_create(&labels).inc();
    }

    pub(super) fn scrubbed(&self, found: u64) {
        if found > 0 {
            self.scrubbed.inc_by(found);
            self.exported.scrubbed.add(found, &[]);
        }
    }

    pub(super) fn lease(&self, integration: &str, left: Option<Duration>) {
        match left {
            Some(left) => {
                let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
                self.lease_ends.get_or_create(&of(integration)).set(seconds);
                let label = KeyValue::new("lanyard.integration", integration.to_owned());
                self.exported.lease_left.record(seconds, &[label]);
            }
            None => {
                self.lease_ends.remove(&of(integration));
            }
        }
    }

    /// As OpenMetrics text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn of(integration: &str) -> Of {
    Of {
        integration: integration.to_owned(),
    }
}

/// The same in OpenTelemetry's form. Where nothing is exported it counts nothing.
struct Exported {
    calls: Sum<u64>,
    duration: Spread<f64>,
    refused: Sum<u64>,
    scrubbed: Sum<u64>,
    lease_left: Level<i64>,
}

impl Exported {
    fn new() -> Self {
        let meter = global::meter("lanyard");
        Self {
            calls: meter
                .u64_counter("lanyard.egress.calls")
                .with_description("Calls that third parties answered")
                .build(),
            duration: meter
                .f64_histogram("lanyard.egress.call.duration")
                .with_unit("s")
                .with_description("From a call to the head of its answer")
                .with_boundaries(BUCKETS.to_vec())
                .build(),
            refused: meter
                .u64_counter("lanyard.egress.refused")
                .with_description("Calls that egress answered itself")
                .build(),
            scrubbed: meter
                .u64_counter("lanyard.egress.scrubbed")
                .with_description("Credentials that were hidden in answers")
                .build(),
            lease_left: meter
                .i64_gauge("lanyard.egress.lease.left")
                .with_unit("s")
                .with_description("How long the lease in force still holds")
                .build(),
        }
    }

    fn refused(&self, integration: &Arc<str>, code: &'static str) {
        let integration = KeyValue::new("lanyard.integration", Arc::clone(integration));
        self.refused
            .add(1, &[integration, KeyValue::new("lanyard.reason", code)]);
    }
}
