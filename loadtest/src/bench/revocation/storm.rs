//! A million nodes within a second, in bulk calls, while every second gateway is cut off: how long until the others
//! refuse the last node of each call, what a node weighs on the feed, and whether those that come back have missed one.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lanyard_sdk::{Client, Secret};
use lanyard_token::{FeedMessage, NodeId, Rev};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::fleet::Fleet;
use super::pulse::{Told, fresh_node, refused};
use crate::bench::Findings;
use crate::bench::target::{Goal, Target};
use crate::broker::Broker;
use crate::load::Connection;

/// A broker reads a mebibyte of a revocation: a node is its 16 digits, two quotes and a comma.
const NODES_A_CALL: usize = 50_000;
/// Within so long all calls are due.
const WITHIN: Duration = Duration::from_secs(1);
/// Who has not come level by then has missed something.
const LEVEL_WITHIN: Duration = Duration::from_secs(20);
const CONNECTIONS: usize = 8;
const GATEWAYS: usize = 8;
/// What is asked for.
const ASKED: usize = 1_000_000;

pub(super) async fn measure(
    broker: &Broker,
    owner: &str,
    nodes: usize,
    findings: &mut Findings,
) -> Result<(), Box<dyn Error>> {
    let mut fleet = Fleet::start(broker, owner, "storm", GATEWAYS).await?;
    fleet.cut_off_half().await?;
    let before = fleet
        .views()
        .first()
        .map_or(Rev::ZERO, |view| view.reached());
    let counter = Counter::start(broker, &fleet).await?;
    let all: Vec<NodeId> = (0..nodes).map(|_| fresh_node()).collect();
    let (told, asked) = blow(broker, &fleet, &all).await?;
    // One heartbeat, so that whatever is on the way has come.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let bytes = counter.stop() as f64 / nodes.max(1) as f64;
    fleet.come_back().await?;
    let missed = missed(&fleet, before, &all).await;

    let command = format!("{} --nodes {nodes}", super::COMMAND);
    let millis = [told.millis_at(0.99)];
    let goal = Goal::AtMost(2_000.0);
    findings.add(Target::of(
        "P12-storm-p99-ms",
        "ms",
        command.clone(),
        goal,
        millis,
    ));
    let goal = Goal::AtMost(10.0);
    findings.add(Target::of(
        "P12-storm-bytes",
        "B",
        command.clone(),
        goal,
        [bytes],
    ));
    let goal = Goal::AtMost(0.0);
    let count = [(missed + told.unheard) as f64];
    findings.add(Target::of("P12-storm-missed", "", command, goal, count));
    findings.note(
        nodes < ASKED,
        format!("storm: with {nodes} nodes and not {ASKED}, see --nodes"),
    );
    findings.note(
        true,
        format!(
            "storm: {nodes} nodes in calls of {NODES_A_CALL}, due within {} s and answered within {:.2} s",
            WITHIN.as_secs_f64(),
            asked.as_secs_f64()
        ),
    );
    fleet.stop().await;
    Ok(())
}

/// All calls, each at its instant; how long until the last was answered.
async fn blow(
    broker: &Broker,
    fleet: &Fleet,
    nodes: &[NodeId],
) -> Result<(Told, Duration), Box<dyn Error>> {
    let (to, views) = (broker.admin_address()?, fleet.views());
    let calls: Vec<_> = nodes
        .chunks(NODES_A_CALL)
        .filter_map(|nodes| Some((*nodes.last()?, broker.revocation(nodes))))
        .collect();
    let pause = WITHIN.div_f64(calls.len().max(1) as f64);
    let begin = Instant::now() + Duration::from_millis(50);
    let mut lanes: Vec<Vec<_>> = (0..CONNECTIONS).map(|_| Vec::new()).collect();
    for (turn, (last, question)) in calls.into_iter().enumerate() {
        let due = begin + pause.mul_f64(turn as f64);
        if let Some(lane) = lanes.get_mut(turn % CONNECTIONS) {
            lane.push((due, last, question));
        }
    }
    let mut askers = JoinSet::new();
    for lane in lanes {
        let mut connection = Connection::open(to).await?;
        let views = views.clone();
        askers.spawn(async move {
            let mut waiting = JoinSet::new();
            for (due, last, question) in lane {
                sleep_until(due).await;
                for view in &views {
                    waiting.spawn(refused(view, last, due));
                }
                let status = connection.ask(&question).await;
                if !status.is_ok_and(|status| status == question.expected()) {
                    return Err("the broker did not revoke".to_owned());
                }
            }
            Ok(waiting)
        });
    }
    let mut told = Told::none();
    let mut waiting = Vec::new();
    while let Some(lane) = askers.join_next().await {
        waiting.push(lane??);
    }
    let asked = begin.elapsed();
    for lane in waiting {
        told.gather(lane).await?;
    }
    Ok((told, asked))
}

/// Nodes times gateways that would still be let through, once all had time to come level.
async fn missed(fleet: &Fleet, before: Rev, nodes: &[NodeId]) -> u64 {
    let last = nodes.last().copied();
    for view in fleet.views() {
        if let Some(last) = last {
            // A token of before the storm: one of now would outlive what it has just been told.
            let watch = view.subscribe(before, &[last]);
            let _ = timeout(LEVEL_WITHIN, watch.dead()).await;
        }
    }
    let lives = |view: &Arc<lanyard_sdk::feed::FeedView>| {
        let living = nodes
            .iter()
            .filter(|node| view.check(before, &[**node]).is_ok());
        living.count() as u64
    };
    fleet.views().iter().map(lives).sum()
}

/// Reads the feed as a gateway does, and counts what comes.
struct Counter {
    bytes: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Counter {
    async fn start(broker: &Broker, fleet: &Fleet) -> Result<Self, Box<dyn Error>> {
        let enrolment = fleet.enrolment()?;
        let client = Client::builder(&broker.issuer)
            .client_credentials(
                &enrolment.client_id,
                Secret::new(enrolment.client_secret.expose().to_owned()),
            )
            .build()?;
        let scopes = "lanyard:feed".parse()?;
        let token = client
            .tokens(broker.issuer.parse()?, scopes)
            .token()
            .await?
            .secret()
            .expose()
            .to_owned();
        let issuer = broker.issuer.trim_end_matches('/');
        let http = crate::broker::http()?;
        let get = |path: String| http.get(format!("{issuer}/{path}")).bearer_auth(&token);
        let snapshot = get("v1/feed/snapshot".to_owned()).send().await?;
        let bytes = snapshot.error_for_status()?.bytes().await?;
        let view = fleet.views().into_iter().next().ok_or("a fleet of none")?;
        let keys = view.keys();
        let now = view.now(lanyard_sdk::Clock::now(&lanyard_sdk::SystemClock));
        let message = FeedMessage::decode(&bytes)?.verify(keys.feed(), now.seconds())?;
        let FeedMessage::Snapshot(snapshot) = message.message() else {
            return Err("the snapshot is none".into());
        };
        let path = format!(
            "v1/feed?after={}.{}&instance=counter",
            snapshot.epoch, snapshot.n
        );
        let mut stream = get(path).send().await?.error_for_status()?;
        let counter = Self {
            bytes: Arc::default(),
            over: Arc::default(),
        };
        let (bytes, over) = (Arc::clone(&counter.bytes), Arc::clone(&counter.over));
        tokio::spawn(async move {
            while let Ok(Some(chunk)) = stream.chunk().await {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        });
        Ok(counter)
    }

    fn stop(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.bytes.load(Ordering::Relaxed)
    }
}
