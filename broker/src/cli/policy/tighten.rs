//! `lanyard policy tighten`: the narrower policy, as a patch that a person can review.

mod bundle;
mod cases;
mod patch;
mod registrations;
mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use time::{Date, OffsetDateTime};

use self::words::{reason, text};
use super::super::CliError;
use super::super::apply::Registrations;
use super::super::output::{self, Output};
use super::diff::recorded;
use super::folder::bundle;
use crate::clock::{Clock, SystemClock};
use crate::policy::Bundle;
use crate::policy::tighten::{
    Evidence, Judged, Narrowed, NarrowedPermit, Narrower, Removal, Window, judge, narrow,
};

/// `lanyard policy tighten`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["bundle", "files"]))]
pub struct TightenArgs {
    /// A file of `lanyard apply` to take unused rights out of; repeatable
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The folder of policies in force, to take unused scopes out of its permits, with its cases, pages and matrix
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// What was asked for and used: the lines of `lanyard policy requests`
    #[arg(long, value_name = "FILE")]
    requests: PathBuf,
    /// Look at so many days. What is done less often than that is taken for unused: choose it for the longest
    /// period that matters, a quarter's work needs a quarter
    #[arg(long, default_value_t = 30, value_name = "N")]
    days: u32,
    /// The day after the last that is looked at; later requests are tried without what is taken [default: today]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
    until: Option<Date>,
    /// Only this identity, in the files; repeatable
    #[arg(long, value_name = "NAME")]
    identity: Vec<String>,
    /// Only identities and policies of this owner
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Write the patch here; without it the patch is what is printed
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What came of it.
#[derive(Serialize)]
struct Tightened<'t> {
    days: u32,
    until: String,
    /// Absent when no file of registrations was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    identities: Option<&'t [Narrowed]>,
    /// Rights that the files lose.
    taken: usize,
    /// Identities of the files of which no request speaks.
    unheard: Vec<String>,
    /// Absent when no folder of policies was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<Vec<&'t NarrowedPermit>>,
    /// Cases that come out otherwise.
    cases: usize,
    judged: &'t Judged,
}

/// Runs it.
pub(super) fn run(args: &TightenArgs, output: Output) -> Result<(), CliError> {
    let until = args.until.map_or_else(today, Ok)?;
    let window = Window::before(until, args.days)
        .ok_or_else(|| CliError::Usage(format!("`--days` is 1 to {}", Window::MOST_DAYS)))?;
    // Read by the same strict eyes as `lanyard apply`.
    let registrations = Registrations::read(&args.files)?;
    let before = match &args.bundle {
        Some(folder) => bundle(folder)?,
        None => Bundle::embedded().map_err(|broken| CliError::usage(&broken))?,
    };
    let requests = recorded(&args.requests)?;
    let evidence = Evidence::gather(&before, &requests, window);
    let reason = |removal: &Removal| reason(removal, args.days, until);

    let identities = identities(args, &evidence, window);
    let by_name: BTreeMap<&str, &Narrowed> = identities
        .iter()
        .map(|narrowed| (narrowed.identity.as_str(), narrowed))
        .collect();
    let (mut patch, mut taken) = (String::new(), 0);
    let changed = registrations::changed(&args.files, &by_name, reason)?;
    for (file, changed) in args.files.iter().zip(changed) {
        let path = file.display().to_string();
        patch.push_str(&patch::unified(&path, &changed.text, &changed.splices));
        taken += changed.taken;
    }
    let folder = match &args.bundle {
        Some(folder) => {
            let owner = args.owner.as_deref();
            let folder = bundle::narrowed(folder, &before, (&evidence, window, owner), reason)?;
            patch.push_str(&folder.patch);
            Some(folder)
        }
        None => None,
    };
    let narrower = Narrower {
        before: &before,
        after: folder.as_ref().map_or(&before, |folder| &folder.after),
        identities: &identities,
        permits: folder.as_ref().map_or(&[], |folder| &folder.permits),
    };
    let judged = judge(narrower, &requests, window);
    let unheard = registrations.names();
    let unheard = unheard.filter(|name| !evidence.speaks_of(name) && args.identity.is_empty());
    let tightened = Tightened {
        days: args.days,
        until: until.to_string(),
        identities: (!args.files.is_empty()).then_some(identities.as_slice()),
        taken,
        unheard: unheard.map(str::to_owned).collect(),
        policies: folder.as_ref().map(|folder| {
            let permits = folder.permits.iter();
            permits.map(|(permit, _)| permit).collect()
        }),
        cases: folder.as_ref().map_or(0, |folder| folder.cases),
        judged: &judged,
    };
    told(args, &tightened, &patch, output)
}

/// What becomes of those that are meant; nothing of anybody without a file to take it out of.
fn identities(args: &TightenArgs, evidence: &Evidence, window: Window) -> Vec<Narrowed> {
    if args.files.is_empty() {
        return Vec::new();
    }
    let all = narrow(evidence, window).into_iter();
    all.filter(|narrowed| is_meant(args, narrowed)).collect()
}

fn is_meant(args: &TightenArgs, narrowed: &Narrowed) -> bool {
    let mut names = args.identity.iter();
    let named = args.identity.is_empty() || names.any(|name| *name == narrowed.identity);
    let owned = args.owner.as_ref();
    named && owned.is_none_or(|owner| *owner == narrowed.owner)
}

/// The patch goes where it was asked for; what is said about it goes elsewhere.
fn told(
    args: &TightenArgs,
    tightened: &Tightened<'_>,
    patch: &str,
    output: Output,
) -> Result<(), CliError> {
    if let Some(file) = &args.out {
        std::fs::write(file, patch)
            .map_err(|error| CliError::cannot(format!("write `{}`", file.display()), &error))?;
    }
    if output.json {
        let mut answer =
            serde_json::to_value(tightened).map_err(|error| CliError::failed(&error))?;
        if let (None, Some(answer)) = (&args.out, answer.as_object_mut()) {
            answer.insert("patch".to_owned(), patch.into());
        }
        output::data(answer);
    } else if args.out.is_some() {
        output::data(text(tightened).trim_end());
    } else {
        output::message(format_args!("{}", text(tightened).trim_end()));
        output::data(patch.trim_end());
    }
    Ok(())
}

fn today() -> Result<Date, CliError> {
    let seconds = i64::try_from(SystemClock.now().seconds()).ok();
    let now = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let now = now.ok_or_else(|| CliError::Failed("the clock shows no date".to_owned()))?;
    Ok(now.date())
}

/// `2026-01-21`.
fn date(text: &str) -> Result<Date, String> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    Date::parse(text, format).map_err(|_| "a date is written 2026-01-21".to_owned())
}
