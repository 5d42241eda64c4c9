//! A gateway is a sequence of decisions; none can be forgotten and the unsafe ones have names.
//!
//! trust root → feed → routes → drift mode → start

use std::path::PathBuf;
use std::sync::Arc;

use lanyard_token::{Audience, Expectations, InvalidLeeway, Scope, TrustedKeys};
use tokio::sync::watch;

use super::cut_off::CutOff;
use super::grant::Grants;
use super::journal::Journal;
use super::link::Link;
use super::observation::{DriftClock, DriftMode};
use super::observer::{self, Observer};
use super::refusals::Refusals;
use super::route::{Route, RouteError, RouteFileError, RouteTable};
use super::running::{Running, until};
use super::seen::SeenTable;
use super::shadow::ShadowRoutes;
use super::{Gateway, Inner};
use crate::client::{Client, ClientError};
use crate::clock::{Clock, SystemClock};
use crate::enrolment::Enrolment;
use crate::feed::{self, FeedConfig, FeedView};

/// Tokens kept unless told otherwise.
const DEFAULT_CAPACITY: usize = 16_384;

/// How many tokens a gateway keeps. Beyond it the one silent longest goes through the gate again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity(usize);

impl Capacity {
    /// At least one.
    #[must_use]
    pub const fn tokens(count: usize) -> Self {
        Self(if count == 0 { 1 } else { count })
    }
}

/// Why a gateway cannot be made or started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// The enrolment serves several audiences, and none or a foreign one was chosen.
    #[error("choose one of the audiences in the enrolment: {0}")]
    Audience(String),
    /// The routes contradict themselves.
    #[error("the routes cannot be used")]
    Routes(#[from] RouteError),
    /// The route file cannot be read.
    #[error("the route file cannot be used")]
    RouteFile(#[from] RouteFileError),
    /// A leeway beyond five seconds.
    #[error("the leeway cannot be used")]
    Leeway(#[from] InvalidLeeway),
    /// The client for the broker cannot be made.
    #[error("no client for the broker can be made")]
    Client(#[from] ClientError),
}

/// A gateway in the making.
pub struct Builder<S> {
    state: S,
}

/// First decision: whom to trust.
pub struct NeedsTrust(());
/// Second decision: where the feed's state is kept.
pub struct NeedsFeed {
    enrolment: Enrolment,
    audience: Audience,
}
/// Third decision: which calls there are.
pub struct NeedsRoutes<F> {
    feed: F,
    expectations: Expectations,
}
/// Fourth decision: what observation may do.
pub struct NeedsDriftMode<F> {
    feed: F,
    expectations: Expectations,
    routes: RouteTable,
}
/// All is decided.
pub struct Ready<F> {
    feed: F,
    expectations: Expectations,
    routes: RouteTable,
    mode: DriftMode,
    capacity: Capacity,
    clock: Arc<dyn Clock>,
    drift_clock: Option<Arc<dyn DriftClock>>,
}

/// Reads the broker's feed itself.
pub struct OwnFeed {
    enrolment: Enrolment,
    state_dir: PathBuf,
    relay: Option<String>,
    certificates: Option<Vec<u8>>,
}
/// Looks at a feed that something else in this process reads, or at none.
pub struct SharedFeed {
    view: Arc<FeedView>,
    fed: bool,
}

/// Decisions that give up a protection. Whoever searches a code base for `dangerous` finds them.
pub struct Dangerous(());

impl Builder<NeedsTrust> {
    pub(super) const fn new() -> Self {
        Self {
            state: NeedsTrust(()),
        }
    }

    /// Trusts the root that the enrolment pins, for the enrolment's one audience.
    pub fn enrolled(self, enrolment: Enrolment) -> Result<Builder<NeedsFeed>, GatewayError> {
        match enrolment.audiences.as_slice() {
            [audience] => {
                let audience = audience.clone();
                self.enrolled_for(enrolment, &audience)
            }
            several => Err(GatewayError::Audience(names(several))),
        }
    }

    /// Trusts the root that the enrolment pins, for one of its audiences.
    pub fn enrolled_for(
        self,
        enrolment: Enrolment,
        audience: &Audience,
    ) -> Result<Builder<NeedsFeed>, GatewayError> {
        if !enrolment.audiences.contains(audience) {
            return Err(GatewayError::Audience(names(&enrolment.audiences)));
        }
        Ok(Builder {
            state: NeedsFeed {
                enrolment,
                audience: audience.clone(),
            },
        })
    }

    /// Looks at a feed which another gateway of this process reads.
    pub fn shared_feed(
        self,
        issuer: impl Into<String>,
        audience: Audience,
        view: Arc<FeedView>,
    ) -> Builder<NeedsRoutes<SharedFeed>> {
        let expectations = Expectations::new(issuer, audience).with_trailing_clock();
        Builder {
            state: NeedsRoutes {
                feed: SharedFeed { view, fed: true },
                expectations,
            },
        }
    }

    /// The decisions that give up a protection.
    #[must_use]
    pub const fn dangerous(self) -> Dangerous {
        Dangerous(())
    }
}

impl Dangerous {
    /// Tokens live until they expire, whatever is revoked, and nothing is reported: for tests and
    /// measurements.
    pub fn without_revocation(
        self,
        issuer: impl Into<String>,
        audience: Audience,
        keys: TrustedKeys,
    ) -> Builder<NeedsRoutes<SharedFeed>> {
        let view = FeedView::without_feed(keys);
        let expectations = Expectations::new(issuer, audience);
        Builder {
            state: NeedsRoutes {
                feed: SharedFeed { view, fed: false },
                expectations,
            },
        }
    }
}

impl Builder<NeedsFeed> {
    /// Reads the broker's feed and keeps its state in this folder, which belongs to this gateway
    /// alone: a restart must never know less than before it.
    pub fn feed(self, state_dir: impl Into<PathBuf>) -> Builder<NeedsRoutes<OwnFeed>> {
        let NeedsFeed {
            enrolment,
            audience,
        } = self.state;
        // Feed time trails the broker's by the way of a heartbeat, on a busy machine by seconds.
        let expectations =
            Expectations::new(enrolment.issuer.clone(), audience).with_trailing_clock();
        let feed = OwnFeed {
            enrolment,
            state_dir: state_dir.into(),
            relay: None,
            certificates: None,
        };
        Builder {
            state: NeedsRoutes { feed, expectations },
        }
    }
}

impl Builder<NeedsRoutes<OwnFeed>> {
    /// Reads the feed from a relay, which need not be trusted.
    #[must_use]
    pub fn through_relay(mut self, url: impl Into<String>) -> Self {
        self.state.feed.relay = Some(url.into());
        self
    }

    /// Certificates (PEM) that are believed besides the system's.
    #[must_use]
    pub fn certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.state.feed.certificates = Some(pem.into());
        self
    }
}

impl<F> Builder<NeedsRoutes<F>> {
    /// Clocks may differ by this many seconds, at most five. None by default: the feed's time is the
    /// broker's.
    pub fn leeway(mut self, seconds: u64) -> Result<Self, GatewayError> {
        self.state.expectations = self.state.expectations.with_leeway(seconds)?;
        Ok(self)
    }

    /// These calls and no others.
    pub fn routes(
        self,
        routes: impl IntoIterator<Item = Route>,
    ) -> Result<Builder<NeedsDriftMode<F>>, GatewayError> {
        let table = RouteTable::build(self.state.expectations.audience(), routes)?;
        Ok(self.with(table))
    }

    /// The calls that a TOML text names, see [`RouteTable::from_toml`].
    pub fn routes_from_toml(self, text: &str) -> Result<Builder<NeedsDriftMode<F>>, GatewayError> {
        let table = RouteTable::from_toml(self.state.expectations.audience(), text)?;
        Ok(self.with(table))
    }

    fn with(self, routes: RouteTable) -> Builder<NeedsDriftMode<F>> {
        let NeedsRoutes { feed, expectations } = self.state;
        Builder {
            state: NeedsDriftMode {
                feed,
                expectations,
                routes,
            },
        }
    }
}

impl<F> Builder<NeedsDriftMode<F>> {
    /// What observation may do.
    pub fn drift(self, mode: DriftMode) -> Builder<Ready<F>> {
        let NeedsDriftMode {
            feed,
            expectations,
            routes,
        } = self.state;
        Builder {
            state: Ready {
                feed,
                expectations,
                routes,
                mode,
                capacity: Capacity::tokens(DEFAULT_CAPACITY),
                clock: Arc::new(SystemClock),
                drift_clock: None,
            },
        }
    }
}

impl<F> Builder<Ready<F>> {
    /// How many tokens are kept.
    #[must_use]
    pub fn capacity(mut self, capacity: Capacity) -> Self {
        self.state.capacity = capacity;
        self
    }

    /// Another clock: for simulations and tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.state.clock = clock;
        self
    }

    /// Another time for the drift engine than the feed's: for recorded traffic.
    #[must_use]
    pub fn drift_clock(mut self, clock: Arc<dyn DriftClock>) -> Self {
        self.state.drift_clock = Some(clock);
        self
    }

    fn assemble(
        state: Ready<F>,
        (view, fed): (Arc<FeedView>, bool),
        cut_off: CutOff,
    ) -> (Gateway, F) {
        for token in cut_off.tokens() {
            view.hold(token);
        }
        let Capacity(capacity) = state.capacity;
        let observes = state.mode != DriftMode::Off;
        let journal = observes.then(Journal::new);
        let gateway = Gateway(Arc::new(Inner {
            expectations: state.expectations,
            routes: state.routes,
            seen: SeenTable::new(capacity),
            grants: Grants::new(capacity),
            link: Arc::new(Link::new(view, state.clock, state.drift_clock, journal)),
            shadow: ShadowRoutes::default(),
            refusals: Refusals::default(),
            mode: state.mode,
            fed,
            alarmed: std::sync::atomic::AtomicU64::new(0),
            endings: super::ending::LocalEndings::default(),
            lane: Arc::default(),
            checked: std::sync::atomic::AtomicU64::new(0),
            observer: Observer::new(),
            cut_off,
            portraits: super::portrait::Portraits::default(),
            alarms: std::sync::atomic::AtomicU64::new(0),
        }));
        if observes {
            observer::start(&gateway.0);
        }
        (gateway, state.feed)
    }
}

impl Builder<Ready<SharedFeed>> {
    /// The gateway. In the background it runs only the thread that looks at what calls do.
    #[must_use]
    pub fn build(self) -> Gateway {
        let view = Arc::clone(&self.state.feed.view);
        let fed = self.state.feed.fed;
        let (gateway, _) = Self::assemble(self.state, (view, fed), CutOff::open(None));
        gateway
    }
}

impl Builder<Ready<OwnFeed>> {
    /// The gateway, and what it runs: the reader of the feed and the reporter. Needs a tokio runtime.
    /// Until the first snapshot is here, or found on the disk, every call is answered with 503.
    pub fn start(self) -> Result<(Gateway, Running), GatewayError> {
        let feed = &self.state.feed;
        let enrolment = &feed.enrolment;
        let mut client = Client::builder(&enrolment.issuer)
            .client_credentials(
                &enrolment.client_id,
                crate::Secret::new(enrolment.client_secret.expose()),
            )
            .clock(Arc::clone(&self.state.clock));
        if let Some(pem) = &feed.certificates {
            client = client.certificates(pem.clone());
        }
        let client = client.build()?;
        let issuer: Audience = enrolment
            .issuer
            .parse()
            .map_err(|_| ClientError::Issuer(enrolment.issuer.clone()))?;
        let scopes = ["lanyard:feed", "lanyard:report"]
            .into_iter()
            .filter_map(|scope| scope.parse::<Scope>().ok());
        let tokens = client.tokens(issuer, scopes.collect());
        let config = FeedConfig {
            issuer: enrolment.issuer.clone(),
            feed_url: feed.relay.clone(),
            root: enrolment.root.clone(),
            state_dir: feed.state_dir.clone(),
            http: client.http().clone(),
            clock: Arc::clone(&self.state.clock),
        };
        let remade = Remade {
            expectations: self.state.expectations.clone(),
            mode: self.state.mode,
            capacity: self.state.capacity,
            clock: Arc::clone(&self.state.clock),
            drift_clock: self.state.drift_clock.clone(),
            suspended: config.state_dir.join("suspended"),
        };
        let view = FeedView::new();
        let fed = (Arc::clone(&view), true);
        let cut_off = CutOff::open(Some(remade.suspended.clone()));
        let (gateway, _) = Self::assemble(self.state, fed, cut_off);
        let (stop, stopped) = watch::channel(());
        let reading = feed::run(config, Arc::new(tokens.clone()), view, until(stopped));
        Ok((
            gateway.clone(),
            Running::begin(gateway, stop, reading, tokens, remade),
        ))
    }
}

/// Everything that was decided for a gateway but its routes: to make it anew with others.
pub(super) struct Remade {
    expectations: Expectations,
    mode: DriftMode,
    capacity: Capacity,
    clock: Arc<dyn Clock>,
    drift_clock: Option<Arc<dyn DriftClock>>,
    suspended: PathBuf,
}

impl Remade {
    /// The same gateway with these routes, over the feed that `before` looks at.
    pub(super) fn with(&self, routes: RouteTable, before: &Gateway) -> Gateway {
        let state = Ready {
            feed: (),
            expectations: self.expectations.clone(),
            routes,
            mode: self.mode,
            capacity: self.capacity,
            clock: Arc::clone(&self.clock),
            drift_clock: self.drift_clock.clone(),
        };
        let fed = (Arc::clone(before.feed()), before.0.fed);
        let cut_off = CutOff::open(Some(self.suspended.clone()));
        Builder::assemble(state, fed, cut_off).0
    }
}

fn names(audiences: &[Audience]) -> String {
    audiences
        .iter()
        .map(Audience::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
