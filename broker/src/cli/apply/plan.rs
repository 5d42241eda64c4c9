//! The difference between what shall be and what is, as steps in an order that works: owners before who
//! needs them, transfers before an old owner ends.

mod integrations;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lanyard_token::{Audience, NodeId, ScopeSet};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::file::{Desired, Identity};
use super::grant::Grant;
use super::integration::PresentIntegration;
use crate::store::event::Kind;
pub(super) use step::Step;
use step::joined;

/// What the broker says there is.
#[derive(Debug, Default)]
pub(super) struct Present {
    pub(super) owners: Vec<PresentOwner>,
    pub(super) identities: Vec<PresentIdentity>,
    /// Empty where nobody wants to know.
    pub(super) integrations: Vec<PresentIntegration>,
}

/// An owner there is.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PresentOwner {
    pub(super) id: NodeId,
    pub(super) name: String,
    pub(super) contact: Option<String>,
    pub(super) disabled: bool,
}

/// An identity there is.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PresentIdentity {
    pub(super) name: String,
    pub(super) owner: NodeId,
    pub(super) kind: Kind,
    pub(super) tags: Vec<String>,
    pub(super) audiences: Vec<Audience>,
    pub(super) scopes: ScopeSet,
    pub(super) max_lifetime: u64,
    pub(super) disabled: bool,
    #[serde(default)]
    pub(super) sole_witness: bool,
}

/// The steps from what is to what shall be, or why there are none, in words.
pub(super) fn plan(desired: &Desired, present: &Present, prune: bool) -> Result<Vec<Step>, String> {
    let owners: BTreeMap<&str, &PresentOwner> = present
        .owners
        .iter()
        .map(|owner| (owner.name.as_str(), owner))
        .collect();
    let names: BTreeMap<NodeId, &str> = present
        .owners
        .iter()
        .map(|owner| (owner.id, owner.name.as_str()))
        .collect();
    let identities: BTreeMap<&str, &PresentIdentity> = present
        .identities
        .iter()
        .map(|identity| (identity.name.as_str(), identity))
        .collect();
    check_owners(desired, &owners, prune)?;
    let mut steps = Vec::new();
    for (name, wanted) in &desired.owners {
        match (owners.get(name.as_str()), &wanted.contact) {
            (None, contact) => steps.push(Step::CreateOwner {
                name: name.clone(),
                contact: contact.clone(),
            }),
            (Some(found), Some(contact)) if found.contact.as_ref() != Some(contact) => {
                steps.push(Step::ChangeOwner {
                    name: name.clone(),
                    from: found.contact.clone(),
                    to: contact.clone(),
                });
            }
            _ => {}
        }
    }
    for (name, wanted) in &desired.identities {
        let Some(found) = identities.get(name.as_str()) else {
            steps.push(create(name, wanted, desired.enrolments.as_deref()));
            continue;
        };
        if found.kind != wanted.kind {
            return Err(format!(
                "{}: it is there with kind {}, and a kind never changes: choose another name",
                wanted.place,
                found.kind.word()
            ));
        }
        for (member, wanted_so, is_so) in [
            ("egress", wanted.egress, integrations::is_for_egress(found)),
            ("sole witness", wanted.sole_witness, found.sole_witness),
        ] {
            if wanted_so.is_none_or(|wanted| wanted == is_so) {
                continue;
            }
            let (with, other) = if is_so { ("", "out") } else { ("out", "") };
            return Err(format!(
                "{}: it was enrolled with{with} {member}, and that never changes: enrol another with{other}, under another \
                 name",
                wanted.place
            ));
        }
        if found.disabled {
            steps.push(Step::Disabled { name: name.clone() });
        }
        let owner = names.get(&found.owner).copied().unwrap_or("-");
        if owner != wanted.owner {
            steps.push(Step::Transfer {
                name: name.clone(),
                from: owner.to_owned(),
                to: wanted.owner.clone(),
            });
        }
        steps.extend(change(name, wanted, found));
    }
    steps.extend(integrations::steps(desired, present, prune)?);
    if prune {
        // Before the gateways that carry them.
        steps.extend(integrations::pruned(desired, present));
        steps.extend(pruned(desired, present, &names));
    }
    Ok(steps)
}

/// The gateways of the files that the broker has already.
pub(super) fn enrolled<'a>(desired: &'a Desired, present: &Present) -> Vec<&'a str> {
    let gateways: BTreeSet<&str> = present
        .identities
        .iter()
        .filter(|found| found.kind == Kind::Gateway)
        .map(|found| found.name.as_str())
        .collect();
    let names = desired.identities.keys().map(String::as_str);
    names.filter(|name| gateways.contains(name)).collect()
}

/// Whoever is given something must be there, and be able to answer for it.
fn check_owners(
    desired: &Desired,
    owners: &BTreeMap<&str, &PresentOwner>,
    prune: bool,
) -> Result<(), String> {
    let identities = desired.identities.values();
    let identities = identities.map(|wanted| (wanted.owner.as_str(), &wanted.place));
    let integrations = desired.integrations.values();
    let integrations = integrations.map(|wanted| (wanted.owner.as_str(), &wanted.place));
    for (owner, place) in identities.chain(integrations) {
        let found = owners.get(owner);
        let named = desired.owners.contains_key(owner);
        if !named && found.is_none() {
            return Err(format!(
                "{place}: there is no owner `{owner}`, neither in the files nor at the broker"
            ));
        }
        if !named && prune {
            return Err(format!(
                "{place}: with --prune its owner `{owner}` must be in the files, or it would be disabled"
            ));
        }
        if found.is_some_and(|owner| owner.disabled) {
            return Err(format!(
                "{place}: its owner `{owner}` is disabled: `lanyard owner enable {owner}`, or name another"
            ));
        }
    }
    Ok(())
}

fn create(name: &str, wanted: &Identity, enrolments: Option<&Path>) -> Step {
    let Some(scopes) = &wanted.scopes else {
        return Step::Enrol {
            name: name.to_owned(),
            owner: wanted.owner.clone(),
            audiences: wanted.audiences.clone(),
            egress: wanted.egress == Some(true),
            sole_witness: wanted.sole_witness == Some(true),
            into: enrolments.map(|folder| folder.join(format!("{name}.json"))),
        };
    };
    let mut body = json!({
        "name": name, "owner": wanted.owner, "kind": wanted.kind, "tags": wanted.tags,
        "audiences": wanted.audiences, "scopes": scopes.to_string(),
    });
    if let (Some(seconds), Some(object)) = (wanted.max_lifetime, body.as_object_mut()) {
        object.insert("max_lifetime".to_owned(), json!(seconds));
    }
    Step::CreateIdentity {
        name: name.to_owned(),
        body,
        grants: wanted.grants.iter().map(Grant::words).collect(),
    }
}

fn change(name: &str, wanted: &Identity, found: &PresentIdentity) -> Option<Step> {
    let mut body = Map::new();
    let mut differences = Vec::new();
    let mut differs = |member: &'static str, from: String, to: String, value: Value| {
        let shown = |text: String| {
            if text.is_empty() {
                "-".to_owned()
            } else {
                text
            }
        };
        differences.push((member, shown(from), shown(to)));
        body.insert(member.to_owned(), value);
    };
    // A gateway has no tags of its own, and an administrator's rights are the broker's to say.
    let is_own = !matches!(wanted.kind, Kind::Gateway);
    if is_own && wanted.tags != found.tags {
        let value = json!(wanted.tags);
        differs("tags", found.tags.join(" "), wanted.tags.join(" "), value);
    }
    if wanted.kind != Kind::Administrator {
        let as_set = |audiences: &[Audience]| audiences.iter().cloned().collect::<BTreeSet<_>>();
        if as_set(&wanted.audiences) != as_set(&found.audiences) {
            let (from, to) = (joined(&found.audiences), joined(&wanted.audiences));
            differs("audiences", from, to, json!(wanted.audiences));
        }
        if let Some(scopes) = &wanted.scopes
            && *scopes != found.scopes
        {
            let (from, to) = (found.scopes.to_string(), scopes.to_string());
            differs("scopes", from, to.clone(), json!(to));
        }
    }
    if let Some(seconds) = wanted.max_lifetime
        && seconds != found.max_lifetime
    {
        let (from, to) = (found.max_lifetime.to_string(), seconds.to_string());
        differs("max_lifetime", from, to, json!(seconds));
    }
    (!differences.is_empty()).then(|| Step::ChangeIdentity {
        name: name.to_owned(),
        differences,
        body: body.into(),
        grants: wanted
            .grants
            .iter()
            .filter(|grant| {
                !found.audiences.contains(&grant.audience)
                    || !grant.scopes.is_subset_of(&found.scopes)
            })
            .map(Grant::words)
            .collect(),
    })
}

/// What no file names: an owner at once with everything below it, or identities alone. Administrators
/// stay, and so does whoever answers for one: an apply must not close the door behind itself.
fn pruned(desired: &Desired, present: &Present, names: &BTreeMap<NodeId, &str>) -> Vec<Step> {
    let answers_for_administrators: BTreeSet<NodeId> = present
        .identities
        .iter()
        .filter(|identity| identity.kind == Kind::Administrator)
        .map(|identity| identity.owner)
        .collect();
    let ends = |owner: &PresentOwner| {
        !owner.disabled
            && !desired.owners.contains_key(&owner.name)
            && !answers_for_administrators.contains(&owner.id)
    };
    let ended: BTreeSet<&str> = present
        .owners
        .iter()
        .filter(|owner| ends(owner))
        .map(|owner| owner.name.as_str())
        .collect();
    let disabled: BTreeSet<NodeId> = present
        .owners
        .iter()
        .filter(|owner| owner.disabled)
        .map(|owner| owner.id)
        .collect();
    // The end of an owner, now or before, is the end of what is below it.
    let below_ended = |identity: &PresentIdentity| {
        let owner = names.get(&identity.owner);
        disabled.contains(&identity.owner) || owner.is_some_and(|owner| ended.contains(owner))
    };
    let identities = present
        .identities
        .iter()
        .filter(|identity| {
            !identity.disabled
                && identity.kind != Kind::Administrator
                && !desired.identities.contains_key(&identity.name)
                && !below_ended(identity)
        })
        .map(|identity| Step::DisableIdentity {
            name: identity.name.clone(),
        });
    let owners = ended.iter().map(|name| Step::DisableOwner {
        name: (*name).to_owned(),
    });
    identities.chain(owners).collect()
}

#[cfg(test)]
mod carried;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod tests;
