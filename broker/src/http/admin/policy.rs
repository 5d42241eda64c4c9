//! `/v1/policy`: which policies are in force, and reading them again.

use std::net::SocketAddr;

use axum::Extension;
use axum::extract::{ConnectInfo, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Rooms;
use super::answer::{Answer, Document, ok};
use crate::clock::UnixMillis;
use crate::http::caller::Administrator;
use crate::http::problem::Problem;
use crate::issue::rights::Reader;
use crate::issue::{InForce, ReloadError, Since};
use crate::policy::Effect;
use crate::store::event::{By, ContentHash};

/// The policies in force.
#[derive(Serialize)]
struct View {
    bundle: ContentHash,
    /// Since when this broker decides by them, and who had them read.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<UnixMillis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<By>,
    policies: usize,
    permits: usize,
    forbids: usize,
    slices: usize,
    /// How many policies the largest slice has: more than these no decision about one scope finds in one place.
    largest_slice: usize,
    /// What is strange about them, though not wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

impl From<InForce> for View {
    fn from(InForce { bundle, since }: InForce) -> Self {
        let (slices, largest_slice) = bundle.sliced();
        let count = |effect| bundle.rules().filter(|rule| rule.effect == effect).count();
        let (at, by, warning) = match since {
            Some(Since { at, by, warning }) => (Some(at), Some(by), warning),
            None => (None, None, None),
        };
        Self {
            bundle: bundle.hash(),
            since: at,
            by,
            policies: bundle.rules().len(),
            permits: count(Effect::Permit),
            forbids: count(Effect::Forbid),
            slices,
            largest_slice,
            warning,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

pub(super) async fn show(State(rooms): State<Rooms>, _: Administrator) -> Answer {
    ok(View::from(rooms.issue.policies_in_force()))
}

pub(super) async fn reload(
    State(rooms): State<Rooms>,
    Administrator(by): Administrator,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    Document(Nothing {}): Document<Nothing>,
) -> Answer {
    let reader = match &by {
        By::Administrator { identity, .. } => Some(Reader {
            who: *identity,
            network: peer.map(|Extension(ConnectInfo(peer))| peer.ip().to_canonical()),
        }),
        _ => None,
    };
    let read = rooms.issue.reload_policies(by, reader).await?;
    ok(View::from(read))
}

/// What an administrator is told; the last good policies stay in force.
impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Self {
        let words = error.to_string();
        match error {
            ReloadError::Broken(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_policy", words)
                    .because("policy")
            }
            ReloadError::Store(error) => error.into(),
            ReloadError::Ended => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", words)
                    .because("policy")
            }
        }
    }
}
