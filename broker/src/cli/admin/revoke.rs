//! `lanyard token …` and `lanyard drift …`.

use std::io::Read;

use clap::Subcommand;
use serde_json::json;

use super::{Asks, Call, CliError, listed, output, segment};

/// `lanyard token …`.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// End tokens, and everything exchanged from them
    Revoke {
        /// Ids (jti) of tokens; `-` reads the tokens themselves from standard input, one a line
        #[arg(required = true)]
        tokens: Vec<String>,
        /// Why, for the log
        #[arg(long, default_value = "revoked by an administrator")]
        reason: String,
        /// Wait until every gateway has confirmed, and print the receipt
        #[arg(long)]
        wait: bool,
    },
}

impl Asks for TokenCommand {
    fn call(&self) -> Result<Call, CliError> {
        let Self::Revoke {
            tokens,
            reason,
            wait,
        } = self;
        let mut body = if tokens == &["-"] {
            let mut text = String::new();
            std::io::stdin()
                .take(1024 * 1024)
                .read_to_string(&mut text)
                .map_err(|error| CliError::cannot("read standard input", &error))?;
            json!({"tokens": text.split_whitespace().collect::<Vec<_>>(), "reason": reason})
        } else {
            // A token in an argument would stand in every process list.
            if tokens
                .iter()
                .any(|token| token.contains('.') || token.starts_with("lyk_"))
            {
                return Err(CliError::Usage(
                    "that is a secret: give its id, or `-` and the token on standard input"
                        .to_owned(),
                ));
            }
            json!({"nodes": tokens, "reason": reason})
        };
        if *wait && let Some(object) = body.as_object_mut() {
            object.insert("wait".to_owned(), json!("all"));
        }
        Ok(Call::post("v1/revoke", body, output::members))
    }
}

/// `lanyard drift …`.
#[derive(Debug, Subcommand)]
pub enum DriftCommand {
    /// List the latest verdicts
    List {
        /// Only of this identity (id)
        #[arg(long)]
        identity: Option<String>,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show one with its evidence and what was done
    Show {
        /// Id of the verdict
        verdict: String,
    },
    /// Say that it was fine: what was suspended by it goes on, and its behaviour is learned
    Clear {
        /// Id of the verdict
        verdict: String,
        /// Why, for the log
        #[arg(long)]
        reason: String,
    },
}

impl Asks for DriftCommand {
    fn call(&self) -> Result<Call, CliError> {
        Ok(match self {
            Self::List { identity, limit } => {
                let mut path = format!("v1/drift/verdicts?limit={limit}");
                if let Some(identity) = identity {
                    path.push_str("&identity=");
                    path.push_str(segment(identity)?);
                }
                Call::get(path, |answer| {
                    listed(
                        answer,
                        "verdicts",
                        &["id", "at", "identity", "level", "sentence"],
                    )
                })
            }
            Self::Show { verdict } => Call::get(
                format!("v1/drift/verdicts/{}", segment(verdict)?),
                output::members,
            ),
            Self::Clear { verdict, reason } => Call::post(
                format!("v1/drift/verdicts/{}/clear", segment(verdict)?),
                json!({"reason": reason}),
                output::members,
            ),
        })
    }
}
