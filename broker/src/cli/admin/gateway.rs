//! `lanyard gateway …`.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{Asks, Call, CliError, listed};

/// `lanyard gateway …`.
#[derive(Debug, Subcommand)]
pub enum GatewayCommand {
    /// Enrol a gateway and print its enrolment file: issuer, pinned root, credential
    Add {
        /// Its name: lower case letters, digits, `.`, `_` and `-`
        name: String,
        /// Who answers for it: id or name
        #[arg(long)]
        owner: String,
        /// An audience it serves; repeatable
        #[arg(long = "audience", required = true, value_name = "URI")]
        audiences: Vec<String>,
        /// Let its word about hard rules stand alone: keys may be revoked by it. For the only gateway of
        /// its audiences; one that was taken over could then end the keys it serves
        #[arg(long)]
        sole_witness: bool,
        /// Give it secrets of third parties, for the integrations that name it: for `lanyard-gateway egress`
        #[arg(long)]
        egress: bool,
        /// Write the enrolment to a new file that only you can read, instead of printing it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List all gateways
    List,
}

impl Asks for GatewayCommand {
    fn call(&self) -> Result<Call, CliError> {
        Ok(match self {
            Self::Add {
                name,
                owner,
                audiences,
                sole_witness,
                egress,
                out,
            } => Call::post(
                "v1/gateways",
                json!({
                    "name": name, "owner": owner, "audiences": audiences, "sole_witness": sole_witness,
                    "egress": egress,
                }),
                |answer| serde_json::to_string_pretty(answer).unwrap_or_default(),
            )
            .secret(None, out),
            Self::List => Call::get("v1/gateways", |answer| {
                listed(
                    answer,
                    "gateways",
                    &[
                        "id",
                        "name",
                        "owner",
                        "disabled",
                        "sole_witness",
                        "egress",
                        "audiences",
                    ],
                )
            }),
        })
    }
}
