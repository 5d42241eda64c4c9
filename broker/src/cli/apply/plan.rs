//! The difference between what shall be and what is, as steps in an order that works: owners before who
//! needs them, transfers before an old owner ends.

mod integrations;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use lanyard_token::{Audience, NodeId, ScopeSet};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::file::{Desired, Identity};
use super::grant::Grant;
use super::integration::PresentIntegration;
use crate::store::event::Kind;

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
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// An owner that is not there.
    CreateOwner {
        name: String,
        contact: Option<String>,
    },
    /// Another contact.
    ChangeOwner {
        name: String,
        from: Option<String>,
        to: String,
    },
    /// An identity that is not there.
    CreateIdentity {
        name: String,
        body: Value,
        /// What of it comes from grants, a line each.
        grants: Vec<String>,
    },
    /// An identity that may ask for something else, or is something else.
    ChangeIdentity {
        name: String,
        /// Member, what it is, what it shall be: in words.
        differences: Vec<(&'static str, String, String)>,
        body: Value,
        /// What of what is new comes from grants, a line each.
        grants: Vec<String>,
    },
    /// An identity of somebody else.
    Transfer {
        name: String,
        from: String,
        to: String,
    },
    /// A gateway that is not there: only a person can take its key to it.
    Enrol {
        name: String,
        owner: String,
        audiences: Vec<Audience>,
        egress: bool,
    },
    /// An integration that is not there.
    CreateIntegration { name: String, body: Value },
    /// An integration that is another one.
    ChangeIntegration {
        name: String,
        /// In words.
        differences: Vec<String>,
        body: Value,
    },
    /// An integration whose gateways a person has yet to enrol.
    AwaitGateways { name: String, gateways: Vec<String> },
    /// An integration that no file names.
    RemoveIntegration { name: String },
    /// An identity that no file names.
    DisableIdentity { name: String },
    /// An owner that no file names.
    DisableOwner { name: String },
}

const PRUNED: &str = "no applied file names it";

impl Step {
    /// As in a difference of files.
    pub(super) const fn sign(&self) -> char {
        match self {
            Self::CreateOwner { .. }
            | Self::CreateIdentity { .. }
            | Self::CreateIntegration { .. } => '+',
            Self::ChangeOwner { .. }
            | Self::ChangeIdentity { .. }
            | Self::ChangeIntegration { .. } => '~',
            Self::Transfer { .. } => '>',
            Self::DisableIdentity { .. }
            | Self::DisableOwner { .. }
            | Self::RemoveIntegration { .. } => '-',
            Self::Enrol { .. } | Self::AwaitGateways { .. } => '!',
        }
    }

    /// One line.
    pub(super) fn words(&self) -> String {
        let contact = |contact: &Option<String>| contact.clone().unwrap_or_else(|| "-".to_owned());
        match self {
            Self::CreateOwner { name, contact: to } => {
                format!("owner {name} (contact {})", contact(to))
            }
            Self::ChangeOwner { name, from, to } => {
                format!("owner {name}: contact {} -> {to}", contact(from))
            }
            Self::CreateIdentity { name, body, .. } => {
                let member = |member: &str| crate::cli::output::shown(member, body.get(member));
                format!(
                    "identity {name} ({} of {}): {} for {}",
                    member("kind"),
                    member("owner"),
                    member("scopes"),
                    member("audiences")
                )
            }
            Self::ChangeIdentity {
                name, differences, ..
            } => {
                let mut text = format!("identity {name}:");
                for (place, (member, from, to)) in differences.iter().enumerate() {
                    let comma = if place > 0 { "," } else { "" };
                    // Writing to a string cannot fail.
                    let _ = write!(text, "{comma} {member} {from} -> {to}");
                }
                text
            }
            Self::Transfer { name, from, to } => format!("identity {name}: owner {from} -> {to}"),
            Self::Enrol {
                name,
                owner,
                audiences,
                egress,
            } => {
                let egress = if *egress { " --egress" } else { "" };
                let served: String = audiences
                    .iter()
                    .map(|audience| format!(" --audience {audience}"))
                    .collect();
                format!(
                    "gateway {name}: enrol it by hand: lanyard gateway add {name} --owner {owner}{served}{egress} --out FILE"
                )
            }
            Self::CreateIntegration { name, body } => {
                let gateways = crate::cli::output::shown("gateways", body.get("gateways"));
                let owner = crate::cli::output::shown("owner", body.get("owner"));
                let integration = body.get("integration");
                let of = |pointer: &str| integration.and_then(|all| all.pointer(pointer));
                format!(
                    "integration {name} (of {owner}): {} with {} through {gateways}",
                    crate::cli::output::shown("upstream", of("/upstream")),
                    crate::cli::output::shown("secret", of("/inject/secret")),
                )
            }
            Self::ChangeIntegration {
                name, differences, ..
            } => format!("integration {name}: {}", differences.join(", ")),
            Self::AwaitGateways { name, gateways } => format!(
                "integration {name}: waits for {}: enrol first, then apply again",
                gateways.join(", ")
            ),
            Self::RemoveIntegration { name } => format!("integration {name}: removed"),
            Self::DisableIdentity { name } => format!("identity {name}: disabled"),
            Self::DisableOwner { name } => {
                format!("owner {name}: disabled, and everything below it")
            }
        }
    }

    /// For programs.
    pub(super) fn told(&self) -> Value {
        let (step, name) = match self {
            Self::CreateOwner { name, .. } => ("create_owner", name),
            Self::ChangeOwner { name, .. } => ("change_owner", name),
            Self::CreateIdentity { name, .. } => ("create_identity", name),
            Self::ChangeIdentity { name, .. } => ("change_identity", name),
            Self::Transfer { name, .. } => ("transfer_identity", name),
            Self::Enrol { name, .. } => ("enrol_gateway_by_hand", name),
            Self::CreateIntegration { name, .. } => ("create_integration", name),
            Self::ChangeIntegration { name, .. } => ("change_integration", name),
            Self::AwaitGateways { name, .. } => ("integration_waits_for_gateways", name),
            Self::RemoveIntegration { name } => ("remove_integration", name),
            Self::DisableIdentity { name } => ("disable_identity", name),
            Self::DisableOwner { name } => ("disable_owner", name),
        };
        let mut told = json!({"step": step, "name": name, "words": self.words()});
        if let (false, Some(object)) = (self.grants().is_empty(), told.as_object_mut()) {
            object.insert("grants".to_owned(), json!(self.grants()));
        }
        told
    }

    /// What of it comes from grants, a line each.
    pub(super) fn grants(&self) -> &[String] {
        match self {
            Self::CreateIdentity { grants, .. } | Self::ChangeIdentity { grants, .. } => grants,
            _ => &[],
        }
    }

    /// Route and body; `None` for what a person must do.
    pub(super) fn call(&self) -> Option<(String, Value)> {
        Some(match self {
            Self::CreateOwner { name, contact } => (
                "v1/owners".to_owned(),
                json!({"name": name, "contact": contact}),
            ),
            Self::ChangeOwner { name, to, .. } => {
                (format!("v1/owners/{name}"), json!({"contact": to}))
            }
            Self::CreateIdentity { body, .. } => ("v1/identities".to_owned(), body.clone()),
            Self::ChangeIdentity { name, body, .. } => {
                (format!("v1/identities/{name}"), body.clone())
            }
            Self::Transfer { name, to, .. } => (
                format!("v1/identities/{name}/transfer"),
                json!({"to": to, "reason": "as the applied files say"}),
            ),
            Self::DisableIdentity { name } => (
                format!("v1/identities/{name}/disable"),
                json!({"reason": PRUNED}),
            ),
            Self::DisableOwner { name } => (
                format!("v1/owners/{name}/disable"),
                json!({"reason": PRUNED}),
            ),
            Self::CreateIntegration { body, .. } | Self::ChangeIntegration { body, .. } => {
                ("v1/integrations".to_owned(), body.clone())
            }
            Self::RemoveIntegration { name } => (
                format!("v1/integrations/{name}/remove"),
                json!({"reason": PRUNED}),
            ),
            Self::Enrol { .. } | Self::AwaitGateways { .. } => return None,
        })
    }
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
            steps.push(create(name, wanted));
            continue;
        };
        if found.kind != wanted.kind {
            return Err(format!(
                "{}: it is there with kind {}, and a kind never changes: choose another name",
                wanted.place,
                found.kind.word()
            ));
        }
        if let Some(egress) = wanted.egress
            && egress != integrations::is_for_egress(found)
        {
            let (with, other) = if egress { ("out", "") } else { ("", "out") };
            return Err(format!(
                "{}: it was enrolled with{with} egress, and that never changes: enrol another with{other}, under another name",
                wanted.place
            ));
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

fn create(name: &str, wanted: &Identity) -> Step {
    let Some(scopes) = &wanted.scopes else {
        return Step::Enrol {
            name: name.to_owned(),
            owner: wanted.owner.clone(),
            audiences: wanted.audiences.clone(),
            egress: wanted.egress == Some(true),
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

fn joined(audiences: &[Audience]) -> String {
    let texts: Vec<String> = audiences.iter().map(ToString::to_string).collect();
    texts.join(" ")
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
