//! `/v1/revoke`, `/v1/suspend` and `/v1/resume`: any nodes, many at once.

use axum::extract::{DefaultBodyLimit, State};
use axum::handler::Handler;
use futures::future::join_all;
use lanyard_token::{NodeId, Rev};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Rooms;
use super::answer::{Answer, Changed, Document, ok};
use super::deed::document;
use super::switch::NO_REASON;
use crate::http::caller::Administrator;
use crate::http::duties::{About, Duties, Duty};
use crate::http::oauth::WAIT;
use crate::http::problem::Problem;
use crate::issue::Issue;
use crate::policy::administration::Action::{TokensResume, TokensRevoke, TokensSuspend};
use crate::revoke::NotPaused;
use crate::store::event::Cause;
use crate::store::plain::is_plain_line;

/// The longest body of a revocation: some fifty-five thousand ids. A storm is a few dozen calls.
pub(super) const LONGEST_REVOCATION: usize = 1 << 20;
/// How many receipts one answer carries; more nodes are revoked just the same.
const MOST_RECEIPTS: usize = 64;
/// Nodes that an answer names without being asked to: whoever revokes more of them has the list, and would be sent
/// all of it back.
const MOST_NAMED: usize = 64;
/// The longest pause; what should be longer is a revocation.
const LONGEST_SUSPENSION_SECONDS: u64 = 30 * 24 * 3_600;
/// The longest reason.
const LONGEST_REASON: usize = 512;

/// The routes; one of them takes long bodies.
pub(super) fn routes() -> Duties<Rooms> {
    Duties::new()
        .post(
            "/v1/revoke",
            Duty::on(TokensRevoke, About::Nodes),
            revoke.layer(DefaultBodyLimit::max(LONGEST_REVOCATION)),
        )
        .post(
            "/v1/suspend",
            Duty::on(TokensSuspend, About::OneNode),
            suspend,
        )
        .post("/v1/resume", Duty::on(TokensResume, About::OneNode), resume)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Revocation {
    /// Ids of owners, identities, keys or tokens.
    #[serde(default)]
    nodes: Vec<NodeId>,
    /// Access tokens themselves, as somebody found them.
    #[serde(default)]
    tokens: Vec<String>,
    reason: Option<String>,
    wait: Option<Wait>,
    /// Whether the answer names every node, however many they are.
    #[serde(default)]
    echo: bool,
}

/// Everything it would end: ids, and tokens that are not dead yet.
pub(super) fn nodes(issue: &Issue, asked: &Revocation) -> Vec<NodeId> {
    let living = asked
        .tokens
        .iter()
        .filter_map(|token| issue.not_ended(token));
    let mut nodes = asked.nodes.clone();
    nodes.extend(living.map(|claims| claims.jti));
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// What a body of `/v1/suspend` or `/v1/resume` is about.
pub(super) fn node(body: &[u8]) -> Option<NodeId> {
    let suspension = document::<Suspension>(body).map(|asked| asked.node);
    suspension.or_else(|| document::<Resumption>(body).map(|asked| asked.node))
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wait {
    All,
}

#[derive(Serialize)]
struct Revoked {
    /// How many.
    revoked: usize,
    /// Which; of many only when that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Vec<NodeId>>,
    /// Of the last of them.
    rev: Option<Rev>,
    /// Tokens that were dead already, or are not ours.
    dead_already: usize,
    /// Ids the broker does not know: never given to anything, or a token's that has expired. They are
    /// revoked just the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<NodeId>,
    /// How many those are, where they are not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown_nodes: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    receipts: Vec<Value>,
}

async fn revoke(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Document(asked): Document<Revocation>,
) -> Answer {
    if asked.nodes.is_empty() && asked.tokens.is_empty() {
        return Err(Problem::invalid_request(
            "name `nodes` or `tokens` to revoke",
        ));
    }
    let mut nodes = asked.nodes;
    let unknown = unknown(&rooms, &nodes);
    let living = asked
        .tokens
        .iter()
        .filter_map(|token| rooms.issue.not_ended(token))
        .map(|claims| claims.jti);
    let given = nodes.len();
    nodes.extend(living);
    let dead_already = asked
        .tokens
        .len()
        .saturating_sub(nodes.len().saturating_sub(given));
    let cause = Cause::Administrator(reason(asked.reason)?);
    let rev = match nodes.is_empty() {
        true => None,
        false => Some(rooms.revoke.revoke(&nodes, cause, by).await?),
    };
    let receipts = match (asked.wait, rev) {
        (Some(Wait::All), Some(rev)) => {
            let waiting = nodes
                .iter()
                .take(MOST_RECEIPTS)
                .map(|node| rooms.confirmations.confirmed(*node, rev, None, WAIT));
            join_all(waiting).await
        }
        _ => Vec::new(),
    };
    let named = asked.echo || nodes.len() <= MOST_NAMED;
    ok(Revoked {
        revoked: nodes.len(),
        rev,
        dead_already,
        unknown_nodes: (!named).then_some(unknown.len()),
        unknown: if named { unknown } else { Vec::new() },
        nodes: named.then_some(nodes),
        receipts,
    })
}

fn unknown(rooms: &Rooms, nodes: &[NodeId]) -> Vec<NodeId> {
    rooms.issue.state().read(|book| {
        let stranger = |node: &NodeId| !book.knows(*node);
        nodes.iter().copied().filter(stranger).collect()
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suspension {
    node: NodeId,
    seconds: u64,
    reason: Option<String>,
}

async fn suspend(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Document(asked): Document<Suspension>,
) -> Answer {
    if !(1..=LONGEST_SUSPENSION_SECONDS).contains(&asked.seconds) {
        let words = format!("`seconds` is 1 to {LONGEST_SUSPENSION_SECONDS}");
        return Err(Problem::invalid_request(words));
    }
    let now = rooms.clock.now();
    let until = now.plus_millis(asked.seconds.saturating_mul(1_000));
    let cause = Cause::Administrator(reason(asked.reason)?);
    let standing = || {
        let state = rooms.issue.state();
        state.read(|book| book.suspended_until(asked.node, now))
    };
    let rev = rooms
        .revoke
        .pause(asked.node, until, cause, by, standing)
        .await?;
    ok(Changed {
        node: asked.node,
        rev,
    })
}

/// What an administrator is told.
impl From<NotPaused> for Problem {
    fn from(refused: NotPaused) -> Self {
        let words = refused.to_string();
        match refused {
            NotPaused::Longer { .. } => Self::conflict(words).because("paused_longer"),
            NotPaused::Store(error) => error.into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resumption {
    node: NodeId,
}

async fn resume(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    Document(asked): Document<Resumption>,
) -> Answer {
    let rev = rooms.revoke.resume(&[asked.node], by).await?;
    ok(Changed {
        node: asked.node,
        rev,
    })
}

/// One line: it ends up in logs and on consoles.
pub(super) fn reason(text: Option<String>) -> Result<String, Problem> {
    let text = text.unwrap_or_else(|| NO_REASON.to_owned());
    if text.is_empty() || text.len() > LONGEST_REASON || !is_plain_line(&text) {
        return Err(Problem::invalid_request(format!(
            "`reason` is one line of 1 to {LONGEST_REASON} bytes"
        )));
    }
    Ok(text)
}
