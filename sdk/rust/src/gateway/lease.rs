//! Permission for one call, for as long as its token lives.

use std::future::Future;
use std::time::Duration;

use lanyard_drift::Outcome;
use lanyard_token::{Claims, NodeId, Rejection, Rev};

use super::grant::Hold;
use crate::clock::Now;
use crate::feed::NotAlive;

/// How often an open stream asks again what time it is: the runtime's timers stand still while the
/// machine sleeps, the boot clock does not.
const RECHECK: Duration = Duration::from_secs(5);

/// Permission for one call. Settle it when the response is known; keep it while anything of the
/// call stays open, and stop when [`Lease::ended`] resolves.
#[must_use]
#[derive(Clone)]
pub struct Lease {
    grant: Hold,
    decided_at: Rev,
}

/// Why a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token has ended")]
pub struct Ended(#[source] pub Rejection);

impl Lease {
    pub(super) const fn new(grant: Hold, decided_at: Rev) -> Self {
        Self { grant, decided_at }
    }

    /// Everything the token says. It passed the strict gate. Whoever asks first for a token that was kept pays
    /// for reading it once more, some microseconds.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        self.grant.claims()
    }

    /// Whose token it is.
    #[must_use]
    pub fn identity(&self) -> NodeId {
        self.grant.identity()
    }

    /// Which token it is: its `jti`.
    #[must_use]
    pub fn token(&self) -> NodeId {
        self.grant.jti()
    }

    /// The place of the log that the decision knew.
    #[must_use]
    pub const fn decided_at(&self) -> Rev {
        self.decided_at
    }

    /// What the call came back with. For a long response call [`Lease::observe`] on the way, and
    /// settle the rest.
    pub fn settle(self, outcome: &Outcome, now: Now) {
        self.observe(outcome, now);
    }

    /// Another stretch of a stream. Each byte counts once: give what came since the last time.
    pub fn observe(&self, outcome: &Outcome, now: Now) {
        let link = &self.grant.link;
        let at = link.drift_time(link.view.now(now));
        self.grant.note_outcome(outcome, at);
    }

    /// Whether the token has ended by now.
    pub fn still_holds(&self, now: Now) -> Result<(), Ended> {
        let view = &self.grant.link.view;
        self.not_revoked()?;
        if view.now(now).seconds() >= self.grant.ends {
            Err(Ended(Rejection::Expired))
        } else {
            Ok(())
        }
    }

    /// What time it is, as the gateway's clock says.
    pub(super) fn now(&self) -> Now {
        self.grant.link.clock.now()
    }

    /// Like [`Lease::still_holds`], but without the time: one atomic load in the common case.
    pub(super) fn not_revoked(&self) -> Result<(), Ended> {
        let grant = &*self.grant;
        let generation = grant.link.view.generation();
        if grant.checked_at(generation) {
            return Ok(());
        }
        let view = &grant.link.view;
        grant.nodes.check(view, grant.rev()).map_err(ended)?;
        let keys = grant.link.view.keys();
        // Time does not matter here: a delegation that ran out ends no token that it signed.
        if keys.mint().get(grant.key()).is_none() {
            return Err(Ended(Rejection::UnknownKey));
        }
        grant.check_held_at(generation);
        Ok(())
    }

    /// Resolves when the token is revoked, suspended or expired. Whatever stays open must stop then.
    pub fn ended(&self) -> impl Future<Output = Ended> + Send + 'static {
        let lease = self.clone();
        async move {
            let grant = &lease.grant;
            let view = &grant.link.view;
            let watch = view.subscribe(grant.rev(), &grant.nodes.all());
            loop {
                let now = lease.now();
                if let Err(ended) = lease.still_holds(now) {
                    return ended;
                }
                let left = grant
                    .ends
                    .saturating_mul(1_000)
                    .saturating_sub(view.now(now).0);
                tokio::select! {
                    reason = watch.dead() => return ended(reason),
                    () = tokio::time::sleep(Duration::from_millis(left.max(1)).min(RECHECK)) => {}
                }
            }
        }
    }
}

impl Ended {
    /// Tells operators that something ended before its time.
    pub(super) fn tell(self, lease: &Lease) {
        tracing::info!(
            name: "lanyard.stream.ended",
            {
                lanyard.identity = %lease.identity(),
                lanyard.credential.id = %lease.token(),
                lanyard.reason = %self.0,
            },
            "a call ended with its token"
        );
    }
}

fn ended(reason: NotAlive) -> Ended {
    Ended(match reason {
        NotAlive::NoSnapshot => Rejection::NotReady,
        NotAlive::Dead(dead) => dead.into(),
    })
}
