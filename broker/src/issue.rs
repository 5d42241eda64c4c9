//! The issue room: proof of who you are, policy, lineage, mint.
//!
//! Every decision takes one look at the [`IssueState`]: the revision and everything it depends on,
//! between two records. What it decides carries that revision, so a revocation that was written
//! meanwhile ends the token it had not seen.

pub mod administration;
pub mod approval;
mod authenticate;
mod decision;
mod denials;
mod exchange;
mod grant;
pub mod identity;
mod inspect;
mod keeping;
pub mod keys;
pub mod leaks;
pub mod limits;
pub mod lineage;
mod local;
pub mod mint;
mod policies;
pub mod policy;
pub mod proof;
pub mod rights;

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lanyard_token::{Algorithm, Audience, InvalidAudience, NodeId, Rejection, ScopeSet};

use crate::clock::{Clock, UnixMillis};
use crate::crypto::{CryptoError, SealingRoot};
use crate::policy::Policies;
use crate::store::Store;
pub use authenticate::Client;
pub use exchange::{Exchange, Subject};
pub use grant::{Issued, Refused};
pub use identity::IssueState;
pub use inspect::{EndRefused, Ended};
use keys::{KeyRing, RootSigner};
use limits::{LimitSettings, Limits};
pub use local::LocalError;
pub use policies::{InForce, ReloadError, Since};
use policy::Lifetimes;
use proof::access_token::{self, Proven, Wanted};
use proof::api_key::KeyHasher;
use proof::oidc::{Federation, FederationError, FederationSettings};
use proof::seen::SeenTokens;

/// What the operator decided about issuing.
#[derive(Clone, Debug)]
pub struct IssueSettings {
    /// The issuer identifier, byte for byte as clients and gateways know it (RFC 8414).
    pub issuer: String,
    /// How tokens are signed.
    pub algorithm: Algorithm,
    /// How long they live.
    pub lifetimes: Lifetimes,
    /// Whole days without use after which an identity is disabled; `None`: never.
    pub unused_days: Option<u64>,
    /// How often may be asked.
    pub limits: LimitSettings,
    /// Who may have what.
    pub policies: Arc<Policies>,
    /// Whose tokens may be proof beside keys.
    pub federation: FederationSettings,
}

/// Why the room cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The issuer cannot be the audience of our own doors' tokens: choose another.
    #[error("the issuer `{issuer}` cannot be used")]
    Issuer {
        issuer: String,
        source: InvalidAudience,
    },
    /// No pepper can be derived.
    #[error("the sealing key cannot be used")]
    Seal(#[from] CryptoError),
    /// Other issuers cannot be trusted as the operator wrote.
    #[error(transparent)]
    Federation(#[from] FederationError),
}

/// The room. Cheap to share behind an `Arc`.
pub struct Issue {
    state: Arc<IssueState>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: IssueSettings,
    own_audience: Audience,
    admin_audience: Audience,
    seal: Arc<SealingRoot>,
    root: Arc<RootSigner>,
    ring: KeyRing,
    hasher: KeyHasher,
    seen: SeenTokens,
    limits: Limits,
    federation: Federation,
    policies: Arc<Policies>,
    policies_refused: AtomicU64,
    denials: Mutex<denials::Denials>,
    /// One exchange of policies at a time, so that the last announced ones are in force.
    activation: tokio::sync::Mutex<()>,
    /// What may leave no administrator is done one at a time: ending one, and other policies.
    endings: tokio::sync::Mutex<()>,
    /// Since when the policies in force are.
    activated: Mutex<Option<policies::Since>>,
    /// Identities nobody used for long, as of the last look.
    unused: AtomicUsize,
    /// One administration at a time, so that names stay unique.
    administration: tokio::sync::Mutex<()>,
    /// One key-keeping at a time, so that no key is made twice.
    keeping: tokio::sync::Mutex<()>,
}

impl Issue {
    /// Opens the room over a store that already feeds `state`. Before the first token, call
    /// [`Issue::keep_keys`].
    pub fn new(
        state: Arc<IssueState>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        seal: Arc<SealingRoot>,
        root: Arc<RootSigner>,
        settings: IssueSettings,
    ) -> Result<Self, OpenError> {
        let audience = |text: String| {
            let issuer = settings.issuer.clone();
            text.parse::<Audience>()
                .map_err(|source| OpenError::Issuer { issuer, source })
        };
        Ok(Self {
            own_audience: audience(settings.issuer.clone())?,
            admin_audience: audience(format!("{}/admin", settings.issuer))?,
            ring: KeyRing::new(Arc::clone(&seal)),
            hasher: KeyHasher::new(seal.pepper()?),
            seen: SeenTokens::default(),
            limits: Limits::new(settings.limits),
            federation: Federation::open(&settings.federation, clock.now())?,
            policies: Arc::clone(&settings.policies),
            policies_refused: AtomicU64::new(0),
            denials: Mutex::default(),
            activation: tokio::sync::Mutex::default(),
            endings: tokio::sync::Mutex::default(),
            activated: Mutex::default(),
            unused: AtomicUsize::new(0),
            administration: tokio::sync::Mutex::default(),
            keeping: tokio::sync::Mutex::default(),
            state,
            store,
            clock,
            seal,
            root,
            settings,
        })
    }

    /// What time it is for this room.
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The issuer identifier.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// What gateways pin.
    pub fn root(&self) -> &RootSigner {
        &self.root
    }

    /// What the room knows.
    pub fn state(&self) -> &IssueState {
        &self.state
    }

    /// How many API keys were hashed since the start: junk does not move it.
    pub fn keys_hashed(&self) -> u64 {
        self.hasher.hashed()
    }

    /// The audience of tokens for the public listener: the issuer.
    pub const fn own_audience(&self) -> &Audience {
        &self.own_audience
    }

    /// The audience of tokens for the admin listener: the issuer + `/admin`.
    pub const fn admin_audience(&self) -> &Audience {
        &self.admin_audience
    }

    /// A living token of ours for this audience and with this scope, at one of our own doors: whose
    /// it is, its node, and what it allows.
    pub fn admit(
        &self,
        token: &str,
        audience: &Audience,
        scope: &str,
        now: UnixMillis,
    ) -> Result<(NodeId, NodeId, ScopeSet), Rejection> {
        let proven = self.verify(token, Wanted::Exactly(audience), now)?;
        self.state.read(|book| proven.check_alive(book, now))?;
        if !proven.claims.scope.contains(scope) {
            return Err(Rejection::ScopeMissing);
        }
        // Whoever holds it: the current actor when it acts for another.
        let holder = proven
            .claims
            .act
            .as_ref()
            .map_or(proven.claims.lin.identity(), |actor| actor.sub());
        Ok((holder, proven.claims.jti, proven.claims.scope.clone()))
    }

    /// The room's own work until the task is dropped: keeps signing keys ready, every minute and as soon
    /// as one was removed; writes the denials of the minute before; looks every hour who is not used any more.
    pub async fn run(self: Arc<Self>) {
        /// Far shorter than any key is published ahead.
        const PERIOD: Duration = Duration::from_secs(60);
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looks = tokio::time::interval(administration::LOOK_FOR_UNUSED);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.state.key_is_gone() => {}
                _ = looks.tick() => {
                    self.look_for_unused().await;
                    continue;
                }
            }
            if let Err(error) = self.keep_keys().await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "signing keys could not be kept"
                );
            }
            if let Err(error) = self.write_denials(false).await {
                // Samples of denials may be lost; revocations and tokens may not.
                tracing::warn!(%error, "denials of the last minute could not be written");
            }
        }
    }

    fn verify(
        &self,
        token: &str,
        wanted: Wanted<'_>,
        now: UnixMillis,
    ) -> Result<Arc<Proven>, Rejection> {
        let keys = self.state.read(identity::Book::mint_keys);
        let longest = self.settings.lifetimes.longest;
        self.seen.or_check(token, &keys, wanted, now, || {
            access_token::verify(token, &keys, &self.settings.issuer, longest, wanted, now)
        })
    }
}
