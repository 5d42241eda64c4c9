//! What happens while good callers go on.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use lanyard_token::NodeId;
use serde_json::json;
use tokio::time::Instant;

use super::stage::Stage;
use super::{RunArgs, Scenario, attack, good};
use crate::load::{Answers, Question, open};

/// What arrives at once of a scenario.
const CONNECTIONS: usize = 16;
/// So many nodes are revoked in one call.
const NODES_A_CALL: usize = 100;
/// Of each scenario, so much is a part of a mixed day.
const PART_OF_A_DAY: f64 = 0.1;
/// What a process has open besides slow clients.
const OTHER_FILES: u64 = 300;
/// Numbers that no broker gives to anything within years.
const FIRST_NODE: u64 = 0x00e0_0000_0000_0000;
/// Signing keys are replaced so often, far more than anybody would.
const ROTATIONS: u32 = 4;

/// Everything that is sent, prepared before anything is timed.
pub(super) struct Happening {
    storms: Vec<Storm>,
    slow: usize,
    rotates: bool,
    stops_the_broker: bool,
}

/// Requests at fixed instants.
struct Storm {
    name: &'static str,
    to: SocketAddr,
    questions: Arc<[Question]>,
    per_second: f64,
}

/// What came of it, for the report.
#[derive(Default)]
pub(super) struct Happened {
    pub(super) storms: Vec<(&'static str, Answers)>,
    /// Slow clients that were thrown out, and those at each door.
    pub(super) slow: Option<(u64, usize)>,
    pub(super) rotations: u32,
    pub(super) stood_still: Option<Duration>,
}

impl Happening {
    pub(super) async fn prepare(
        args: &RunArgs,
        stage: &Stage,
        lasting: Duration,
        open_files: u64,
    ) -> Result<Self, Box<dyn Error>> {
        let day = args.scenario == Scenario::MixedDay;
        let is = |scenario| args.scenario == scenario || day;
        let per_second = args.pressure * if day { PART_OF_A_DAY } else { 1.0 };
        let count = (per_second * lasting.as_secs_f64()).ceil() as usize + CONNECTIONS;
        let service = stage.service.address;
        let broker = stage.broker.address().ok_or("the issuer has no address")?;
        let path = stage.service.path.as_str();
        let thief = stage.callers.first().ok_or("nobody may call")?;
        let mut storms = Vec::new();
        let mut storm = |name, to, questions: Vec<Question>, per_second| {
            storms.push(Storm {
                name,
                to,
                questions: questions.into(),
                per_second,
            });
        };
        if is(Scenario::ExchangeStorm) {
            storm("exchanges", broker, exchanges(stage), per_second);
        }
        if is(Scenario::RevocationStorm) {
            let admin = stage.broker.admin_address()?;
            storm(
                "bulk revocations",
                admin,
                revocations(stage, count),
                per_second / 10.0,
            );
        }
        if is(Scenario::JunkFlood) {
            let tokens = attack::junk(path, &thief.token, count);
            storm("junk tokens", service, tokens, per_second);
            // Beyond fifty a second a network that fails is refused before anything is looked at.
            let keys = attack::junk_keys(count);
            storm("junk keys", broker, keys, per_second / 10.0);
        }
        if is(Scenario::CardinalityBomb) {
            // A thief's token, not one of the good callers': what it does is noticed, and it may end.
            let name = format!("run-{}-bomb", std::process::id());
            let (audience, scope) = (
                args.audience.as_deref().unwrap_or(crate::server::AUDIENCE),
                args.scope.as_deref().unwrap_or(crate::server::SCOPE),
            );
            let member = stage
                .broker
                .add_member(&name, &stage.owner, audience, scope)
                .await?;
            let token = stage.broker.token(&member, &[]).await?;
            storm(
                "novelties",
                service,
                attack::novelties(&token, count),
                per_second,
            );
        }
        let room = usize::try_from(open_files.saturating_sub(OTHER_FILES) / 2).unwrap_or(args.slow);
        let slow = args.slow.min(room);
        Ok(Self {
            storms,
            slow: match args.scenario {
                Scenario::SlowClients => slow,
                Scenario::MixedDay => slow / 10,
                _ => 0,
            },
            rotates: is(Scenario::KeyRotation),
            stops_the_broker: args.scenario == Scenario::FeedOutage,
        })
    }

    /// All of it, for this long.
    pub(super) async fn happen(
        &self,
        stage: &Stage,
        lasting: Duration,
    ) -> Result<Happened, Box<dyn Error>> {
        let (storms, slow, rotations, stood_still) = tokio::join!(
            self.blow(lasting),
            self.dawdle(stage, lasting),
            self.rotate(stage, lasting),
            self.stop_the_broker(stage, lasting),
        );
        Ok(Happened {
            storms,
            slow,
            rotations: rotations?,
            stood_still: stood_still?,
        })
    }

    async fn blow(&self, lasting: Duration) -> Vec<(&'static str, Answers)> {
        let storms = self.storms.iter().map(|storm| async move {
            let questions = Arc::clone(&storm.questions);
            let answers = open(storm.to, questions, CONNECTIONS, storm.per_second, lasting).await;
            (storm.name, answers)
        });
        futures::future::join_all(storms).await
    }

    async fn dawdle(&self, stage: &Stage, lasting: Duration) -> Option<(u64, usize)> {
        if self.slow == 0 {
            return None;
        }
        let broker = stage.broker.address()?;
        let (at_service, at_broker) = tokio::join!(
            attack::slow(stage.service.address, self.slow, lasting),
            attack::slow(broker, self.slow, lasting),
        );
        Some((at_service + at_broker, self.slow))
    }

    async fn rotate(&self, stage: &Stage, lasting: Duration) -> Result<u32, Box<dyn Error>> {
        if !self.rotates {
            return Ok(0);
        }
        for number in 0..ROTATIONS {
            tokio::time::sleep(lasting / (ROTATIONS + 1)).await;
            let key_use = if number % 2 == 0 { "mint" } else { "feed" };
            stage.broker.rotate(&json!({"use": key_use})).await?;
        }
        Ok(ROTATIONS)
    }

    /// Stands still as a frozen machine does: connections stay open, and nothing answers.
    async fn stop_the_broker(
        &self,
        stage: &Stage,
        lasting: Duration,
    ) -> Result<Option<Duration>, Box<dyn Error>> {
        if !self.stops_the_broker {
            return Ok(None);
        }
        let began = Instant::now();
        stage.broker.stand_still()?;
        tokio::time::sleep(lasting.mul_f64(0.8)).await;
        stage.broker.go_on()?;
        Ok(Some(began.elapsed()))
    }
}

fn exchanges(stage: &Stage) -> Vec<Question> {
    stage
        .callers
        .iter()
        .map(|caller| {
            let basic = good::basic(&caller.member);
            let headers = [("authorization", basic.as_str())];
            let form = format!(
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
                 &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token\
                 &subject_token={}",
                caller.token
            );
            Question::post_form("localhost", "/oauth/token", &headers, &form)
        })
        .collect()
}

fn revocations(stage: &Stage, count: usize) -> Vec<Question> {
    let calls = count.div_ceil(10) as u64;
    (0..calls)
        .map(|call| {
            let first = FIRST_NODE + call * NODES_A_CALL as u64;
            let nodes: Vec<NodeId> = (first..first + NODES_A_CALL as u64)
                .map(NodeId::from_u64)
                .collect();
            stage.broker.revocation(&nodes).expecting(StatusCode::OK)
        })
        .collect()
}
