//! `lanyard apply`: owners, identities, grants, gateways and integrations as files under review.
//!
//! Files say what shall be; the broker is asked what is; the difference is a plan of ordinary calls, each
//! authorised and written to the log like one made by hand. So applying twice changes nothing, an
//! apply that was interrupted goes on where it stopped, and a plan can be read before it is carried out.
//! Nothing is ended because it is missing from the files, unless that is asked for (`--prune`). A key has no place in a
//! pipeline's output: none is made but those of new gateways, where a folder is named for them (`--enrolments`).

mod enrolment;
mod file;
mod grant;
mod integration;
mod plan;
mod policies;
mod registered;

use std::path::PathBuf;

use clap::Args;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::CliError;
use super::client::{AdminClient, Connect, Way};
use super::output::Output;
use file::Desired;
use plan::{Present, Step};
pub(super) use registered::Registrations;

/// `lanyard apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A file of owners, identities, grants, gateways and integrations, TOML; repeatable, all of them together are what shall be
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only say what would be done
    #[arg(long)]
    plan: bool,
    /// Disable what the files do not name, and remove integrations; never administrators
    #[arg(long)]
    prune: bool,
    /// Enrol gateways that are not there: the enrolment of each goes to a new file NAME.json in this folder, readable by you
    /// alone [default: they are left to a person]
    #[arg(long, value_name = "DIR")]
    enrolments: Option<PathBuf>,
    #[command(flatten)]
    connect: Connect,
}

/// Reads, compares, says, and does.
pub fn run(args: &ApplyArgs, output: Output) -> Result<(), CliError> {
    let desired = Desired {
        enrolments: args.enrolments.clone(),
        ..Desired::read(&args.files)?
    };
    let client = Way::Any(args.connect.clone()).client()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::cannot("start", &error))?;
    runtime.block_on(policies::check(&desired.policies, &client))?;
    // Whoever may not read integrations can still apply files without any.
    let asked = args.prune || !desired.integrations.is_empty();
    let present = runtime.block_on(present(&client, asked))?;
    let steps = plan::plan(&desired, &present, args.prune).map_err(CliError::Usage)?;
    if let Some(folder) = &desired.enrolments {
        enrolment::check_kept(folder, plan::enrolled(&desired, &present).into_iter())?;
    }
    enrolment::check(steps.iter().filter_map(Step::enrolment))?;
    let done = if args.plan {
        0
    } else {
        runtime.block_on(carry_out(&client, &steps))?
    };
    let told: Vec<Value> = steps.iter().map(Step::told).collect();
    output.print(
        &json!({"planned_only": args.plan, "done": done, "steps": told}),
        |_| words(&steps, args.plan),
    );
    Ok(())
}

async fn present(client: &AdminClient, integrations: bool) -> Result<Present, CliError> {
    let owners = client.call(Method::GET, "v1/owners", None).await?;
    let identities = client.call(Method::GET, "v1/identities", None).await?;
    let integrations = if integrations {
        let answer = client.call(Method::GET, "v1/integrations", None).await?;
        list(answer, "integrations")?
    } else {
        Vec::new()
    };
    Ok(Present {
        owners: list(owners, "owners")?,
        identities: list(identities, "identities")?,
        integrations,
    })
}

fn list<T: for<'de> Deserialize<'de>>(mut answer: Value, member: &str) -> Result<T, CliError> {
    let list = answer.get_mut(member).map(Value::take).unwrap_or_default();
    serde_json::from_value(list)
        .map_err(|error| CliError::cannot(format_args!("read the broker's {member}"), &error))
}

/// How many steps were carried out: all but those that a person must take.
async fn carry_out(client: &AdminClient, steps: &[Step]) -> Result<usize, CliError> {
    let mut done = 0;
    for step in steps {
        let Some((path, body)) = step.call() else {
            continue;
        };
        let place = step.enrolment().map(enrolment::Place::reserve).transpose();
        let place = place.map_err(|error| stopped(error, step, done))?;
        let answer = client.call(Method::POST, &path, Some(&body)).await;
        let kept = match (answer, place) {
            (Ok(enrolment), Some(place)) => place.keep(&enrolment),
            (Ok(_), None) => Ok(()),
            (Err(error), Some(place)) => Err(place.give_up(error)),
            (Err(error), None) => Err(error),
        };
        kept.map_err(|error| stopped(error, step, done))?;
        done += 1;
    }
    Ok(done)
}

/// What was done stays done; the next run goes on from there.
fn stopped(error: CliError, step: &Step, done: usize) -> CliError {
    let told = |words: String| {
        format!(
            "{words}; this was at `{}`, after {done} steps that are done: correct it and apply again",
            step.words()
        )
    };
    match error {
        CliError::Usage(words) => CliError::Usage(told(words)),
        CliError::Failed(words) => CliError::Failed(told(words)),
        CliError::Unreachable(words) => CliError::Unreachable(told(words)),
        CliError::Refused { words, status } => CliError::Refused {
            words: told(words),
            status,
        },
    }
}

fn words(steps: &[Step], planned_only: bool) -> String {
    if steps.is_empty() {
        return "nothing to do: everything is as the files say\n".to_owned();
    }
    let mut text: String = steps
        .iter()
        .map(|step| {
            let grants = step.grants().iter();
            let grants: String = grants
                .map(|grant| format!("    grant: {grant}\n"))
                .collect();
            format!("{} {}\n{grants}", step.sign(), step.words())
        })
        .collect();
    let by_hand = steps.iter().filter(|step| step.call().is_none()).count();
    let verb = if planned_only { "to do" } else { "done" };
    text.push_str(&format!("{} {verb}", steps.len() - by_hand));
    if by_hand > 0 {
        text.push_str(&format!(", {by_hand} to do by hand"));
    }
    let enrols = |step: &Step| matches!(step, Step::Enrol { into: None, .. });
    if steps.iter().any(enrols) {
        text.push_str("; with --enrolments DIR gateways are enrolled too");
    }
    text.push('\n');
    text
}
