//! A broker to measure: one that runs already, or `lanyard dev` started here and ended by its own process id.

mod mortal;

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use lanyard_sdk::{Enrolment, Secret};
use lanyard_token::NodeId;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::load::{ProcessorTime, Question, resident_bytes};
use crate::started::Started;

pub use mortal::Mortal;

/// How to come to a broker.
#[derive(Debug, Clone, clap::Args)]
pub struct BrokerArgs {
    /// A broker that runs already: its admin URL. Without it `lanyard dev` is started here.
    #[arg(long, env = "LANYARD_ADMIN_URL", requires_all = ["issuer", "admin_token_file"])]
    admin_url: Option<String>,
    /// The issuer of that broker.
    #[arg(long, env = "LANYARD_ISSUER", requires_all = ["admin_url", "admin_token_file"])]
    issuer: Option<String>,
    /// A file with an administrator's token for it.
    #[arg(long, env = "LANYARD_ADMIN_TOKEN_FILE", requires_all = ["admin_url", "issuer"])]
    admin_token_file: Option<PathBuf>,
    /// The `lanyard` program; default: beside this program, else on the PATH.
    #[arg(long, env = "LANYARD_PROGRAM")]
    lanyard: Option<PathBuf>,
}

impl BrokerArgs {
    /// Whether one was named that runs already.
    pub const fn is_running(&self) -> bool {
        self.admin_url.is_some()
    }

    /// The program, where it was named.
    pub fn program(&self) -> Option<PathBuf> {
        self.lanyard.clone()
    }
}

/// A broker and its administrator's door.
pub struct Broker {
    /// Byte for byte as tokens name it.
    pub issuer: String,
    admin_url: String,
    token: Secret,
    http: reqwest::Client,
    // Ended when this is dropped.
    process: Option<Started>,
}

/// An identity made for a measurement.
pub struct Member {
    /// Its node, which is its `client_id` too.
    pub id: String,
    /// Its API key.
    pub secret: Secret,
}

/// The broker cannot be reached, started, or does not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// Build it first, or name it with `--lanyard`.
    #[error(
        "cannot start `{program}`: build it with `cargo build --release --package lanyard`, or name it with --lanyard"
    )]
    Start {
        program: PathBuf,
        source: std::io::Error,
    },
    /// It ended before it was ready.
    #[error("`lanyard dev` ended before it was ready")]
    NotReady,
    /// The token file cannot be read.
    #[error("cannot read the administrator's token; --admin-token-file names it")]
    Token(#[source] std::io::Error),
    /// The connection failed.
    #[error("cannot reach the broker")]
    Http(#[from] reqwest::Error),
    /// It answered something else than success.
    #[error("the broker answered {status} to {path}: {body}")]
    Refused {
        path: String,
        status: u16,
        body: String,
    },
    /// It answered success, in another form than expected.
    #[error("the broker's answer to {0} has another form than expected")]
    Form(String),
}

/// The line `lanyard dev --json` prints when it is ready.
#[derive(Deserialize)]
struct Ready {
    issuer: String,
    admin_url: String,
    admin_token: String,
}

impl Broker {
    /// Connects, or starts one.
    pub async fn open(args: &BrokerArgs) -> Result<Self, BrokerError> {
        Self::open_with(args, &[]).await
    }

    /// Connects, or starts one with these variables set.
    pub async fn open_with(
        args: &BrokerArgs,
        variables: &[(&str, &OsStr)],
    ) -> Result<Self, BrokerError> {
        match (&args.admin_url, &args.issuer, &args.admin_token_file) {
            (Some(admin_url), Some(issuer), Some(file)) => {
                let token = std::fs::read_to_string(file).map_err(BrokerError::Token)?;
                Ok(Self {
                    issuer: issuer.clone(),
                    admin_url: admin_url.clone(),
                    token: Secret::new(token.trim().to_owned()),
                    http: http()?,
                    process: None,
                })
            }
            // Some of the three are refused where they are read.
            _ => Self::start(args, variables).await,
        }
    }

    async fn start(args: &BrokerArgs, variables: &[(&str, &OsStr)]) -> Result<Self, BrokerError> {
        let program = args.lanyard.clone().unwrap_or_else(beside_this_program);
        let unstartable = |source| BrokerError::Start {
            program: program.clone(),
            source,
        };
        let folder = tempfile::tempdir().map_err(unstartable)?;
        let process = Command::new(&program)
            .args([
                "dev",
                "--json",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--data-dir",
            ])
            .arg(folder.path().join("data"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(unstartable)?;
        let mut started = Started::new(process, Some(folder));
        let stdout = started.process.stdout.take();
        let stdout = stdout.ok_or(BrokerError::NotReady)?;
        let line = BufReader::new(stdout)
            .lines()
            .next_line()
            .await
            .ok()
            .flatten()
            .ok_or(BrokerError::NotReady)?;
        let ready: Ready = serde_json::from_str(&line).map_err(|_| BrokerError::NotReady)?;
        Ok(Self {
            issuer: ready.issuer,
            admin_url: ready.admin_url,
            token: Secret::new(ready.admin_token),
            http: http()?,
            process: Some(started),
        })
    }

    /// Processor time it has used; nothing of a broker that was not started here.
    pub fn processor_time(&self) -> Option<Duration> {
        ProcessorTime::of(self.process()?).used()
    }

    /// Memory it has resident; nothing of a broker that was not started here.
    pub fn resident_bytes(&self) -> Option<u64> {
        resident_bytes(self.process()?)
    }

    /// Its process; nothing of a broker that was not started here.
    pub fn process(&self) -> Option<u32> {
        self.process.as_ref()?.id()
    }

    /// Stops it as a frozen machine stops, until [`Broker::go_on`].
    pub fn stand_still(&self) -> std::io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn go_on(&self) -> std::io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> std::io::Result<()> {
        let process = self.process().and_then(|id| i32::try_from(id).ok());
        let process = process.and_then(Pid::from_raw).ok_or_else(|| {
            std::io::Error::other("only a broker that was started here can be stopped")
        })?;
        Ok(kill_process(process, signal)?)
    }

    /// Replaces a signing key.
    pub async fn rotate(&self, body: &Value) -> Result<(), BrokerError> {
        let _: Value = self.post("v1/signing-keys/rotate", body).await?;
        Ok(())
    }

    /// Where it keeps its data; nothing of a broker that was not started here.
    pub fn folder(&self) -> Option<&Path> {
        self.process.as_ref()?.folder()
    }

    /// Somebody who answers for identities.
    pub async fn add_owner(&self, name: &str) -> Result<String, BrokerError> {
        let answer: Value = self.post("v1/owners", &json!({"name": name})).await?;
        text(&answer, "id", "v1/owners")
    }

    /// An identity with one audience and scope, and its API key.
    pub async fn add_member(
        &self,
        name: &str,
        owner: &str,
        audience: &str,
        scope: &str,
    ) -> Result<Member, BrokerError> {
        let identity = json!({
            "name": name, "owner": owner, "kind": "service", "tags": [],
            "audiences": [audience], "scopes": scope,
        });
        let answer: Value = self.post("v1/identities", &identity).await?;
        let id = text(&answer, "id", "v1/identities")?;
        let path = format!("v1/identities/{id}/keys");
        let answer: Value = self.post(&path, &json!({"label": "loadtest"})).await?;
        Ok(Member {
            id,
            secret: Secret::new(text(&answer, "client_secret", &path)?),
        })
    }

    /// A gateway's enrolment.
    pub async fn add_gateway(
        &self,
        name: &str,
        owner: &str,
        audience: &str,
    ) -> Result<Enrolment, BrokerError> {
        let file = self.add_gateway_file(name, owner, audience).await?;
        Enrolment::parse(file.expose()).map_err(|_| BrokerError::Form("v1/gateways".to_owned()))
    }

    /// A gateway's enrolment, as the file that another process starts with.
    pub async fn add_gateway_file(
        &self,
        name: &str,
        owner: &str,
        audience: &str,
    ) -> Result<Secret, BrokerError> {
        let body = json!({"name": name, "owner": owner, "audiences": [audience]});
        let answer: Value = self.post("v1/gateways", &body).await?;
        Ok(Secret::new(answer.to_string()))
    }

    /// A token for a member, by client credentials; `more` is added to the form.
    pub async fn token(
        &self,
        member: &Member,
        more: &[(&str, &str)],
    ) -> Result<String, BrokerError> {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend_from_slice(more);
        let request = self
            .http
            .post(format!("{}/oauth/token", self.issuer))
            .basic_auth(&member.id, Some(member.secret.expose()))
            .form(&form);
        let answer: Value = answered("oauth/token", request.send().await?).await?;
        text(&answer, "access_token", "oauth/token")
    }

    /// The keys it publishes, as text.
    pub async fn jwks(&self) -> Result<String, BrokerError> {
        let path = ".well-known/oauth-authorization-server";
        let url = format!("{}/{path}", self.issuer);
        let metadata: Value = answered(path, self.http.get(url).send().await?).await?;
        let url = text(&metadata, "jwks_uri", path)?;
        Ok(self.http.get(url).send().await?.text().await?)
    }

    /// Where its public doors are.
    pub fn address(&self) -> Option<SocketAddr> {
        let url = url::Url::parse(&self.issuer).ok()?;
        url.socket_addrs(|| None).ok()?.into_iter().next()
    }

    /// Where its administrator's door is.
    pub fn admin_address(&self) -> Result<SocketAddr, BrokerError> {
        let url = url::Url::parse(&self.admin_url).ok();
        let addresses = url.and_then(|url| url.socket_addrs(|| None).ok());
        addresses
            .and_then(|all| all.into_iter().next())
            .ok_or_else(|| BrokerError::Form("the admin URL".to_owned()))
    }

    /// The request that revokes these nodes, for the administrator's door.
    pub fn revocation(&self, nodes: &[NodeId]) -> Question {
        let bearer = format!("Bearer {}", self.token.expose());
        let headers = [("authorization", bearer.as_str())];
        let body = json!({"nodes": nodes, "reason": "a measurement"}).to_string();
        Question::post_json("localhost", "/v1/revoke", &headers, &body)
    }

    /// The request that keeps a secret, for whoever sends it in his own way.
    pub fn secret(&self, name: &str, owner: &str, value: &str) -> Question {
        let bearer = format!("Bearer {}", self.token.expose());
        let headers = [("authorization", bearer.as_str())];
        let body = json!({"name": name, "owner": owner, "value": value}).to_string();
        Question::post_json("localhost", "/v1/secrets", &headers, &body)
            .expecting(StatusCode::CREATED)
    }

    /// Reads from the admin API.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, BrokerError> {
        let request = self
            .http
            .get(self.url(path))
            .bearer_auth(self.token.expose());
        answered(path, request.send().await?).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, BrokerError> {
        let request = self
            .http
            .post(self.url(path))
            .bearer_auth(self.token.expose())
            .json(body);
        answered(path, request.send().await?).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.admin_url.trim_end_matches('/'))
    }
}

async fn answered<T: DeserializeOwned>(
    path: &str,
    response: reqwest::Response,
) -> Result<T, BrokerError> {
    let status = response.status();
    if !status.is_success() {
        let body = response.text().await.unwrap_or_default();
        return Err(BrokerError::Refused {
            path: path.to_owned(),
            status: status.as_u16(),
            body,
        });
    }
    response
        .json()
        .await
        .map_err(|_| BrokerError::Form(path.to_owned()))
}

/// The number of an access token, as it says itself.
pub fn token_id(token: &str) -> Result<NodeId, BrokerError> {
    let odd = || BrokerError::Form("oauth/token".to_owned());
    let claims = token.split('.').nth(1).ok_or_else(odd)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| odd())?;
    let claims: Value = serde_json::from_slice(&claims).map_err(|_| odd())?;
    let id = text(&claims, "jti", "oauth/token")?;
    id.parse().map_err(|_| odd())
}

/// A client that never asks a proxy: everything measured is on this machine.
pub fn http() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().no_proxy().build()
}

fn text(answer: &Value, member: &str, path: &str) -> Result<String, BrokerError> {
    answer
        .get(member)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| BrokerError::Form(path.to_owned()))
}

pub(crate) fn beside_this_program() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|path| path.parent().map(|folder| folder.join("lanyard")))
        .filter(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from("lanyard"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        _broker: BrokerArgs,
    }

    #[test]
    fn a_running_broker_is_named_with_all_it_takes_or_not_at_all() {
        let said = |arguments: &[&str]| {
            let program = std::iter::once(&"loadtest");
            let parsed = Arguments::try_parse_from(program.chain(arguments));
            parsed.err().map(|error| error.to_string())
        };
        let url = ["--admin-url", "http://127.0.0.1:1"];
        let issuer = ["--issuer", "http://127.0.0.1:2"];
        let file = ["--admin-token-file", "token"];
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[url, issuer, file].concat()), None);
        for (given, missing) in [
            ([url, issuer], file[0]),
            ([url, file], issuer[0]),
            ([issuer, file], url[0]),
        ] {
            let said = said(&given.concat()).unwrap();
            assert!(said.contains(missing), "{said}");
        }
    }
}
