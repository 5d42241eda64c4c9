//! One thing to do: in words, for programs, and as a call.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use lanyard_token::Audience;
use serde_json::{Value, json};

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli::apply) enum Step {
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
    /// A gateway that is not there.
    Enrol {
        name: String,
        owner: String,
        audiences: Vec<Audience>,
        egress: bool,
        sole_witness: bool,
        /// Where its enrolment goes; `None`: a person enrols it.
        into: Option<PathBuf>,
    },
    /// An identity that somebody disabled: only a person lets it work again.
    Disabled { name: String },
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
    pub(in crate::cli::apply) const fn sign(&self) -> char {
        match self {
            Self::CreateOwner { .. }
            | Self::CreateIdentity { .. }
            | Self::Enrol { into: Some(_), .. }
            | Self::CreateIntegration { .. } => '+',
            Self::ChangeOwner { .. }
            | Self::ChangeIdentity { .. }
            | Self::ChangeIntegration { .. } => '~',
            Self::Transfer { .. } => '>',
            Self::DisableIdentity { .. }
            | Self::DisableOwner { .. }
            | Self::RemoveIntegration { .. } => '-',
            Self::Enrol { into: None, .. } | Self::Disabled { .. } | Self::AwaitGateways { .. } => {
                '!'
            }
        }
    }

    /// One line.
    pub(in crate::cli::apply) fn words(&self) -> String {
        let contact = |contact: &Option<String>| contact.clone().unwrap_or_else(|| "-".to_owned());
        match self {
            Self::CreateOwner { name, contact: to } => {
                format!("owner {name} (contact {})", contact(to))
            }
            Self::ChangeOwner { name, from, to } => {
                format!("owner {name}: contact {} -> {to}", contact(from))
            }
            Self::CreateIdentity { name, body, .. } => {
                let member = |member: &str| {
                    let shown = crate::cli::output::shown(member, body.get(member));
                    if shown.is_empty() {
                        "-".to_owned()
                    } else {
                        shown
                    }
                };
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
                sole_witness,
                into: Some(file),
            } => {
                let egress = if *egress { ", with egress" } else { "" };
                let alone = if *sole_witness {
                    ", as sole witness"
                } else {
                    ""
                };
                format!(
                    "gateway {name} (of {owner}): enrolled for {}{egress}{alone}, its enrolment in `{}`",
                    joined(audiences),
                    file.display()
                )
            }
            Self::Enrol {
                name,
                owner,
                audiences,
                egress,
                sole_witness,
                into: None,
            } => {
                let egress = if *egress { " --egress" } else { "" };
                let alone = if *sole_witness { " --sole-witness" } else { "" };
                let served: String = audiences
                    .iter()
                    .map(|audience| format!(" --audience {audience}"))
                    .collect();
                format!(
                    "gateway {name}: enrol it by hand: lanyard gateway add {name} --owner {owner}{served}{egress}{alone} \
                     --out FILE"
                )
            }
            Self::Disabled { name } => format!(
                "identity {name}: disabled, and stays so: `lanyard identity enable {name}` lets it work again"
            ),
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
    pub(in crate::cli::apply) fn told(&self) -> Value {
        let (step, name) = match self {
            Self::CreateOwner { name, .. } => ("create_owner", name),
            Self::ChangeOwner { name, .. } => ("change_owner", name),
            Self::CreateIdentity { name, .. } => ("create_identity", name),
            Self::ChangeIdentity { name, .. } => ("change_identity", name),
            Self::Transfer { name, .. } => ("transfer_identity", name),
            Self::Enrol {
                name,
                into: Some(_),
                ..
            } => ("enrol_gateway", name),
            Self::Enrol { name, .. } => ("enrol_gateway_by_hand", name),
            Self::Disabled { name } => ("identity_is_disabled", name),
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
        if let (Some(file), Some(object)) = (self.enrolment(), told.as_object_mut()) {
            object.insert("enrolment".to_owned(), json!(file));
        }
        told
    }

    /// Where the answer goes, which holds a key.
    pub(in crate::cli::apply) fn enrolment(&self) -> Option<&Path> {
        match self {
            Self::Enrol { into, .. } => into.as_deref(),
            _ => None,
        }
    }

    /// What of it comes from grants, a line each.
    pub(in crate::cli::apply) fn grants(&self) -> &[String] {
        match self {
            Self::CreateIdentity { grants, .. } | Self::ChangeIdentity { grants, .. } => grants,
            _ => &[],
        }
    }

    /// Route and body; `None` for what a person must do.
    pub(in crate::cli::apply) fn call(&self) -> Option<(String, Value)> {
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
            Self::Enrol {
                name,
                owner,
                audiences,
                egress,
                sole_witness,
                into: Some(_),
            } => (
                "v1/gateways".to_owned(),
                json!({
                    "name": name, "owner": owner, "audiences": audiences, "sole_witness": sole_witness,
                    "egress": egress,
                }),
            ),
            Self::Enrol { into: None, .. } | Self::Disabled { .. } | Self::AwaitGateways { .. } => {
                return None;
            }
        })
    }
}

/// A list in one line.
pub(super) fn joined(audiences: &[Audience]) -> String {
    let texts: Vec<String> = audiences.iter().map(ToString::to_string).collect();
    texts.join(" ")
}
