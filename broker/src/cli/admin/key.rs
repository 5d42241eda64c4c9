//! `lanyard key …` and `lanyard signing-key …`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{Asks, Call, CliError, listed, output, segment};

/// `lanyard key …`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make an API key; it is shown this once
    Add {
        /// Id or name of the identity
        identity: String,
        /// What it is for
        #[arg(long)]
        label: Option<String>,
        /// Let it end by itself after so many seconds
        #[arg(long, value_name = "SECONDS")]
        expires_in: Option<u64>,
        /// Write the key to a new file that only you can read, instead of printing it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Trust another issuer's token instead of a key: whoever shows one about this subject is the identity
    Trust {
        /// Id or name of the identity
        identity: String,
        /// The `iss` of its tokens: one of the issuers in the broker's setting `federation.issuers`
        #[arg(long, value_name = "URL")]
        issuer: String,
        /// The `sub` of its tokens, letter for letter: `repo:example/shop:ref:refs/heads/main`
        #[arg(long)]
        subject: String,
        /// What it is for
        #[arg(long)]
        label: Option<String>,
        /// Let one token be shown again while it lives, for platforms that hand out one for its whole life
        #[arg(long)]
        reusable: bool,
        /// Let it end by itself after so many seconds
        #[arg(long, value_name = "SECONDS")]
        expires_in: Option<u64>,
    },
    /// List an identity's keys, and whose word is believed instead
    List {
        /// Id or name of the identity
        identity: String,
    },
    /// List all keys that work, the oldest first, and when each was last used
    Ages,
    /// End a key and every token it led to
    Revoke {
        /// Id of the credential
        credential: String,
        /// Why, for the log
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let a key that was ended obtain tokens again; those from before stay dead
    Enable {
        /// Id of the credential
        credential: String,
        /// Why, for the log
        #[arg(long)]
        reason: Option<String>,
    },
}

impl Asks for KeyCommand {
    fn call(&self) -> Result<Call, CliError> {
        Ok(match self {
            Self::Add {
                identity,
                label,
                expires_in,
                out,
            } => Call::post(
                format!("v1/identities/{}/keys", segment(identity)?),
                json!({"label": label, "expires_in": expires_in}),
                output::members,
            )
            .secret(Some("client_secret"), out),
            Self::Trust {
                identity,
                issuer,
                subject,
                label,
                reusable,
                expires_in,
            } => Call::post(
                format!("v1/identities/{}/trusts", segment(identity)?),
                json!({
                    "issuer": issuer, "subject": subject, "label": label, "reusable": reusable,
                    "expires_in": expires_in,
                }),
                output::members,
            ),
            Self::List { identity } => Call::get(
                format!("v1/identities/{}/keys", segment(identity)?),
                |answer| {
                    listed(
                        answer,
                        "keys",
                        &["id", "kind", "label", "subject", "disabled", "expires_at"],
                    )
                },
            ),
            Self::Ages => Call::get("v1/key-ages", |answer| {
                listed(
                    answer,
                    "keys",
                    &[
                        "id",
                        "kind",
                        "identity",
                        "owner",
                        "label",
                        "age_days",
                        "quiet_days",
                        "last_used",
                        "expires_at",
                    ],
                )
            }),
            Self::Revoke { credential, reason } => Call::post(
                format!("v1/keys/{}/revoke", segment(credential)?),
                json!({"reason": reason}),
                output::members,
            ),
            Self::Enable { credential, reason } => Call::post(
                format!("v1/keys/{}/enable", segment(credential)?),
                json!({"reason": reason}),
                output::members,
            ),
        })
    }
}

/// `lanyard signing-key …`.
#[derive(Debug, Subcommand)]
pub enum SigningKeyCommand {
    /// List the keys that sign tokens and the feed
    List,
    /// Begin to sign with new keys; old ones stay believed until their last token has ended
    Rotate,
    /// Stop believing a key at once: every token it signed dies
    Compromise {
        /// The key's id (kid)
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Why, for the log
        #[arg(long, default_value = "compromised")]
        reason: String,
    },
}

impl Asks for SigningKeyCommand {
    fn call(&self) -> Result<Call, CliError> {
        Ok(match self {
            Self::List => Call::get("v1/signing-keys", |answer| {
                listed(
                    answer,
                    "keys",
                    &[
                        "kid",
                        "use",
                        "alg",
                        "state",
                        "signs_from",
                        "signs_until",
                        "verifies_until",
                    ],
                )
            }),
            Self::Rotate => Call::post("v1/signing-keys/rotate", json!({}), output::members),
            Self::Compromise { kid, reason } => Call::post(
                format!("v1/signing-keys/{}/compromise", segment(kid)?),
                json!({"reason": reason}),
                output::members,
            ),
        })
    }
}
