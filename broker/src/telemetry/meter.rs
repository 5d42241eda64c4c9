//! Metrics as a projection of the log: what is counted is what was acknowledged.
//!
//! Labels come from closed sets, so the number of series is bounded whatever callers send.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::metrics::{Counter, Meter};
use opentelemetry::{KeyValue, global};

use crate::store::event::{Event, Fact, Grant};
use crate::store::{DamagedRow, Projection, Record, Row};

/// Counts live records into OpenTelemetry counters. Records replayed at start are history and were
/// counted when they happened.
pub struct LogMeter {
    live: AtomicBool,
    issued: Counter<u64>,
    refused: Counter<u64>,
    revoked: Counter<u64>,
    verdicts: Counter<u64>,
    responses: Counter<u64>,
    rotations: Counter<u64>,
    rotation_alarms: Counter<u64>,
}

impl LogMeter {
    /// Counters of the process-wide meter; call after telemetry has started.
    pub fn new() -> Self {
        let meter: Meter = global::meter("lanyard");
        Self {
            live: AtomicBool::new(false),
            issued: meter
                .u64_counter("lanyard.tokens.issued")
                .with_description("Access tokens acknowledged, by grant")
                .build(),
            refused: meter
                .u64_counter("lanyard.requests.refused")
                .with_description("Requests turned away, by the operator's reason")
                .build(),
            revoked: meter
                .u64_counter("lanyard.revocations")
                .with_description("Nodes ended, by cause")
                .build(),
            verdicts: meter
                .u64_counter("lanyard.drift.verdicts")
                .with_description("Verdicts that were not benign, by level")
                .build(),
            responses: meter
                .u64_counter("lanyard.drift.responses")
                .with_description("Responses to verdicts, by step and whether they were enforced")
                .build(),
            rotations: meter
                .u64_counter("lanyard.rotations.begun")
                .with_description("Exchanges of secrets that were begun, by cause")
                .build(),
            rotation_alarms: meter
                .u64_counter("lanyard.rotations.alarms")
                .with_description(
                    "Exchanges of secrets that somebody has to look at, by what is wrong",
                )
                .build(),
        }
    }

    /// From now on records are counted.
    pub fn go_live(&self) {
        self.live.store(true, Ordering::Release);
    }

    fn count(&self, event: &Event) {
        match event {
            Event::TokenIssued(token) => {
                self.issued.add(
                    1,
                    &[KeyValue::new("lanyard.grant", grant_word(token.grant))],
                );
            }
            Event::Refused(refusal) => {
                let reason = KeyValue::new("lanyard.reason", refusal.reason.clone());
                self.refused.add(refusal.count, &[reason]);
            }
            Event::Revoked { cause, .. } => {
                self.revoked
                    .add(1, &[KeyValue::new("lanyard.cause", cause.word())]);
            }
            Event::Judged(judgement) => {
                let level = format!("{:?}", judgement.verdict.level).to_lowercase();
                self.verdicts
                    .add(1, &[KeyValue::new("lanyard.level", level)]);
            }
            Event::Responded {
                response, enforced, ..
            } => self.responses.add(
                1,
                &[
                    KeyValue::new("lanyard.response", response.word()),
                    KeyValue::new("lanyard.enforced", *enforced),
                ],
            ),
            Event::RotationBegun(begun) => {
                let cause = KeyValue::new("lanyard.cause", begun.cause.word());
                self.rotations.add(1, &[cause]);
            }
            Event::RotationStepped { fact, .. } => {
                if let Fact::Alarmed { alarm } = &**fact {
                    let alarm = KeyValue::new("lanyard.alarm", alarm.word());
                    self.rotation_alarms.add(1, &[alarm]);
                }
            }
            _ => {}
        }
    }
}

impl Default for LogMeter {
    fn default() -> Self {
        Self::new()
    }
}

impl Projection for LogMeter {
    fn name(&self) -> &'static str {
        "meter-v1"
    }

    fn apply(&self, record: &Record) {
        if self.live.load(Ordering::Acquire) {
            record.events.iter().for_each(|event| self.count(event));
        }
    }

    fn changed_rows(&self) -> Vec<Row> {
        Vec::new()
    }

    fn load_row(&self, _key: &[u8], _value: &[u8]) -> Result<(), DamagedRow> {
        Err(DamagedRow)
    }

    fn reset(&self) {}
}

const fn grant_word(grant: Grant) -> &'static str {
    match grant {
        Grant::ClientCredentials => "client_credentials",
        Grant::TokenExchange => "token_exchange",
        Grant::Local => "local",
    }
}
