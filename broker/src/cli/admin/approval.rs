//! `lanyard approval …`.

mod ask;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{Asks, Call, CliError, Noun, listed, output, segment, text_of};
use crate::cli::output::Output;
pub use ask::Ask;

/// `lanyard approval …`.
#[derive(Debug, Subcommand)]
pub enum ApprovalCommand {
    /// Ask administrators to approve what an identity may ask for, within a time
    Request {
        /// Id or name
        identity: String,
        /// Where
        #[arg(long, value_name = "URI")]
        audience: String,
        /// What; repeatable
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
        /// Longest lifetime of one token, in seconds
        #[arg(long, value_name = "SECONDS")]
        lifetime: Option<u64>,
        /// Within which task: authorization details of type `lanyard_task`, JSON
        #[arg(long, value_name = "JSON")]
        task: Option<String>,
        /// What for
        #[arg(long)]
        reason: String,
        /// For how long from now on, in seconds
        #[arg(long = "for", value_name = "SECONDS")]
        seconds: u64,
    },
    /// Ask for yourself, as an identity with its own key: what you are going to ask a token for
    Ask(Ask),
    /// List what was asked and what became of it
    List,
    /// Show exactly what would be approved, and its hash
    Show {
        /// Its id
        approval: String,
    },
    /// Approve exactly what has this hash; not by whoever asked
    Approve {
        /// Its id
        approval: String,
        /// The hash of what you read
        #[arg(long)]
        hash: String,
    },
    /// Refuse it, or take it back
    Deny {
        /// Its id
        approval: String,
        /// Why, for the log
        #[arg(long)]
        reason: Option<String>,
    },
}

impl Asks for ApprovalCommand {
    fn call(&self) -> Result<Call, CliError> {
        Ok(match self {
            Self::Request {
                identity,
                audience,
                scopes,
                lifetime,
                task,
                reason,
                seconds,
            } => {
                let task: Option<Value> = task
                    .as_deref()
                    .map(serde_json::from_str)
                    .transpose()
                    .map_err(|error| CliError::Usage(format!("`--task` is not JSON: {error}")))?;
                let body = json!({
                    "identity": segment(identity)?, "audience": audience, "scopes": scopes.join(" "),
                    "lifetime": lifetime, "task": task, "reason": reason, "seconds": seconds,
                });
                Call::post("v1/approvals", body, shown)
            }
            Self::Ask(_) => {
                return Err(CliError::Usage(
                    "an identity asks at the public listener, not at an administrator's".to_owned(),
                ));
            }
            Self::List => Call::get("v1/approvals", |answer| {
                listed(
                    answer,
                    "approvals",
                    &["id", "identity", "state", "until", "approved_by"],
                )
            }),
            Self::Show { approval } => {
                Call::get(format!("v1/approvals/{}", segment(approval)?), shown)
            }
            Self::Approve { approval, hash } => Call::post(
                format!("v1/approvals/{}/approve", segment(approval)?),
                json!({"hash": hash}),
                shown,
            ),
            Self::Deny { approval, reason } => Call::post(
                format!("v1/approvals/{}/deny", segment(approval)?),
                json!({"reason": reason}),
                shown,
            ),
        })
    }
}

/// Asks, as whoever it is.
pub fn run(noun: Noun<ApprovalCommand>, output: Output) -> Result<(), CliError> {
    match &noun.command {
        ApprovalCommand::Ask(ask) => ask.run(output),
        _ => super::run(noun, output),
    }
}

/// What would be approved as it is, line by line, and around it what is not part of it.
fn shown(answer: &Value) -> String {
    let mut text = String::new();
    for line in text_of(answer, "shown").lines() {
        text.push_str("  ");
        text.push_str(&output::line(line));
        text.push('\n');
    }
    let around = [
        "id",
        "state",
        "approved_by",
        "lapsed",
        "refused_because",
        "hash",
    ];
    for member in around {
        if let Some(value) = answer.get(member) {
            text.push_str(&format!(
                "{member}: {}\n",
                output::shown(member, Some(value))
            ));
        }
    }
    text
}
