//! What issuing costs: our token endpoint, which answers when the token is on the disk, beside others that keep
//! theirs in memory.

mod device;
mod policies;

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::absent::present;
use super::curve::{Curve, Line};
use super::target::{Goal, Target};
use super::turns::{self, Case, Measured, Outcome, Turns, beside};
use crate::broker::{Broker, BrokerArgs, Member};
use crate::load::{Question, closed};
use crate::peers::{self, Peer};
use crate::server::{AUDIENCE, Kind, SCOPE};

const COMMAND: &str = "lanyard-loadtest bench broker";
/// An identity may ask 50 times a second: enough of them that none is slowed down.
const IDENTITIES: usize = 600;
/// At so many connections the wait for the disk is told.
const MANY: usize = 64;

const MINT: &str = "Lanyard, client credentials";
const EXCHANGE: &str = "Lanyard, token exchange";
const INTROSPECT: &str = "Lanyard, introspection";
const BARE: &str = "axum + jsonwebtoken, keeps nothing";
const BAO_LOGIN: &str = "OpenBao, AppRole -> service token";
const BAO_LOOKUP: &str = "OpenBao, lookup-self";
const OIDC_TOKEN: &str = "oidc-provider, client credentials";
const OIDC_INTROSPECT: &str = "oidc-provider, introspection";

/// Starts everything, and lets it take turns.
pub(super) async fn measure(args: &BrokerArgs, turns: Turns) -> Result<Outcome, Box<dyn Error>> {
    let broker = Broker::open(args).await?;
    let address = broker.address().ok_or("the issuer has no address")?;
    let owner = broker.add_owner("bench-broker").await?;
    let mut asked = Asked::default();
    for number in 0..IDENTITIES {
        let name = format!("bench-broker-{number}");
        let member = broker.add_member(&name, &owner, AUDIENCE, SCOPE).await?;
        let token = broker
            .token(&member, &[("requested_lifetime", "3600")])
            .await?;
        asked.add(&member, &token);
    }
    let bare = peers::home(Kind::Mint, [""; 0]).await?;
    let mut missing = Vec::new();
    let openbao = present(
        &mut missing,
        peers::openbao().await,
        &[BAO_LOGIN, BAO_LOOKUP],
        &["P8-openbao", "P8-openbao-cpu", "P9-openbao", "P10-openbao"],
    );
    let oidc = present(
        &mut missing,
        peers::oidc_provider().await,
        &[OIDC_TOKEN, OIDC_INTROSPECT],
        &[
            "P8-oidc-provider",
            "P8-oidc-provider-cpu",
            "P9-oidc-provider",
            "P10-oidc-provider",
        ],
    );

    let ours = |name, questions: &[Question]| Case {
        name,
        address,
        questions: Arc::from(questions),
        processor: Box::new(|| broker.processor_time()),
    };
    let mut cases = vec![
        ours(MINT, &asked.mint),
        ours(EXCHANGE, &asked.exchange),
        ours(INTROSPECT, &asked.introspect),
        theirs(BARE, &bare, bare_question()),
    ];
    if let Some(bao) = &openbao {
        cases.push(theirs(BAO_LOGIN, &bao.peer, bao.login.clone()));
        cases.push(theirs(BAO_LOOKUP, &bao.peer, bao.lookup.clone()));
    }
    if let Some(oidc) = &oidc {
        cases.push(theirs(OIDC_TOKEN, &oidc.peer, oidc.token.clone()));
        cases.push(theirs(
            OIDC_INTROSPECT,
            &oidc.peer,
            oidc.introspection.clone(),
        ));
    }
    let measured = turns::take(&cases, turns).await;
    drop(cases);
    let mut targets = targets(&measured);
    let questions: Arc<[Question]> = Arc::from(asked.mint);
    let mut curves = vec![by_connections(address, &questions).await];
    curves.extend(policies::curve(args).await?);
    targets.extend(waits_for_the_disk(&broker, &questions, turns).await?);
    Ok(Outcome {
        measured,
        targets,
        missing,
        curves,
    })
}

/// Mints a second by number of connections: the more of them, the more share a write to the disk.
async fn by_connections(to: SocketAddr, questions: &Arc<[Question]>) -> Curve {
    let mut points = Vec::new();
    for connections in [1, 4, 16, 64, 128, 256] {
        let lasting = Duration::from_secs(1);
        let answers = closed(to, Arc::clone(questions), connections, lasting).await;
        points.push((connections as f64, answers.per_second()));
    }
    Curve::of(
        "broker-connections",
        "Durable mints a second, by number of connections",
        ("connections", "mints/s"),
        vec![Line::new(MINT, points)],
    )
}

/// What is asked of our broker.
#[derive(Default)]
struct Asked {
    mint: Vec<Question>,
    exchange: Vec<Question>,
    introspect: Vec<Question>,
}

impl Asked {
    fn add(&mut self, member: &Member, token: &str) {
        let secret = format!("{}:{}", member.id, member.secret.expose());
        let basic = format!("Basic {}", STANDARD.encode(secret));
        let headers = [("authorization", basic.as_str())];
        let form = |path, form: &str| Question::post_form("localhost", path, &headers, form);
        self.mint
            .push(form("/oauth/token", "grant_type=client_credentials"));
        let exchange = format!(
            "grant_type={EXCHANGE_GRANT}&subject_token_type={ACCESS_TOKEN}&subject_token={token}"
        );
        self.exchange.push(form("/oauth/token", &exchange));
        self.introspect
            .push(form("/oauth/introspect", &format!("token={token}")));
    }
}

/// RFC 8693, as forms write it.
const EXCHANGE_GRANT: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
const ACCESS_TOKEN: &str = "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";

fn bare_question() -> Question {
    Question::post_form(
        "localhost",
        "/oauth/token",
        &[("authorization", "Basic Y2xpZW50OnNlY3JldA==")],
        "grant_type=client_credentials",
    )
}

fn theirs<'p>(name: &'static str, peer: &'p Peer, question: Question) -> Case<'p> {
    Case {
        name,
        address: peer.address,
        questions: Arc::from([question]),
        processor: Box::new(|| peer.processor_time()),
    }
}

fn targets(all: &[Measured]) -> Vec<Target> {
    let rate = |id, ours, theirs, goal| {
        let rounds =
            beside(all, ours, theirs).map(|(ours, theirs)| ours.per_second / theirs.per_second);
        Target::of(id, "x", COMMAND, Goal::AtLeast(goal), rounds)
    };
    let cost = |id, ours, theirs, goal| {
        let rounds =
            beside(all, ours, theirs).map(|(ours, theirs)| theirs.processor_us / ours.processor_us);
        Target::of(id, "x", COMMAND, Goal::AtLeast(goal), rounds)
    };
    let targets = [
        rate("P8-openbao", MINT, BAO_LOGIN, 6.0),
        cost("P8-openbao-cpu", MINT, BAO_LOGIN, 8.0),
        rate("P8-oidc-provider", MINT, OIDC_TOKEN, 3.5),
        cost("P8-oidc-provider-cpu", MINT, OIDC_TOKEN, 4.0),
        rate("P9-openbao", EXCHANGE, BAO_LOGIN, 5.0),
        rate("P9-oidc-provider", EXCHANGE, OIDC_TOKEN, 3.0),
        rate("P10-oidc-provider", INTROSPECT, OIDC_INTROSPECT, 10.0),
        rate("P10-openbao", INTROSPECT, BAO_LOOKUP, 20.0),
    ];
    targets.into_iter().flatten().collect()
}

/// The wait of one in a hundred at 64 connections, as a share of three times the device's own fdatasync at that
/// moment and two milliseconds: at most 1. The device is asked in the broker's own folder, while the load is on.
async fn waits_for_the_disk(
    broker: &Broker,
    questions: &Arc<[Question]>,
    turns: Turns,
) -> Result<Option<Target>, Box<dyn Error>> {
    let (Some(address), Some(folder)) = (broker.address(), broker.folder()) else {
        return Ok(None);
    };
    let mut shares = Vec::new();
    for _ in 0..turns.rounds {
        let device = device::Device::start(folder)?;
        let answers = closed(address, Arc::clone(questions), MANY, turns.lasting).await;
        let synced = device.stop();
        let allowed = 3.0 * synced.as_secs_f64() + Duration::from_millis(2).as_secs_f64();
        shares.push(answers.wait_at(0.99).as_secs_f64() / allowed);
    }
    Ok(Target::of(
        "P8-p99-fsync",
        "x",
        COMMAND,
        Goal::AtMost(1.0),
        shares,
    ))
}
