//! How secrets and their exchanges are, in numbers: for metrics and for whoever is woken by them.

use std::collections::BTreeMap;

use super::Rotations;
use super::machine::Outcome;
use crate::clock::UnixMillis;

/// Secrets whose age is told one by one, the oldest first: a metric has a series for each.
pub const MOST_AGES: usize = 1_000;

/// Numbers of this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VaultHealth {
    /// By name, how many seconds ago the version in force was put; of at most [`MOST_AGES`] secrets.
    pub ages: Vec<(String, u64)>,
    /// How many exchanges are under way, by the step they stand at.
    pub under_way: BTreeMap<&'static str, u64>,
    /// How many of those somebody has to look at.
    pub alarmed: u64,
    /// Secrets that are due and cannot be exchanged.
    pub kept_waiting: u64,
    /// How many exchanges ended how, since the log began; each outcome, also one that there never was.
    pub ended: Vec<(Outcome, u64)>,
}

impl Rotations {
    /// As of now.
    pub fn health(&self, now: UnixMillis) -> VaultHealth {
        let ended = self.state.ended();
        let of_outcome = |outcome| (outcome, ended.get(&outcome).copied().unwrap_or(0));
        let mut health = VaultHealth {
            kept_waiting: self.waiting().len() as u64,
            ended: Outcome::ALL.map(of_outcome).to_vec(),
            ..VaultHealth::default()
        };
        for id in self.state.all_under_way() {
            if let Some(under) = self.state.rotation(id) {
                *health
                    .under_way
                    .entry(under.rotation.step().word())
                    .or_default() += 1;
                health.alarmed += u64::from(under.rotation.alarm().is_some());
            }
        }
        let in_force = self.vault.list().into_iter().filter_map(|view| {
            let active = view.active?;
            let version = view.versions.iter().find(|known| known.version == active)?;
            Some((view.name, now.millis_since(version.added_at) / 1_000))
        });
        health.ages = in_force.collect();
        health
            .ages
            .sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        health.ages.truncate(MOST_AGES);
        health
    }
}
