//! What `/metrics` counts. Labels are fixed words, never an id or an address: ATTACKS on metrics are
//! attacks on their labels.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// One label with one of a few words.
type Labels = [(&'static str, &'static str); 1];

/// Counters since the process began.
#[derive(Debug, Default)]
pub struct Counters {
    issued: Counter,
    revoked: Counter,
    refused: Family<Labels, Counter>,
    verdicts: Family<Labels, Counter>,
    responses: Family<Labels, Counter>,
    rotations: Family<Labels, Counter>,
    rotation_alarms: Family<Labels, Counter>,
}

impl Counters {
    /// A token became durable.
    pub fn issued(&self) {
        self.issued.inc();
    }

    /// A watermark became durable.
    pub fn revoked(&self, nodes: u64) {
        self.revoked.inc_by(nodes);
    }

    /// A request was refused for this reason.
    pub fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&[("reason", reason)]).inc();
    }

    /// The judge wrote a verdict of this level.
    pub fn verdict(&self, level: &'static str) {
        self.verdicts.get_or_create(&[("level", level)]).inc();
    }

    /// Something was done about one.
    pub fn response(&self, response: &'static str) {
        self.responses
            .get_or_create(&[("response", response)])
            .inc();
    }

    /// A secret began to be exchanged, for this reason.
    pub fn rotation(&self, cause: &'static str) {
        self.rotations.get_or_create(&[("cause", cause)]).inc();
    }

    /// Somebody has to look at an exchange.
    pub fn rotation_alarm(&self, alarm: &'static str) {
        self.rotation_alarms
            .get_or_create(&[("alarm", alarm)])
            .inc();
    }

    /// Names them, in a registry whose prefix is `lanyard`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("tokens_issued", "Access tokens issued", self.issued.clone());
        registry.register("revocations", "Watermarks written", self.revoked.clone());
        registry.register(
            "refused",
            "Requests refused, by the operator's reason",
            self.refused.clone(),
        );
        registry.register(
            "drift_verdicts",
            "Verdicts, by level",
            self.verdicts.clone(),
        );
        registry.register(
            "drift_responses",
            "Responses to verdicts",
            self.responses.clone(),
        );
        registry.register(
            "rotations_begun",
            "Exchanges of secrets that were begun, by cause",
            self.rotations.clone(),
        );
        registry.register(
            "rotation_alarms",
            "Exchanges of secrets that somebody has to look at, by what is wrong",
            self.rotation_alarms.clone(),
        );
    }
}
