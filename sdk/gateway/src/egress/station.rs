//! One integration as this process carries it: what it allows, what was spent, and what is leased.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use lanyard_sdk::gateway::Class;
use lanyard_sdk::{BootTime, Route, Secret};
use lanyard_token::integration::{Injection, Integration, RuleClass};
use lanyard_token::{NodeId, Rev};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bearer::Bearers;
use super::budget::{Over, Spent};
use super::lease::{Carried, Use};
use super::scrub::Needles;
use super::upstream::{Client, Target};

/// One integration.
pub(super) struct Station {
    pub(super) carried: Carried,
    label: Arc<str>,
    pub(super) target: Target,
    /// Whom tokens are asked of.
    pub(super) token_endpoint: Target,
    spent: Arc<Mutex<Spent>>,
    under_way: Option<Arc<Semaphore>>,
    pub(super) leased: ArcSwapOption<Leased>,
    is_refused: AtomicBool,
}

/// A version, for as long as it was given.
pub(super) struct Leased {
    pub(super) held: Arc<Held>,
    pub(super) until: BootTime,
    /// What the feed knew when it was asked for: what is revoked later ends it.
    pub(super) rev: Rev,
}

/// One version of a secret. What it was sent through goes with it, so that no buffer keeps it.
pub(super) struct Held {
    pub(super) secret: NodeId,
    pub(super) version: u64,
    pub(super) value: Secret,
    pub(super) reference: Option<String>,
    pub(super) needles: Arc<Needles>,
    pub(super) client: Client,
    pub(super) used: Arc<Used>,
    pub(super) bearer: Arc<tokio::sync::Mutex<Bearers>>,
}

/// How often a version was used.
pub(super) struct Used {
    pub(super) integration: String,
    pub(super) secret: NodeId,
    pub(super) version: u64,
    calls: AtomicU64,
    last_at: AtomicU64,
}

impl Used {
    pub(super) fn new(integration: &str, secret: NodeId, version: u64) -> Self {
        Self {
            integration: integration.to_owned(),
            secret,
            version,
            calls: AtomicU64::new(0),
            last_at: AtomicU64::new(0),
        }
    }

    /// Counts a call that goes out now.
    pub(super) fn count(&self, at: u64) {
        self.last_at.fetch_max(at, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Release);
    }

    /// What is told; `None` as long as there is nothing.
    pub(super) fn told(&self) -> Option<Use> {
        let calls = self.calls.load(Ordering::Acquire);
        (calls > 0).then(|| Use {
            integration: self.integration.clone(),
            secret: self.secret,
            version: self.version,
            calls,
            last_at: self.last_at.load(Ordering::Relaxed),
        })
    }
}

impl Station {
    pub(super) fn new(carried: Carried) -> Self {
        let integration = &carried.integration;
        let concurrent = integration.budget().concurrent_calls;
        let permits = |most: u32| {
            let most = usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS);
            Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)))
        };
        let target = Target {
            private: integration.private().into(),
            certificates: integration.certificates().map(Into::into),
        };
        Self {
            token_endpoint: own_token_endpoint(integration.injection())
                .unwrap_or_else(|| target.clone()),
            target,
            under_way: concurrent.map(permits),
            spent: Arc::default(),
            leased: ArcSwapOption::empty(),
            is_refused: AtomicBool::new(false),
            label: integration.name().as_str().into(),
            carried,
        }
    }

    /// The next form of an integration, or another one of its name: what was spent of the same one stays spent.
    pub(super) fn followed_by(&self, carried: Carried) -> Self {
        let mut next = Self::new(carried);
        if next.carried.id == self.carried.id {
            next.spent = Arc::clone(&self.spent);
            let most = |station: &Self| station.integration().budget().concurrent_calls;
            if most(&next) == most(self) {
                next.under_way.clone_from(&self.under_way);
            }
        }
        next
    }

    pub(super) fn integration(&self) -> &Integration {
        &self.carried.integration
    }

    pub(super) fn name(&self) -> &str {
        &self.label
    }

    /// Its name, to keep.
    pub(super) const fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// The broker gives a lease.
    pub(super) fn lease(&self, leased: Leased) {
        self.leased.store(Some(Arc::new(leased)));
        self.is_refused.store(false, Ordering::Release);
    }

    /// The broker gives none: whoever may have it no more does not use the last one up.
    pub(super) fn refuse(&self) {
        self.is_refused.store(true, Ordering::Release);
        self.leased.store(None);
    }

    /// Whether the broker has said that it gives none: it tells by itself when that changes.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Acquire)
    }

    /// Counts a call, and keeps a place for it while it is under way.
    pub(super) fn spend(
        &self,
        caller: NodeId,
        now: BootTime,
    ) -> Result<Option<OwnedSemaphorePermit>, Over> {
        let place = match &self.under_way {
            None => None,
            Some(places) => Some(Arc::clone(places).try_acquire_owned().map_err(|_| Over {
                limit: "concurrent_calls",
                retry_after: std::time::Duration::from_secs(1),
            })?),
        };
        let budget = self.integration().budget();
        // A panic elsewhere leaves counts whole.
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.spend(budget, caller, now)?;
        Ok(place)
    }

    /// Its rules as a gateway's routes: below the integration's name.
    pub(super) fn routes(&self) -> impl Iterator<Item = Route> {
        let integration = self.integration();
        integration.rules().iter().filter_map(|rule| {
            // Letters that a rule has checked: it is always one.
            let method = rule.method().parse().ok()?;
            let template = format!("/{}{}", integration.name(), rule.template());
            let scopes = integration.scopes(rule).into_owned();
            let class = match rule.class() {
                RuleClass::Normal => Class::Normal,
                RuleClass::Strict => Class::Strict,
            };
            let mut route = Route::new(method, template).class(class).scopes(scopes);
            if let Some(object) = rule.object() {
                route = route.object(object);
            }
            if let Some(destination) = rule.destination() {
                route = route.destination(destination);
            }
            Some(route)
        })
    }
}

/// A token endpoint that is not reached as the upstream is: one of the open internet beside an upstream within, or the
/// other way round.
fn own_token_endpoint(injection: &Injection) -> Option<Target> {
    let Injection::OauthClientCredentials {
        private,
        certificates,
        ..
    } = injection
    else {
        return None;
    };
    (private.is_some() || certificates.is_some()).then(|| Target {
        private: private.as_deref().unwrap_or_default().into(),
        certificates: certificates.as_deref().map(Into::into),
    })
}
