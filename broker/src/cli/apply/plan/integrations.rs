//! Integrations: after the gateways that carry them, and ended before those.

use std::collections::{BTreeMap, BTreeSet};

use lanyard_token::integration::Integration;
use serde_json::Value;

use super::super::file::{Desired, shown};
use super::super::integration::{PresentIntegration, Wanted};
use super::{Present, PresentIdentity, Step};
use crate::store::event::Kind;
use crate::vault::integrations::EGRESS_SCOPE;

/// Whether a gateway was enrolled for egress: it never becomes so afterwards.
pub(super) fn is_for_egress(gateway: &PresentIdentity) -> bool {
    gateway
        .scopes
        .iter()
        .any(|scope| scope.as_str() == EGRESS_SCOPE)
}

/// The steps for integrations that files name, or why there are none.
pub(super) fn steps(
    desired: &Desired,
    present: &Present,
    prune: bool,
) -> Result<Vec<Step>, String> {
    let there: BTreeMap<&str, &PresentIntegration> = present
        .integrations
        .iter()
        .map(|integration| (integration.name.as_str(), integration))
        .collect();
    let mut steps = Vec::new();
    for (name, wanted) in &desired.integrations {
        let missing = missing_gateways(desired, present, wanted, prune)?;
        // Those that are there carry it meanwhile: a change that takes something away waits for nobody.
        let wanted = &wanted.without(&missing);
        if !missing.is_empty() {
            steps.push(Step::AwaitGateways {
                name: name.clone(),
                gateways: missing,
            });
        }
        if wanted.gateways.is_empty() {
            continue;
        }
        let Some(found) = there.get(name.as_str()) else {
            steps.push(Step::CreateIntegration {
                name: name.clone(),
                body: wanted.body(),
            });
            continue;
        };
        let differences = differences(wanted, found);
        if !differences.is_empty() {
            steps.push(Step::ChangeIntegration {
                name: name.clone(),
                differences,
                body: wanted.body(),
            });
        }
    }
    Ok(steps)
}

/// Integrations that no file names.
pub(super) fn pruned(desired: &Desired, present: &Present) -> impl Iterator<Item = Step> {
    let unnamed = present
        .integrations
        .iter()
        .filter(|found| !desired.integrations.contains_key(&found.name));
    unnamed.map(|found| Step::RemoveIntegration {
        name: found.name.clone(),
    })
}

/// Gateways that a person has yet to enrol: none, where that is done before. Those that could never carry it are refused.
fn missing_gateways(
    desired: &Desired,
    present: &Present,
    wanted: &Wanted,
    prune: bool,
) -> Result<Vec<String>, String> {
    let mut missing = Vec::new();
    for gateway in &wanted.gateways {
        let named = desired.identities.get(gateway);
        let found = present
            .identities
            .iter()
            .find(|identity| identity.name == *gateway);
        let refused = match (named, found) {
            (_, Some(found)) if found.kind != Kind::Gateway => "is no gateway",
            (_, Some(found)) if !is_for_egress(found) => {
                "was enrolled without --egress, and that never changes: name another"
            }
            (None, Some(_)) if prune => {
                "must be in the files with --prune, or it would be disabled"
            }
            (_, Some(_)) => continue,
            (Some(named), None) if named.kind != Kind::Gateway => "is no gateway",
            (Some(named), None) if named.egress != Some(true) => {
                "is not for egress: give its entry `egress = true`"
            }
            (Some(_), None) => {
                if desired.enrolments.is_none() {
                    missing.push(gateway.clone());
                }
                continue;
            }
            (None, None) => "is neither in the files nor at the broker",
        };
        return Err(format!(
            "{}: its gateway `{gateway}` {refused}",
            wanted.place
        ));
    }
    Ok(missing)
}

/// What differs, in words.
fn differences(wanted: &Wanted, found: &PresentIntegration) -> Vec<String> {
    let mut told = Vec::new();
    if wanted.owner != found.owner {
        told.push(format!("owner {} -> {}", found.owner, wanted.owner));
    }
    let carried: BTreeSet<&str> = found
        .gateways
        .iter()
        .map(|gateway| gateway.name.as_str())
        .collect();
    let shall: BTreeSet<&str> = wanted.gateways.iter().map(String::as_str).collect();
    if carried != shall {
        let joined = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(" ");
        told.push(format!("gateways {} -> {}", joined(carried), joined(shall)));
    }
    match found.integration.read() {
        Ok(there) if wanted.integration != *there => {
            told.extend(members(there, &wanted.integration));
            told.extend(rules(there, &wanted.integration));
            if told.is_empty() {
                // Equal in all that is looked at one by one: their order.
                told.push("rules in another order".to_owned());
            }
        }
        Ok(_) => {}
        Err(_) => told.push("put in the place of one that cannot be read".to_owned()),
    }
    told
}

/// Everything but the rules.
fn members(from: &Integration, to: &Integration) -> Vec<String> {
    let (from, to) = (written(from), written(to));
    let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    names
        .into_iter()
        .filter(|name| name.as_str() != "rule" && from.get(*name) != to.get(*name))
        .map(|name| {
            let told = |value: Option<&Value>| match value {
                None => "-".to_owned(),
                // Nobody compares them by eye.
                Some(_) if name == "certificates" => "given".to_owned(),
                Some(Value::String(text)) => shown(text),
                Some(value) => shown(&value.to_string()),
            };
            format!("{name} {} -> {}", told(from.get(name)), told(to.get(name)))
        })
        .collect()
}

fn written(integration: &Integration) -> serde_json::Map<String, Value> {
    match serde_json::to_value(integration) {
        Ok(Value::Object(members)) => members,
        // It always is an object.
        _ => serde_json::Map::new(),
    }
}

/// Each rule that comes, goes or is another one: what reviewers look for.
fn rules(from: &Integration, to: &Integration) -> Vec<String> {
    let keyed = |integration: &Integration| -> BTreeMap<String, Value> {
        let rules = integration.rules().iter();
        rules
            .map(|rule| {
                let key = format!("{} {}", rule.method(), rule.template());
                (key, serde_json::to_value(rule).unwrap_or_default())
            })
            .collect()
    };
    let (from, to) = (keyed(from), keyed(to));
    let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let told = names.into_iter().filter_map(|name| {
        let rule = shown(name);
        match (from.get(name), to.get(name)) {
            (None, Some(_)) => Some(format!("rule `{rule}` added")),
            (Some(_), None) => Some(format!("rule `{rule}` taken away")),
            (Some(from), Some(to)) if from != to => Some(format!(
                "rule `{rule}` {} -> {}",
                shown(&from.to_string()),
                shown(&to.to_string())
            )),
            _ => None,
        }
    });
    told.collect()
}
