//! `lanyard policy show` and `reload`: what is in force at a running broker.

use clap::Args;
use serde_json::{Value, json};

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
        Ok(Call::get("v1/policy", shown))
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
        Ok(Call::post("v1/policy/reload", json!({}), shown))
    }
}

/// Line by line, with who had them read in words.
fn shown(answer: &Value) -> String {
    let number = |pointer: &str| {
        answer
            .pointer(pointer)
            .map(|id| output::shown("id", Some(id)))
    };
    let by = match (
        number("/by/socket/uid"),
        number("/by/administrator/identity"),
    ) {
        (Some(uid), _) => Some(format!("uid {uid}, through the Unix socket")),
        (None, Some(identity)) => Some(format!("administrator {identity}")),
        (None, None) => None,
    };
    let mut told = answer.clone();
    if let (Some(by), Some(place)) = (by, told.get_mut("by")) {
        *place = json!(by);
    }
    output::members(&told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_had_policies_read_is_told_in_words() {
        for (by, words) in [
            (
                json!({"socket": {"uid": 1000}}),
                "uid 1000, through the Unix socket",
            ),
            (
                json!({"administrator": {"identity": "07", "token": "08"}}),
                "administrator 07",
            ),
            (json!("broker"), "broker"),
        ] {
            let told = shown(&json!({"bundle": "5f2a", "by": by}));
            let line = told.lines().find(|line| line.starts_with("by"));
            assert!(line.is_some_and(|line| line.ends_with(words)), "{told}");
        }
    }
}
