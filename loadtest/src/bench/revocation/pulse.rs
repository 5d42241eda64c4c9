//! One revocation after another, at fixed instants, and when each gateway knew.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use lanyard_sdk::feed::FeedView;
use lanyard_token::NodeId;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::fleet::Fleet;
use crate::bench::curve::{Curve, Line};
use crate::bench::target::{Goal, Target};
use crate::broker::Broker;
use crate::load::{Connection, histogram, instants, quantiles};

/// Connections to the admin door that share the instants.
const CONNECTIONS: usize = 16;
/// Whoever has not heard by then has missed it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Numbers that no broker gives to anything within years: what they name is revoked like all else.
static NEXT_NODE: AtomicU64 = AtomicU64::new(0x00f0_0000_0000_0000);

/// What came of one round.
pub(super) struct Told {
    waits: Histogram<u64>,
    /// Revocations times gateways that had not heard of them.
    pub(super) unheard: u64,
}

impl Told {
    pub(super) fn none() -> Self {
        Self {
            waits: histogram(),
            unheard: 0,
        }
    }

    /// The wait that this share did not exceed.
    pub(super) fn millis_at(&self, share: f64) -> f64 {
        self.waits.value_at_quantile(share) as f64 / 1e6
    }

    fn count(&mut self, wait: Option<Duration>) {
        match wait {
            Some(wait) => {
                let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
                self.waits.saturating_record(nanos);
            }
            None => self.unheard += 1,
        }
    }

    /// All that still wait are waited for.
    pub(super) async fn gather(
        &mut self,
        mut waiting: JoinSet<Option<Duration>>,
    ) -> Result<(), Box<dyn Error>> {
        while let Some(wait) = waiting.join_next().await {
            self.count(wait?);
        }
        Ok(())
    }
}

/// A number that nobody has.
pub(super) fn fresh_node() -> NodeId {
    NodeId::from_u64(NEXT_NODE.fetch_add(1, Ordering::Relaxed))
}

/// From `due` until this gateway would refuse; nothing when it never would.
pub(super) fn refused(
    view: &Arc<FeedView>,
    node: NodeId,
    due: Instant,
) -> impl Future<Output = Option<Duration>> + Send + 'static {
    let watch = view.subscribe(view.reached(), &[node]);
    async move {
        let heard = timeout(PATIENCE, watch.dead()).await;
        heard.ok().map(|_| due.elapsed())
    }
}

/// Revokes `per_second` nodes a second for this long.
pub(super) async fn measure(
    broker: &Broker,
    fleet: &Fleet,
    per_second: f64,
    lasting: Duration,
) -> Result<Told, Box<dyn Error>> {
    let (to, views) = (broker.admin_address()?, fleet.views());
    let pause = Duration::from_secs_f64(1.0 / per_second);
    let count = (lasting.as_secs_f64() * per_second) as usize;
    let mut askers = JoinSet::new();
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for lane in 0..CONNECTIONS {
        let questions: Vec<_> = (lane..count)
            .step_by(CONNECTIONS)
            .map(|_| {
                let node = fresh_node();
                (node, broker.revocation(&[node]))
            })
            .collect();
        connections.push((Connection::open(to).await?, questions));
    }
    let begin = Instant::now() + Duration::from_millis(50);
    let turns = instants(CONNECTIONS, begin, pause, count)?;
    for ((mut connection, questions), mut turns) in connections.into_iter().zip(turns) {
        let views = views.clone();
        askers.spawn(async move {
            let mut waiting = JoinSet::new();
            for (node, question) in questions {
                let Some(due) = turns.next().await else {
                    break;
                };
                for view in &views {
                    waiting.spawn(refused(view, node, due));
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
    while let Some(waiting) = askers.join_next().await {
        told.gather(waiting??).await?;
    }
    Ok(told)
}

/// The wait that `share` of a round did not exceed.
pub(super) fn target(id: &'static str, goal: f64, share: f64, told: &[Told]) -> Option<Target> {
    let rounds = told.iter().map(|round| round.millis_at(share));
    Target::of(id, "ms", super::COMMAND, Goal::AtMost(goal), rounds)
}

/// How the waits of all rounds are spread.
pub(super) fn spread(told: &[Told]) -> Curve {
    let lines = told
        .iter()
        .enumerate()
        .map(|(number, round)| Line::new(format!("round {}", number + 1), quantiles(&round.waits)));
    Curve::of(
        "revocation-waits",
        "From a revocation to its refusal at eight gateways, a thousand a second",
        ("1 / (1 - share of revocations)", "ms"),
        lines.collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_as_long_as_they_were_and_whoever_heard_nothing_has_none() {
        let mut told = Told::none();
        told.count(Some(Duration::from_millis(3)));
        told.count(Some(Duration::from_secs(2)));
        told.count(None);
        assert_eq!(told.unheard, 1);
        assert!((2.9..3.1).contains(&told.millis_at(0.5)));
        assert!((1_990.0..2_010.0).contains(&told.millis_at(0.99)));
    }

    #[tokio::test]
    async fn a_gateway_that_knows_already_refuses_at_once() {
        let view = FeedView::without_feed(Default::default());
        let node = fresh_node();
        let waiting = refused(&view, node, Instant::now());
        view.end(node, lanyard_token::Rev::from_u64(7).unwrap());
        let wait = waiting.await.unwrap();
        assert!(wait < PATIENCE, "{wait:?}");
    }
}
