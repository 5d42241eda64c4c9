//! What `/metrics` says of secrets and their exchanges.
//!
//! A secret's name is a label here, the only one that somebody chooses: an administrator does, its alphabet is small, and
//! the number of series is bounded.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::vault::rotate::VaultHealth;

pub(super) struct Gauges {
    ages: Family<[(&'static str, String); 1], Gauge>,
    under_way: Family<[(&'static str, &'static str); 1], Gauge>,
    alarmed: Gauge,
    kept_waiting: Gauge,
    ended: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Gauges {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let gauges = Self {
            ages: Family::default(),
            under_way: Family::default(),
            alarmed: Gauge::default(),
            kept_waiting: Gauge::default(),
            ended: Family::default(),
        };
        registry.register_with_unit(
            "secret_age",
            "How long ago the version of a secret that is in force was put; the thousand oldest",
            Unit::Seconds,
            gauges.ages.clone(),
        );
        registry.register(
            "rotations",
            "Exchanges of secrets under way, by step",
            gauges.under_way.clone(),
        );
        registry.register(
            "rotations_alarmed",
            "Exchanges of secrets under way that somebody has to look at",
            gauges.alarmed.clone(),
        );
        registry.register(
            "rotations_kept_waiting",
            "Secrets that are due to be exchanged and cannot be",
            gauges.kept_waiting.clone(),
        );
        registry.register(
            "rotations_ended",
            "Exchanges of secrets that ended since the log began, by outcome",
            gauges.ended.clone(),
        );
        gauges
    }

    pub(super) fn set(&self, health: &VaultHealth) {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        // What is gone must not stay as it was.
        self.ages.clear();
        for (secret, age) in &health.ages {
            let label = [("secret", secret.clone())];
            self.ages.get_or_create(&label).set(number(*age));
        }
        self.under_way.clear();
        for (step, count) in &health.under_way {
            let label = [("step", *step)];
            self.under_way.get_or_create(&label).set(number(*count));
        }
        self.alarmed.set(number(health.alarmed));
        self.kept_waiting.set(number(health.kept_waiting));
        for (outcome, count) in &health.ended {
            let label = [("outcome", outcome.word())];
            let counter = self.ended.get_or_create(&label);
            // The log has counted them.
            counter.inner().store(*count, Ordering::Relaxed);
        }
    }
}
