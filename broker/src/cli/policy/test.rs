//! `lanyard policy test`.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::super::CliError;
use super::super::output::{Output, line};
use super::folder::{Folder, counted};
use crate::policy::rehearsal::{Untried, rehearse, rehearse_act, rehearse_use};
use crate::policy::respond::try_on;
use crate::policy::trial::{Expectation, Outcome, Trial, Verdict};
use crate::policy::{Bundle, Effect, Rule};

/// `lanyard policy test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    #[command(flatten)]
    folder: Folder,
    /// Fail also when a policy determines no case
    #[arg(long)]
    strict: bool,
}

/// A case that comes out otherwise.
#[derive(Serialize)]
struct Failure {
    file: String,
    case: String,
    differences: Vec<String>,
}

/// A policy that determines no case.
#[derive(Serialize)]
struct Untested {
    policy: String,
    place: String,
    words: &'static str,
}

/// Runs it.
pub(super) fn run(args: &TestArgs, output: Output) -> Result<(), CliError> {
    let (bundle, trial) = (args.folder.bundle()?, args.folder.trial()?);
    let tried = tried(args, &bundle, &trial);
    let untested = untested(&bundle, &tried.determining);
    let cases = trial.all_cases().count()
        + trial.act_cases().count()
        + trial.use_cases().count()
        + trial.response_cases().count();
    let answer = json!({
        "cases": cases,
        "failures": tried.failures,
        "untested": untested,
    });
    output.print(&answer, |_| text(cases, &tried.failures, &untested));
    match (tried.failures.len(), untested.len()) {
        // A test that tried nothing shows nothing.
        _ if cases == 0 => Err(CliError::Failed(
            "there are no cases to try; write some into cases.json of each grant".to_owned(),
        )),
        (0, 0) => Ok(()),
        (0, _) if !args.strict => Ok(()),
        (0, number) => Err(CliError::Failed(format!(
            "no case is determined by {}; write one for each",
            counted(number, "policy")
        ))),
        (number, _) => Err(CliError::Failed(format!(
            "{number} of {} differ; `lanyard policy explain --case NAME` says why",
            counted(cases, "case")
        ))),
    }
}

struct Tried<'t> {
    failures: Vec<Failure>,
    /// What came of cases that came out as expected, and which policies saw to it.
    determining: BTreeSet<(&'static str, &'t str)>,
}

fn tried<'t>(args: &TestArgs, bundle: &'t Bundle, trial: &Trial) -> Tried<'t> {
    let (mut failures, mut determining) = (Vec::new(), BTreeSet::new());
    let mut note = |grant: &str, name: &str, expect: &Expectation, came: Came| {
        let differences = match came {
            Err(why) => vec![why.to_string()],
            Ok(outcome) => {
                let differences = expect.differences(&outcome);
                if differences.is_empty() {
                    let decided = decided(outcome.decision);
                    let rules = outcome.policies.iter().filter_map(|id| bundle.rule(id));
                    determining.extend(rules.map(|rule| (decided, rule.id.as_str())));
                }
                differences
            }
        };
        if !differences.is_empty() {
            let file = args.folder.path().join(grant).join("cases.json");
            failures.push(Failure {
                file: file.display().to_string(),
                case: name.to_owned(),
                differences,
            });
        }
    };
    for (grant, case) in trial.all_cases() {
        let came = rehearse(bundle, &trial.fixtures, &case.request);
        note(grant, &case.name, &case.expect, came);
    }
    for (grant, case) in trial.act_cases() {
        let came = rehearse_act(bundle, &trial.fixtures, &case.request);
        note(grant, &case.name, &case.expect, came);
    }
    for (grant, case) in trial.use_cases() {
        let came = rehearse_use(bundle, &trial.fixtures, &case.request);
        note(grant, &case.name, &case.expect, came);
    }
    for (grant, case) in trial.response_cases() {
        let differences = match try_on(bundle, &trial.fixtures, &case.drift) {
            Err(why) => vec![why.to_string()],
            Ok(choice) => {
                let differences = case.expect.differences(&choice);
                if differences.is_empty() {
                    let ids = choice.policies.iter();
                    let rules = ids.filter_map(|id| bundle.response_rule(id));
                    determining.extend(rules.map(|rule| (ANSWERED, rule.id.as_str())));
                }
                differences
            }
        };
        if !differences.is_empty() {
            let file = args.folder.path().join(grant).join("responses.json");
            failures.push(Failure {
                file: file.display().to_string(),
                case: case.name.clone(),
                differences,
            });
        }
    }
    Tried {
        failures,
        determining,
    }
}

/// What comes of a case about responses.
const ANSWERED: &str = "answered";

/// What came of a case.
type Came = Result<Outcome, Untried>;

const fn decided(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
    }
}

/// Policies about tokens, responses, administration or use whose removal no case would notice.
fn untested(bundle: &Bundle, determining: &BTreeSet<(&str, &str)>) -> Vec<Untested> {
    let counts = |rule: &&Rule| {
        rule.respond.is_some()
            || bundle.is_about_issuing(rule)
            || bundle.is_about_administration(rule)
            || bundle.is_about_use(rule)
    };
    bundle
        .rules()
        .filter(counts)
        .filter_map(|rule| {
            let (decided, words) = match rule.effect {
                _ if rule.respond.is_some() => (ANSWERED, "no case is answered by it"),
                Effect::Permit => ("allow", "no case is allowed by it"),
                Effect::Forbid => ("deny", "no case is denied by it"),
            };
            (!determining.contains(&(decided, rule.id.as_str()))).then(|| Untested {
                policy: rule.id.clone(),
                place: rule.place(),
                words,
            })
        })
        .collect()
}

fn text(cases: usize, failures: &[Failure], untested: &[Untested]) -> String {
    let mut text = String::new();
    for failure in failures {
        let name = line(&failure.case);
        text.push_str(&format!("{}: {name}\n", failure.file));
        for difference in &failure.differences {
            text.push_str(&format!("  {}\n", line(difference)));
        }
    }
    for policy in untested {
        text.push_str(&format!(
            "{}: `{}`: {}\n",
            policy.place, policy.policy, policy.words
        ));
    }
    let held = cases - failures.len();
    text.push_str(&format!(
        "{}, {held} as expected; {} untested",
        counted(cases, "case"),
        counted(untested.len(), "policy")
    ));
    text
}
