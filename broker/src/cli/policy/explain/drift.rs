//! Why this step: `lanyard policy explain --abuse theft --rung again --identity shipper`.

use clap::Args;
use lanyard_drift::ladder::{Abuse, Rung};

use super::super::super::CliError;
use super::super::super::output::Output;
use super::super::folder::untried;
use super::{ExplainArgs, described, line_by_line, policies, word};
use crate::policy::Bundle;
use crate::policy::explain::{Answered, explain_response};
use crate::policy::respond::Offence;
use crate::policy::trial::{Fixtures, Trial};

/// What happened, for the policies of responses.
#[derive(Debug, Args)]
#[command(next_help_heading = "What happened")]
pub(super) struct Happened {
    /// What it looks like: enumeration, hijack, theft, exfiltration, scraping, probing or change
    #[arg(long, value_parser = word::<Abuse>)]
    abuse: Option<Abuse>,
    /// How far it has gone: anomalous, first, again or then
    #[arg(long, value_parser = rung, requires = "abuse", default_value = "first")]
    rung: Rung,
    /// A hard rule was broken
    #[arg(long, requires = "abuse")]
    hard_rule: bool,
    /// Families of channels that bear witness [default: 2]
    #[arg(long, value_name = "N", requires = "abuse")]
    families: Option<u64>,
    /// Gateways whose reports stand behind it [default: 2]
    #[arg(long, value_name = "N", requires = "abuse")]
    gateways: Option<u64>,
    /// Own calls behind the baseline [default: 10000]
    #[arg(long, value_name = "N", requires = "abuse")]
    own_calls: Option<u64>,
    /// A policy whose cap is met; may be given several times
    #[arg(long = "capped", value_name = "POLICY", requires = "abuse")]
    capped: Vec<String>,
}

/// The verdict that is meant, and who there is; `None`: a request for a token is.
pub(super) fn meant(
    args: &ExplainArgs,
    trial: &Trial,
) -> Result<Option<(Fixtures, Offence)>, CliError> {
    if let Some(name) = &args.case {
        let cases = || trial.response_cases();
        let exact = cases().find(|(_, case)| case.name == *name);
        let mut alike = cases().filter(|(_, case)| case.name.contains(name.as_str()));
        let about_tokens = trial
            .all_cases()
            .any(|(_, case)| case.name.contains(name.as_str()));
        let found = match (exact, alike.next(), alike.next()) {
            (Some(exact), _, _) => Some(exact),
            (None, Some(only), None) if !about_tokens => Some(only),
            (None, Some(_), Some(_)) if !about_tokens => {
                let words = format!("several cases have `{name}` in their names");
                return Err(CliError::Usage(words));
            }
            _ => None,
        };
        return Ok(found.map(|(_, case)| (trial.fixtures.clone(), case.drift.clone())));
    }
    let happened = &args.happened;
    let Some(abuse) = happened.abuse else {
        return Ok(None);
    };
    let (fixtures, asking) = described(args, &trial.fixtures);
    let plain = Offence::plain(&asking.identity, abuse, happened.rung);
    let offence = Offence {
        hard_rule: happened.hard_rule,
        families: happened.families.unwrap_or(plain.families),
        gateways: happened.gateways.unwrap_or(plain.gateways),
        own_calls: happened.own_calls.unwrap_or(plain.own_calls),
        capped: happened.capped.iter().cloned().collect(),
        time: args.circumstances.time.unwrap_or(plain.time),
        ..plain
    };
    Ok(Some((fixtures, offence)))
}

/// Explains it.
pub(super) fn run(
    (bundle, fixtures): (&Bundle, &Fixtures),
    offence: &Offence,
    all: bool,
    output: Output,
) -> Result<(), CliError> {
    let answered = explain_response(bundle, fixtures, offence).map_err(|why| untried(&why))?;
    let answer = serde_json::to_value(&answered).map_err(|error| CliError::failed(&error))?;
    output.print(&answer, |_| text(offence, &answered, all));
    Ok(())
}

fn text(offence: &Offence, answered: &Answered, all: bool) -> String {
    let by: Vec<&str> = answered
        .choice
        .policies
        .iter()
        .map(String::as_str)
        .collect();
    let by = match by.as_slice() {
        [] => ": nothing else is permitted".to_owned(),
        some => format!(" by {}", some.join(", ")),
    };
    let mut text = format!(
        "{}{by}\n\n{} of `{}`, {}\n",
        answered.choice.step.word(),
        offence.abuse.word(),
        offence.identity,
        offence.rung.word()
    );
    text.push_str(&policies(&answered.policies, all));
    text.push_str(
        "the ladder takes a milder step where it rests on less: see `lanyard drift show`\n",
    );
    line_by_line(&text)
}

fn rung(text: &str) -> Result<Rung, String> {
    let known = Rung::ALL.into_iter().find(|rung| rung.word() == text);
    known.ok_or_else(|| format!("none of {}", Rung::ALL.map(Rung::word).join(", ")))
}
