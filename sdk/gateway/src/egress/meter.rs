//! What is counted, for `/metrics`. Labels are integrations and rules as they are written down, never what callers sent.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

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
            calls,
            duration,
            refused,
            scrubbed,
            lease_ends,
        }
    }

    /// A call that a third party answered.
    pub(super) fn called(&self, integration: &str, operation: &str, status: u16, took: Duration) {
        let labels = Called {
            integration: integration.to_owned(),
            operation: operation.to_owned(),
            status: format!("{}xx", status / 100),
        };
        self.calls.get_or_create(&labels).inc();
        self.duration
            .get_or_create(&of(integration))
            .observe(took.as_secs_f64());
    }

    /// A call that egress answered.
    pub(super) fn refused(&self, integration: &str, code: &str) {
        let labels = Refused {
            integration: integration.to_owned(),
            code: code.to_owned(),
        };
        self.refused.get_or_create(&labels).inc();
    }

    pub(super) fn scrubbed(&self, found: u64) {
        if found > 0 {
            self.scrubbed.inc_by(found);
        }
    }

    pub(super) fn lease(&self, integration: &str, left: Option<Duration>) {
        match left {
            Some(left) => {
                let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
                self.lease_ends.get_or_create(&of(integration)).set(seconds);
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
