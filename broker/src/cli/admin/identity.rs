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
    /// Show one
    Show {
        /// Id or name
        identity: String,
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
            Self::Show { identity } => Call::get(
                format!("v1/identities/{}", segment(identity)?),
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
