//! `lanyard dev`: a broker for trying out. Loopback only, its keys made on the spot.

mod folder;
mod newcomer;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::CliError;
use super::config::{PlaceFlags, variables};
use super::output::{self, Output};
use crate::broker::signals;
use crate::broker::{self, Broker};
use crate::clock::SystemClock;
use crate::config::{Config, ConfigError, Settings};
use crate::crypto::SealingRoot;
use crate::issue::keys::RootKeyFile;
use crate::telemetry;
use folder::Folder;

/// `lanyard dev`.
#[derive(Debug, Args)]
pub struct DevArgs {
    #[command(flatten)]
    places: PlaceFlags,
}

/// Runs it.
pub fn run(args: &DevArgs, output: Output) -> Result<(), CliError> {
    let runtime =
        tokio::runtime::Runtime::new().map_err(|error| CliError::cannot("start", &error))?;
    let served = runtime.block_on(serve(args, output));
    runtime.shutdown_background();
    served
}

async fn serve(args: &DevArgs, output: Output) -> Result<(), CliError> {
    let (config, mut folder) = prepare(args)?;
    let telemetry =
        telemetry::start(&(&config.telemetry).into()).map_err(|error| CliError::usage(&error))?;
    broker::no_dumps();
    let (config, doors) = folder.open_doors(config)?;
    let place = folder.path.clone();
    let admin_url = format!(
        "http://{}",
        doors
            .admin_address()
            .map_err(|error| CliError::failed(&error))?
    );
    // All that can have changed on a signal is what stands in the files that it names.
    let same = config.clone();
    // Before there is a log: one without this would be taken for another broker's.
    folder.remember()?;
    let broker = Broker::open(config, Arc::new(SystemClock))
        .await
        .map_err(|error| CliError::failed(&error))?;
    let welcome = newcomer::welcome(broker.issue(), admin_url, place).await?;
    let wishes = signals::listen(move || Some(same.clone()))
        .map_err(|error| CliError::cannot("listen for signals", &error))?;
    let ready = || welcome.print(output);
    let served = broker
        .run(doors, wishes, ready)
        .await
        .map_err(|error| CliError::failed(&error));
    tokio::task::spawn_blocking(move || telemetry.stop())
        .await
        .map_err(|error| CliError::cannot("end telemetry", &error))?;
    if !output.json {
        output::message(format_args!(
            "stopped; `lanyard dev --data-dir {}` goes on from here",
            folder.path.display()
        ));
    }
    served
}

/// Folder, keys and configuration; nothing is opened yet.
fn prepare(args: &DevArgs) -> Result<(Config, Folder), CliError> {
    let mut flags = args.places.settings();
    let said = Settings::gather(&[], None, &variables(), &flags)
        .map_err(|error| CliError::usage(&error))?;
    let said_folder = said.said("data_dir").map(PathBuf::from);
    let folder = Folder::open(said_folder, said.said("listen"), said.said("admin_listen"))?;
    let (seal, root) = (folder.path.join("seal.key"), folder.path.join("root.key"));
    make_keys(&folder, &seal, &root)?;
    flags.retain(|(key, _)| !matches!(*key, "data_dir" | "listen" | "admin_listen"));
    flags.extend([
        ("data_dir", folder.path.display().to_string()),
        ("listen", folder.listen.to_string()),
        ("admin_listen", folder.admin_listen.to_string()),
        (
            "issuer",
            folder
                .issuer
                .clone()
                .unwrap_or_else(|| format!("http://{}", folder.listen)),
        ),
        ("seal.key_file", seal.display().to_string()),
        ("trust.root_key_file", root.display().to_string()),
    ]);
    let defaults = [("telemetry.log", "warn".to_owned())];
    let settings = Settings::gather(&defaults, None, &variables(), &flags)
        .map_err(|error| CliError::usage(&error))?;
    let config = Config::parse(&settings).map_err(|error| CliError::usage(&error))?;
    loopback_only("--listen", config.listen)?;
    loopback_only("--admin-listen", config.admin_listen)?;
    Ok((config, folder))
}

/// The keys of a fresh folder. Beside a log none are made: a new sealing key could not read it, and
/// gateways would not believe a new root key.
fn make_keys(folder: &Folder, seal: &Path, root: &Path) -> Result<(), CliError> {
    let missing = [seal, root].into_iter().find(|key| !key.exists());
    if let Some(missing) = missing
        && folder.has_log()
    {
        return Err(CliError::Failed(format!(
            "`{}` holds a log, and its key `{}` is gone: put the key back, or take another --data-dir",
            folder.path.display(),
            missing.display()
        )));
    }
    if !seal.exists() {
        SealingRoot::generate(seal).map_err(|error| CliError::failed(&error))?;
    }
    if !root.exists() {
        RootKeyFile::at(root)
            .generate(None)
            .map_err(|error| CliError::failed(&error))?;
    }
    Ok(())
}

fn loopback_only(flag: &'static str, address: SocketAddr) -> Result<(), CliError> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let why = format!(
        "is `{address}`: `lanyard dev` listens on loopback only; others reach a broker of `lanyard serve`"
    );
    Err(CliError::usage(&ConfigError::refused(
        if flag == "--listen" {
            "listen"
        } else {
            "admin_listen"
        },
        why,
    )))
}
