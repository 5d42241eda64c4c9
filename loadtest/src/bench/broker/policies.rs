//! What a mint costs the broker as there are more policies: spread over as many audiences, of which a decision looks at
//! one, and all for the one audience that is asked for, each for somebody else.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Asked, IDENTITIES};
use crate::bench::curve::{Curve, Line};
use crate::broker::{Broker, BrokerArgs};
use crate::load::{Question, closed};
use crate::server::{AUDIENCE, SCOPE};

const NUMBERS: [usize; 4] = [1, 10, 100, 1_000];
const CONNECTIONS: usize = 16;
/// Some of the identities: what grows here is the time of a decision, and one of them asks seldom enough.
const CALLERS: usize = IDENTITIES / 3;
const SCHEMA: &str = include_str!("../../../../policies/schema.cedarschema");

/// For whom the policies are that do not decide.
#[derive(Clone, Copy)]
enum Others {
    OtherAudiences,
    SameAudience,
}

/// Nothing where the broker runs already: its policies are its own.
pub(super) async fn curve(args: &BrokerArgs) -> Result<Option<Curve>, Box<dyn Error>> {
    if args.is_running() {
        return Ok(None);
    }
    let mut lines = Vec::new();
    for (name, others) in [
        ("spread over audiences", Others::OtherAudiences),
        ("all for one audience", Others::SameAudience),
    ] {
        let mut points = Vec::new();
        for number in NUMBERS {
            let cost = cost(args, number, others).await?;
            points.extend(cost.map(|cost| (number as f64, cost)));
        }
        lines.push(Line::new(name, points));
    }
    Ok(Some(Curve::of(
        "broker-policies",
        "Processor time of the broker for a durable mint, by number of policies",
        ("policies", "us"),
        lines,
    )))
}

async fn cost(
    args: &BrokerArgs,
    number: usize,
    others: Others,
) -> Result<Option<f64>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    write(folder.path(), number, others)?;
    let bundle = folder.path().as_os_str();
    let broker = Broker::open_with(args, &[("LANYARD_POLICY__BUNDLE", bundle)]).await?;
    let to = broker.address().ok_or("the issuer has no address")?;
    let owner = broker.add_owner("bench-policies").await?;
    let mut asked = Asked::default();
    for caller in 0..CALLERS {
        let name = format!("bench-policies-{caller}");
        let member = broker.add_member(&name, &owner, AUDIENCE, SCOPE).await?;
        asked.add(&member, "");
    }
    let questions: Arc<[Question]> = Arc::from(asked.mint);
    let lasting = Duration::from_secs(1);
    // Warm, then measured.
    closed(to, Arc::clone(&questions), CONNECTIONS, lasting).await;
    let before = broker.processor_time();
    let answers = closed(to, questions, CONNECTIONS, lasting).await;
    if answers.answered == 0 {
        return Err("the policies give nobody a token".into());
    }
    let used = broker.processor_time().zip(before);
    Ok(used.map(|(after, before)| {
        (after.saturating_sub(before)).as_secs_f64() * 1e6 / answers.answered as f64
    }))
}

/// A broker does not start under policies that leave it without an administrator.
fn write(folder: &Path, number: usize, others: Others) -> std::io::Result<()> {
    let mut text = format!(
        "@id(\"administrators\") permit(principal in Lanyard::Tag::\"kind:administrator\", action, resource);\n\
         @id(\"ours\") permit(principal, action == Lanyard::Action::\"issue\", \
         resource in Lanyard::Audience::\"{AUDIENCE}\") when {{ principal.scopes.contains(resource.name) }};\n"
    );
    for other in 1..number {
        let (who, at) = match others {
            Others::OtherAudiences => (
                "principal".to_owned(),
                format!("https://other-{other}.example"),
            ),
            Others::SameAudience => (
                format!("principal == Lanyard::Identity::\"other-{other}\""),
                AUDIENCE.to_owned(),
            ),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "@id(\"other-{other}\") permit({who}, action == Lanyard::Action::\"issue\", \
             resource in Lanyard::Audience::\"{at}\") when {{ principal.scopes.contains(resource.name) }};"
        );
    }
    let grant = folder.join("measured");
    std::fs::create_dir_all(&grant)?;
    std::fs::write(grant.join("policy.cedar"), text)?;
    std::fs::write(folder.join("schema.cedarschema"), SCHEMA)
}
