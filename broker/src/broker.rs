//! The rooms put together: one log, the projections over it, the rooms, the doors.
//!
//! ```text
//! states ─► log (replays into them) ─► rooms ─► routes ─► doors: public, admin, Unix socket
//! ```

mod doors;
mod dumps;
mod gauges;
mod routes;
pub mod signals;
mod tasks;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanyard_token::Rev;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::audit::{Audit, Counters, Export};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, ForeignIssuer, SealKey};
use crate::crypto::{CryptoError, HeldKey, seal_ring};
use crate::http::begun::Begun;
use crate::http::leaks::GithubKeys;
use crate::http::tls::TlsError;
use crate::issue::keys::{KeyError, RootKeyError, RootKeyFile};
use crate::issue::limits::LimitSettings;
use crate::issue::policy::Lifetimes;
use crate::issue::proof::oidc::{FederationSettings, TrustedIssuer};
use crate::issue::{Issue, IssueSettings, IssueState, OpenError};
use crate::outbound::{Caller, Reach};
use crate::policy::{Broken, Policies};
use crate::revoke::{Revoke, RevokeState};
use crate::store::event::By;
use crate::store::log::{Disk, IndexState, Log, LogConfig, OpenReport, SystemDisk, is_begun};
use crate::store::{Event, Store, StoreError};
use crate::telemetry::meter::LogMeter;
use crate::vault::integrations::{IntegrationState, Integrations};
use crate::vault::rotate::Rotations;
use crate::vault::rotate::state::RotationState;
use crate::vault::{MOST_SEALS, Vault, VaultState};
use crate::watch::baseline::BaselineFile;
use crate::watch::recorder::{Keeping, Recorder};
use crate::watch::state::WatchState;
use crate::watch::{Caps, Mode, Policy, Watch, WatchConfig};
pub use doors::Doors;

/// A broker whose log is open and whose keys are ready. Serves nothing until [`Broker::run`].
pub struct Broker {
    config: Config,
    log: Arc<Log>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    issue: Arc<Issue>,
    revoke: Arc<Revoke>,
    watch: Arc<Watch>,
    vault: Arc<Vault>,
    integrations: Arc<Integrations>,
    github: Option<Arc<GithubKeys>>,
    begun: Begun,
    reports: Begun,
    rotations: Arc<Rotations>,
    audit: Arc<Audit>,
    stop: CancellationToken,
}

/// Why a broker does not start; each says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Correct the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Make or mend the sealing key.
    #[error(transparent)]
    Seal(#[from] CryptoError),
    /// Make or mend the root key.
    #[error(transparent)]
    Root(#[from] RootKeyError),
    /// The log cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The room that issues cannot be opened.
    #[error(transparent)]
    Issue(#[from] OpenError),
    /// The policies cannot be used: correct what stands at the place.
    #[error("the policies cannot be used")]
    Policy(#[from] Broken),
    /// There is no key to sign with.
    #[error("signing keys cannot be made")]
    Keys(#[from] KeyError),
    /// Another certificate belongs there.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Another program is there, or the address is not this machine's.
    #[error("cannot listen at `{address}` (`{setting}`)")]
    Listen {
        /// Which setting.
        setting: &'static str,
        /// Its value.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The data folder cannot be made.
    #[error("cannot make the data folder `{path}`")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No connection can be made from here.
    #[error("no connections to third parties can be made")]
    Outbound(#[source] reqwest::Error),
    /// The system took a listener away.
    #[error("a listener stopped")]
    Stopped(#[source] std::io::Error),
}

impl Broker {
    /// Opens the log, replays it into the rooms, and makes signing keys if there are none.
    pub async fn open(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::open_on(config, clock, Arc::new(SystemDisk)).await
    }

    /// The same on another disk than the system's: for tests of one that fails or hangs.
    pub async fn open_on(
        config: Config,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, StartError> {
        let sealing_key = sealing_key(&config)?;
        let root = RootKeyFile::at(required(&config.root_key_file, "trust.root_key_file")?)
            .read(Some(&seal_ring::open(&config.data_dir, &sealing_key)?))?;
        config.check_anchor_folder()?;
        let github = config.github_keys_file.as_deref().map(github_keys);
        let github = github.transpose()?;
        let policies = Arc::new(Policies::open(config.policy_bundle.as_deref())?);
        make_folder(&config.data_dir)?;
        let seal = Arc::new(if is_begun(&config.data_dir) {
            seal_ring::open(&config.data_dir, &sealing_key)?
        } else {
            seal_ring::begin(&config.data_dir, &sealing_key, clock.now())?
        });

        let counters = Arc::new(Counters::default());
        let issue_state = Arc::new(IssueState::new());
        let revoke_state = Arc::new(RevokeState::new(seal.clone()));
        let watch_state = Arc::new(WatchState::default());
        let vault_state = Arc::new(VaultState::new());
        let integration_state = Arc::new(IntegrationState::new());
        let rotation_state = Arc::new(RotationState::new());
        let export = Arc::new(Export::new(counters.clone()));
        let meter = Arc::new(LogMeter::new());
        let (log, report) = Log::open(
            log_config(&config, disk),
            seal.clone(),
            clock.clone(),
            vec![
                issue_state.clone(),
                revoke_state.clone(),
                watch_state.clone(),
                vault_state.clone(),
                integration_state.clone(),
                rotation_state.clone(),
                export.clone(),
                meter.clone(),
            ],
        )?;
        say(&report);
        drop_old_wraps(&config.data_dir, &sealing_key);
        if vault_state.sealed_under(seal.newest()) >= MOST_SEALS {
            let added = seal_ring::add_data_key(&config.data_dir, &sealing_key, clock.now())?;
            tracing::info!(data_key = %added.newest, "from the next start on, secrets are sealed under a new data key");
        }
        export.begin();
        meter.go_live();

        let store: Arc<dyn Store> = log.clone();
        let issue = Arc::new(Issue::new(
            issue_state,
            store.clone(),
            clock.clone(),
            seal.clone(),
            Arc::new(root),
            issue_settings(&config, Arc::clone(&policies)),
        )?);
        issue.keep_keys().await?;
        issue.check_administrators()?;
        if let Some(stranger) = issue.stranger_under_our_names() {
            tracing::warn!(name: "lanyard.names.taken", "{stranger}");
        }
        issue.announce_policies(By::Broker).await?;
        let revoke = Arc::new(Revoke::new(
            revoke_state,
            store.clone(),
            clock.clone(),
            config.max_lifetime.as_secs(),
        ));
        let vault = Arc::new(Vault::new(
            vault_state,
            rotation_state.clone(),
            store.clone(),
            clock.clone(),
            seal.clone(),
            config.issuer.as_str().to_owned(),
        ));
        let integrations = Arc::new(Integrations::new(
            vault.clone(),
            integration_state.clone(),
            policies.clone(),
        ));
        let outside = Caller::new(Reach::public()).map_err(StartError::Outbound)?;
        let rotations = Arc::new(Rotations::new(
            vault.clone(),
            rotation_state,
            integration_state,
            outside,
        ));
        let keeping = Keeping {
            days: config.drift.windows_days,
            bytes: config.drift.windows_bytes,
        };
        let recorder = Recorder::in_folder(&config.data_dir, seal.clone(), keeping);
        let baselines = Box::new(BaselineFile::in_folder(&config.data_dir, seal));
        let (watch, refused) = Watch::open(
            watch_state,
            store.clone(),
            clock.clone(),
            baselines,
            watch_config(&config),
        );
        watch.respond_by(policies);
        if let Some(error) = refused {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "baselines start empty"
            );
        }
        match recorder {
            Ok(recorder) => watch.record_windows(recorder),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "windows are not recorded: nothing can be rehearsed"
            ),
        }
        let audit = Arc::new(Audit::new(counters.clone(), store, clock.clone()));
        Ok(Self {
            config,
            log,
            clock,
            counters,
            issue,
            revoke,
            watch,
            vault,
            integrations,
            github,
            begun: Begun::default(),
            reports: Begun::default(),
            rotations,
            audit,
            stop: CancellationToken::new(),
        })
    }

    /// The room that issues: for what a newcomer's broker prepares before it serves.
    pub const fn issue(&self) -> &Arc<Issue> {
        &self.issue
    }

    /// The room that counts refusals and writes who administered.
    pub const fn audit(&self) -> &Arc<Audit> {
        &self.audit
    }

    /// Everything that ever happened, oldest first: for tests and small logs.
    pub fn events(&self) -> Result<Vec<Event>, StoreError> {
        let mut events = Vec::new();
        let mut after = Rev::ZERO;
        loop {
            let records = self.log.read(after, 1_000)?;
            let Some(last) = records.last() else {
                return Ok(events);
            };
            after = last.rev;
            events.extend(records.into_iter().flat_map(|record| record.events));
        }
    }
}

fn required<'a>(path: &'a Option<PathBuf>, key: &'static str) -> Result<&'a Path, ConfigError> {
    path.as_deref()
        .ok_or_else(|| ConfigError::required(key, "a broker cannot start without it"))
}

/// Before any key is read. A system that refuses is told of; it is no reason not to serve.
pub fn no_dumps() {
    if let Err(error) = dumps::switch_off() {
        tracing::warn!(%error, "core dumps cannot be switched off: keys would be in them");
    }
}

/// Reads the keys that GitHub signs its reports with.
fn github_keys(file: &Path) -> Result<Arc<GithubKeys>, StartError> {
    let refused = |why: String| ConfigError::refused("leaks.github_keys_file", why);
    let pem = std::fs::read(file).map_err(|error| refused(format!("cannot be read: {error}")))?;
    let keys = GithubKeys::parse(&pem).map_err(|error| refused(error.to_string()))?;
    Ok(Arc::new(keys))
}

/// Reads the sealing key from where the configuration says it is.
fn sealing_key(config: &Config) -> Result<HeldKey, StartError> {
    let Some(source) = &config.seal_key else {
        return Err(
            ConfigError::required("seal.key_file", "a broker cannot start without it").into(),
        );
    };
    if let SealKey::Variable(variable) = source {
        tracing::warn!(
            variable,
            "the sealing key comes from the environment, where others may read it: for development only"
        );
    }
    Ok(read_sealing_key(source)?)
}

/// Reads a sealing key.
pub fn read_sealing_key(source: &SealKey) -> Result<HeldKey, CryptoError> {
    match source {
        SealKey::File(file) => HeldKey::from_file(file),
        SealKey::Variable(variable) => {
            let text = std::env::var(variable).ok().map(Zeroizing::new);
            HeldKey::from_variable(variable, text)
        }
    }
}

/// The log opened under this key: if it is the one that takes another's place, that one is out from here on.
fn drop_old_wraps(folder: &Path, sealing_key: &HeldKey) {
    match seal_ring::finish(folder, sealing_key) {
        Ok(false) => {}
        Ok(true) => tracing::info!("the sealing key from before opens nothing any more"),
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the sealing key from before still opens everything; the next start tries again"
        ),
    }
}

/// What lies in it is nobody else's business.
fn make_folder(path: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| StartError::Folder {
            path: path.to_owned(),
            source,
        })
}

fn log_config(config: &Config, disk: Arc<dyn Disk>) -> LogConfig {
    LogConfig {
        disk,
        anchor_file: config.anchor_file.clone(),
        reserve_bytes: config.reserve_bytes,
        on_stop: Some(Arc::new(|why| {
            // After a failed fsync nobody knows what is on disk; only a new start finds out.
            tracing::error!(why, "the store stopped, and so does the broker");
            std::process::exit(1);
        })),
        progress: Some(Arc::new(|progress| {
            tracing::info!(
                records = progress.records,
                bytes = progress.bytes,
                of = progress.total_bytes,
                "replaying the log"
            );
        })),
        ..LogConfig::new(&config.data_dir, config.issuer.as_str())
    }
}

fn say(report: &OpenReport) {
    tracing::info!(
        head = %report.head,
        boot = report.boot,
        rows = report.rows_loaded,
        replayed = report.records_replayed,
        took_ms = u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
        "the log is open"
    );
    if let IndexState::Rebuilt { reason, .. } = &report.index {
        tracing::warn!(reason, "the index was rebuilt from the log");
    }
    if report.anchor_missing {
        tracing::warn!(
            "there was a log without its anchor: an older copy would not have been noticed"
        );
    }
}

fn watch_config(config: &Config) -> WatchConfig {
    let mode = if config.drift.enforce {
        Mode::Enforce
    } else {
        Mode::Observe
    };
    let ends = config.drift.max_revocations_per_minute as usize;
    let caps = Caps::default();
    WatchConfig {
        policy: Policy {
            mode,
            ..Policy::default()
        },
        caps: Caps {
            ends,
            ends_by_one_gateway: caps.ends_by_one_gateway.min(ends),
            ..caps
        },
        ..WatchConfig::default()
    }
}

fn issue_settings(config: &Config, policies: Arc<Policies>) -> IssueSettings {
    IssueSettings {
        issuer: config.issuer.as_str().to_owned(),
        algorithm: config.algorithm,
        lifetimes: Lifetimes {
            default: config.lifetime.as_secs(),
            longest: config.max_lifetime.as_secs(),
        },
        unused_days: config.unused_days,
        limits: LimitSettings {
            identity_per_second: config.limits.requests_per_second,
            identity_burst: config.limits.burst,
            ..LimitSettings::default()
        },
        policies,
        federation: federation_settings(config),
    }
}

/// Whose tokens may be proof beside keys, as the issue room takes it.
pub fn federation_settings(config: &Config) -> FederationSettings {
    FederationSettings {
        issuers: config.federation.issuers.iter().map(trusted).collect(),
        private_addresses: config.federation.private_addresses,
    }
}

fn trusted(foreign: &ForeignIssuer) -> TrustedIssuer {
    TrustedIssuer {
        issuer: foreign.issuer.clone(),
        keys_at: foreign.keys_at.clone(),
    }
}
