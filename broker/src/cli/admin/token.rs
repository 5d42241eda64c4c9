//! `lanyard token …`.

use std::io::Read;

use clap::Subcommand;
use lanyard_token::NodeId;
use serde_json::{Value, json};

use super::{Asks, Call, CliError, Noun, Output, items, output};
use crate::cli::token_file::{self, TokenFileArgs};

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
    /// Keep a fresh token in a file, for programs that read one; until SIGTERM. Asks no administrator
    File(TokenFileArgs),
}

/// Runs it.
pub fn run(noun: Noun<TokenCommand>, output: Output) -> Result<(), CliError> {
    match &noun.command {
        TokenCommand::File(args) => token_file::run(args, output),
        TokenCommand::Revoke { .. } => super::run(noun, output),
    }
}

impl Asks for TokenCommand {
    fn call(&self) -> Result<Call, CliError> {
        let Self::Revoke {
            tokens,
            reason,
            wait,
        } = self
        else {
            return Err(CliError::Usage("that asks no administrator".to_owned()));
        };
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
            if let Some(wrong) = tokens.iter().find(|id| id.parse::<NodeId>().is_err()) {
                return Err(CliError::Usage(format!(
                    "`{wrong}` is no token id: 16 lower-case hexadecimal digits"
                )));
            }
            json!({"nodes": tokens, "reason": reason})
        };
        if let Some(object) = body.as_object_mut() {
            // However many they are, all that nobody knows are named.
            object.insert("echo".to_owned(), json!(true));
            if *wait {
                object.insert("wait".to_owned(), json!("all"));
            }
        }
        Ok(Call::post("v1/revoke", body, output::members).verdict(all_known))
    }
}

/// A mistyped id must not look like a token that ended.
fn all_known(answer: &Value) -> Result<(), CliError> {
    let unknown: Vec<&str> = items(answer, "unknown")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    match unknown.as_slice() {
        [] => Ok(()),
        ids => Err(CliError::Failed(format!(
            "{}: no token with this id was ever issued here, or it has expired since",
            output::line(&ids.join(", "))
        ))),
    }
}
