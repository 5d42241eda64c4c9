//! The candidate, from files of TOML.

use std::error::Error;
use std::path::Path;

use lanyard_drift::Thresholds;
use lanyard_drift::ladder::{Caps, Mode, Policy};
use lanyard_drift::rehearsal::Candidate;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ReplayPolicyArgs;

/// A policy file: the members of the ladder's policy, and its caps.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PolicyFile {
    caps: Caps,
    #[serde(flatten)]
    policy: toml::Table,
}

/// Reads what is to be rehearsed. Statistics act unless it is said otherwise: that is the question.
pub(super) fn read(args: &ReplayPolicyArgs) -> Result<Candidate, Box<dyn Error>> {
    let mut candidate = Candidate::default();
    if let Some(file) = &args.policy {
        let PolicyFile { caps, policy } = parse(file)?;
        candidate.policy = toml::Value::Table(policy)
            .try_into::<Policy>()
            .map_err(|error| wrong(file, &error))?;
        candidate.caps = caps;
    }
    candidate.policy.mode = if args.observe {
        Mode::Observe
    } else {
        Mode::Enforce
    };
    if let Some(file) = &args.thresholds {
        let thresholds: Thresholds = parse(file)?;
        match &args.kind {
            Some(kind) => {
                candidate.thresholds.insert(kind.clone(), thresholds);
            }
            None => candidate.otherwise = thresholds,
        }
    }
    Ok(candidate)
}

fn parse<T: DeserializeOwned>(file: &Path) -> Result<T, Box<dyn Error>> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
    toml::from_str(&text).map_err(|error| wrong(file, &error))
}

fn wrong(file: &Path, error: &toml::de::Error) -> Box<dyn Error> {
    format!("`{}`: {}", file.display(), error.message()).into()
}
