//! `lanyard serve`: a broker, until it is told to stop.

use std::sync::Arc;

use clap::Args;

use super::CliError;
use super::config::ConfigFlags;
use super::output;
use crate::broker::signals;
use crate::broker::{self, Broker, Doors};
use crate::clock::SystemClock;
use crate::config::{Config, ConfigError};
use crate::telemetry;

/// `lanyard serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    flags: ConfigFlags,
}

/// Runs it.
pub fn run(args: &ServeArgs) -> Result<(), CliError> {
    let config = configuration(&args.flags)?;
    let runtime =
        tokio::runtime::Runtime::new().map_err(|error| CliError::cannot("start", &error))?;
    let served = runtime.block_on(async {
        let telemetry = telemetry::start(&(&config.telemetry).into())
            .map_err(|error| CliError::usage(&error))?;
        broker::no_dumps();
        let served = serve(config, &args.flags).await;
        tokio::task::spawn_blocking(move || telemetry.stop())
            .await
            .map_err(|error| CliError::cannot("end telemetry", &error))?;
        served
    });
    // Connections that outlived the grace period must not hold the process.
    runtime.shutdown_background();
    served
}

async fn serve(config: Config, flags: &ConfigFlags) -> Result<(), CliError> {
    let doors = Doors::bind(&config).map_err(|error| CliError::failed(&error))?;
    let broker = Broker::open(config, Arc::new(SystemClock))
        .await
        .map_err(|error| CliError::failed(&error))?;
    let reload = flags.clone();
    let signals = signals::listen(move || reload_configuration(&reload))
        .map_err(|error| CliError::cannot("listen for signals", &error))?;
    let ready = || tracing::info!("ready");
    broker
        .run(doors, signals, ready)
        .await
        .map_err(|error| CliError::failed(&error))
}

fn configuration(flags: &ConfigFlags) -> Result<Config, CliError> {
    let settings = flags.gather().map_err(|error| CliError::usage(&error))?;
    let config = Config::parse(&settings).map_err(|error| incomplete(&error, flags))?;
    config
        .check_serve()
        .map_err(|error| incomplete(&error, flags))?;
    Ok(config)
}

/// Without a file something is always missing, and the file is what to give, not one setting more.
fn incomplete(error: &ConfigError, flags: &ConfigFlags) -> CliError {
    match (CliError::usage(error), error) {
        (CliError::Usage(words), ConfigError::Required { .. }) if flags.config.is_none() => {
            CliError::Usage(format!(
                "{words}; give `--config FILE` (see deploy/lanyard.toml); to try things out: `lanyard dev`"
            ))
        }
        (other, _) => other,
    }
}

/// A file that became wrong is said aloud, and what was read before stays in force.
fn reload_configuration(flags: &ConfigFlags) -> Option<Config> {
    match configuration(flags) {
        Ok(config) => Some(config),
        Err(error) => {
            output::message(format_args!(
                "error: the configuration is not read again: {}",
                error.words()
            ));
            None
        }
    }
}
