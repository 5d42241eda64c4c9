//! `lanyard owner …` and `lanyard identity …`.

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::{Asks, Call, CliError, listed, output, segment};

/// `lanyard owner …`.
#[derive(Debug, Subcommand)]
pub enum OwnerCommand {
    /// Add an owner
    Add {
        /// Its name: lower case letters, digits, `.`, `_` and `-`
        name: String,
        /// Whom to call when something drifts
        #[arg(long)]
        contact: Option<String>,
    },
    /// List all owners
    List,
    /// Show one
    Show {
        /// Id or name
        owner: String,
    },
    /// Change how to reach an owner
    Change {
        /// Id or name
        owner: String,
        /// Whom to call when something drifts; empty: nobody
        #[arg(long)]
        contact: String,
    },
    /// Give everything of an owner to another; what it had obtained ends, and is obtained anew
    Transfer {
        /// Id or name
        owner: String,
        /// Id or name of the owner who answers from now on
        #[arg(long, value_name = "OWNER")]
        to: String,
        /// Why, for the log
        #[arg(long)]
        reason: Option<String>,
    },
    /// End everything of an owner: identities, keys and tokens
    Disable {
        /// Id or name
        owner: String,
        /// Why, for the log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let an owner's identities get tokens again; tokens from before stay dead
    Enable {
        /// Id or name
        owner: String,
        /// Why, for the log
        #[arg(long)]
        reason: Option<String>,
    },
}

impl Asks for OwnerCommand {
    fn call(&self) -> Result<Call, CliError> {
        Ok(match self {
            Self::Add { name, contact } => Call::post(
                "v1/owners",
                json!({"name": name, "contact": contact}),
                output::members,
            ),
            Self::List => Call::get("v1/owners", |answer| {
                listed(answer, "owners", &["id", "name", "disabled", "contact"])
            }),
            Self::Show { owner } => {
                Call::get(format!("v1/owners/{}", segment(owner)?), output::members)
            }
            Self::Change { owner, contact } => Call::post(
                format!("v1/owners/{}", segment(owner)?),
                json!({"contact": (!contact.is_empty()).then_some(contact)}),
                output::members,
            ),
            Self::Transfer { owner, to, reason } => Call::post(
                format!("v1/owners/{}/transfer", segment(owner)?),
                json!({"to": to, "reason": reason}),
                output::members,
            ),
            Self::Disable { owner, reason } => Call::post(
                format!("v1/owners/{}/disable", segment(owner)?),
                json!({"reason": reason}),
                output::members,
            ),
            Self::Enable { owner, reason } => Call::post(
                format!("v1/owners/{}/enable", segment(owner)?),
                json!({"reason": reason}),
                output::members,
            ),
        })
    }
}

/// What sort of thing an identity is.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// Our own program
    Service,
    /// Somebody else's program
    Integration,
    /// An AI agent
    Agent,
    /// Administers this broker
    Administrator,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Integration => "integration",
            Self::Agent => "agent",
            Self::Administrator => "administrator",
        }
    }
}

/// `lanyard identity …`.
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    /// Add an identity
    Add {
        /// Its name: lower case letters, digits, `.`, `_` and `-`
        name: String,
        /// Who answers for it: id or name
        #[arg(long)]
        owner: String,
        /// What it is
        #[arg(long, value_enum, default_value = "service")]
        kind: Kind,
        /// Where its tokens may be good for; repeatable
        #[arg(long = "audience", required = true, value_name = "URI")]
        audiences: Vec<String>,
        /// What it may be allowed there; repeatable
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Labels; with the kind they make the role it is compared with; repeatable
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        /// Longest lifetime of its tokens, in seconds
        #[arg(long, value_name = "SECONDS")]
        max_lifetime: Option<u64>,
    },
    /// List all identities
    List,
    /// List what nobody has used for long, and when it will be disabled
    Unused {
        /// For so many whole days
        #[arg(long, default_value_t = 30, value_name = "DAYS")]
        days: u64,
    },
    /// Show one
    Show {
        /// Id or name
        identity: String,
    },
    /// Change what an identity is and may ask for; where that is less, what it had obtained ends
    Change {
        /// Id or name
        identity: String,
        /// Where its tokens may be good for, all of it; repeatable
        #[arg(long = "audience", value_name = "URI")]
        audiences: Option<Vec<String>>,
        /// What it may be allowed there, all of it; repeatable, empty for nothing
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Option<Vec<String>>,
        /// Labels, all of them; repeatable
        #[arg(long = "tag", value_name = "TAG")]
        tags: Option<Vec<String>>,
        /// Longest lifetime of its tokens, in seconds
        #[arg(long, value_name = "SECONDS")]
        max_lifetime: Option<u64>,
    },
    /// Give an identity to another owner; what it had obtained ends, and is obtained anew
    Transfer {
        /// Id or name
        identity: String,
        /// Id or name of the owner who answers from now on
        #[arg(long, value_name = "OWNER")]
        to: String,
        /// Why, for the log
        #[arg(long)]
        reason: Option<String>,
    },
    /// End everything of an identity: keys and tokens
    Disable {
        /// Id or name
        identity: String,
        /// Why, for the log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let an identity get tokens again; tokens from before stay dead
    Enable {
        /// Id or name
        identity: String,
        /// Why, for the log
        #[arg(long)]
        reason: Option<String>,
    },
}

impl Asks for IdentityCommand {
    fn call(&self) -> Result<Call, CliError> {
        Ok(match self {
            Self::Add {
                name,
                owner,
                kind,
                audiences,
                scopes,
                tags,
                max_lifetime,
            } => {
                let mut body = json!({
                    "name": name, "owner": owner, "kind": kind.word(), "audiences": audiences,
                    "scopes": scopes.join(" "), "tags": tags,
                });
                if let (Some(seconds), Some(object)) = (max_lifetime, body.as_object_mut()) {
                    object.insert("max_lifetime".to_owned(), json!(seconds));
                }
                Call::post("v1/identities", body, output::members)
            }
            Self::List => Call::get("v1/identities", |answer| {
                listed(
                    answer,
                    "identities",
                    &[
                        "id",
                        "name",
                        "kind",
                        "owner",
                        "disabled",
                        "audiences",
                        "scopes",
                    ],
                )
            }),
            Self::Unused { days } => Call::get(format!("v1/unused?days={days}"), |answer| {
                listed(
                    answer,
                    "identities",
                    &[
                        "id",
                        "name",
                        "kind",
                        "owner",
                        "quiet_days",
                        "last_used",
                        "disabled",
                        "disabled_in_days",
                    ],
                )
            }),
            Self::Show { identity } => Call::get(
                format!("v1/identities/{}", segment(identity)?),
                output::members,
            ),
            Self::Change {
                identity,
                audiences,
                scopes,
                tags,
                max_lifetime,
            } => {
                let scopes = scopes.as_ref().map(|scopes| scopes.join(" "));
                let said = [
                    ("audiences", json!(audiences)),
                    ("scopes", json!(scopes)),
                    ("tags", json!(tags)),
                    ("max_lifetime", json!(max_lifetime)),
                ];
                let said = said.into_iter().filter(|(_, value)| !value.is_null());
                let body: serde_json::Map<_, _> =
                    said.map(|(name, value)| (name.to_owned(), value)).collect();
                if body.is_empty() {
                    return Err(CliError::Usage(
                        "say what changes: --audience, --scope, --tag or --max-lifetime".to_owned(),
                    ));
                }
                Call::post(
                    format!("v1/identities/{}", segment(identity)?),
                    body.into(),
                    output::members,
                )
            }
            Self::Transfer {
                identity,
                to,
                reason,
            } => Call::post(
                format!("v1/identities/{}/transfer", segment(identity)?),
                json!({"to": to, "reason": reason}),
                output::members,
            ),
            Self::Disable { identity, reason } => Call::post(
                format!("v1/identities/{}/disable", segment(identity)?),
                json!({"reason": reason}),
                output::members,
            ),
            Self::Enable { identity, reason } => Call::post(
                format!("v1/identities/{}/enable", segment(identity)?),
                json!({"reason": reason}),
                output::members,
            ),
        })
    }
}
