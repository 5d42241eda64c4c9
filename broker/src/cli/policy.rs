//! `lanyard policy …`: policies as files, tried without a broker, and those that a broker decides by.
//!
//! Exit codes: 0 all is well, 1 something differs, fails or is stale, 2 something cannot be read.

mod check;
mod diff;
mod explain;
mod folder;
mod matrix;
pub(super) mod requests;
mod test;
mod tighten;

use clap::Subcommand;

use super::output::Output;
use super::{CliError, admin, stored};

/// `lanyard policy …`.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Exit codes: 0 all is well, 1 something differs, fails or is stale, 2 something cannot be read."
)]
pub enum PolicyCommand {
    /// Say whether a folder of policies parses, fits its schema, and has nothing suspicious in it
    Check(folder::Folder),
    /// Try every case of a folder
    Test(test::TestArgs),
    /// Say why a request is given, or why not
    Explain(Box<explain::ExplainArgs>),
    /// Write who could have what into the folder's matrix.txt
    Matrix(matrix::MatrixArgs),
    /// Say what the policies of another folder would change
    Diff(diff::DiffArgs),
    /// Say what identities have and do not use, and write a patch that takes it from them
    Tighten(tighten::TightenArgs),
    /// Say which policies a running broker decides by, since when, and who had them read
    Show(admin::PoliciesArgs),
    /// Have a running broker read its policies again; broken ones change nothing
    Reload(admin::PoliciesArgs),
    /// List what identities are registered for and have not used for long (asks a running broker)
    Unused(admin::UnusedRightsArgs),
    /// Print the requests of the last days out of the log, for `diff` and `tighten`
    Requests(stored::Stored<requests::RequestsArgs>),
}

/// Runs it.
pub fn run(command: &PolicyCommand, output: Output) -> Result<(), CliError> {
    match command {
        PolicyCommand::Check(folder) => check::run(folder, output),
        PolicyCommand::Test(args) => test::run(args, output),
        PolicyCommand::Explain(args) => explain::run(args, output),
        PolicyCommand::Matrix(args) => matrix::run(args, output),
        PolicyCommand::Diff(args) => diff::run(args, output),
        PolicyCommand::Show(args) => admin::run::<admin::ShowPolicies>(args.clone(), output),
        PolicyCommand::Reload(args) => admin::run::<admin::ReloadPolicies>(args.clone(), output),
        PolicyCommand::Unused(args) => admin::run::<admin::UnusedRights>(args.clone(), output),
        PolicyCommand::Tighten(args) => tighten::run(args, output),
        PolicyCommand::Requests(command) => stored::requests(command),
    }
}
