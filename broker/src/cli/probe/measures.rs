//! What canaries told, as lines, as JSON and as an OpenTelemetry histogram.

use std::fmt;
use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram};
use opentelemetry::{KeyValue, global};
use serde_json::{Value, json};

use super::canary::{Reader, Receipt};
use super::gateways::Refused;
use crate::cli::CliError;

/// Seconds: around the promised milliseconds close to one another, then up to where a feed counts as old.
const BOUNDARIES: [f64; 14] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0,
];

/// How it is known that a gateway refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It said so.
    Receipt,
    /// It was asked.
    Request,
}

impl Way {
    const fn word(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Request => "request",
        }
    }
}

/// One gateway in one round.
#[derive(Debug)]
struct Told {
    gateway: String,
    way: Way,
    /// Nothing when it was missed.
    after: Option<Duration>,
}

impl Told {
    /// Without the instance: each restart would be a series of its own for ever.
    fn label(&self) -> &str {
        self.gateway
            .split_once('/')
            .map_or(self.gateway.as_str(), |(gateway, _)| gateway)
    }
}

/// One canary.
#[derive(Debug)]
pub(super) struct Round {
    answered: Duration,
    told: Vec<Told>,
}

impl Round {
    pub(super) fn new(receipt: &Receipt, answered: Duration, refused: Vec<Refused>) -> Self {
        let name = |reader: &Reader| match reader.instance.as_str() {
            "" => reader.gateway.clone(),
            instance => format!("{}/{instance}", reader.gateway),
        };
        let told = |gateway, way, after| Told {
            gateway,
            way,
            after,
        };
        let confirmed = receipt.confirmed.iter().map(|confirmed| {
            let after = Duration::from_millis(confirmed.ms);
            told(name(&confirmed.reader), Way::Receipt, Some(after))
        });
        let cut_off = receipt
            .cut_off
            .iter()
            .map(|reader| told(name(reader), Way::Receipt, None));
        let refused = refused
            .into_iter()
            .map(|refused| told(refused.gateway, Way::Request, refused.after));
        Self {
            answered,
            told: confirmed.chain(cut_off).chain(refused).collect(),
        }
    }

    pub(super) fn json(&self) -> Value {
        let gateways = self.told.iter().map(|told| {
            json!({
                "gateway": told.gateway,
                "way": told.way.word(),
                "ms": told.after.map(millis),
            })
        });
        json!({"answered_ms": millis(self.answered), "gateways": gateways.collect::<Vec<_>>()})
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "revoked in {:.1} ms", millis(self.answered))?;
        for told in &self.told {
            let (gateway, way) = (crate::cli::output::line(&told.gateway), told.way.word());
            match told.after {
                Some(after) => write!(f, "; {gateway} {:.1} ms ({way})", millis(after))?,
                None => write!(f, "; {gateway} MISSED ({way})")?,
            }
        }
        Ok(())
    }
}

/// All canaries so far.
pub(super) struct Measures {
    latency: Histogram<f64>,
    missed: Counter<u64>,
    canaries: u64,
    failures: u64,
    misses: u64,
    /// Thousandths of a millisecond; bounded, however long the probe runs.
    latencies: hdrhistogram::Histogram<u64>,
}

impl Measures {
    /// Instruments of the process-wide meter; call after telemetry has started.
    pub(super) fn new() -> Self {
        let meter = global::meter("lanyard");
        Self {
            latency: meter
                .f64_histogram("lanyard.probe.revocation.latency")
                .with_unit("s")
                .with_description(
                    "From a revocation until a gateway refused, by gateway and how it is known",
                )
                .with_boundaries(BOUNDARIES.to_vec())
                .build(),
            missed: meter
                .u64_counter("lanyard.probe.revocation.missed")
                .with_description("Gateways that did not refuse a revoked canary in time")
                .build(),
            canaries: 0,
            failures: 0,
            misses: 0,
            latencies: histogram(),
        }
    }

    pub(super) fn record(&mut self, round: &Round) {
        self.canaries += 1;
        for told in &round.told {
            let labels = [
                KeyValue::new("lanyard.gateway", told.label().to_owned()),
                KeyValue::new("lanyard.probe.way", told.way.word()),
            ];
            match told.after {
                Some(after) => {
                    self.latency.record(after.as_secs_f64(), &labels);
                    let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
                    self.latencies.saturating_record(micros);
                }
                None => {
                    self.misses += 1;
                    self.missed.add(1, &labels);
                }
            }
        }
    }

    /// A canary that could not be made or revoked.
    pub(super) const fn failed(&mut self) {
        self.failures += 1;
    }

    pub(super) fn summary(&self) -> String {
        let at = |share| self.latencies.value_at_quantile(share) as f64 / 1e3;
        format!(
            "{} canaries, {} without an answer; {} refusals: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms; {} missed",
            self.canaries,
            self.failures,
            self.latencies.len(),
            at(0.5),
            at(0.99),
            at(1.0),
            self.misses
        )
    }

    /// Whoever asked for a number of canaries wants to know whether all went well.
    pub(super) fn verdict(&self) -> Result<(), CliError> {
        match (self.misses, self.latencies.len()) {
            (0, 0) => Err(CliError::Failed(
                "no gateway was heard of: none reads the feed, and none was named with --gateway"
                    .to_owned(),
            )),
            (0, _) => Ok(()),
            (misses, _) => Err(CliError::Failed(format!(
                "{misses} times a gateway did not refuse a revoked canary in time"
            ))),
        }
    }
}

/// No patience is longer.
const LONGEST_MICROS: u64 = 300 * 1_000_000;

#[expect(
    clippy::expect_used,
    reason = "the bounds are constants; a test makes one"
)]
fn histogram() -> hdrhistogram::Histogram<u64> {
    hdrhistogram::Histogram::new_with_bounds(1, LONGEST_MICROS, 3)
        .expect("bounds that fit one another")
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(refused: Option<u64>) -> Round {
        let text = r#"{"node":"x","rev":1,"confirmed":[{"gateway":"0a","instance":"i","ms":3}],"cut_off":[]}"#;
        let receipt: Receipt = serde_json::from_str(text).unwrap();
        let refused = Refused {
            gateway: "api.example".to_owned(),
            after: refused.map(Duration::from_millis),
        };
        Round::new(&receipt, Duration::from_millis(9), vec![refused])
    }

    #[test]
    fn a_round_tells_what_was_said_apart_from_what_was_seen() {
        let told = round(Some(7)).json();
        assert_eq!(told["gateways"][0]["way"], "receipt");
        assert_eq!(told["gateways"][0]["gateway"], "0a/i");
        assert_eq!(told["gateways"][1]["way"], "request");
        assert_eq!(told["gateways"][1]["ms"], 7.0);
    }

    #[test]
    fn a_gateway_that_still_lets_a_canary_in_has_no_latency_and_fails_the_probe() {
        let mut measures = Measures::new();
        let missed = round(None);
        assert!(missed.json()["gateways"][1]["ms"].is_null());
        measures.record(&missed);
        assert_eq!(measures.latencies.len(), 1, "the receipt's alone");
        assert!(measures.verdict().is_err());
    }

    #[test]
    fn a_probe_that_heard_of_no_gateway_has_measured_nothing() {
        assert!(Measures::new().verdict().is_err());
        let mut measures = Measures::new();
        measures.record(&round(Some(7)));
        assert!(measures.verdict().is_ok());
        let summary = measures.summary();
        assert!(
            summary.contains("2 refusals: p50 3.0 ms, p99 7.0 ms"),
            "{summary}"
        );
    }
}
