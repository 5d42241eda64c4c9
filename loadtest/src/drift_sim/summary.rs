//! Many worlds in one summary: per class of attackers, and what honest callers suffered.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ledger::{Account, Ledger, PerMillion};
use super::statistics::quantile;
use super::trial::{Mark, Trial};
use crate::attacker::{Class, Loot};

/// Within this a forged token is to be flagged, in milliseconds.
const FORGED_WITHIN: u64 = 2_000;

/// Everything that is reported.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) seeds: Vec<u64>,
    pub(super) days: u64,
    pub(super) deployments: usize,
    pub(super) attackers: BTreeMap<Class, ClassSummary>,
    pub(super) benign: BTreeMap<String, BenignSummary>,
    pub(super) recycles_because_of: BTreeMap<String, u64>,
    pub(super) seconds: f64,
    pub(super) calls_per_second: f64,
}

/// One class of attackers.
#[derive(Debug, Serialize)]
pub(super) struct ClassSummary {
    /// Attacks that began.
    pub(super) attacks: usize,
    /// Share that something was done about: a token or credential ended, or an alert about the identity.
    pub(super) caught: f64,
    /// Share whose victim had the like in an equally long time before: what chance would have caught.
    pub(super) by_chance: f64,
    /// Share that could not go on: the copied token died, the credential was ended or paused.
    pub(super) cut_off: f64,
    /// For framing: share of victims that lost no request and no credential.
    pub(super) unharmed: Option<f64>,
    /// For forging: share of forged tokens that were flagged within two seconds of their first use.
    pub(super) forged_in_time: Option<f64>,
    pub(super) until_caught: Delay,
    pub(super) until_cut_off: Delay,
    /// Requests of owners that failed; for stolen keys those after the credential ended too.
    pub(super) owner_failed: u64,
    pub(super) suspended: u64,
    pub(super) revoked: u64,
    /// What weighed most when they were caught.
    pub(super) because_of: BTreeMap<String, usize>,
}

/// How long something took: the middle, and what nineteen of twenty stay below.
#[derive(Debug, Default, Serialize)]
pub(super) struct Delay {
    pub(super) requests: Option<[f64; 2]>,
    pub(super) objects: Option<[f64; 2]>,
    pub(super) seconds: Option<[f64; 2]>,
}

/// What one kind of identity suffered.
#[derive(Debug, Serialize)]
pub(super) struct BenignSummary {
    pub(super) requests: u64,
    pub(super) retried: PerMillion,
    pub(super) failed: PerMillion,
    pub(super) recycles: PerMillion,
    pub(super) narrowings: PerMillion,
    pub(super) suspensions: PerMillion,
    pub(super) revocations: PerMillion,
    pub(super) alerts: PerMillion,
    pub(super) identity_alerts: PerMillion,
}

/// What is gathered from worlds that are over.
#[derive(Default)]
pub(super) struct Gathered {
    trials: BTreeMap<Class, Vec<Trial>>,
    ledger: Ledger,
    pub(super) deployments: usize,
}

impl Gathered {
    /// Adds a world.
    pub(super) fn add(&mut self, trials: Vec<Trial>, ledger: &Ledger, deployments: usize) {
        for trial in trials.into_iter().filter(|trial| trial.began.is_some()) {
            let class = trial.attack.class;
            self.trials.entry(class).or_default().push(trial);
        }
        self.ledger.merge(ledger);
        self.deployments += deployments;
    }

    /// Honest requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.ledger.total().requests
    }

    /// Everything that is reported.
    pub(super) fn summary(&self, seeds: Vec<u64>, days: u64, seconds: f64) -> Summary {
        let of_class =
            |(class, trials): (&Class, &Vec<Trial>)| (*class, class_summary(*class, trials));
        let mut benign: BTreeMap<String, BenignSummary> = self
            .ledger
            .kinds
            .iter()
            .map(|(kind, account)| (format!("{kind:?}").to_lowercase(), account.into()))
            .collect();
        benign.insert("all".to_owned(), (&self.ledger.total()).into());
        Summary {
            seeds,
            days,
            deployments: self.deployments,
            attackers: self.trials.iter().map(of_class).collect(),
            benign,
            recycles_because_of: self.ledger.reasons.clone(),
            seconds,
            calls_per_second: self.requests() as f64 / seconds.max(1e-9),
        }
    }
}

impl From<&Account> for BenignSummary {
    fn from(account: &Account) -> Self {
        let rate = |count| PerMillion::of(count, account.requests);
        Self {
            requests: account.requests,
            retried: rate(account.retried),
            failed: rate(account.failed),
            recycles: rate(account.recycles),
            narrowings: rate(account.narrowings),
            suspensions: rate(account.suspensions),
            revocations: rate(account.revocations),
            alerts: rate(account.alerts),
            identity_alerts: rate(account.identity_alerts),
        }
    }
}

fn class_summary(class: Class, trials: &[Trial]) -> ClassSummary {
    let share = |holds: &dyn Fn(&Trial) -> bool| {
        trials.iter().filter(|trial| holds(trial)).count() as f64 / trials.len().max(1) as f64
    };
    let sum = |count: fn(&Trial) -> u64| trials.iter().map(count).sum();
    let harmed =
        |trial: &Trial| trial.owner_failed + trial.owner_suspended + trial.owner_revoked > 0;
    let used: u64 = sum(|trial| trial.forged_used);
    let in_time = trials.iter().flat_map(|trial| &trial.forged_after);
    let in_time = in_time.filter(|after| **after <= FORGED_WITHIN).count();
    let mut because_of = BTreeMap::new();
    for mark in trials.iter().filter_map(|trial| trial.flagged) {
        let reason = mark
            .measure
            .map_or("NeverIssued".to_owned(), |measure| format!("{measure:?}"));
        *because_of.entry(reason).or_insert(0) += 1;
    }
    ClassSummary {
        attacks: trials.len(),
        caught: share(&|trial| trial.flagged.is_some()),
        by_chance: share(&Trial::by_chance),
        cut_off: share(&|trial| trial.cut.is_some()),
        unharmed: class.is_framing().then(|| share(&|trial| !harmed(trial))),
        forged_in_time: (class.loot() == Loot::SigningKey)
            .then(|| in_time as f64 / used.max(1) as f64),
        until_caught: delay(trials, |trial| trial.flagged),
        until_cut_off: delay(trials, |trial| trial.cut),
        owner_failed: sum(|trial| trial.owner_failed),
        suspended: sum(|trial| trial.owner_suspended),
        revoked: sum(|trial| trial.owner_revoked),
        because_of,
    }
}

fn delay(trials: &[Trial], of: fn(&Trial) -> Option<Mark>) -> Delay {
    let marks: Vec<(&Trial, Mark)> = trials
        .iter()
        .filter_map(|trial| Some((trial, of(trial)?)))
        .collect();
    let both = |value: &dyn Fn(&Trial, Mark) -> f64| {
        let values: Vec<f64> = marks
            .iter()
            .map(|(trial, mark)| value(trial, *mark))
            .collect();
        Some([quantile(&values, 0.5)?, quantile(&values, 0.95)?])
    };
    Delay {
        requests: both(&|_, mark| mark.strikes as f64),
        objects: both(&|_, mark| mark.taken as f64),
        seconds: both(&|trial, mark| trial.since_it_began(mark) as f64 / 1_000.0),
    }
}
