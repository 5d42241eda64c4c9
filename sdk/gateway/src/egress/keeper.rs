//! Keeping leases: asks the broker every 20 seconds, at once when something changed or a call finds nothing valid, and
//! forgets each value when its time is over, whether or not the broker answers.
//!
//! **What goes wrong and what then.** The broker is away: leases run out within a minute and calls are answered with 503,
//! until it is back; nothing else is kept. An answer is lost: uses are counted since the start, so telling them again
//! changes nothing. An integration cannot be carried here: it is left out, aloud, and hinders no other. All of them together
//! cannot be: those before them stay, and the broker is asked again after a pause, since it would answer at once. A lease is
//! refused: the one before it ends at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lanyard_sdk::gateway::{Gateway, RouteError};
use lanyard_sdk::{BootTime, Route};
use lanyard_token::Rev;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::lease::{Answer, Carried, GivenLease, LeaseSource, NoLeases, Question, Refused};
use super::scrub::Needles;
use super::shared::{Shared, Stations};
use super::station::{Held, Leased, Station, Used};
use super::upstream::Versions;

/// The longest that a value is kept, whatever an answer says.
const MOST: Duration = Duration::from_secs(60);
/// The shortest time between two questions: a broker that answers at once is not asked in a circle.
const LEAST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause after failures: well below a lease, so that one failure costs nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often values whose time is over are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// How long the last question may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// Versions whose uses are remembered, at most: the broker was told of older ones long ago.
const MOST_USED: usize = 4_096;

/// Makes the gateway that decides with other routes; `None` when egress is stopping.
pub type Rerouting = Box<dyn FnMut(Vec<Route>) -> Result<Option<Gateway>, RouteError> + Send>;

/// Asks for leases, and hands them to the door.
pub struct Keeper {
    shared: Arc<Shared>,
    source: Arc<dyn LeaseSource>,
    reroute: Rerouting,
    boot: String,
    hash: Option<String>,
    used: Vec<Arc<Used>>,
}

/// What became of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It is in force.
    Carried,
    /// Its integrations cannot be carried here.
    NotCarried,
}

impl Keeper {
    pub(super) fn new(
        shared: Arc<Shared>,
        source: Arc<dyn LeaseSource>,
        reroute: Rerouting,
        boot: u64,
    ) -> Self {
        Self {
            shared,
            source,
            reroute,
            boot: format!("{boot:016x}"),
            hash: None,
            used: Vec::new(),
        }
    }

    /// Goes on until it is told to stop; then tells what was used since the last question.
    pub async fn run(mut self, stopped: impl Future<Output = ()> + Send) {
        tokio::select! {
            () = self.keep() => {}
            () = stopped => {}
        }
        let question = self.question();
        if !question.uses.is_empty() {
            // Whatever is given now is wiped unread. Without an answer nobody is left to try again.
            let _ = timeout(FAREWELL, self.source.ask(&question, false)).await;
        }
    }

    async fn keep(&mut self) {
        let mut wait = false;
        let mut failures = 0_u32;
        loop {
            let began = Instant::now();
            match self.ask(wait).await {
                Some(Ok(Taken::Carried)) => {
                    wait = true;
                    failures = 0;
                }
                Some(Ok(Taken::NotCarried)) => {
                    wait = false;
                    failures = failures.saturating_add(1);
                    pause_after(&self.shared, failures).await;
                }
                Some(Err(error)) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(
                        name: "lanyard.egress.no_leases",
                        { error = %error, lanyard.attempt = failures },
                        "the broker gave no leases"
                    );
                    // What changed while it was away is asked for at once when it is back.
                    wait = false;
                    pause_after(&self.shared, failures).await;
                }
                None => wait = false,
            }
            sweep_until(&self.shared, began + LEAST_PAUSE).await;
        }
    }

    /// Asks once; `None` when a call needs something before the answer is there.
    async fn ask(&mut self, wait: bool) -> Option<Result<Taken, NoLeases>> {
        let question = self.question();
        let source = Arc::clone(&self.source);
        let current = self.shared.current();
        // Counted from before the question: an answer on a slow way never lengthens a lease.
        let asked = current.gateway.now().boot;
        let rev = current.gateway.feed().reached();
        let mut asking = source.ask(&question, wait);
        let answer = loop {
            tokio::select! {
                answer = &mut asking => break answer,
                () = self.shared.hurry.notified(), if wait => return None,
                () = sleep(SWEEP) => self.shared.sweep(),
            }
        };
        drop(asking);
        Some(answer.map(|answer| self.take(answer, asked, rev)))
    }

    fn question(&mut self) -> Question {
        if self.used.len() > MOST_USED {
            self.used.retain(|used| Arc::strong_count(used) > 1);
        }
        Question {
            known: self.hash.clone(),
            boot: self.boot.clone(),
            uses: self.used.iter().filter_map(|used| used.told()).collect(),
        }
    }

    fn take(&mut self, answer: Answer, asked: BootTime, rev: Rev) -> Taken {
        for refused in &answer.refused {
            tracing::warn!(
                name: "lanyard.egress.lease_refused",
                { lanyard.integration = %refused.integration, lanyard.reason = %refused.why },
                "the broker gives no lease for an integration"
            );
        }
        // Whoever may have one no more is heard of also where the rest of the answer cannot be taken.
        self.refuse(&answer.refused);
        if let Some(written) = answer.integrations {
            if !self.carry(written) {
                // These leases belong to forms that are not carried: a value must not go where the one before went.
                self.shared.answered();
                return Taken::NotCarried;
            }
            self.hash = Some(answer.hash);
        }
        // Some may have a new form now, and with it a place of their own.
        self.refuse(&answer.refused);
        let current = self.shared.current();
        for given in answer.leases {
            let left = Duration::from_millis(given.until.saturating_sub(answer.now)).min(MOST);
            let until = BootTime(asked.0 + u64::try_from(left.as_millis()).unwrap_or(0));
            if let Some(station) = current.stations.get(given.integration.as_str()) {
                self.lease(station, given, until, rev);
            }
        }
        self.shared.answered();
        Taken::Carried
    }

    fn refuse(&self, refused: &[Refused]) {
        let current = self.shared.current();
        for refused in refused {
            if let Some(station) = current.stations.get(refused.integration.as_str()) {
                station.refuse();
            }
        }
    }

    /// Takes on what the broker names; `false` when the routes cannot be, and everything stays as it was.
    fn carry(&mut self, written: Vec<serde_json::Value>) -> bool {
        let before = self.shared.current();
        let mut stations = Stations::new();
        for one in written {
            let carried: Carried = match serde_json::from_value(one) {
                Ok(carried) => carried,
                Err(error) => {
                    tracing::error!(error = %error, "an integration cannot be carried here");
                    continue;
                }
            };
            let name = carried.integration.name().as_str();
            let station = match before.stations.get(name) {
                Some(known) if known.carried == carried => Arc::clone(known),
                Some(known) => Arc::new(known.followed_by(carried)),
                None => Arc::new(Station::new(carried)),
            };
            stations.insert(station.name().into(), station);
        }
        let routes = stations
            .values()
            .flat_map(|station| station.routes().collect::<Vec<_>>());
        match (self.reroute)(routes.collect()) {
            Ok(None) => false,
            Ok(Some(gateway)) => {
                self.shared.replace(gateway, stations);
                true
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the integrations cannot be carried: those before them stay"
                );
                false
            }
        }
    }

    fn lease(&mut self, station: &Station, given: GivenLease, until: BootTime, rev: Rev) {
        let same = station.leased.load_full().filter(|leased| {
            leased.held.secret == given.secret && leased.held.version == given.version
        });
        let held = match same {
            Some(leased) => Arc::clone(&leased.held),
            None => match self.hold(station, given) {
                Some(held) => Arc::new(held),
                // No call has to ask for what cannot be used.
                None => return station.refuse(),
            },
        };
        station.lease(Leased { held, until, rev });
    }

    fn hold(&mut self, station: &Station, given: GivenLease) -> Option<Held> {
        let client = match self.shared.clients.make(&station.target, Versions::Both) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    lanyard.integration = station.name(),
                    "an integration cannot be called"
                );
                return None;
            }
        };
        let is_same = |used: &&Arc<Used>| {
            used.integration == given.integration
                && used.secret == given.secret
                && used.version == given.version
        };
        let used = match self.used.iter().find(is_same) {
            Some(used) => Arc::clone(used),
            None => {
                let used = Arc::new(Used::new(&given.integration, given.secret, given.version));
                self.used.push(Arc::clone(&used));
                used
            }
        };
        Some(Held {
            secret: given.secret,
            version: given.version,
            needles: Arc::new(Needles::of([given.value.expose()])),
            value: given.value,
            reference: given.reference,
            client,
            used,
            bearer: Arc::default(),
        })
    }
}

/// The longer, the more often it failed.
async fn pause_after(shared: &Shared, failures: u32) {
    let pause = LEAST_PAUSE.saturating_mul(1 << failures.min(6));
    sweep_until(shared, Instant::now() + pause.min(LONGEST_PAUSE)).await;
}

/// Waits, and forgets meanwhile what is over.
async fn sweep_until(shared: &Shared, moment: Instant) {
    loop {
        let next = moment.min(Instant::now() + SWEEP);
        sleep_until(next).await;
        shared.sweep();
        if next == moment {
            return;
        }
    }
}
