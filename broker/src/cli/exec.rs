//! `lanyard exec`: a program that knows nothing of Lanyard, with a token it can use.
//!
//! ```text
//! key file ─► token ─► file (0600, kept fresh) ─► LANYARD_TOKEN_FILE of the program
//!                └──► {token} in a variable of the program: for what ends before the token does
//! ```
//! The key stays here: neither the program's arguments nor its variables have it, nor the name of its file. Signals
//! are passed on, and the program's exit code is this command's. Whoever kills this command with SIGKILL leaves the
//! file behind, with a token that ends by itself.

mod program;
mod template;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use lanyard_token::integration::IntegrationName;
use lanyard_token::{Audience, Scope};
use reqwest::Url;

use super::CliError;
use super::client::is_confidential;
use super::output;
use super::token_file::{Kept, Key, Minting, refused, runtime};
use program::{Program, Unstartable};
use template::{Values, Variable};

/// `lanyard exec`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["audience", "integrations"]))]
pub struct ExecArgs {
    #[command(flatten)]
    minting: Minting,
    /// For whom the token is; with --integration, the egress URL where nothing is said
    #[arg(long, value_name = "URI")]
    audience: Option<Audience>,
    /// An integration that the program uses through egress (scope NAME:use); again for each further one
    #[arg(long = "integration", value_name = "NAME", requires = "egress_url")]
    integrations: Vec<IntegrationName>,
    /// Where egress is
    #[arg(long, env = "LANYARD_EGRESS_URL", value_name = "URL")]
    egress_url: Option<Url>,
    /// A variable of the program, in which {token}, {token_file}, {url} and {url:NAME} are put in: {url} is where its
    /// integration is at egress. A token in a variable is not renewed
    #[arg(long = "env", value_name = "NAME=VALUE")]
    variables: Vec<Variable>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Said by shells of a program that is not there, and of one that cannot be started.
const NOT_FOUND: u8 = 127;
const NOT_STARTED: u8 = 126;

/// Runs it, and ends as it did.
pub fn run(args: ExecArgs) -> Result<ExitCode, CliError> {
    // Not its core dumps' limit, which the program would inherit: only that nobody looks into this process.
    let behaviour = rustix::process::DumpableBehavior::NotDumpable;
    rustix::process::set_dumpable_behavior(behaviour)
        .map_err(|error| CliError::cannot("hide the key from other processes", &error))?;
    let egress = args.egress_url.as_ref().map(egress_text).transpose()?;
    let audience = audience(args.audience, egress.as_deref())?;
    let mut minting = args.minting;
    for name in &args.integrations {
        let scope: Scope = format!("{name}:use")
            .parse()
            .map_err(|error| CliError::usage(&error))?;
        minting.besides(scope);
    }
    let places = Values {
        egress: egress.as_deref(),
        integrations: &args.integrations,
    };
    // What is wrong with them is known before anything is asked for.
    for variable in &args.variables {
        variable.check(&places).map_err(CliError::Usage)?;
    }
    let key = minting.key()?;
    keeps_to_itself(&key, &args.command, &args.variables)?;
    let mut program = Program::new(&args.command).ok_or_else(no_command)?;
    for name in program.forget_secrets(|value| key.is_in(value)) {
        output::message(format_args!(
            "the variable {name} holds the key: the program does not get it"
        ));
    }
    let tokens = minting.tokens(key, audience)?;
    runtime()?.block_on(async {
        let token = tokens.token().await.map_err(|error| refused(&error))?;
        let signals =
            program::Signals::listen().map_err(|error| CliError::cannot("hear signals", &error))?;
        let mut kept = Kept::privately(tokens, &token)?;
        program.set("LANYARD_TOKEN_FILE", kept.path().as_os_str());
        if let Some(url) = &egress {
            program.set("LANYARD_EGRESS_URL", url.as_ref());
        }
        for variable in &args.variables {
            let value = variable
                .fill(&places, token.secret().expose(), kept.path())
                .map_err(CliError::Usage)?;
            program.set(variable.name(), value.as_str().as_ref());
        }
        drop(token);
        let child = match program.start() {
            Ok(child) => child,
            Err(Unstartable { words, is_missing }) => {
                output::message(format_args!("error: {words}"));
                let code = if is_missing { NOT_FOUND } else { NOT_STARTED };
                return Ok(ExitCode::from(code));
            }
        };
        tokio::select! {
            ended = child.wait_for_end(signals) => ended
                .map(ExitCode::from)
                .map_err(|error| CliError::cannot("wait for the program", &error)),
            // It never ends.
            () = kept.keep(None) => Ok(ExitCode::FAILURE),
        }
    })
}

fn no_command() -> CliError {
    CliError::Usage("name the program after `--`".to_owned())
}

/// Without the slash at its end, so that paths can be put behind it.
fn egress_text(url: &Url) -> Result<String, CliError> {
    if !is_confidential(url) || !matches!(url.scheme(), "http" | "https") {
        return Err(CliError::Usage(format!(
            "`{url}` would get tokens unencrypted: use https"
        )));
    }
    let names_user = !url.username().is_empty() || url.password().is_some();
    if url.query().is_some() || url.fragment().is_some() || names_user {
        return Err(CliError::Usage(
            "--egress-url is a URL without user, query and fragment".to_owned(),
        ));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn audience(said: Option<Audience>, egress: Option<&str>) -> Result<Audience, CliError> {
    match (said, egress) {
        (Some(audience), _) => Ok(audience),
        (None, Some(url)) => url.parse().map_err(|error| CliError::usage(&error)),
        (None, None) => Err(CliError::Usage("name an --audience".to_owned())),
    }
}

/// Arguments stand in every process list, and variables go on to whatever the program starts.
fn keeps_to_itself(
    key: &Key,
    command: &[OsString],
    variables: &[Variable],
) -> Result<(), CliError> {
    let arguments = command.iter().map(|part| part.as_encoded_bytes());
    let values = variables.iter().map(|variable| variable.text().as_bytes());
    if arguments.chain(values).any(|text| key.is_in(text)) {
        return Err(CliError::Usage(
            "the key is on the command line, where everybody reads it: end it with `lanyard key revoke`, and give the \
             program {token} instead"
                .to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_egress_holds_no_credential() {
        for url in [
            "https://me@egress.example",
            "https://:word@egress.example",
            "https://egress.example/?key=x",
            "https://egress.example/#x",
            "http://egress.example",
        ] {
            let url: Url = url.parse().unwrap();
            assert!(egress_text(&url).is_err(), "{url}");
        }
        let url: Url = "https://egress.example/".parse().unwrap();
        assert_eq!(egress_text(&url).ok().unwrap(), "https://egress.example");
    }
}
