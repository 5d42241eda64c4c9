//! `lanyard config check|show`, and the flags every broker command has for its configuration.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::CliError;
use super::output::{self, Output};
use crate::broker::{federation_settings, read_sealing_key};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError, Settings};
use crate::crypto::seal_ring;
use crate::issue::keys::RootKeyFile;
use crate::issue::proof::oidc::Federation;

/// Flags of settings; each has its variable and its line in the file.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct ConfigFlags {
    /// Configuration file; every setting stands in deploy/lanyard.toml
    #[arg(long, env = "LANYARD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The address callers reach the broker at [env: LANYARD_ISSUER]
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    #[command(flatten)]
    pub places: PlaceFlags,
}

/// Where a broker listens and writes.
#[derive(Clone, Debug, Args)]
pub struct PlaceFlags {
    /// Public listener [env: LANYARD_LISTEN] [default: 127.0.0.1:8420]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Admin listener [env: LANYARD_ADMIN_LISTEN] [default: 127.0.0.1:8421]
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<String>,
    /// Where the log lies [env: LANYARD_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Administrators' Unix socket [env: LANYARD_SOCKET] [default: admin.sock in the data folder]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<String>,
}

impl PlaceFlags {
    /// As settings.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        [
            ("listen", &self.listen),
            ("admin_listen", &self.admin_listen),
            ("data_dir", &self.data_dir),
            ("socket", &self.socket),
        ]
        .into_iter()
        .filter_map(|(key, value)| value.clone().map(|value| (key, value)))
        .collect()
    }
}

impl ConfigFlags {
    /// Gathers everything that was said, by whomever.
    pub fn gather(&self) -> Result<Settings, ConfigError> {
        let file = self.config.as_deref().map(read).transpose()?;
        let mut flags = self.places.settings();
        flags.extend(self.issuer.clone().map(|issuer| ("issuer", issuer)));
        Settings::gather(
            &[],
            self.config.as_deref().zip(file.as_deref()),
            &variables(),
            &flags,
        )
    }
}

/// The text of a configuration file.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// The process's variables; those that are not Unicode cannot be ours.
pub fn variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
        .collect()
}

/// `lanyard config …`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether `lanyard serve` would take it
    Check(ConfigFlags),
    /// Print every setting and where its value came from
    Show(ConfigFlags),
}

/// Runs it.
pub fn run(command: &ConfigCommand, output: Output) -> Result<(), CliError> {
    match command {
        ConfigCommand::Check(flags) => {
            let settings = flags.gather().map_err(|error| CliError::usage(&error))?;
            let config = Config::parse(&settings).map_err(|error| CliError::usage(&error))?;
            config
                .check_serve()
                .and_then(|()| config.check_anchor_folder())
                .map_err(|error| CliError::usage(&error))?;
            check_keys(&config)?;
            Federation::open(&federation_settings(&config), SystemClock.now())
                .map_err(|error| CliError::usage(&error))?;
            for files in config.tls.iter().chain(&config.admin_tls) {
                crate::http::tls::Certificate::load(files)
                    .map_err(|error| CliError::usage(&error))?;
            }
            output.print(&json!({"ok": true}), |_| {
                "the configuration is good".to_owned()
            });
        }
        ConfigCommand::Show(flags) => {
            let settings = flags.gather().map_err(|error| CliError::usage(&error))?;
            show(&settings, output);
        }
    }
    Ok(())
}

/// Opens what a broker would open: that the keys are there, nobody else's to read, and keys.
fn check_keys(config: &Config) -> Result<(), CliError> {
    let open = |key| seal_ring::open(&config.data_dir, &read_sealing_key(key)?);
    let seal = config.seal_key.as_ref().map(open);
    let seal = seal.transpose().map_err(|error| CliError::usage(&error))?;
    if let Some(file) = &config.root_key_file {
        RootKeyFile::at(file)
            .read(seal.as_ref())
            .map_err(|error| CliError::usage(&error))?;
    }
    Ok(())
}

/// As TOML with dotted keys, so that it can be a configuration file itself.
fn show(settings: &Settings, output: Output) {
    let rows: Vec<_> = settings
        .iter()
        .map(|(setting, value)| {
            json!({
                "setting": setting.key,
                "value": value.map(|value| displayed(&value.text)),
                "origin": value.map_or_else(|| "not set".to_owned(), |value| value.origin.to_string()),
                "variable": setting.variable(),
                "help": setting.help,
            })
        })
        .collect();
    if output.json {
        output::data(json!({ "settings": rows }));
        return;
    }
    for (setting, value) in settings.iter() {
        match value {
            Some(value) => {
                let text = toml::Value::String(displayed(&value.text));
                output::data(format_args!("{} = {text}  # {}", setting.key, value.origin));
            }
            None => output::data(format_args!("# {} is not set", setting.key)),
        }
    }
}

/// A value as it may be shown: without the user and password of an address, which a broker refuses but
/// somebody may have written.
fn displayed(text: &str) -> String {
    let words: Vec<String> = text.split(' ').map(displayed_word).collect();
    words.join(" ")
}

fn displayed_word(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{path}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        assert_eq!(
            displayed("http://me:secret@host:1/x"),
            "http://***@host:1/x"
        );
        assert_eq!(displayed("http://host/x@y"), "http://host/x@y");
        assert_eq!(
            displayed("https://a https://me:secret@b"),
            "https://a https://***@b"
        );
        assert_eq!(displayed("/var/lib/lanyard"), "/var/lib/lanyard");
    }
}
