//! Configuration: read once at the start, checked whole, and refused in words that name the setting.
//!
//! ```text
//! flag  >  LANYARD_… variable  >  lanyard.toml  >  default
//! ```
//! [`table`] names them, [`settings`] gathers texts with their origins; here they become types that cannot be wrong.

mod error;
mod federation;
mod issuer;
pub mod settings;
pub mod table;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lanyard_token::Algorithm;
use url::Url;

pub use error::ConfigError;
pub use federation::{Federation, ForeignIssuer};
pub use issuer::Issuer;
pub use settings::{Origin, Settings};

/// Everything a broker is told at the start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who issues: the `iss` of every token, and the base of the metadata's addresses.
    pub issuer: Issuer,
    /// Where the public listener is bound.
    pub listen: SocketAddr,
    /// Where the admin listener is bound.
    pub admin_listen: SocketAddr,
    /// Where the log and its index lie.
    pub data_dir: PathBuf,
    /// The administrators' Unix socket.
    pub socket: PathBuf,
    /// A proxy in front ends TLS and says in `X-Forwarded-For` where callers come from.
    pub behind_proxy: bool,
    /// Certificate of the public listener.
    pub tls: Option<TlsFiles>,
    /// Certificate of the admin listener.
    pub admin_tls: Option<TlsFiles>,
    /// The root sealing key.
    pub seal_key: Option<SealKey>,
    /// The private root key that signs delegations.
    pub root_key_file: Option<PathBuf>,
    /// A second copy of the log's head, on another disk: with it, an older copy of the whole data
    /// folder is noticed.
    pub anchor_file: Option<PathBuf>,
    /// Bytes written ahead so that revocations never wait for space.
    pub reserve_bytes: u64,
    /// What signs access tokens.
    pub algorithm: Algorithm,
    /// Lifetime of a token nobody asked a lifetime for.
    pub lifetime: Duration,
    /// Longest lifetime of any token.
    pub max_lifetime: Duration,
    /// The folder of policies; none: everybody gets what it was registered for.
    pub policy_bundle: Option<PathBuf>,
    /// Whose tokens may be proof beside keys.
    pub federation: Federation,
    /// Public keys that GitHub signs reports of leaks with.
    pub github_keys_file: Option<PathBuf>,
    /// Whole days without use after which an identity is disabled; `None`: never.
    pub unused_days: Option<u64>,
    /// Whether statistics only write down what they would have done.
    pub drift: Drift,
    /// What keeps one caller from starving the others.
    pub limits: Limits,
    /// Logs and OTLP.
    pub telemetry: Telemetry,
}

/// Where the root sealing key is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealKey {
    /// In this file, mode 0400.
    File(PathBuf),
    /// In the environment variable of this name: for development.
    Variable(String),
}

impl SealKey {
    /// As it was said; `None`: it was not.
    pub fn said(settings: &Settings) -> Result<Option<Self>, ConfigError> {
        let file = settings.path("seal.key_file")?;
        let variable = settings.text("seal.key_variable").map(str::to_owned);
        match (file, variable) {
            (Some(_), Some(_)) => Err(ConfigError::refused(
                "seal.key_variable",
                "and `seal.key_file` are both set: one key, one place",
            )),
            (file, variable) => Ok(file.map(Self::File).or(variable.map(Self::Variable))),
        }
    }
}

/// A certificate chain and its private key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub cert_file: PathBuf,
    /// The private key.
    pub key_file: PathBuf,
}

/// What drift may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Observe or enforce; hard rules are always enforced.
    pub enforce: bool,
    /// Most credentials, identities or owners the engine revokes in one minute.
    pub max_revocations_per_minute: u32,
    /// For how many days closed windows are kept for rehearsals.
    pub windows_days: u32,
    /// Bytes of all recorded windows together.
    pub windows_bytes: u64,
}

/// What keeps one caller from starving the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sustained requests per second of one identity at the OAuth doors.
    pub requests_per_second: u32,
    /// How many it may save up.
    pub burst: u32,
    /// Open connections of one listener.
    pub connections: usize,
    /// How long a client may take to send its request's head.
    pub header_timeout: Duration,
}

/// Logs on standard error, and OTLP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// What is logged, as `tracing_subscriber::EnvFilter` reads it.
    pub log: String,
    /// One JSON object a line instead of text.
    pub log_json: bool,
    /// Where OTLP goes; `None` sends nothing. `OTEL_…` variables are honoured beside it.
    pub otlp_endpoint: Option<String>,
}

impl From<&Telemetry> for crate::telemetry::Settings {
    fn from(told: &Telemetry) -> Self {
        Self {
            otlp_endpoint: told.otlp_endpoint.clone(),
            log: Some(told.log.clone()),
            log_json: told.log_json,
            log_spans: false,
        }
    }
}

impl Config {
    /// Turns texts into a configuration.
    pub fn parse(settings: &Settings) -> Result<Self, ConfigError> {
        let data_dir = settings
            .path("data_dir")?
            .ok_or_else(|| ConfigError::required("data_dir", DATA_DIR_HINT))?;
        let tls = tls_files(settings, "tls.cert_file", "tls.key_file")?;
        let config = Self {
            issuer: settings
                .parsed("issuer")?
                .ok_or_else(|| ConfigError::required("issuer", ISSUER_HINT))?,
            listen: settings.expected("listen")?,
            admin_listen: settings.expected("admin_listen")?,
            socket: settings
                .path("socket")?
                .unwrap_or_else(|| data_dir.join("admin.sock")),
            behind_proxy: settings.expected("behind_proxy")?,
            admin_tls: tls_files(settings, "admin_tls.cert_file", "admin_tls.key_file")?
                .or_else(|| tls.clone()),
            tls,
            seal_key: SealKey::said(settings)?,
            root_key_file: settings.path("trust.root_key_file")?,
            anchor_file: settings.path("store.anchor_file")?,
            reserve_bytes: settings.within("store.reserve_bytes", 64 * 1024, 1 << 30)?,
            algorithm: settings.word(
                "tokens.algorithm",
                &[("ES256", Algorithm::Es256), ("EdDSA", Algorithm::EdDsa)],
            )?,
            lifetime: Duration::from_secs(settings.within(
                "tokens.lifetime",
                1,
                MAX_LIFETIME_SECONDS,
            )?),
            max_lifetime: Duration::from_secs(settings.within(
                "tokens.max_lifetime",
                1,
                MAX_LIFETIME_SECONDS,
            )?),
            policy_bundle: settings.path("policy.bundle")?,
            federation: Federation::parse(settings)?,
            github_keys_file: settings.path("leaks.github_keys_file")?,
            unused_days: Some(settings.within("lifecycle.unused_days", 0, 3_650)?)
                .filter(|days| *days > 0),
            drift: Drift {
                enforce: settings.word("drift.mode", &[("observe", false), ("enforce", true)])?,
                max_revocations_per_minute: number(settings.within(
                    "drift.max_revocations_per_minute",
                    0,
                    100_000,
                )?),
                windows_days: number(settings.within("drift.windows_days", 1, 366)?),
                windows_bytes: settings.within("drift.windows_bytes", 16 << 20, 1 << 40)?,
            },
            limits: Limits {
                requests_per_second: number(settings.within(
                    "limits.requests_per_second",
                    1,
                    1_000_000,
                )?),
                burst: number(settings.within("limits.burst", 1, 1_000_000)?),
                connections: number(settings.within("limits.connections", 8, 1_000_000)?) as usize,
                header_timeout: Duration::from_secs(settings.within(
                    "limits.header_timeout",
                    1,
                    60,
                )?),
            },
            telemetry: Telemetry {
                log: settings.text("telemetry.log").unwrap_or("info").to_owned(),
                log_json: settings
                    .word("telemetry.log_format", &[("text", false), ("json", true)])?,
                otlp_endpoint: otlp_endpoint(settings)?,
            },
            data_dir,
        };
        if config.lifetime > config.max_lifetime {
            return Err(ConfigError::refused(
                "tokens.lifetime",
                "is longer than `tokens.max_lifetime`",
            ));
        }
        config.check_plain_http()?;
        Ok(config)
    }

    /// What `serve` demands beyond a newcomer's broker: keys that are kept apart from the data.
    pub fn check_serve(&self) -> Result<(), ConfigError> {
        let Some(key) = &self.seal_key else {
            return Err(ConfigError::required(
                "seal.key_file",
                "make a key with `lanyard seal init FILE`, on another disk or in a secret store than the data folder",
            ));
        };
        if let SealKey::File(file) = key
            && lies_within(file, &self.data_dir)
        {
            return Err(ConfigError::refused(
                "seal.key_file",
                "lies inside `data_dir`: whoever copies the data would have its key too",
            ));
        }
        if self.root_key_file.is_none() {
            return Err(ConfigError::required(
                "trust.root_key_file",
                "make a root key with `lanyard root init FILE`",
            ));
        }
        Ok(())
    }

    /// Whether the anchor can be kept where it shall lie: asked before there is a log, since a log without
    /// its anchor looks like one that lost it.
    pub fn check_anchor_folder(&self) -> Result<(), ConfigError> {
        use rustix::fs::{Access, access};
        let Some(anchor) = &self.anchor_file else {
            return Ok(());
        };
        let folder = folder_of(anchor);
        if folder == self.data_dir {
            return Ok(());
        }
        let refused = |why| Err(ConfigError::refused("store.anchor_file", why));
        if !folder.is_dir() {
            return refused(format!(
                "lies in `{}`, which is not a folder: make it first",
                folder.display()
            ));
        }
        let (place, needed) = if anchor.exists() {
            (anchor.as_path(), Access::WRITE_OK)
        } else {
            (folder, Access::WRITE_OK | Access::EXEC_OK)
        };
        match access(place, needed) {
            Ok(()) => Ok(()),
            Err(error) => refused(format!("cannot be written: `{}`: {error}", place.display())),
        }
    }

    /// Tokens and keys never cross a network unencrypted.
    fn check_plain_http(&self) -> Result<(), ConfigError> {
        for (setting, section, address, tls) in [
            ("listen", "tls", self.listen, &self.tls),
            (
                "admin_listen",
                "admin_tls",
                self.admin_listen,
                &self.admin_tls,
            ),
        ] {
            if tls.is_none() && !address.ip().is_loopback() && !self.behind_proxy {
                return Err(ConfigError::refused(
                    setting,
                    format!(
                        "is `{address}`, not a loopback address, and would speak plain HTTP: set \
                         `{section}.cert_file` and `{section}.key_file`, or `behind_proxy = true` when a \
                         proxy ends TLS in front of it"
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// RFC 9068 tokens are short-lived; one hour is as far as a stolen one may reach.
const MAX_LIFETIME_SECONDS: u64 = 3_600;
const DATA_DIR_HINT: &str = "say where the log shall lie";
const ISSUER_HINT: &str =
    "the address callers reach this broker at, such as `https://lanyard.example.com`";

fn tls_files(
    settings: &Settings,
    cert: &'static str,
    key: &'static str,
) -> Result<Option<TlsFiles>, ConfigError> {
    match (settings.path(cert)?, settings.path(key)?) {
        (None, None) => Ok(None),
        (Some(cert_file), Some(key_file)) => Ok(Some(TlsFiles {
            cert_file,
            key_file,
        })),
        (Some(_), None) => Err(ConfigError::required(
            key,
            "a certificate needs its private key",
        )),
        (None, Some(_)) => Err(ConfigError::required(
            cert,
            "a private key needs its certificate",
        )),
    }
}

/// Bounded by `within` before it comes here.
fn number(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Compares as the file system would, so that `data/../data/key` and links are seen through.
fn lies_within(file: &Path, folder: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
    match (real(file).or_else(|_| real(folder_of(file))), real(folder)) {
        (Ok(file), Ok(folder)) => file.starts_with(folder),
        _ => file.starts_with(folder),
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// An address without a password in it: settings are shown, logged and kept in files for everybody.
fn otlp_endpoint(settings: &Settings) -> Result<Option<String>, ConfigError> {
    let key = "telemetry.otlp_endpoint";
    let Some(text) = settings.text(key) else {
        return Ok(None);
    };
    match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
            Err(ConfigError::refused(
                key,
                "is an http or https address, such as http://127.0.0.1:4317",
            ))
        }
        Ok(url)
            if !url.username().is_empty() || url.password().is_some() || url.query().is_some() =>
        {
            Err(ConfigError::refused(
                key,
                "holds a secret: what a collector asks for goes into OTEL_EXPORTER_OTLP_HEADERS",
            ))
        }
        Ok(_) => Ok(Some(text.to_owned())),
        Err(_) => Err(ConfigError::refused(
            key,
            "is an http or https address, such as http://127.0.0.1:4317",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../deploy/lanyard.toml");

    fn parse(toml: &str) -> Result<Config, ConfigError> {
        Config::parse(&Settings::gather(
            &[],
            Some((Path::new("lanyard.toml"), toml)),
            &[],
            &[],
        )?)
    }

    fn minimal(more: &str) -> Result<Config, ConfigError> {
        parse(&format!("issuer = \"https://lanyard.example.com\"\n{more}"))
    }

    #[test]
    fn the_example_file_loads_and_has_a_line_for_every_setting() {
        let config = parse(EXAMPLE).unwrap();
        config.check_serve().unwrap();
        let mut section = String::new();
        let mut seen = Vec::new();
        for line in EXAMPLE.lines() {
            let line = line.trim_start_matches("#:").trim();
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                section = format!("{name}.");
            } else if let Some((key, _)) = line.split_once(" = ") {
                seen.push(format!("{section}{}", key.trim()));
            }
        }
        let expected: Vec<_> = table::ALL
            .iter()
            .map(|setting| setting.key.to_owned())
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn plain_http_beyond_loopback_is_refused_naming_the_setting() {
        let error = minimal("listen = \"0.0.0.0:8420\"")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("`listen` is `0.0.0.0:8420`"), "{error}");
        assert!(error.contains("`behind_proxy = true`"), "{error}");
        minimal("listen = \"0.0.0.0:8420\"\nbehind_proxy = true").unwrap();
        minimal("listen = \"[::1]:8420\"").unwrap();
        let tls = "[tls]\ncert_file = \"c\"\nkey_file = \"k\"";
        let config = minimal(&format!(
            "listen = \"0.0.0.0:8420\"\nadmin_listen = \"0.0.0.0:8421\"\n{tls}"
        ))
        .unwrap();
        assert_eq!(
            config.admin_tls, config.tls,
            "the admin listener falls back to the public certificate"
        );
    }

    #[test]
    fn serve_demands_a_sealing_key_outside_the_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let with = |seal: &str| {
            minimal(&format!(
                "data_dir = \"{}\"\n[seal]\n{seal}\n[trust]\nroot_key_file = \"root.key\"",
                data.display()
            ))
            .unwrap()
            .check_serve()
        };
        let error = with("").unwrap_err().to_string();
        assert!(error.starts_with("`seal.key_file` is not set"), "{error}");
        let inside = format!("key_file = \"{}/../data/seal.key\"", data.display());
        let error = with(&inside).unwrap_err().to_string();
        assert!(error.contains("lies inside `data_dir`"), "{error}");
        with(&format!(
            "key_file = \"{}/seal.key\"",
            folder.path().display()
        ))
        .unwrap();
    }

    #[test]
    fn wrong_values_are_refused_with_setting_origin_and_what_was_expected() {
        for (toml, expected) in [
            (
                "listen = \"localhost\"",
                "`listen` in lanyard.toml is `localhost`: expected an address",
            ),
            (
                "behind_proxy = \"yes\"",
                "`behind_proxy` in lanyard.toml is `yes`: expected `true` or `false`",
            ),
            (
                "[tokens]\nlifetime = 4000",
                "`tokens.lifetime` in lanyard.toml is `4000`: expected a number from 1 to 3600",
            ),
            (
                "[tokens]\nlifetime = 600\nmax_lifetime = 300",
                "`tokens.lifetime` is longer than `tokens.max_lifetime`",
            ),
            (
                "[tokens]\nalgorithm = \"HS256\"",
                "expected one of `ES256`, `EdDSA`",
            ),
            (
                "[drift]\nmode = \"off\"",
                "expected one of `observe`, `enforce`",
            ),
            ("[tls]\ncert_file = \"c\"", "`tls.key_file` is not set"),
        ] {
            let error = minimal(toml).unwrap_err().to_string();
            assert!(error.contains(expected), "{toml}: {error}");
        }
        let error = parse("").unwrap_err().to_string();
        assert!(error.starts_with("`issuer` is not set"), "{error}");
    }
}
