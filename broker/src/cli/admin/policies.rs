//! `lanyard policy show` and `reload`: what is in force at a running broker.

use clap::Args;
use serde_json::json;

use super::super::client::{Connect, Way};
use super::{Asked, Asks, Call, CliError, output};

/// `lanyard policy show` and `lanyard policy reload`.
#[derive(Clone, Debug, Args)]
pub struct PoliciesArgs {
    #[command(flatten)]
    connect: Connect,
}

/// `GET /v1/policy`.
pub struct ShowPolicies;

impl From<PoliciesArgs> for Asked<ShowPolicies> {
    fn from(args: PoliciesArgs) -> Self {
        Self {
            way: Way::Any(args.connect),
            command: ShowPolicies,
        }
    }
}

impl Asks for ShowPolicies {
    fn call(&self) -> Result<Call, CliError> {
        Ok(Call::get("v1/policy", output::members))
    }
}

/// `POST /v1/policy/reload`.
pub struct ReloadPolicies;

impl From<PoliciesArgs> for Asked<ReloadPolicies> {
    fn from(args: PoliciesArgs) -> Self {
        Self {
            way: Way::Any(args.connect),
            command: ReloadPolicies,
        }
    }
}

impl Asks for ReloadPolicies {
    fn call(&self) -> Result<Call, CliError> {
        Ok(Call::post("v1/policy/reload", json!({}), output::members))
    }
}
