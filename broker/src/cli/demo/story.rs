//! The story, from the first token to the last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lanyard_sdk::{Client, Secret};
use serde_json::Value;

use super::api::{self, AUDIENCE};
use super::broker::Broker;
use super::members::{ASSISTANT, CHECKOUT, Member, Members, PARCELS};
use super::{Measured, Trouble, theft};
use crate::cli::output::{self, Output};

/// How long everybody goes on after the theft: long enough to see who suffers from it.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Tells it, and measures.
pub(super) async fn tell(calls: u64, output: Output) -> Result<Measured, Trouble> {
    let folder = Folder::new()?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let screen = Screen::new(output, calls * 3)?;

    screen.say("starting a broker");
    let broker = Broker::start(&folder.0.join("broker"), http.clone()).await?;
    let first_token_ms = first_token(&broker).await?;

    screen.say("starting an example API in two replicas, and three identities");
    let owner = broker.add_owner("shop").await?;
    let (here, elsewhere) = (
        replica(&broker, &owner, "shop-api-1", &folder).await?,
        replica(&broker, &owner, "shop-api-2", &folder).await?,
    );
    let members: Members = Arc::new([
        Member::join(&broker, &owner, &CHECKOUT, http.clone()).await?,
        Member::join(&broker, &owner, &PARCELS, http.clone()).await?,
        Member::join(&broker, &owner, &ASSISTANT, http.clone()).await?,
    ]);

    screen.say("ordinary work: baselines grow");
    let urls: Arc<[String]> = Arc::new([here.url.clone(), elsewhere.url.clone()]);
    let stop = Arc::new(AtomicBool::new(false));
    everybody(&members, &urls, calls, &stop, &screen).await;
    wait_for_baselines(&broker, &members, calls).await?;
    let before: Vec<u64> = members
        .iter()
        .map(|member| member.failed.load(Ordering::Relaxed))
        .collect();

    screen.say("somebody copies the token of `checkout` and walks through order ids");
    let at_work = {
        let (members, urls, stop, screen) =
            (members.clone(), urls.clone(), stop.clone(), screen.clone());
        tokio::spawn(async move { everybody(&members, &urls, u64::MAX, &stop, &screen).await })
    };
    let [owner_of_token, ..] = &*members;
    let stolen = Secret::new(owner_of_token.tokens.token().await?.secret().expose());
    let theft = theft::walk(&http, &here.url, &elsewhere.url, &stolen).await?;
    let verdict = theft::verdict(&broker, &owner_of_token.id).await?;
    tokio::time::sleep(AFTERMATH).await;
    stop.store(true, Ordering::Relaxed);
    at_work.await?;
    screen.done();

    let failed: Vec<u64> = members
        .iter()
        .map(|member| member.failed.load(Ordering::Relaxed))
        .collect();
    let since: Vec<u64> = failed
        .iter()
        .zip(&before)
        .map(|(now, before)| now - before)
        .collect();
    let ready_ms = millis(broker.ready_after);
    broker.stop().await;
    Ok(Measured {
        ready_ms,
        first_token_ms,
        thief_requests_allowed: theft.allowed,
        verdict: verdict.sentence,
        verdict_to_refusal_ms: theft.refused_elsewhere_at.saturating_sub(verdict.at),
        owner_requests_failed: since.first().copied().unwrap_or(0),
        siblings_refused: since.iter().skip(1).sum(),
        benign_requests: members
            .iter()
            .map(|member| member.calls.load(Ordering::Relaxed))
            .sum(),
        benign_refused: failed.iter().sum(),
    })
}

async fn first_token(broker: &Broker) -> Result<u64, Trouble> {
    let newcomer = &broker.newcomer;
    let client = Client::builder(&broker.issuer)
        .client_credentials(&newcomer.id, Secret::new(newcomer.secret.expose()))
        .build()?;
    client
        .token(&newcomer.audience.parse()?, &newcomer.scope.parse()?)
        .await?;
    Ok(millis(broker.started.elapsed()))
}

async fn replica(
    broker: &Broker,
    owner: &str,
    name: &str,
    folder: &Folder,
) -> Result<api::Replica, Trouble> {
    let enrolment = broker.add_gateway(owner, name, AUDIENCE).await?;
    api::start(enrolment, &folder.0.join(name)).await
}

/// Everybody works at the same time.
async fn everybody(
    members: &Members,
    urls: &[String],
    until: u64,
    stop: &AtomicBool,
    screen: &Screen,
) {
    let [a, b, c] = &**members;
    let work = |member| Member::work(member, urls, until, stop, || screen.tick());
    tokio::join!(work(a), work(b), work(c));
}

/// The last reports are on their way; a baseline is one once the broker says so.
async fn wait_for_baselines(broker: &Broker, members: &Members, calls: u64) -> Result<(), Trouble> {
    for _ in 0..200 {
        let mut known = 0;
        for member in &**members {
            let answer = broker
                .get(&format!("v1/drift/identities/{}", member.id))
                .await?;
            // The broker itself says when the warm-up is over. In a shorter demo it never is; windows
            // are learned whole, so the last few calls may still wait for company.
            let warm = answer.get("anchored").and_then(Value::as_bool) == Some(true);
            let learned = answer.get("calls").and_then(Value::as_u64).unwrap_or(0);
            known += u64::from(warm || learned * 10 >= calls * 8);
        }
        if known == members.len() as u64 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("the baselines did not grow: the reports of the gateways do not arrive".into())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A folder of its own under the system's temporary directory, removed at the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Result<Self, Trouble> {
        let path = std::env::temp_dir().join(format!("lanyard-demo-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now, the system removes with its temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Progress for people: on standard error, drawn only when that is a terminal.
#[derive(Clone)]
struct Screen {
    bar: ProgressBar,
    quiet: bool,
}

impl Screen {
    fn new(output: Output, calls: u64) -> Result<Self, Trouble> {
        let bar = ProgressBar::with_draw_target(Some(calls), ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("  {bar:40} {pos} calls")?);
        Ok(Self {
            bar,
            quiet: output.json,
        })
    }

    fn say(&self, what: &str) {
        if !self.quiet {
            self.bar
                .suspend(|| output::message(format_args!("{what} …")));
        }
    }

    fn tick(&self) {
        self.bar.inc(1);
    }

    fn done(&self) {
        self.bar.finish_and_clear();
    }
}
