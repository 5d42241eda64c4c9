//! `lanyard demo`: the whole loop in under a minute, over real sockets.
//!
//! A broker (`lanyard dev`, as a process of its own), an example API in two replicas behind the SDK's layer, three
//! identities that call it as such programs do, and then a thief with a copy of one's token. Everything the demo
//! knows, it knows as a user would: from answers over HTTP. Limits and thresholds are the product's own.

mod api;
mod broker;
mod members;
mod story;
mod theft;

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::CliError;
use super::output::{self, Output};
use crate::telemetry;

/// `lanyard demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Ordinary calls of each identity before the theft; at least 1,000, below which there is no baseline to leave
    #[arg(long, default_value_t = 1_200, value_parser = clap::value_parser!(u64).range(1_000..=20_000))]
    calls: u64,
}

/// What was measured.
#[derive(Debug, Default, Serialize)]
struct Measured {
    /// From the start of the broker's process until it said it was ready.
    ready_ms: u64,
    /// From the start of the broker's process until the first token was in hand.
    first_token_ms: u64,
    /// Calls of the thief that were answered.
    thief_requests_allowed: u64,
    /// Why the token was ended, in words.
    verdict: String,
    /// From the verdict in the log until the *other* replica refused the token.
    verdict_to_refusal_ms: u64,
    /// Calls of the token's owner that did not succeed, from the theft on.
    owner_requests_failed: u64,
    /// Calls of the other two identities that did not succeed, from the theft on.
    siblings_refused: u64,
    /// Ordinary calls in all.
    benign_requests: u64,
    /// Ordinary calls that were refused, in all.
    benign_refused: u64,
}

/// How a demo can fail.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// Longer than the whole story ever takes; a demo that hangs is worse than one that gives up.
const PATIENCE: Duration = Duration::from_secs(110);

/// Runs it.
pub fn run(args: &DemoArgs, output: Output) -> Result<(), CliError> {
    let runtime =
        tokio::runtime::Runtime::new().map_err(|error| CliError::cannot("start", &error))?;
    let told = runtime.block_on(async {
        // What the example API's gateways deny is telemetry too; on the screen stands the story alone.
        let quiet = telemetry::Settings {
            log: Some("off".to_owned()),
            ..telemetry::Settings::default()
        };
        let telemetry = telemetry::start(&quiet)?;
        let told = tokio::time::timeout(PATIENCE, story::tell(args.calls, output))
            .await
            .unwrap_or_else(|_| Err("the demo took too long; is this machine very busy?".into()));
        tokio::task::spawn_blocking(move || telemetry.stop()).await?;
        told
    });
    runtime.shutdown_background();
    let measured = told.map_err(|error| CliError::failed(&*error))?;
    if output.json {
        let line = serde_json::to_string(&measured).map_err(|error| CliError::failed(&error))?;
        output::data(line);
    } else {
        output::data(summary(&measured));
    }
    Ok(())
}

fn summary(measured: &Measured) -> String {
    format!(
        "\
The broker was ready after {} ms, the first token was in hand after {} ms.
{} ordinary calls built the baselines; {} of them were refused.
The thief's copy of the token was good for {} calls.

  {}

{} ms after this verdict the other replica refused the token as well.
The owner's client minted a new one by itself: {} of its calls failed.
The two other identities noticed nothing: {} of their calls failed.

What to do next: `{} dev` starts a broker to try out; docs/gateway.md puts your own service behind it.",
        measured.ready_ms,
        measured.first_token_ms,
        measured.benign_requests,
        measured.benign_refused,
        measured.thief_requests_allowed,
        measured.verdict,
        measured.verdict_to_refusal_ms,
        measured.owner_requests_failed,
        measured.siblings_refused,
        this_program(),
    )
}

/// How to start this program again: by its name when it is installed, else by where it lies.
fn this_program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let is_built_here = path.components().any(|part| part.as_os_str() == "target");
    if is_built_here {
        path.display().to_string()
    } else {
        "lanyard".to_owned()
    }
}
