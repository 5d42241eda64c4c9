//! `lanyard policy explain --secret …`: what a gateway is given.

use clap::Args;

use super::super::super::CliError;
use super::super::super::output::Output;
use super::super::folder::untried;
use super::{ExplainArgs, described, line_by_line, policies};
use crate::policy::Bundle;
use crate::policy::explain::{UseExplained, explain_use};
use crate::policy::trial::{Fixtures, OwnedSecret, Trial, UseCase, Using, Verdict};

/// What a gateway would be given.
#[derive(Debug, Args)]
#[command(next_help_heading = "Egress")]
pub(super) struct Uses {
    /// The secret that a gateway would be given
    #[arg(
        long,
        value_name = "PATH",
        requires_all = ["secret_owner", "integration"],
        conflicts_with_all = ["audience", "scopes", "case", "action", "abuse"]
    )]
    secret: Option<String>,
    /// Who answers for the secret
    #[arg(long, value_name = "NAME", requires = "secret")]
    secret_owner: Option<String>,
    /// For which integration
    #[arg(long, value_name = "NAME", requires = "secret")]
    integration: Option<String>,
    /// Who answers for the integration [default: who answers for the secret]
    #[arg(long, value_name = "NAME", requires = "secret")]
    integration_owner: Option<String>,
}

/// The use that is meant, if one is.
pub(super) fn meant(
    args: &ExplainArgs,
    trial: &Trial,
) -> Result<Option<(Fixtures, Using)>, CliError> {
    if let Some(name) = &args.case {
        let found = case(trial, name)?;
        return Ok(found.map(|case| (trial.fixtures.clone(), case.request.clone())));
    }
    let uses = &args.uses;
    // The command line has all of them or none.
    let (Some(secret), Some(owner), Some(integration)) =
        (&uses.secret, &uses.secret_owner, &uses.integration)
    else {
        return Ok(None);
    };
    let (fixtures, asking) = described(args, &trial.fixtures);
    let integration_owner = uses.integration_owner.as_ref().unwrap_or(owner);
    let using = Using {
        identity: asking.identity,
        secret: OwnedSecret {
            name: secret.clone(),
            owner: owner.clone(),
        },
        integration: integration.clone(),
        integration_owner: integration_owner.clone(),
        network: asking.network,
        time: asking.time,
    };
    Ok(Some((fixtures, using)))
}

/// The case of a use that is called so, or the only one that has it in its name and is not matched by one about tokens.
fn case<'t>(trial: &'t Trial, name: &str) -> Result<Option<&'t UseCase>, CliError> {
    let cases = trial.use_cases().map(|(_, case)| case);
    let alike: Vec<&UseCase> = cases.filter(|case| case.name.contains(name)).collect();
    if let Some(exact) = alike.iter().find(|case| case.name == name) {
        return Ok(Some(exact));
    }
    let mut tokens = trial.all_cases();
    if tokens.any(|(_, case)| case.name.contains(name)) {
        return Ok(None);
    }
    match alike.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        several => {
            let names: Vec<_> = several.iter().map(|case| case.name.as_str()).collect();
            Err(CliError::Usage(format!(
                "several cases are called `{name}`: {}",
                names.join("; ")
            )))
        }
    }
}

/// Explains.
pub(super) fn run(
    (bundle, fixtures): (&Bundle, &Fixtures),
    using: &Using,
    all: bool,
    output: Output,
) -> Result<(), CliError> {
    let explained = explain_use(bundle, fixtures, using).map_err(|why| untried(&why))?;
    let answer = serde_json::to_value(&explained).map_err(|error| CliError::failed(&error))?;
    output.print(&answer, |_| text(using, &explained, all));
    Ok(())
}

fn text(using: &Using, explained: &UseExplained, all: bool) -> String {
    let by: Vec<_> = explained.outcome.policies.iter().cloned().collect();
    let decided = match (explained.outcome.decision, by.is_empty()) {
        (Verdict::Allow, _) => format!("allowed by {}", by.join(", ")),
        (Verdict::Deny, true) => "denied: nothing permits it".to_owned(),
        (Verdict::Deny, false) => format!("denied by {}", by.join(", ")),
    };
    let policies = match &explained.policies {
        Some(standings) => policies(standings, all),
        None => {
            "the schema has no word of secrets: take it over from the one that comes with Lanyard\n"
                .to_owned()
        }
    };
    line_by_line(&format!(
        "{decided}\n{} (of {}) for integration {} (of {})\n{policies}",
        using.secret.name, using.secret.owner, using.integration, using.integration_owner
    ))
}
