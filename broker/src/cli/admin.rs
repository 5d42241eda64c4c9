//! Commands that are one call to a broker's administration.

mod approval;
mod drift;
mod gateway;
mod identity;
pub(in crate::cli) mod integration;
mod key;
mod leak;
mod lineage;
mod policies;
mod rights;
mod rotation;
pub mod secret;
mod token;

use std::path::Path;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::CliError;
use super::client::{Connect, Local, Way};
use super::output::{self, Output};
pub use approval::{ApprovalCommand, Ask, run as run_approval};
pub use drift::DriftCommand;
pub use gateway::GatewayCommand;
pub use identity::{IdentityCommand, OwnerCommand};
pub use integration::IntegrationCommand;
pub use key::{KeyCommand, SigningKeyCommand};
pub use leak::{LeakCommand, run as run_leak};
pub use lineage::LineageCommand;
pub use policies::{PoliciesArgs, ReloadPolicies, ShowPolicies};
pub use rights::{UnusedRights, UnusedRightsArgs};
pub use rotation::RotationCommand;
pub use secret::SecretCommand;
pub use token::{TokenCommand, run as run_token};

/// A noun, its verbs, and which broker.
#[derive(Debug, Args)]
pub struct Noun<C: Subcommand> {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    command: C,
}

/// A command, once it is known which broker.
pub struct Asked<C> {
    way: Way,
    command: C,
}

/// `lanyard status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    connect: Connect,
}

/// `lanyard admin-token`.
#[derive(Debug, Args)]
pub struct AdminTokenArgs {
    /// Write the token to a new file that only you can read, instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<std::path::PathBuf>,
    #[command(flatten)]
    local: Local,
}

/// One call, and how its answer looks to people.
pub struct Call {
    method: Method,
    path: String,
    body: Option<Value>,
    text: fn(&Value) -> String,
    secret: Option<Secret>,
    verdict: fn(&Value) -> Result<(), CliError>,
    drawing: Option<Drawing>,
    /// Whether the answer is lines of any number, passed on as they come.
    lines: bool,
}

/// A file, and what is drawn into it from the answer.
struct Drawing {
    file: std::path::PathBuf,
    draw: fn(&Value) -> Result<String, String>,
}

/// A member of the answer that is a secret, and the file it goes to.
struct Secret {
    member: Option<&'static str>,
    out: Option<std::path::PathBuf>,
}

impl Call {
    fn get(path: impl Into<String>, text: fn(&Value) -> String) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            body: None,
            text,
            secret: None,
            verdict: |_| Ok(()),
            drawing: None,
            lines: false,
        }
    }

    /// An answer of lines.
    fn lines(path: impl Into<String>) -> Self {
        Self {
            lines: true,
            ..Self::get(path, output::members)
        }
    }

    fn post(path: impl Into<String>, body: Value, text: fn(&Value) -> String) -> Self {
        Self {
            method: Method::POST,
            body: Some(body),
            ..Self::get(path, text)
        }
    }

    /// Draws the answer into a file as well.
    fn drawn(
        mut self,
        file: std::path::PathBuf,
        draw: fn(&Value) -> Result<String, String>,
    ) -> Self {
        self.drawing = Some(Drawing { file, draw });
        self
    }

    /// An answer may say that nothing came of it; it is printed all the same.
    fn verdict(mut self, verdict: fn(&Value) -> Result<(), CliError>) -> Self {
        self.verdict = verdict;
        self
    }

    /// The whole answer, or one member of it, is a secret.
    fn secret(mut self, member: Option<&'static str>, out: &Option<std::path::PathBuf>) -> Self {
        self.secret = Some(Secret {
            member,
            out: out.clone(),
        });
        self
    }
}

/// What a command asks of the broker.
pub trait Asks {
    /// As one call.
    fn call(&self) -> Result<Call, CliError>;
}

impl<C: Subcommand> From<Noun<C>> for Asked<C> {
    fn from(noun: Noun<C>) -> Self {
        Self {
            way: Way::Any(noun.connect),
            command: noun.command,
        }
    }
}

/// `GET /v1/status`.
pub struct Status;

impl From<StatusArgs> for Asked<Status> {
    fn from(args: StatusArgs) -> Self {
        Self {
            way: Way::Any(args.connect),
            command: Status,
        }
    }
}

impl Asks for Status {
    fn call(&self) -> Result<Call, CliError> {
        Ok(Call::get("v1/status", output::members))
    }
}

/// `POST /v1/admin-token`.
pub struct AdminToken(Option<std::path::PathBuf>);

impl From<AdminTokenArgs> for Asked<AdminToken> {
    fn from(args: AdminTokenArgs) -> Self {
        Self {
            way: Way::SocketOnly(args.local),
            command: AdminToken(args.out),
        }
    }
}

impl Asks for AdminToken {
    fn call(&self) -> Result<Call, CliError> {
        Ok(Call::post("v1/admin-token", json!({}), |answer| {
            text_of(answer, "token").to_owned()
        })
        .secret(Some("token"), &self.0))
    }
}

/// Calls and prints.
pub fn run<C: Asks>(asked: impl Into<Asked<C>>, output: Output) -> Result<(), CliError> {
    let asked = asked.into();
    let call = asked.command.call()?;
    if let Some(path) = call.secret.as_ref().and_then(|secret| secret.out.as_ref())
        && path.exists()
    {
        // Asked before anything is made: a key that cannot be written down is lost.
        return Err(CliError::Failed(format!(
            "`{}` exists already: name a new file",
            path.display()
        )));
    }
    let client = asked.way.client()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::cannot("start", &error))?;
    if call.lines {
        return runtime.block_on(client.pass_on(&call.path, &mut std::io::stdout().lock()));
    }
    let mut answer = runtime.block_on(client.call(call.method, &call.path, call.body.as_ref()))?;
    if let Some(Secret {
        member,
        out: Some(path),
    }) = &call.secret
    {
        let secret = match member {
            Some(member) => answer.get_mut(*member).map(Value::take),
            None => Some(answer.clone()),
        };
        write_secret(path, &secret.unwrap_or_default())?;
        output::message(format_args!(
            "written to `{}`, readable by you alone",
            path.display()
        ));
        if let (Some(member), Some(object)) = (member, answer.as_object_mut()) {
            object.remove(*member);
            output.print(&answer, output::members);
        }
        return Ok(());
    }
    output.print(&answer, call.text);
    if let Some(Drawing { file, draw }) = &call.drawing {
        let drawn = draw(&answer).map_err(CliError::Failed)?;
        std::fs::write(file, drawn).map_err(|error| {
            CliError::cannot(format_args!("write `{}`", file.display()), &error)
        })?;
        output::message(format_args!("drawn into `{}`", file.display()));
    }
    (call.verdict)(&answer)
}

/// A new file of mode 0600; never an old one.
fn write_secret(path: &Path, secret: &Value) -> Result<(), CliError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let text = match secret {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    };
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| writeln!(file, "{text}"))
        .map_err(|error| CliError::cannot(format_args!("write `{}`", path.display()), &error))
}

fn text_of<'a>(answer: &'a Value, member: &str) -> &'a str {
    answer.get(member).and_then(Value::as_str).unwrap_or("-")
}

/// The list in an answer's member, as a table.
fn listed(answer: &Value, member: &str, columns: &[&str]) -> String {
    output::table(items(answer, member), columns)
}

/// The list in an answer's member; none is an empty one.
fn items<'a>(answer: &'a Value, member: &str) -> &'a [Value] {
    let list = answer.get(member).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// Ids and names go into a path; both have an alphabet that needs no escaping.
fn segment(id: &str) -> Result<&str, CliError> {
    if id.starts_with("lyk_") || id.starts_with("eyJ") {
        // Not repeated: it would stand in the terminal's history and in a log of the caller.
        return Err(CliError::Usage(
            "that is a secret: give an id or a name".to_owned(),
        ));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !id.is_empty() && id.len() <= 64 && id.chars().all(plain) && !id.starts_with('.') {
        Ok(id)
    } else {
        Err(CliError::Usage(format!(
            "`{id}` is neither an id nor a name"
        )))
    }
}
