//! Egress as its program puts it together, but for the clock, which is the test's.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lanyard::clock::{Clock as _, ManualClock};
use lanyard_gateway::egress::lease::BrokerLeases;
use lanyard_gateway::egress::upstream::SystemResolver;
use lanyard_gateway::egress::{self, Rerouting};
use lanyard_sdk::gateway::{FEED_ALARM_AGE, Running};
use lanyard_sdk::{
    BootTime, Client, Clock, DriftMode, Enrolment, Gateway, Now, Secret, UnixMillis,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::world::BEGINNING;

/// What callers' tokens are for.
pub(super) const AUDIENCE: &str = "https://egress.example";

/// The broker's clock as a gateway reads it: a machine that was booted when everything began.
struct SameClock(Arc<ManualClock>);

impl Clock for SameClock {
    fn now(&self) -> Now {
        let now = self.0.now().0;
        Now {
            boot: BootTime(now - BEGINNING),
            wall: UnixMillis(now),
        }
    }
}

/// Egress at work.
pub(super) struct Egress {
    clock: Arc<ManualClock>,
    http: reqwest::Client,
    address: SocketAddr,
    gateway: Arc<Mutex<Gateway>>,
    running: Arc<Mutex<Option<Running>>>,
    keeper: (oneshot::Sender<()>, JoinHandle<()>),
    door: JoinHandle<()>,
    _state: tempfile::TempDir,
}

impl Egress {
    pub(super) async fn start(
        enrolment: &str,
        state: tempfile::TempDir,
        clock: &Arc<ManualClock>,
        http: &reqwest::Client,
    ) -> Self {
        let same: Arc<dyn Clock> = Arc::new(SameClock(Arc::clone(clock)));
        let enrolled = || Enrolment::parse(enrolment).unwrap();
        let (gateway, running) = Gateway::builder()
            .enrolled(enrolled())
            .unwrap()
            .feed(state.path())
            .routes([])
            .unwrap()
            .drift(DriftMode::Enforce)
            .clock(Arc::clone(&same))
            .start()
            .unwrap();
        let own = enrolled().client_id.parse().ok();
        let running = Arc::new(Mutex::new(Some(running)));
        let newest = Arc::new(Mutex::new(gateway.clone()));
        let (egress, keeper) = egress::Egress::new(
            gateway,
            rerouting(&running, &newest),
            Arc::new(leases(enrolled(), same)),
            Arc::new(SystemResolver),
            own,
        )
        .unwrap();
        let (stop, stopped) = oneshot::channel();
        let keeper = tokio::spawn(keeper.run(async move {
            let _ = stopped.await;
        }));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let door = tokio::spawn(async move { egress.serve_plain(listener).await.unwrap() });
        let started = Self {
            clock: Arc::clone(clock),
            http: http.clone(),
            address,
            gateway: newest,
            running,
            keeper: (stop, keeper),
            door,
            _state: state,
        };
        until("the broker has told what may be called", async || {
            let gateway = started.gateway();
            gateway.routes().operations().next().is_some() && gateway.feed().has_snapshot()
        })
        .await;
        started.until_heard().await;
        started
    }

    /// The gateway of the moment.
    pub(super) fn gateway(&self) -> Gateway {
        self.gateway.lock().unwrap().clone()
    }

    /// One call as a caller makes it; how it was refused, if it was. Drift is never answered with 503: where a busy machine
    /// has no lease in time, a caller comes again.
    pub(super) async fn call(
        &self,
        token: &str,
        (method, path): (&str, String),
    ) -> Result<(), (u16, String)> {
        let url = format!("http://{}/stripe{path}", self.address);
        let mut times = 0;
        loop {
            let request = self.http.request(method.parse().unwrap(), &url);
            let request = request.header("user-agent", "payments/2.4");
            let response = request.bearer_auth(token).send().await.unwrap();
            times += 1;
            match response.status().as_u16() {
                200 => return Ok(()),
                503 if times < 3 => {}
                status => return Err((status, response.text().await.unwrap())),
            }
        }
    }

    /// Lets time pass without being cut off from the broker, whose heartbeats come by the machine's time. A gateway that is
    /// cut off suspends by itself, and here the broker is to be the one who does.
    pub(super) async fn pass(&self, millis: u64) {
        let gateway = self.gateway();
        let age = gateway.feed().age(gateway.now().boot);
        if age + Duration::from_millis(millis) >= FEED_ALARM_AGE {
            self.until_heard().await;
        }
        self.clock.advance_millis(millis);
    }

    /// Waits for a heartbeat of now.
    async fn until_heard(&self) {
        until("a heartbeat comes", async || {
            let gateway = self.gateway();
            let (feed, now) = (gateway.feed(), gateway.now());
            // The first one may be from before time was moved: then it is young, and yet the time it tells is not this.
            let behind = now.wall.0.abs_diff(feed.now(now).0);
            behind < 1_000 && feed.age(now.boot) < Duration::from_secs(1)
        })
        .await;
    }

    /// Egress ends as on SIGTERM: with its last reports.
    pub(super) async fn close(self) {
        self.door.abort();
        let (stop, keeper) = self.keeper;
        drop(stop);
        keeper.await.unwrap();
        let running = self.running.lock().unwrap().take().unwrap();
        running.stop().await.unwrap();
    }
}

fn rerouting(running: &Arc<Mutex<Option<Running>>>, newest: &Arc<Mutex<Gateway>>) -> Rerouting {
    let (running, newest) = (Arc::clone(running), Arc::clone(newest));
    Box::new(move |routes| match running.lock().unwrap().as_mut() {
        Some(running) => {
            let made = running.replace_routes(routes)?;
            *newest.lock().unwrap() = made.clone();
            Ok(Some(made))
        }
        None => Ok(None),
    })
}

fn leases(enrolment: Enrolment, clock: Arc<dyn Clock>) -> BrokerLeases {
    let issuer = enrolment.issuer.clone();
    let client = {
        let issuer = issuer.clone();
        move || {
            let key = Secret::new(enrolment.client_secret.expose());
            Client::builder(&issuer)
                .client_credentials(&enrolment.client_id, key)
                .clock(Arc::clone(&clock))
                .build()
        }
    };
    let scope = "lanyard:egress".parse().unwrap();
    let tokens = client().unwrap().tokens(issuer.parse().unwrap(), scope);
    BrokerLeases::new(
        &issuer,
        tokens,
        Box::new(move || Ok(client()?.http().clone())),
    )
    .unwrap()
}

/// Waits for what needs none of the test's time.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..4_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited long until {what}");
}
