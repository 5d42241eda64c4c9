//! `lanyard policy explain`.

mod act;
mod drift;
mod using;

use std::net::IpAddr;

use clap::Args;
use drift::Happened;
use lanyard_token::{Audience, Scope};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::CliError;
use super::super::output::{Output, line};
use super::folder::{Folder, counted, untried, word};
use crate::policy::explain::{Explanation, Standing, explain};
use crate::policy::trial::{Asking, Fixture, Fixtures, Kind, Limits, Outcome, Trial, Verdict};
use crate::policy::{AskedBy, Binding, Effect, Oidc, Proof, Risk};

/// What an identity that is only described is called.
const DESCRIBED: &str = "somebody";

/// `lanyard policy explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    folder: Folder,
    /// The request of this case (its name, or a part that no other has)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["identity", "kind"])]
    case: Option<String>,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    request: What,
    #[command(flatten)]
    circumstances: How,
    #[command(flatten)]
    happened: Happened,
    #[command(flatten)]
    administers: act::Does,
    #[command(flatten)]
    uses: using::Uses,
    /// List also the policies about others
    #[arg(long)]
    all: bool,
}

/// Who asks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who asks")]
struct Who {
    /// An identity of fixtures/
    #[arg(long, value_name = "NAME", required_unless_present_any = ["case", "kind"])]
    identity: Option<String>,
    /// Somebody of this kind: service, integration, agent, gateway or administrator
    #[arg(long, conflicts_with = "identity", value_parser = word::<Kind>)]
    kind: Option<Kind>,
    /// With this label; may be given several times
    #[arg(long = "tag", value_name = "TAG", requires = "kind")]
    tags: Vec<String>,
    /// Of this owner
    #[arg(long, requires = "kind", default_value = "nobody")]
    owner: String,
    /// Registered for this scope as well; may be given several times
    #[arg(long = "registered", value_name = "SCOPE", requires = "kind")]
    registered: Vec<Scope>,
}

/// For what.
#[derive(Debug, Args)]
#[command(next_help_heading = "For what")]
struct What {
    /// Whom the token is for
    #[arg(long, value_name = "URL")]
    audience: Option<Audience>,
    /// What it is to allow; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Scope>,
    /// For how many seconds
    #[arg(long, value_name = "SECONDS")]
    lifetime: Option<u64>,
    /// Take what is allowed when not everything is
    #[arg(long)]
    partial: bool,
    /// The task, as JSON: {"operations": […], "destinations": […], "calls": N}
    #[arg(long, value_name = "JSON", value_parser = task)]
    task: Option<Limits>,
}

/// Under which circumstances.
#[derive(Debug, Args)]
#[command(next_help_heading = "How")]
struct How {
    /// client_credentials, token_exchange or local
    #[arg(long, value_parser = word::<AskedBy>)]
    grant: Option<AskedBy>,
    /// api_key, oidc, mtls, access_token or socket
    #[arg(long, value_parser = word::<Proof>)]
    proof: Option<Proof>,
    /// Issuer of an OIDC token
    #[arg(long, value_name = "URL", requires = "oidc_subject")]
    oidc_issuer: Option<String>,
    /// Subject of an OIDC token
    #[arg(long, value_name = "SUBJECT", requires = "oidc_issuer")]
    oidc_subject: Option<String>,
    /// Who acts: an identity of fixtures/
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// none, dpop or mtls
    #[arg(long, value_parser = word::<Binding>)]
    binding: Option<Binding>,
    /// Where from
    #[arg(long, value_name = "ADDRESS")]
    network: Option<IpAddr>,
    /// none, anomalous or malicious
    #[arg(long, value_parser = word::<Risk>)]
    risk: Option<Risk>,
    /// When, RFC 3339 [default: 2026-01-05T10:00:00Z, as in cases]
    #[arg(long, value_parser = moment)]
    time: Option<OffsetDateTime>,
    /// An administrator who approved; may be given several times
    #[arg(long = "approval", value_name = "NAME")]
    approvals: Vec<String>,
}

fn task(text: &str) -> Result<Limits, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|error| error.to_string())
}

/// Runs it.
pub(super) fn run(args: &ExplainArgs, output: Output) -> Result<(), CliError> {
    let (bundle, trial) = (args.folder.bundle()?, args.folder.trial()?);
    if let Some((fixtures, offence)) = drift::meant(args, &trial)? {
        return drift::run((&bundle, &fixtures), &offence, args.all, output);
    }
    if let Some((fixtures, acting)) = act::meant(args, &trial)? {
        return act::run((&bundle, &fixtures), &acting, args.all, output);
    }
    if let Some((fixtures, using)) = using::meant(args, &trial)? {
        return using::run((&bundle, &fixtures), &using, args.all, output);
    }
    let (fixtures, asking) = match &args.case {
        Some(name) => (trial.fixtures.clone(), case(&trial, name)?),
        None => described(args, &trial.fixtures),
    };
    let explanation = explain(&bundle, &fixtures, &asking).map_err(|why| untried(&why))?;
    let answer = serde_json::to_value(&explanation).map_err(|error| CliError::failed(&error))?;
    output.print(&answer, |_| text(&asking, &explanation, args.all));
    Ok(())
}

fn case(trial: &Trial, name: &str) -> Result<Asking, CliError> {
    let named: Vec<_> = trial
        .all_cases()
        .filter(|(_, case)| case.name == name)
        .collect();
    let alike: Vec<_> = trial
        .all_cases()
        .filter(|(_, case)| case.name.contains(name))
        .collect();
    match (named.as_slice(), alike.as_slice()) {
        ([(_, only)], _) | ([], [(_, only)]) => Ok(only.request.clone()),
        ([], []) => Err(CliError::Usage(format!("no case is called `{name}`"))),
        _ => {
            let names: Vec<_> = alike
                .iter()
                .map(|(grant, case)| format!("{grant}: {}", case.name))
                .collect();
            Err(CliError::Usage(format!(
                "several cases are called `{name}`: {}",
                names.join("; ")
            )))
        }
    }
}

fn described(args: &ExplainArgs, fixtures: &Fixtures) -> (Fixtures, Asking) {
    let (who, what, how) = (&args.who, &args.request, &args.circumstances);
    let name = who.identity.as_deref().unwrap_or(DESCRIBED);
    let fixtures = match who.kind {
        Some(kind) => fixtures.with(Fixture {
            name: name.to_owned(),
            owner: who.owner.clone(),
            kind,
            tags: who.tags.clone(),
            audiences: what.audience.iter().cloned().collect(),
            scopes: who.registered.iter().cloned().collect(),
            max_lifetime: Fixture::LONGEST,
            age_days: None,
            unused_days: None,
        }),
        None => fixtures.clone(),
    };
    let oidc = how.oidc_issuer.as_ref().zip(how.oidc_subject.as_ref());
    let ordinary = Asking::of(name);
    let asking = Asking {
        audience: what.audience.clone(),
        scopes: (!what.scopes.is_empty()).then(|| what.scopes.iter().cloned().collect()),
        lifetime: what.lifetime,
        partial: what.partial,
        task: what.task.clone(),
        grant: how.grant.unwrap_or_default(),
        proof: how.proof.unwrap_or_default(),
        oidc: oidc.map(|(issuer, subject)| Oidc {
            issuer: issuer.clone(),
            subject: subject.clone(),
        }),
        actor: how.actor.clone(),
        binding: how.binding.unwrap_or_default(),
        network: how.network,
        risk: how.risk.unwrap_or_default(),
        time: how.time.unwrap_or(ordinary.time),
        approvals: how.approvals.clone(),
        ..ordinary
    };
    (fixtures, asking)
}

fn text(asking: &Asking, explanation: &Explanation, all: bool) -> String {
    let mut text = outcome(&explanation.outcome);
    if let Some(unchecked) = &explanation.unchecked {
        text.push_str(&format!("\n{unchecked}"));
    }
    let Some(audience) = &explanation.audience else {
        text.push_str(&format!(
            "\n`{}` is not registered for that audience, or for several and named none: no policy was asked",
            asking.identity
        ));
        return text;
    };
    if explanation.scopes.is_empty() {
        text.push_str("\nno scope was asked for, and none is known there");
    }
    for explained in &explanation.scopes {
        let given = if explained.given {
            "given"
        } else {
            "not given"
        };
        text.push_str(&format!("\n{} at {audience}: {given}\n", explained.scope));
        text.push_str(&policies(&explained.policies, all));
    }
    line_by_line(&text)
}

fn outcome(outcome: &Outcome) -> String {
    let policies: Vec<_> = outcome.policies.iter().map(String::as_str).collect();
    let by = match policies.as_slice() {
        [] => String::new(),
        some => format!(" by {}", some.join(", ")),
    };
    match outcome.decision {
        Verdict::Allow => {
            let scopes: Vec<_> = outcome.scopes.iter().map(Scope::as_str).collect();
            let seconds = outcome.lifetime.unwrap_or(0);
            format!("allowed: {} for {seconds} s{by}", scopes.join(" "))
        }
        Verdict::Deny if policies.is_empty() => "denied: nothing permits it".to_owned(),
        Verdict::Deny => format!("denied{by}"),
    }
}

/// What applied first, and what did not behind it, each with the first reason why not.
fn policies(standings: &[Standing], all: bool) -> String {
    let (mut shown, others): (Vec<&Standing>, Vec<&Standing>) = standings
        .iter()
        .partition(|standing| all || standing.about_them);
    shown.sort_by_key(|standing| (!standing.applies, standing.effect == Effect::Permit));
    let width = shown.iter().map(|one| one.id.len()).max().unwrap_or(0);
    let mut text: String = shown
        .into_iter()
        .map(|standing| {
            let did = match (standing.effect, standing.applies) {
                (Effect::Permit, true) => "permits",
                (Effect::Forbid, true) => "forbids",
                (Effect::Permit, false) => "no permit",
                (Effect::Forbid, false) => "no forbid",
            };
            format!(
                "  {did:<9}  {:<width$}  {}\n",
                standing.id, standing.because
            )
        })
        .collect();
    if !others.is_empty() {
        let others = counted(others.len(), "policy");
        text.push_str(&format!("  {others} about others (`--all` lists them)\n"));
    }
    text
}

/// Text of others goes to a terminal.
fn line_by_line(text: &str) -> String {
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}
