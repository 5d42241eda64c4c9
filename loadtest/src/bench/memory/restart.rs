//! A broker that is killed, and how long until it serves again what it had issued and kept: as many living tokens as
//! were asked for, and a secret for each ten of them, made the way anybody makes them.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{ASKED, command};
use crate::bench::Findings;
use crate::bench::target::{Goal, Target};
use crate::broker::{Broker, BrokerArgs, Mortal};
use crate::load::{Connection, Question, closed};
use crate::server::{AUDIENCE, SCOPE};
use tokio::task::JoinSet;

/// Enough that none asks too often.
const IDENTITIES: usize = 400;
const CONNECTIONS: usize = 64;
const RESTARTS: usize = 3;
/// A million tokens and a hundred thousand secrets are what is asked for.
const TOKENS_A_SECRET: usize = 10;

pub(super) async fn measure(
    args: &BrokerArgs,
    tokens: usize,
    findings: &mut Findings,
) -> Result<(), Box<dyn Error>> {
    let (mut mortal, broker) = Mortal::start(args.program()).await?;
    let owner = broker.add_owner("bench-restart").await?;
    let secrets = tokens / TOKENS_A_SECRET;
    keep(&broker, &owner, secrets).await?;
    let issued = issue(&broker, &owner, tokens).await?;
    let mut seconds = Vec::new();
    for _ in 0..RESTARTS {
        mortal.kill().await?;
        let began = Instant::now();
        mortal.revive().await?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    findings.note(
        true,
        format!(
            "restart: {issued} tokens that live for an hour and {secrets} secrets, of {ASKED} and {} that are asked for",
            ASKED / TOKENS_A_SECRET
        ),
    );
    let goal = Goal::AtMost(2.0);
    findings.add(Target::of(
        "P14-restart-s",
        "s",
        command(tokens),
        goal,
        seconds,
    ));
    Ok(())
}

/// Tokens of an hour, until there are so many.
async fn issue(broker: &Broker, owner: &str, wanted: usize) -> Result<u64, Box<dyn Error>> {
    let to = broker.address().ok_or("the issuer has no address")?;
    let mut questions = Vec::new();
    for number in 0..IDENTITIES {
        let name = format!("bench-restart-{number}");
        let member = broker.add_member(&name, owner, AUDIENCE, SCOPE).await?;
        let secret = format!("{}:{}", member.id, member.secret.expose());
        let basic = format!("Basic {}", STANDARD.encode(secret));
        let headers = [("authorization", basic.as_str())];
        let form = "grant_type=client_credentials&requested_lifetime=3600";
        questions.push(Question::post_form(
            "localhost",
            "/oauth/token",
            &headers,
            form,
        ));
    }
    let questions: Arc<[Question]> = Arc::from(questions);
    let mut issued = 0;
    while issued < wanted as u64 {
        let lasting = Duration::from_secs(1);
        let answers = closed(to, Arc::clone(&questions), CONNECTIONS, lasting).await;
        if answers.answered == 0 {
            return Err("the broker issues nothing".into());
        }
        issued += answers.answered;
    }
    Ok(issued)
}

/// So many secrets of one owner, each sealed, written and read back before the next of its connection.
async fn keep(broker: &Broker, owner: &str, secrets: usize) -> Result<(), Box<dyn Error>> {
    let to = broker.admin_address()?;
    let mut keepers = JoinSet::new();
    for lane in 0..CONNECTIONS {
        let mut connection = Connection::open(to).await?;
        let questions: Vec<_> = (lane..secrets)
            .step_by(CONNECTIONS)
            .map(|number| {
                broker.secret(
                    &format!("bench/{number}"),
                    owner,
                    &format!("value-{number:08}"),
                )
            })
            .collect();
        keepers.spawn(async move {
            for question in questions {
                let status = connection.ask(&question).await;
                if !status.is_ok_and(|status| status == question.expected()) {
                    return Err("the broker did not keep a secret");
                }
            }
            Ok(())
        });
    }
    while let Some(kept) = keepers.join_next().await {
        kept??;
    }
    Ok(())
}
