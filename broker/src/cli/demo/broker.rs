//! The demo's broker: `lanyard dev` as a process of its own, ended with the demo.

use std::process::Stdio;
use std::time::{Duration, Instant};

use lanyard_sdk::{Enrolment, Secret};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::Trouble;

/// How long the broker may take to end; a collector that does not answer takes three seconds each.
const GOODBYE: Duration = Duration::from_secs(10);

/// A running broker and its administrator's door.
pub(super) struct Broker {
    pub(super) issuer: String,
    /// The identity that `lanyard dev` makes for newcomers.
    pub(super) newcomer: Newcomer,
    pub(super) ready_after: Duration,
    pub(super) started: Instant,
    admin_url: String,
    admin_token: Secret,
    http: reqwest::Client,
    process: Child,
}

/// Who may ask for what.
pub(super) struct Newcomer {
    pub(super) id: String,
    pub(super) secret: Secret,
    pub(super) audience: String,
    pub(super) scope: String,
}

/// The line `lanyard dev --json` prints.
#[derive(Deserialize)]
struct Ready {
    issuer: String,
    admin_url: String,
    admin_token: String,
    client_id: String,
    client_secret: String,
    audience: String,
    scope: String,
}

impl Broker {
    /// Starts one in this folder and waits until it is ready.
    pub(super) async fn start(
        folder: &std::path::Path,
        http: reqwest::Client,
    ) -> Result<Self, Trouble> {
        let started = Instant::now();
        let mut process = Command::new(std::env::current_exe()?)
            .args([
                "dev",
                "--json",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--data-dir",
            ])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().ok_or("the broker has no output")?;
        let line = BufReader::new(stdout)
            .lines()
            .next_line()
            .await?
            .ok_or("the broker ended before it was ready; `lanyard dev` says why")?;
        let ready: Ready = serde_json::from_str(&line)?;
        Ok(Self {
            issuer: ready.issuer,
            newcomer: Newcomer {
                id: ready.client_id,
                secret: Secret::new(ready.client_secret),
                audience: ready.audience,
                scope: ready.scope,
            },
            ready_after: started.elapsed(),
            started,
            admin_url: ready.admin_url,
            admin_token: Secret::new(ready.admin_token),
            http,
            process,
        })
    }

    /// Ends it as an operator would, so that it saves and tells what it still holds.
    pub(super) async fn stop(mut self) {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.and_then(Pid::from_raw)
            && kill_process(id, Signal::TERM).is_ok()
        {
            // Whoever does not end in time is killed when dropped.
            let _ = tokio::time::timeout(GOODBYE, self.process.wait()).await;
        }
    }

    /// Somebody who answers for identities.
    pub(super) async fn add_owner(&self, name: &str) -> Result<String, Trouble> {
        text(&self.post("v1/owners", &json!({"name": name})).await?, "id")
    }

    /// An identity and its API key.
    pub(super) async fn add_identity(
        &self,
        owner: &str,
        name: &str,
        kind: &str,
        audience: &str,
        scopes: &str,
    ) -> Result<(String, Secret), Trouble> {
        let identity = json!({
            "name": name, "owner": owner, "kind": kind, "tags": ["demo"], "audiences": [audience], "scopes": scopes,
        });
        let id = text(&self.post("v1/identities", &identity).await?, "id")?;
        let key = self
            .post(&format!("v1/identities/{id}/keys"), &json!({}))
            .await?;
        Ok((id, Secret::new(text(&key, "client_secret")?)))
    }

    /// A gateway's enrolment.
    pub(super) async fn add_gateway(
        &self,
        owner: &str,
        name: &str,
        audience: &str,
    ) -> Result<Enrolment, Trouble> {
        let body = json!({"name": name, "owner": owner, "audiences": [audience]});
        Ok(Enrolment::parse(
            &self.post("v1/gateways", &body).await?.to_string(),
        )?)
    }

    /// Reads from the administrator's door.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Trouble> {
        self.call(self.http.get(format!("{}/{path}", self.admin_url)))
            .await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Trouble> {
        self.call(
            self.http
                .post(format!("{}/{path}", self.admin_url))
                .json(body),
        )
        .await
    }

    async fn call(&self, request: reqwest::RequestBuilder) -> Result<Value, Trouble> {
        let response = request
            .bearer_auth(self.admin_token.expose())
            .send()
            .await?;
        if !response.status().is_success() {
            let status = response.status();
            return Err(format!("the broker answered {status}: {}", response.text().await?).into());
        }
        Ok(response.json().await?)
    }
}

fn text(answer: &Value, member: &str) -> Result<String, Trouble> {
    let text = answer.get(member).and_then(Value::as_str);
    text.map(str::to_owned)
        .ok_or_else(|| format!("the broker's answer has no `{member}`").into())
}
