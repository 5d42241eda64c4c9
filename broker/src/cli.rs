//! The command line: noun, verb; data on standard output, messages on standard error.
//!
//! Exit codes: 0 done, 1 it did not work, 2 it was asked wrongly (usage or configuration). Secrets are
//! never arguments: they come from files or are printed once.

pub mod admin;
pub mod apply;
pub mod backup;
pub mod client;
pub mod config;
pub mod demo;
pub mod dev;
pub mod exec;
pub mod output;
pub mod policy;
pub mod probe;
pub mod root;
pub mod seal;
pub mod serve;
pub mod store;
pub mod stored;
pub mod token_file;

use std::ffi::OsString;
use std::fmt::Display;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use output::Output;

/// Short-lived credentials for services, integrations and agents: issued, watched, pulled back.
#[derive(Debug, Parser)]
#[command(
    name = "lanyard",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(after_help = "Begin with `lanyard dev`: a broker for trying out, on this machine only.")]
pub struct Cli {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a broker
    Serve(serve::ServeArgs),
    /// Run a broker for trying out: loopback only, keys made on the spot, a demo identity
    Dev(dev::DevArgs),
    /// See the whole loop in a minute: baselines, a thief, a verdict, a recycled token
    Demo(demo::DemoArgs),
    /// The root sealing key, under which everything stored is encrypted
    #[command(subcommand)]
    Seal(seal::SealCommand),
    /// The root key, which delegates to signing keys and is pinned by gateways
    #[command(subcommand)]
    Root(root::RootCommand),
    /// Those who answer for identities
    Owner(admin::Noun<admin::OwnerCommand>),
    /// Services, integrations and agents
    Identity(admin::Noun<admin::IdentityCommand>),
    /// API keys, with which identities get tokens
    Key(admin::Noun<admin::KeyCommand>),
    /// What descends from what
    Lineage(admin::Noun<admin::LineageCommand>),
    /// What administrators are asked to approve, by the hash of what they are shown
    Approval(admin::Noun<admin::ApprovalCommand>),
    /// Gateways, which verify tokens and report what they see
    Gateway(admin::Noun<admin::GatewayCommand>),
    /// Run a program that cannot ask for tokens with one that is kept fresh
    Exec(exec::ExecArgs),
    /// Access tokens
    Token(admin::Noun<admin::TokenCommand>),
    /// Signing keys
    SigningKey(admin::Noun<admin::SigningKeyCommand>),
    /// Verdicts about identities that left their baseline
    Drift(admin::Noun<admin::DriftCommand>),
    /// Credentials of third parties: kept sealed, never shown
    Secret(admin::Noun<admin::SecretCommand>),
    /// What egress may call at third parties, with which secret
    Integration(admin::Noun<admin::IntegrationCommand>),
    /// Keys and credentials that were found where they do not belong
    Leak(admin::Noun<admin::LeakCommand>),
    /// How those credentials are exchanged at third parties, so that nothing breaks
    Rotation(admin::Noun<admin::RotationCommand>),
    /// Policies as files: check, test, explain, compare; no broker needed
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Make owners, identities and gateways what files say
    Apply(apply::ApplyArgs),
    /// How long a revocation takes here: canaries that are minted, revoked and refused
    Probe(probe::ProbeArgs),
    /// How the broker is doing
    Status(admin::StatusArgs),
    /// A one-hour administrator's token for the admin listener (through the Unix socket only)
    AdminToken(admin::AdminTokenArgs),
    /// Look after the log on disk
    Store(stored::Stored<store::StoreArgs>),
    /// Copy the log, also while a broker runs
    Backup(stored::Stored<backup::BackupArgs>),
    /// Put a copy of the log in place
    Restore(stored::Stored<backup::RestoreArgs>),
    /// Look at a configuration without starting anything
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Completions for a shell, on standard output
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Why a command did not do its work, in words; and what to try next.
#[derive(Debug)]
pub enum CliError {
    /// It was asked wrongly: exit code 2.
    Usage(String),
    /// It did not work: exit code 1.
    Failed(String),
    /// Nobody answers, or the answer broke off: exit code 1.
    Unreachable(String),
    /// The broker refused, with this HTTP status: exit code 1.
    Refused {
        /// Why.
        words: String,
        /// The status.
        status: u16,
    },
}

impl CliError {
    /// Why, in words.
    pub fn words(&self) -> &str {
        match self {
            Self::Usage(words)
            | Self::Failed(words)
            | Self::Unreachable(words)
            | Self::Refused { words, .. } => words,
        }
    }

    /// Whether it may be over by itself in a moment: a broker that starts anew, or has no space right now.
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::Refused { status: 503, .. }
        )
    }

    /// It did not work, because of an error and all it came from.
    pub fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Failed(chain(error))
    }

    /// It was asked wrongly, because of an error and all it came from.
    pub fn usage(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Usage(chain(error))
    }

    /// Something could not be done.
    pub fn cannot(what: impl Display, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Failed(format!("cannot {what}: {}", chain(error)))
    }
}

/// Runs what was asked for.
pub fn run() -> ExitCode {
    let cli = parsed();
    let output = Output { json: cli.json };
    let done = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Dev(args) => dev::run(&args, output),
        Command::Demo(args) => demo::run(&args, output),
        Command::Seal(command) => seal::run(&command, output),
        Command::Root(command) => root::run(&command, output),
        Command::Owner(noun) => admin::run(noun, output),
        Command::Identity(noun) => admin::run(noun, output),
        Command::Key(noun) => admin::run(noun, output),
        Command::Lineage(noun) => admin::run(noun, output),
        Command::Approval(noun) => admin::run_approval(noun, output),
        Command::Gateway(noun) => admin::run(noun, output),
        Command::Exec(args) => match exec::run(args) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Token(noun) => admin::run_token(noun, output),
        Command::SigningKey(noun) => admin::run(noun, output),
        Command::Drift(noun) => admin::run(noun, output),
        Command::Integration(noun) => admin::run(noun, output),
        Command::Leak(noun) => admin::run_leak(noun, output),
        Command::Secret(noun) => admin::secret::run(noun, output),
        Command::Rotation(noun) => admin::run(noun, output),
        Command::Policy(command) => policy::run(&command, output),
        Command::Apply(args) => apply::run(&args, output),
        Command::Probe(args) => probe::run(&args, output),
        Command::Status(args) => admin::run::<admin::Status>(args, output),
        Command::AdminToken(args) => admin::run::<admin::AdminToken>(args, output),
        Command::Store(command) => stored::check(&command, output),
        Command::Backup(command) => stored::backup(&command, output),
        Command::Restore(command) => stored::restore(&command, output),
        Command::Config(command) => config::run(&command, output),
        Command::Completion { shell } => {
            // Written at once, by us: the generator itself panics when a reader goes away.
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lanyard", &mut text);
            output::data(String::from_utf8_lossy(&text).trim_end());
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (words, status, code) = match error {
                CliError::Failed(words) | CliError::Unreachable(words) => (words, None, 1),
                CliError::Refused { words, status } => (words, Some(status), 1),
                CliError::Usage(words) => (words, None, 2),
            };
            output.error(&words, status);
            ExitCode::from(code)
        }
    }
}

/// The command line, or what is wrong with it. `--json` is looked for by hand: when the line cannot be
/// read, nobody has read the flag either.
fn parsed() -> Cli {
    let error = match Cli::try_parse() {
        Ok(cli) => return cli,
        Err(error) => error,
    };
    // Help and version are asked for; a command without its verb is answered with its help.
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        error.exit();
    }
    if error.kind() == ErrorKind::UnknownArgument && is_of_a_value(std::env::args_os()) {
        let output = Output {
            json: std::env::args_os().any(|argument| argument == "--json"),
        };
        output.error(NO_ARGUMENT, None);
        std::process::exit(2);
    }
    // The usage line repeats what was given, and a variable counts as given there: said without them.
    let error = match without_variables(Cli::command()).try_get_matches() {
        Err(plain) if plain.kind() == error.kind() => plain,
        _ => error,
    };
    if std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        let words = text.split("\n\n").next().unwrap_or_default();
        let words = words.trim_start_matches("error: ").split_whitespace();
        let output = Output { json: true };
        output.error(&words.collect::<Vec<_>>().join(" "), None);
        std::process::exit(2);
    }
    error.exit()
}

/// What was given may be the value itself, and is not said again.
const NO_ARGUMENT: &str = "`lanyard secret put` takes a name and options, and no value: whoever lists processes would see it. Put the value \
                           by `--file FILE` or standard input (`lanyard secret put --help`); if one was just typed, exchange it";

/// Whether somebody may have given the value of a secret as an argument.
fn is_of_a_value(arguments: impl Iterator<Item = OsString>) -> bool {
    let words: Vec<OsString> = arguments.collect();
    words
        .windows(2)
        .any(|pair| matches!(pair, [secret, put] if secret == "secret" && put == "put"))
}

fn without_variables(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| argument.env(None::<&'static str>))
        .mut_subcommands(without_variables)
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        source = cause.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
