//! `lanyard approval ask`: an identity asks for itself, with its own key, at the public listener.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use reqwest::{Client, Url};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{CliError, output, shown, text_of};
use crate::cli::chain;
use crate::cli::client::is_confidential;
use crate::cli::output::Output;

/// How often a waiting command looks.
const PERIOD: Duration = Duration::from_secs(2);

/// What an identity wants, and as whom it asks.
#[derive(Debug, Args)]
pub struct Ask {
    /// The broker's public address
    #[arg(long, value_name = "URL")]
    broker: Url,
    /// The identity's id
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// File with its API key
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Where
    #[arg(long, value_name = "URI")]
    audience: String,
    /// What; repeatable
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    /// Longest lifetime of one token, in seconds; without it what a token gets that asks for none
    #[arg(long, value_name = "SECONDS")]
    lifetime: Option<u64>,
    /// Within which task: authorization details of type `lanyard_task`, JSON
    #[arg(long, value_name = "JSON")]
    task: Option<String>,
    /// What for
    #[arg(long)]
    reason: String,
    /// For how long from now on, in seconds
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: u64,
    /// Wait until an administrator has decided; exit code 0 only when it is approved
    #[arg(long)]
    wait: bool,
}

impl Ask {
    pub(super) fn run(&self, output: Output) -> Result<(), CliError> {
        let asking = Asking::new(self)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CliError::cannot("start", &error))?;
        runtime.block_on(self.ask(&asking, output))
    }

    async fn ask(&self, asking: &Asking, output: Output) -> Result<(), CliError> {
        let seconds = self.seconds.to_string();
        let lifetime = self.lifetime.map(|lifetime| lifetime.to_string());
        let scopes = self.scopes.join(" ");
        let mut form = vec![
            ("audience", self.audience.as_str()),
            ("scope", &scopes),
            ("reason", &self.reason),
            ("seconds", &seconds),
        ];
        form.extend(lifetime.as_deref().map(|text| ("requested_lifetime", text)));
        form.extend(
            self.task
                .as_deref()
                .map(|text| ("authorization_details", text)),
        );
        let mut answer = asking.post("oauth/approvals", &form).await?;
        if !self.wait {
            output.print(&answer, shown);
            return Ok(());
        }
        let id = text_of(&answer, "id").to_owned();
        output::message(format_args!(
            "asked: an administrator decides with `lanyard approval show {id}`"
        ));
        while text_of(&answer, "state") == "asked" {
            tokio::time::sleep(PERIOD).await;
            let looked = asking.post(&format!("oauth/approvals/{id}"), &[]).await;
            answer = match looked {
                // Something else of this identity asks too often; whoever waits can wait.
                Err(CliError::Refused { status: 429, .. }) => continue,
                looked => looked?,
            };
        }
        output.print(&answer, shown);
        match text_of(&answer, "state") {
            "approved" => Ok(()),
            state => Err(CliError::Failed(format!("it is not approved: {state}"))),
        }
    }
}

/// An identity at the public listener.
struct Asking {
    http: Client,
    broker: Url,
    id: String,
    key: Zeroizing<String>,
}

impl Asking {
    fn new(ask: &Ask) -> Result<Self, CliError> {
        if !is_confidential(&ask.broker) {
            return Err(CliError::Usage(format!(
                "`{}` would send the key unencrypted: use https",
                ask.broker
            )));
        }
        let mut broker = ask.broker.clone();
        if !broker.path().ends_with('/') {
            broker.set_path(&format!("{}/", broker.path()));
        }
        let http = crate::cli::client::builder()
            .build()
            .map_err(|error| CliError::failed(&error))?;
        Ok(Self {
            http,
            broker,
            id: ask.client_id.clone(),
            key: key(&ask.key_file)?,
        })
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, CliError> {
        let url = self
            .broker
            .join(path)
            .map_err(|error| CliError::failed(&error))?;
        let unreachable = |error: reqwest::Error| {
            let why = chain(&error.without_url());
            CliError::Failed(format!(
                "cannot reach the broker at `{}`: {why}",
                self.broker
            ))
        };
        let request = self.http.post(url).basic_auth(&self.id, Some(&*self.key));
        let response = request.form(form).send().await.map_err(unreachable)?;
        let status = response.status();
        let text = response.text().await.map_err(unreachable)?;
        let answer: Value = serde_json::from_str(&text).map_err(|_| {
            CliError::Failed(format!("`{}` answers, but not like a broker", self.broker))
        })?;
        if status.is_success() {
            return Ok(answer);
        }
        let words = match text_of(&answer, "error_description") {
            "-" => "the broker refused",
            words => words,
        };
        Err(CliError::Refused {
            words: format!("{words} ({})", status.as_u16()),
            status: status.as_u16(),
        })
    }
}

fn key(path: &Path) -> Result<Zeroizing<String>, CliError> {
    let text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| CliError::cannot(format_args!("read `{}`", path.display()), &error))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}
