//! `/v1/lineage/{node}`: the tree around an owner, identity, key or token.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use lanyard_token::NodeId;
use serde::Deserialize;

use super::Rooms;
use super::answer::{Answer, Part, ok};
use crate::http::caller::Administrator;
use crate::http::problem::Problem;
use crate::issue::lineage::tree::{DEEPEST, Extent, MOST_CHILDREN, tree};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Levels below the node.
    depth: Option<usize>,
    /// Children of each node.
    children: Option<usize>,
}

pub(super) async fn show(
    State(rooms): State<Rooms>,
    _: Administrator,
    Part(name): Part,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Answer {
    let extent = extent(wanted)?;
    let now = rooms.clock.now();
    let seen = rooms.issue.state().read(|book| {
        let identity = book.find_identity(&name);
        let owner = book.find_owner(&name);
        let node = match (name.parse::<NodeId>(), identity, owner) {
            (Ok(node), ..) => node,
            (_, Some(_), Some(_)) => {
                return Err(Problem::conflict(format!(
                    "`{name}` is an owner and an identity: give the id"
                )));
            }
            (_, identity, owner) => identity.or(owner).ok_or_else(|| {
                Problem::not_found(format!("there is no owner and no identity `{name}`"))
            })?,
        };
        tree(book, node, extent, now).ok_or_else(|| {
            Problem::not_found(format!(
                "there is no node `{name}`: it was never given, or it is a token that has expired"
            ))
        })
    })?;
    ok(seen)
}

fn extent(wanted: Result<Query<Wanted>, QueryRejection>) -> Result<Extent, Problem> {
    let Query(wanted) =
        wanted.map_err(|_| Problem::invalid_request("`depth` and `children` are numbers"))?;
    let usual = Extent::default();
    let extent = Extent {
        depth: wanted.depth.unwrap_or(usual.depth),
        children: wanted.children.unwrap_or(usual.children),
    };
    if extent.depth > DEEPEST || extent.children > MOST_CHILDREN {
        return Err(Problem::invalid_request(format!(
            "`depth` is at most {DEEPEST}, `children` at most {MOST_CHILDREN}"
        )));
    }
    Ok(extent)
}
