//! Drives a recording through the loop, and counts what came back.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use lanyard_sdk::{Client, Clock, Secret, SystemClock};
use lanyard_token::{Audience, ScopeSet};
use serde::Deserialize;
use serde_json::Value;

use super::edge::{self, Paths, RecordedClock};
use super::recording::{Call, Label, Recording};
use super::upstream::{self, BYTES_HEADER, REPLAYED_HEADER, STATUS_HEADER};
use super::{AUDIENCE, SCOPE};
use crate::broker::Broker;

/// What became of a recording.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) identities: BTreeMap<String, Fate>,
    pub(super) without_call: usize,
    /// Reports that the gateway had to drop.
    pub(super) reports_dropped: u64,
}

/// What became of one identity.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// Calls sent, each counted once, however often the client repeated it.
    pub(super) requests: u64,
    /// Calls that reached the service.
    pub(super) served: u64,
    /// Calls the gateway refused for good, by status.
    pub(super) refused: BTreeMap<u16, u64>,
    /// When each call was sent, Unix milliseconds, and what somebody later said about it.
    pub(super) sent: Vec<(u64, Label)>,
    pub(super) verdicts: Vec<Verdict>,
}

/// A verdict as the admin API tells it, as far as the replay needs it.
#[derive(Debug, Deserialize)]
pub(super) struct Verdict {
    pub(super) at: u64,
    identity: String,
    pub(super) sentence: String,
    pub(super) verdict: Value,
    pub(super) responses: Vec<Taken>,
}

/// One response to a verdict.
#[derive(Debug, Deserialize)]
pub(super) struct Taken {
    pub(super) response: String,
    pub(super) enforced: bool,
}

#[derive(Deserialize)]
struct Verdicts {
    verdicts: Vec<Verdict>,
}

/// How long reports may take to be judged after the last call.
const LAST_VERDICTS: Duration = Duration::from_secs(2);

/// Replays; one call at a time, as the recorded clock says.
pub(super) async fn replay(
    broker: &Broker,
    recording: &Recording,
) -> Result<Outcome, Box<dyn Error>> {
    let suffix = SystemClock.now().wall.0;
    let owner = broker.add_owner(&format!("replay-{suffix}")).await?;
    let clients = clients(broker, recording, &owner, suffix).await?;
    let enrolment = broker
        .add_gateway(&format!("replay-gateway-{suffix}"), &owner, AUDIENCE)
        .await?;
    let paths = Paths::of(recording);
    let clock = Arc::new(RecordedClock::default());
    if let Some(first) = recording.calls.first() {
        clock.set(first.at_millis);
    }
    let state = tempfile::tempdir()?;
    let service = upstream::start().await?;
    let edge = edge::start(enrolment, state.path(), &paths, Arc::clone(&clock), service).await?;
    let (audience, scopes): (Audience, ScopeSet) = (AUDIENCE.parse()?, SCOPE.parse()?);

    let mut outcome = Outcome {
        without_call: recording.without_call,
        ..Outcome::default()
    };
    let bar = progress(recording.calls.len() as u64)?;
    for (call, label) in recording.calls.iter().zip(&recording.labels) {
        clock.set(call.at_millis);
        let fate = outcome.identities.entry(call.identity.clone()).or_default();
        fate.requests += 1;
        fate.sent.push((SystemClock.now().wall.0, label.clone()));
        let client = clients
            .get(&call.identity)
            .map(|(_, client)| client)
            .ok_or("an identity has no client")?;
        let path = paths
            .get(&call.operation)
            .ok_or("an operation has no route")?;
        let request = request(client, &edge.url, path, call).build()?;
        match client.send(&audience, &scopes, request).await {
            Ok(answer) if answer.headers().contains_key(REPLAYED_HEADER) => fate.served += 1,
            Ok(answer) => *fate.refused.entry(answer.status().as_u16()).or_default() += 1,
            // The broker no longer gives it a token: its credential was ended or paused.
            Err(_) => *fate.refused.entry(0).or_default() += 1,
        }
        bar.inc(1);
    }
    bar.finish_and_clear();

    outcome.reports_dropped = edge.running.reports().dropped();
    edge.running.stop().await?;
    tokio::time::sleep(LAST_VERDICTS).await;
    collect(broker, &clients, &mut outcome).await?;
    Ok(outcome)
}

type Clients = BTreeMap<String, (String, Client)>;

/// One identity and one client for each recorded identity.
async fn clients(
    broker: &Broker,
    recording: &Recording,
    owner: &str,
    suffix: u64,
) -> Result<Clients, Box<dyn Error>> {
    let mut clients = Clients::new();
    for call in &recording.calls {
        if clients.contains_key(&call.identity) {
            continue;
        }
        let name = format!("replay-{suffix}-{}", clients.len());
        let member = broker.add_member(&name, owner, AUDIENCE, SCOPE).await?;
        let client = Client::builder(&broker.issuer)
            .client_credentials(&member.id, Secret::new(member.secret.expose()))
            .build()?;
        clients.insert(call.identity.clone(), (member.id, client));
    }
    Ok(clients)
}

fn request(client: &Client, url: &str, path: &str, call: &Call) -> reqwest::RequestBuilder {
    let mut request = client
        .http()
        .post(format!("{url}{path}"))
        .header(STATUS_HEADER, call.status.to_string());
    if let Some(resource) = &call.resource {
        request = request.query(&[("on", resource)]);
    }
    if let Some(bytes) = call.bytes {
        request = request.header(BYTES_HEADER, bytes.to_string());
    }
    if let Some(source) = call.source {
        request = request.header("x-forwarded-for", source.to_string());
    }
    if let Some(agent) = &call.agent {
        request = request.header(reqwest::header::USER_AGENT, printable(agent));
    }
    request
}

/// Header values hold visible ASCII; recorded fingerprints may hold more.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_graphic() || c == ' ' {
                c
            } else {
                '?'
            }
        })
        .collect::<String>()
        .trim()
        .to_owned()
}

async fn collect(
    broker: &Broker,
    clients: &Clients,
    outcome: &mut Outcome,
) -> Result<(), Box<dyn Error>> {
    for (name, (id, _)) in clients {
        let path = format!("v1/drift/verdicts?identity={id}&limit=1000");
        let Verdicts { mut verdicts } = broker.get(&path).await?;
        verdicts.retain(|verdict| verdict.identity == *id);
        verdicts.sort_by_key(|verdict| verdict.at);
        outcome.identities.entry(name.clone()).or_default().verdicts = verdicts;
    }
    Ok(())
}

fn progress(calls: u64) -> Result<ProgressBar, Box<dyn Error>> {
    // Drawn on standard error, and only when that is a terminal.
    let bar = ProgressBar::new(calls);
    bar.set_style(ProgressStyle::with_template(
        "{bar:40} {pos}/{len} calls  {per_sec}  {eta} left",
    )?);
    Ok(bar)
}
