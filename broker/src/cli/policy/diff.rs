//! `lanyard policy diff`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::super::CliError;
use super::super::apply::Registrations;
use super::super::output::{Output, table};
use super::folder::{bundle, counted, trial, untried};
use crate::policy::Bundle;
use crate::policy::administration::matrix as administration;
use crate::policy::difference::{Cell, Changed, Recorded, Way, cells, changed};
use crate::policy::matrix::rows;
use crate::policy::respond::matrix as responses;
use crate::policy::trial::{Outcome, Trial, Verdict};
use crate::policy::using::matrix as uses;

/// `lanyard policy diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The folder of policies as they are
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The folder as it would be
    #[arg(value_name = "B")]
    after: PathBuf,
    /// Requests that were made, a line of JSON each
    #[arg(long, value_name = "FILE")]
    requests: Option<PathBuf>,
    /// A file of `lanyard apply`: B is also that identities are registered as it says; repeatable
    #[arg(long, value_name = "FILE", requires = "requests")]
    registrations: Vec<PathBuf>,
}

/// Runs it.
pub(super) fn run(args: &DiffArgs, output: Output) -> Result<(), CliError> {
    let (before, after) = (bundle(&args.before)?, bundle(&args.after)?);
    let requests = args.requests.as_deref().map(recorded).transpose()?;
    let registrations = Registrations::read(&args.registrations)?;
    let changed = match &requests {
        Some(requests) => changed(&before, &after, requests, |identity| {
            registrations.of(identity)
        })
        .map_err(|why| untried(&why))?,
        None => Vec::new(),
    };
    let trial = trial(&args.after)?;
    let cells = matrices(&trial, &before, &after)?;
    let (steps, acts, given) = match &trial.classes {
        Some(classes) => {
            let failed = |why| untried(&why);
            (
                responses::changed(&before, &after, classes).map_err(failed)?,
                administration::changed(&before, &after, classes).map_err(failed)?,
                uses::changed(&before, &after, classes).map_err(failed)?,
            )
        }
        None => (Vec::new(), Vec::new(), Vec::new()),
    };
    let answer = json!({
        "requests": requests.as_ref().map(Vec::len),
        "changed": changed,
        "matrix": cells,
        "responses": steps,
        "administration": acts,
        "uses": given,
    });
    output.print(&answer, |_| {
        text(requests.as_deref(), &changed, cells.as_deref())
            + &answers(&steps)
            + &hands(&acts)
            + &secrets(&given)
    });
    let same = changed.is_empty() && cells.is_none_or(|cells| cells.is_empty());
    if same && steps.is_empty() && acts.is_empty() && given.is_empty() {
        return Ok(());
    }
    Err(CliError::Failed(
        "the policies differ in what they give, let administrators do, or do about drift"
            .to_owned(),
    ))
}

/// Both matrices for the classes of the folder as it would be: otherwise classes would differ, not policies.
fn matrices(trial: &Trial, before: &Bundle, after: &Bundle) -> Result<Option<Vec<Cell>>, CliError> {
    let Some(classes) = &trial.classes else {
        return Ok(None);
    };
    let of = |bundle| rows(bundle, &trial.fixtures, classes).map_err(|why| untried(&why));
    let circumstances: Vec<_> = classes
        .circumstances
        .iter()
        .map(|circumstance| circumstance.name.clone())
        .collect();
    Ok(Some(cells(&of(before)?, &of(after)?, &circumstances)))
}

pub(super) fn recorded(file: &Path) -> Result<Vec<Recorded>, CliError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::Usage(format!("cannot read `{}`: {error}", file.display())))?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| {
                let place = format!("{}:{}:{}", file.display(), number + 1, error.column());
                let whole = error.to_string();
                let words = whole.split(" at line ").next().unwrap_or(&whole);
                CliError::Usage(format!("{place}: {words}"))
            })
        })
        .collect()
}

fn text(requests: Option<&[Recorded]>, changed: &[Changed], cells: Option<&[Cell]>) -> String {
    let mut text = String::new();
    match requests {
        None => text.push_str("no recorded requests were given\n"),
        Some(requests) => {
            let made: u64 = requests.iter().map(|request| request.count).sum();
            let would: u64 = changed.iter().map(|change| change.recorded.count).sum();
            text.push_str(&format!(
                "{would} of {made} recorded requests would come out otherwise\n"
            ));
            let rows: Vec<_> = changed.iter().map(request).collect();
            if !rows.is_empty() {
                let columns = ["how", "count", "identity", "audience", "before", "after"];
                text.push_str(&table(&rows, &columns));
            }
        }
    }
    match cells {
        None => text.push_str("the folder has no classes.json: no matrices to compare\n"),
        Some(cells) => {
            text.push_str(&format!(
                "the matrices differ in {}\n",
                counted(cells.len(), "place")
            ));
            let rows: Vec<_> = cells.iter().map(cell).collect();
            if !rows.is_empty() {
                let columns = ["class", "audience", "scope", "when", "before", "after"];
                text.push_str(&table(&rows, &columns));
            }
        }
    }
    text
}

/// What would be done otherwise about drift; nothing where all stays.
fn answers(steps: &[responses::Changed]) -> String {
    let rows = steps.iter().map(|step| {
        json!({
            "class": step.class,
            "who": step.who.word(),
            "abuse": step.abuse,
            "rung": step.rung,
            "before": step.before,
            "after": step.after,
        })
    });
    part(
        "what is done about drift differs in",
        &rows.collect::<Vec<_>>(),
        &["class", "who", "abuse", "rung", "before", "after"],
    )
}

/// What administrators could do otherwise; nothing where all stays.
fn hands(acts: &[administration::Changed]) -> String {
    let rows = acts.iter().map(|act| {
        let on = |on: &[&str]| match on {
            [] => "nobody".to_owned(),
            on => on.join(","),
        };
        json!({
            "class": act.class,
            "action": act.action,
            "before": on(&act.before),
            "after": on(&act.after),
        })
    });
    part(
        "what administrators may do differs in",
        &rows.collect::<Vec<_>>(),
        &["class", "action", "before", "after"],
    )
}

/// Which secrets gateways would be given otherwise; nothing where all stays.
fn secrets(given: &[uses::Changed]) -> String {
    let rows = given.iter().map(|change| {
        let (before, after) = if change.given {
            ("denied", "given")
        } else {
            ("given", "denied")
        };
        json!({
            "class": change.class,
            "secret": change.secret,
            "integration": change.integration,
            "before": before,
            "after": after,
        })
    });
    part(
        "which gateways are given which secrets differs in",
        &rows.collect::<Vec<_>>(),
        &["class", "secret", "integration", "before", "after"],
    )
}

fn part(what: &str, rows: &[Value], columns: &[&str]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "{what} {}\n{}",
        counted(rows.len(), "place"),
        table(rows, columns)
    )
}

fn request(change: &Changed) -> Value {
    let ways: Vec<_> = change
        .ways
        .iter()
        .map(|way| match way {
            Way::NewlyDenied => "newly denied",
            Way::NewlyAllowed => "newly allowed",
            Way::OtherScopes => "other scopes",
            Way::OtherLifetime => "other lifetime",
        })
        .collect();
    json!({
        "how": ways.join(", "),
        "count": change.recorded.count,
        "identity": change.recorded.identity.name,
        "audience": change.recorded.request.audience,
        "before": outcome(&change.before),
        "after": outcome(&change.after),
    })
}

fn outcome(outcome: &Outcome) -> String {
    match (outcome.decision, outcome.lifetime) {
        (Verdict::Deny, _) => "denied".to_owned(),
        (Verdict::Allow, seconds) => {
            let scopes: Vec<_> = outcome.scopes.iter().map(ToString::to_string).collect();
            format!("{} {} s", scopes.join(" "), seconds.unwrap_or(0))
        }
    }
}

fn cell(cell: &Cell) -> Value {
    let seconds = |given: Option<u64>| {
        given.map_or_else(|| "denied".to_owned(), |seconds| format!("{seconds} s"))
    };
    json!({
        "class": cell.class,
        "audience": cell.audience,
        "scope": cell.scope,
        "when": cell.circumstance,
        "before": seconds(cell.before),
        "after": seconds(cell.after),
    })
}
