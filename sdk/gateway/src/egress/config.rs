//! `egress.toml`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lanyard_sdk::DriftMode;
use lanyard_sdk::gateway::TrustedProxies;
use lanyard_token::Audience;
use serde::Deserialize;

/// Everything egress is told. Integrations come from the broker.
#[derive(Debug)]
pub struct Config {
    /// The file that `lanyard gateway add --egress --out FILE` writes.
    pub enrolment: PathBuf,
    /// Which of the enrolment's audiences; needed where there are several.
    pub audience: Option<Audience>,
    /// A folder of its own: what the feed said survives restarts here. No value is ever in it.
    pub state: PathBuf,
    /// Where calls come in.
    pub listen: SocketAddr,
    /// Its certificate; without one it listens on this machine alone.
    pub tls: Option<TlsFiles>,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub admin: Option<SocketAddr>,
    /// Certificates (PEM) that are believed for the broker besides the system's.
    pub broker_certificates: Option<PathBuf>,
    /// What observation may do.
    pub drift: DriftMode,
    /// Proxies that may say where a call came from.
    pub proxies: TrustedProxies,
    /// What is logged, and where OTLP goes.
    pub telemetry: lanyard_telemetry::Settings,
}

/// A certificate and its key, read again on SIGHUP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The chain, PEM.
    pub cert_file: PathBuf,
    /// The key, PEM.
    pub key_file: PathBuf,
}

/// Why the file is not used. Each says what to correct.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidConfig {
    /// Check path and permissions.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its text is another one.
    #[error("`{path}` is no configuration of egress")]
    Form {
        /// Which.
        path: PathBuf,
        /// Where, and why.
        source: Box<toml::de::Error>,
    },
    /// Whoever listens on the network would see tokens.
    #[error("`listen` is `{0}`: without `[tls]` it must be an address of this machine alone")]
    PlainText(SocketAddr),
    /// Networks as `10.0.0.0/8`.
    #[error("`trusted_proxies` cannot be used")]
    Proxies(#[from] lanyard_sdk::gateway::InvalidProxy),
}

impl Config {
    /// Reads the file.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, InvalidConfig> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| InvalidConfig::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let written: Written = toml::from_str(&text).map_err(|source| InvalidConfig::Form {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        written.checked()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    enrolment: PathBuf,
    audience: Option<Audience>,
    state: PathBuf,
    listen: SocketAddr,
    tls: Option<TlsFiles>,
    admin: Option<SocketAddr>,
    broker_certificates: Option<PathBuf>,
    #[serde(default)]
    drift: Drift,
    #[serde(default)]
    trusted_proxies: Vec<String>,
    #[serde(default)]
    telemetry: Telemetry,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Telemetry {
    log: Option<String>,
    otlp_endpoint: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Drift {
    Off,
    Observe,
    #[default]
    Enforce,
}

impl Written {
    fn checked(self) -> Result<Config, InvalidConfig> {
        if self.tls.is_none() && !self.listen.ip().is_loopback() {
            return Err(InvalidConfig::PlainText(self.listen));
        }
        Ok(Config {
            proxies: TrustedProxies::parse(self.trusted_proxies.iter().map(String::as_str))?,
            enrolment: self.enrolment,
            audience: self.audience,
            state: self.state,
            listen: self.listen,
            tls: self.tls,
            admin: self.admin,
            broker_certificates: self.broker_certificates,
            drift: match self.drift {
                Drift::Off => DriftMode::Off,
                Drift::Observe => DriftMode::Observe,
                Drift::Enforce => DriftMode::Enforce,
            },
            telemetry: lanyard_telemetry::Settings {
                otlp_endpoint: self.telemetry.otlp_endpoint,
                log: self.telemetry.log,
                log_json: true,
                log_spans: true,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "enrolment = \"e.json\"\nstate = \"s\"\nlisten = \"127.0.0.1:8443\"\n";

    fn read(text: &str) -> Result<Config, String> {
        let written: Written = toml::from_str(text).map_err(|error| error.to_string())?;
        written.checked().map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_certificate_it_listens_on_this_machine_alone() {
        assert!(read(TEXT).is_ok());
        let open = TEXT.replace("127.0.0.1", "0.0.0.0");
        assert!(read(&open).unwrap_err().contains("[tls]"));
        let tls = format!("{open}[tls]\ncert_file = \"c\"\nkey_file = \"k\"\n");
        assert!(read(&tls).is_ok());
    }

    #[test]
    fn a_member_that_is_not_known_is_refused() {
        assert!(
            read(&format!("{TEXT}value = \"x\"\n"))
                .unwrap_err()
                .contains("value")
        );
        assert!(read(&format!("{TEXT}trusted_proxies = [\"x\"]\n")).is_err());
        assert_eq!(read(TEXT).unwrap().drift, DriftMode::Enforce);
    }

    #[test]
    fn spans_go_where_the_file_says_and_are_lines_otherwise() {
        let told = read(TEXT).unwrap().telemetry;
        assert!(told.otlp_endpoint.is_none() && told.log_spans && told.log_json);
        let endpoint = format!("{TEXT}[telemetry]\notlp_endpoint = \"http://127.0.0.1:4317\"\n");
        let told = read(&endpoint).unwrap().telemetry;
        assert_eq!(told.otlp_endpoint.as_deref(), Some("http://127.0.0.1:4317"));
        assert!(read(&format!("{TEXT}[telemetry]\nendpoint = \"x\"\n")).is_err());
    }
}
