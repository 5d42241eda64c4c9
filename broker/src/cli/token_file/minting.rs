//! As whom tokens are asked for, and which.

use std::path::PathBuf;

use clap::Args;
use lanyard_sdk::client::ClientTokens;
use lanyard_sdk::{Client, ClientError, Secret};
use lanyard_token::{Audience, Scope, ScopeSet};

use crate::cli::CliError;
use crate::cli::output;

/// As whom.
#[derive(Debug, Args)]
pub(in crate::cli) struct Minting {
    /// The broker's issuer
    #[arg(long, env = "LANYARD_ISSUER", value_name = "URL")]
    issuer: String,
    /// The identity
    #[arg(long, env = "LANYARD_CLIENT_ID", value_name = "ID")]
    client_id: String,
    /// File with its API key
    #[arg(long, env = "LANYARD_CLIENT_SECRET_FILE", value_name = "FILE")]
    key_file: PathBuf,
    /// A scope; again for each further one. Without any, all that the identity has
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ' ')]
    scopes: Vec<Scope>,
    /// Certificate authority of the broker, PEM, beside those the system trusts
    #[arg(long, env = "LANYARD_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// The API key; has no `Debug`.
pub(in crate::cli) struct Key(Secret);

impl Key {
    /// Whether the key stands in a text that others will see.
    pub(in crate::cli) fn is_in(&self, text: &[u8]) -> bool {
        let key = self.0.expose().as_bytes();
        text.windows(key.len()).any(|part| part == key)
    }
}

impl Minting {
    /// Reads the key, and says when others can.
    pub(in crate::cli) fn key(&self) -> Result<Key, CliError> {
        let file = self.key_file.display();
        let key = Secret::from_file(&self.key_file)
            .map_err(|error| CliError::cannot(format_args!("read `{file}`"), &error))?;
        if key.expose().is_empty() {
            return Err(CliError::Usage(format!("`{file}` is empty: no key in it")));
        }
        if Secret::is_open_to_others(&self.key_file) {
            output::message(format_args!(
                "warning: `{file}` can be read by others: run `chmod 600 {file}`"
            ));
        }
        Ok(Key(key))
    }

    /// Asks for this scope besides.
    pub(in crate::cli) fn besides(&mut self, scope: Scope) {
        self.scopes.push(scope);
    }

    /// Tokens for this audience; nothing is sent yet.
    pub(in crate::cli) fn tokens(
        &self,
        key: Key,
        audience: Audience,
    ) -> Result<ClientTokens, CliError> {
        let scopes: Vec<&str> = self.scopes.iter().map(Scope::as_str).collect();
        let scopes: ScopeSet = scopes
            .join(" ")
            .parse()
            .map_err(|error| CliError::usage(&error))?;
        let mut builder = Client::builder(&self.issuer).client_credentials(&self.client_id, key.0);
        if let Some(path) = &self.ca_file {
            let pem = std::fs::read(path).map_err(|error| {
                CliError::cannot(format_args!("read `{}`", path.display()), &error)
            })?;
            builder = builder.certificates(pem);
        }
        let client = builder.build().map_err(|error| CliError::usage(&error))?;
        Ok(client.tokens(audience, scopes))
    }
}

/// Why there is no token, in the broker's own words where it has some.
pub(in crate::cli) fn refused(error: &ClientError) -> CliError {
    match error {
        ClientError::Refused {
            status,
            error,
            description,
        } => CliError::Refused {
            words: match description {
                Some(words) => format!("the broker gives no token: {error}: {words}"),
                None => format!("the broker gives no token: {error}"),
            },
            status: *status,
        },
        other => CliError::cannot("get a token", other),
    }
}
