//! The gateway: decides each call beside the service, without asking anybody.
//!
//! ```text
//! path ─► canonical? ─► token seen before? ──no──► strict gate, liveness ─► kept, if it passed
//!                            │ yes                                             │
//!                            ▼                                                 ▼
//!                  liveness (one atomic load) ─► expiry ─► route ─► scopes ─► task ─► note ─► lease
//!                                                                                      │
//!                              the observer, milliseconds later: bounds, reports ◄─────┘
//! ```
//!
//! [`Gateway::check`] is synchronous and does no I/O: what has been revoked comes from the feed, how
//! an identity usually behaves from its baseline, and both arrive off the request path. So the
//! broker may be away, and calls are still decided by what was last known.
//!
//! What the path of a seen token costs is what it does: one table lookup by bytes of the signature,
//! a full comparison, one atomic load, the route, a note in a journal. It takes no lock and does not
//! allocate.

mod body;
mod builder;
pub mod canonical;
mod cut_off;
mod decision;
mod ending;
mod extract;
mod grant;
mod journal;
mod lane;
mod layer;
mod lease;
mod link;
mod narrow;
mod observation;
mod observer;
mod portrait;
mod refusals;
mod report;
mod request;
mod route;
mod running;
mod seen;
mod shadow;
mod source;
mod stripe;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lanyard_drift::Admission;
use lanyard_token::{Audience, Expectations, Rejection, UnverifiedToken};

pub use self::body::GuardedBody;
pub use self::builder::{
    Builder, Capacity, Dangerous, GatewayError, NeedsDriftMode, NeedsFeed, NeedsRoutes, NeedsTrust,
    Ready,
};
pub use self::decision::{Decision, Denial};
pub use self::extract::Verified;
pub use self::layer::{GatewayLayer, GatewayService, MIN_REV_HEADER, Passage, REV_HEADER};
pub use self::lease::{Ended, Lease};
pub use self::observation::{DriftClock, DriftMode};
pub use self::report::ReportCounters;
pub use self::request::Request;
pub use self::route::{Class, MAX_ROUTES, Route, RouteError, RouteFileError, RouteTable};
pub use self::running::Running;
pub use self::source::{InvalidProxy, TrustedProxies};

use self::canonical::CanonicalPath;
use self::cut_off::CutOff;
use self::ending::LocalEndings;
use self::grant::{Grant, Grants, Hold, Nodes};
use self::lane::Lane;
use self::link::Link;
use self::observer::Observer;
use self::portrait::Portraits;
use self::refusals::Refusals;
use self::route::Entry;
use self::seen::SeenTable;
use self::shadow::ShadowRoutes;
use crate::clock::{Now, UnixMillis};
use crate::feed::{FeedView, NotAlive};

/// Beyond this age of the feed a strict route answers 503.
///
/// Thirty heartbeats missed: longer than a broker's restart, shorter than a thief needs to count on.
pub const STRICT_FEED_AGE: Duration = Duration::from_secs(15);

/// Beyond this age of the feed every gateway says so, once per this time.
pub const FEED_ALARM_AGE: Duration = Duration::from_secs(10);

/// Decides calls for one audience. Cloning gives another handle to the same gateway.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    expectations: Expectations,
    routes: RouteTable,
    seen: SeenTable,
    grants: Grants,
    link: Arc<Link>,
    shadow: ShadowRoutes,
    refusals: Refusals,
    mode: DriftMode,
    /// Whether the age of the feed means anything here: not without a feed.
    fed: bool,
    /// Boot time of the last alarm about an old feed.
    alarmed: AtomicU64,
    endings: LocalEndings,
    lane: Arc<Lane>,
    /// Signatures that were checked, in the lane or beside it.
    checked: AtomicU64,
    observer: Observer,
    cut_off: CutOff,
    portraits: Portraits,
    /// Alarms of the fast detector.
    alarms: AtomicU64,
}

impl Gateway {
    /// Begins the sequence of decisions that make a gateway.
    #[must_use]
    pub fn builder() -> Builder<NeedsTrust> {
        Builder::new()
    }

    /// Decides one call: `token` as it stood after `Bearer `, `now` read once for this request.
    ///
    /// Never waits, never does I/O. A denial says to outsiders only what [`Denial::outside`] says. The
    /// signature of a token that was not seen before is checked on this thread; what serves many callers on few
    /// threads uses [`Gateway::layer`], which has a lane for that.
    pub fn check(&self, token: &str, request: &Request<'_>, now: Now) -> Decision {
        match self.0.decide(token, request, now) {
            Ok(lease) => Decision::Allow(lease),
            Err(denial) => Decision::Deny(denial),
        }
    }

    /// Which audience tokens must be for.
    #[must_use]
    pub fn audience(&self) -> &Audience {
        self.0.expectations.audience()
    }

    /// The feed as this gateway sees it.
    #[must_use]
    pub fn feed(&self) -> &Arc<FeedView> {
        &self.0.link.view
    }

    /// The routes.
    #[must_use]
    pub fn routes(&self) -> &RouteTable {
        &self.0.routes
    }

    /// What time it is, as this gateway's clock says. Read it once per request.
    #[must_use]
    pub fn now(&self) -> Now {
        self.0.link.clock.now()
    }

    /// How many tokens are kept: each passed the gate and has not expired long ago.
    #[must_use]
    pub fn tokens_kept(&self) -> usize {
        self.0.grants.len()
    }

    /// How many notes of calls and their outcomes were lost, because they came faster than they could be
    /// looked at. The calls were decided, and their bytes count; what they were about is not known.
    #[must_use]
    pub fn observations_dropped(&self) -> u64 {
        self.0.link.notes_dropped()
    }

    /// How many alarms the fast detector raised: what a token called, and in which order, was suddenly
    /// like somebody else. Each was reported at once; what is done about it is the broker's to say.
    #[must_use]
    pub fn sudden_alarms(&self) -> u64 {
        self.0.alarms.load(Ordering::Relaxed)
    }

    /// Of how many identities it is known how they usually call.
    #[must_use]
    pub fn portraits_kept(&self) -> usize {
        self.0.portraits.len()
    }

    /// How many tokens are suspended here alone, because no broker is heard, or was when they were.
    #[must_use]
    pub fn suspended_here(&self) -> usize {
        self.0.cut_off.tokens().len()
    }

    /// How often a token would have been suspended here if that had not been too many. Nothing was done
    /// about it: a gateway cannot tell theft from a deployment.
    #[must_use]
    pub fn suspensions_capped(&self) -> u64 {
        self.0.cut_off.refused()
    }

    /// How many signatures of tokens were checked: one for each call with a token that is not kept, unless it was
    /// refused before that.
    #[must_use]
    pub fn signatures_checked(&self) -> u64 {
        self.0.checked.load(Ordering::Relaxed)
    }

    /// How many calls with new tokens were refused because too many of those came at once.
    #[must_use]
    pub fn signatures_refused(&self) -> u64 {
        self.0.lane.refused()
    }

    /// Looks at everything that was noted, now instead of within milliseconds: for tests and simulations
    /// in which time is an argument.
    #[doc(hidden)]
    pub fn observe_now(&self) {
        self.0.observe_notes();
    }

    /// The layer that puts this gateway before a service.
    #[must_use]
    pub fn layer(&self) -> GatewayLayer {
        GatewayLayer::new(self.clone())
    }
}

/// What can be said of a call at once.
enum Verdict {
    Allow(Lease),
    Deny(Denial),
    /// The token was not seen before, is in good form, and its signature must wait its turn.
    Unseen,
}

impl From<Result<Lease, Denial>> for Verdict {
    fn from(decided: Result<Lease, Denial>) -> Self {
        match decided {
            Ok(lease) => Self::Allow(lease),
            Err(denial) => Self::Deny(denial),
        }
    }
}

impl Inner {
    fn decide(&self, token: &str, request: &Request<'_>, now: Now) -> Result<Lease, Denial> {
        let path = CanonicalPath::parse(request.path).map_err(|_| Rejection::Path)?;
        let time = self.link.view.now(now);
        let grant = match self.seen.get(token) {
            Some(grant) => grant,
            None => Hold::from(self.admit(self.screen(token, time)?, time)?),
        };
        self.decide_for(grant, path, request, (now, time))
    }

    /// Like [`Inner::decide`], where a signature check would make others wait.
    fn decide_at_once(&self, token: &str, request: &Request<'_>, now: Now) -> Verdict {
        let Ok(path) = CanonicalPath::parse(request.path) else {
            return Verdict::Deny(Rejection::Path.into());
        };
        let time = self.link.view.now(now);
        let grant = match self.seen.get(token) {
            Some(grant) => grant,
            None => match self.screen(token, time) {
                Ok(unverified) if self.lane.may_be_passed_by(now.boot) => {
                    match self.admit(unverified, time) {
                        Ok(grant) => Hold::from(grant),
                        Err(denial) => return Verdict::Deny(denial),
                    }
                }
                Ok(_) => return Verdict::Unseen,
                Err(denial) => return Verdict::Deny(denial),
            },
        };
        self.decide_for(grant, path, request, (now, time)).into()
    }

    /// Checks a token that was not seen before.
    fn see(&self, token: &str, now: Now) -> Result<Arc<Grant>, Denial> {
        let time = self.link.view.now(now);
        self.admit(self.screen(token, time)?, time)
    }

    /// Like [`Inner::decide`], for a token that has been [seen](Inner::see) for this call.
    fn decide_seen(
        &self,
        grant: Arc<Grant>,
        request: &Request<'_>,
        now: Now,
    ) -> Result<Lease, Denial> {
        let path = CanonicalPath::parse(request.path).map_err(|_| Rejection::Path)?;
        let time = self.link.view.now(now);
        self.decide_for(Hold::from(grant), path, request, (now, time))
    }

    fn decide_for(
        &self,
        grant: Hold,
        path: CanonicalPath<'_>,
        request: &Request<'_>,
        (now, time): (Now, UnixMillis),
    ) -> Result<Lease, Denial> {
        self.alive(&grant, time)?;
        let Some((index, route)) = self.routes.find(request.method, path) else {
            self.shadow.note(request.method, path);
            return Err(Rejection::NoRoute.into());
        };
        self.fresh(route, request, now)?;
        if !grant.scopes.cover(&route.needs) {
            return Err(Denial::scope_missing(Arc::clone(&route.scope_text)));
        }
        let event = observation::event(&grant, index, route, path, request, time)?;
        self.observe(&grant, &event, time)?;
        if !self.within_baseline(&grant, route) {
            return Err(Rejection::OutsideBaseline.into());
        }
        grant.called(now.boot);
        Ok(Lease::new(grant, self.link.view.reached()))
    }

    /// Everything that can be said of a token that was not seen before without checking its signature.
    fn screen<'t>(&self, token: &'t str, time: UnixMillis) -> Result<UnverifiedToken<'t>, Denial> {
        let unverified = UnverifiedToken::parse(token)?;
        if !self.link.view.has_snapshot() {
            // Not 401: a client must not take this for a fault of its token and mint anew.
            return Err(Rejection::NotReady.into());
        }
        let keys = self.link.view.keys();
        let key = keys.mint().get_at(unverified.key_id(), time.seconds());
        if key.is_none() {
            self.link.view.want_keys();
            return Err(Rejection::UnknownKey.into());
        }
        Ok(unverified)
    }

    /// The way of a token that was not seen before. Only what passes all of it is kept.
    #[cold]
    fn admit(
        &self,
        unverified: UnverifiedToken<'_>,
        time: UnixMillis,
    ) -> Result<Arc<Grant>, Denial> {
        self.checked.fetch_add(1, Ordering::Relaxed);
        let generation = self.link.view.generation();
        let keys = self.link.view.keys();
        let verified = unverified.verify(keys.mint(), &self.expectations, time.seconds())?;
        if verified.claims().cnf.is_some() {
            // Bound to a key whose proof this gateway is not given: a bearer of it is not its owner.
            return Err(Rejection::Binding.into());
        }
        let claims = verified.claims();
        let nodes = Nodes::of(claims);
        nodes
            .check(&self.link.view, claims.rev)
            .map_err(not_alive)?;
        let grant = self.grants.admit(&verified, &self.seen, |key| {
            Grant::new(
                &verified,
                nodes,
                key,
                &self.routes,
                self.expectations.leeway(),
                generation,
                &self.link,
            )
        });
        self.note_narrowing(&grant);
        self.seen.keep(verified.text(), &grant);
        Ok(grant)
    }

    /// Whether a token that was alive once still is. The common case is one load and one comparison.
    fn alive(&self, grant: &Grant, time: UnixMillis) -> Result<(), Denial> {
        let view = &self.link.view;
        let generation = view.generation();
        if !grant.checked_at(generation) {
            grant.nodes.check(view, grant.rev()).map_err(not_alive)?;
            if view
                .keys()
                .mint()
                .get_at(grant.key(), time.seconds())
                .is_none()
            {
                return Err(Rejection::UnknownKey.into());
            }
            self.note_narrowing(grant);
            grant.check_held_at(generation);
        }
        if time.seconds() >= grant.ends {
            Err(Rejection::Expired.into())
        } else {
            Ok(())
        }
    }

    /// Whether the feed is young enough, and far enough, for this call.
    fn fresh(&self, route: &Entry, request: &Request<'_>, now: Now) -> Result<(), Denial> {
        if !self.fed {
            return Ok(());
        }
        if request
            .min_rev
            .is_some_and(|wanted| self.link.view.reached() < wanted)
        {
            return Err(Denial::not_caught_up());
        }
        let age = self.link.view.age(now.boot);
        if age > FEED_ALARM_AGE {
            self.alarm(age, now);
        }
        if route.class == Class::Strict && age > STRICT_FEED_AGE {
            return Err(Rejection::Stale.into());
        }
        Ok(())
    }

    /// Notes the call, and says what cannot wait for anybody to look at the note.
    fn observe(
        &self,
        grant: &Arc<Grant>,
        event: &lanyard_drift::Event,
        time: UnixMillis,
    ) -> Result<(), Denial> {
        let at = self.link.drift_time(time);
        grant.note_call(event, at);
        match grant.accumulator.admit(event, at) {
            Admission::Pass => Ok(()),
            Admission::Refuse(_) => Err(Rejection::OutsideTask.into()),
            Admission::Over => Err(Rejection::OutsideBaseline.into()),
            Admission::Ended => Err(Rejection::Revoked.into()),
        }
    }

    #[cold]
    fn alarm(&self, age: Duration, now: Now) {
        let last = self.alarmed.load(Ordering::Relaxed);
        let quiet_for = u128::from(now.boot.0.saturating_sub(last));
        let due = last == 0 || quiet_for >= FEED_ALARM_AGE.as_millis();
        if due
            && self
                .alarmed
                .compare_exchange(
                    last,
                    now.boot.0.max(1),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
        {
            tracing::error!(
                name: "lanyard.feed.stale",
                { lanyard.feed.age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX) },
                "the feed is old: revocations may be missing here"
            );
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lane.close();
        // The observer sees that nobody is left, and ends.
        self.link.bell.hurry();
    }
}

fn not_alive(reason: NotAlive) -> Denial {
    match reason {
        NotAlive::NoSnapshot => Rejection::NotReady.into(),
        NotAlive::Dead(dead) => Rejection::from(dead).into(),
    }
}
