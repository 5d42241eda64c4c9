//! `lanyard policy check`.

use serde_json::json;
use time::OffsetDateTime;

use super::super::CliError;
use super::super::output::{self, Output};
use super::folder::{Folder, counted};
use crate::clock::{Clock, SystemClock};
use crate::policy::lint::{Shut, administrators, lint, over};
use crate::policy::{Bundle, Effect};

/// Runs it.
pub(super) fn run(folder: &Folder, output: Output) -> Result<(), CliError> {
    let bundle = folder.bundle()?;
    let trial = folder.trial()?;
    let files = folder.is_there().then(|| folder.path());
    let mut findings = lint(&bundle, files);
    let mut warnings = Vec::new();
    match administrators(&bundle, &trial.fixtures) {
        Some(Shut::Always(finding)) => findings.push(finding),
        Some(Shut::AtTimes(finding)) => warnings.push(finding),
        None => {}
    }
    warnings.extend(over(&bundle, now()));
    let (slices, largest) = bundle.sliced();
    let within_reach = bundle.within_reach();
    let egress = bundle.permits_use();
    let answer = json!({
        "ok": findings.is_empty(),
        "policies": bundle.rules().count(),
        "permits": count(&bundle, Effect::Permit),
        "forbids": count(&bundle, Effect::Forbid),
        "slices": slices,
        "largest_slice": largest,
        "within_reach": within_reach,
        "findings": findings,
        "egress": egress,
        "warnings": warnings,
    });
    if !egress {
        output::message(format_args!(
            "warning: no policy permits `use`: gateways are given no secrets (policies/egress is a beginning)"
        ));
    }
    if let Some(crowded) = bundle.crowded() {
        output::message(format_args!("warning: {crowded}"));
    }
    output.print(&answer, |_| {
        let mut text = String::new();
        for finding in &findings {
            text.push_str(&format!("{}: {}\n", finding.place, finding.words));
        }
        for warning in &warnings {
            text.push_str(&format!("{}: warning: {}\n", warning.place, warning.words));
        }
        text.push_str(&summary(&bundle));
        text
    });
    match findings.len() {
        0 => Ok(()),
        number => Err(CliError::Failed(format!(
            "{} in `{}`",
            counted(number, "finding"),
            folder.path().display()
        ))),
    }
}

fn now() -> OffsetDateTime {
    let seconds = i64::try_from(SystemClock.now().seconds()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn summary(bundle: &Bundle) -> String {
    let (slices, largest) = bundle.sliced();
    format!(
        "{}: {}, {}; {} of at most {}",
        counted(bundle.rules().count(), "policy"),
        counted(count(bundle, Effect::Permit), "permit"),
        counted(count(bundle, Effect::Forbid), "forbid"),
        counted(slices, "slice"),
        counted(largest, "policy"),
    )
}

fn count(bundle: &Bundle, effect: Effect) -> usize {
    bundle.rules().filter(|rule| rule.effect == effect).count()
}
