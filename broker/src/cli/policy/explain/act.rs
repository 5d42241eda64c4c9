//! `lanyard policy explain --action …`: what an administrator may do over the network.

use clap::Args;

use super::super::super::CliError;
use super::super::super::output::Output;
use super::super::folder::untried;
use super::{ExplainArgs, described, line_by_line, policies};
use crate::policy::Bundle;
use crate::policy::administration::Action;
use crate::policy::explain::{ActExplained, explain_act};
use crate::policy::trial::{Acting, Fixtures, Trial, Verdict};

/// What an administrator does.
#[derive(Debug, Args)]
#[command(next_help_heading = "Administration")]
pub(super) struct Does {
    /// What is administered: owners:write, identities:read, …
    #[arg(long, conflicts_with_all = ["audience", "scopes", "case"])]
    action: Option<Action>,
    /// To which owner [default: to the broker]
    #[arg(long, value_name = "NAME", requires = "action")]
    on_owner: Option<String>,
    /// To which identity of fixtures/
    #[arg(
        long,
        value_name = "NAME",
        requires = "action",
        conflicts_with = "on_owner"
    )]
    on_identity: Option<String>,
    /// An identity would get what none of its owner's has
    #[arg(long, requires = "action")]
    wider: bool,
}

/// The act that is meant, if one is.
pub(super) fn meant(
    args: &ExplainArgs,
    trial: &Trial,
) -> Result<Option<(Fixtures, Acting)>, CliError> {
    let does = &args.administers;
    if let Some(action) = does.action {
        let (fixtures, asking) = described(args, &trial.fixtures);
        let acting = Acting {
            owner: does.on_owner.clone(),
            target: does.on_identity.clone(),
            wider: does.wider,
            network: asking.network,
            time: asking.time,
            ..Acting::of(&asking.identity, action)
        };
        return Ok(Some((fixtures, acting)));
    }
    let Some(name) = &args.case else {
        return Ok(None);
    };
    let cases = trial.act_cases().map(|(_, case)| case);
    let alike: Vec<_> = cases.filter(|case| case.name.contains(name)).collect();
    let exact = alike.iter().find(|case| case.name == *name);
    let others = trial
        .all_cases()
        .any(|(_, case)| case.name.contains(name.as_str()));
    match (exact, alike.as_slice()) {
        (Some(case), _) => Ok(Some((trial.fixtures.clone(), case.request.clone()))),
        (None, [only]) if !others => Ok(Some((trial.fixtures.clone(), only.request.clone()))),
        // What is ambiguous among them is told with the others.
        (None, [] | [_]) => Ok(None),
        (None, several) => {
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
    acting: &Acting,
    all: bool,
    output: Output,
) -> Result<(), CliError> {
    let explained = explain_act(bundle, fixtures, acting).map_err(|why| untried(&why))?;
    let answer = serde_json::to_value(&explained).map_err(|error| CliError::failed(&error))?;
    output.print(&answer, |_| text(acting, &explained, all));
    Ok(())
}

fn text(acting: &Acting, explained: &ActExplained, all: bool) -> String {
    let by: Vec<_> = explained.outcome.policies.iter().cloned().collect();
    let decided = match (explained.outcome.decision, by.is_empty()) {
        (Verdict::Allow, _) => format!("allowed by {}", by.join(", ")),
        (Verdict::Deny, true) => "denied: nothing permits it".to_owned(),
        (Verdict::Deny, false) => format!("denied by {}", by.join(", ")),
    };
    let on = match (&acting.target, &acting.owner) {
        (Some(target), _) => format!("identity {target}"),
        (None, Some(owner)) => format!("owner {owner}"),
        (None, None) => "the broker".to_owned(),
    };
    let policies = policies(&explained.policies, all);
    line_by_line(&format!(
        "{decided}\n{} on {on}\n{policies}",
        explained.action
    ))
}
