//! What a request would do, and to whom: read off its path and body before a handler sees it.
//!
//! A body is read into the very type its handler reads it into. One that cannot be read says nothing about anybody:
//! then it is about the broker, and its handler refuses it.

use lanyard_token::NodeId;
use serde::de::DeserializeOwned;

use super::ending;
use super::identities::Transfer;
use crate::http::duties::{About, Duty};
use crate::issue::Issue;
use crate::issue::administration::{ChangeIdentity, NewApproval, NewGateway, NewIdentity};
use crate::issue::rights::{Change, Deed};

/// What would be done; `name` is the path's variable part.
pub(super) fn read(issue: &Issue, duty: Duty, name: Option<&str>, body: &[u8]) -> Deed {
    let name = name.unwrap_or_default();
    let (to, change) = about(issue, duty.about, name, body).unwrap_or((Vec::new(), Change::None));
    Deed {
        action: duty.action,
        to,
        change,
    }
}

fn about(issue: &Issue, about: About, name: &str, body: &[u8]) -> Option<(Vec<NodeId>, Change)> {
    let owner = |name: &str| issue.find_owner(name).ok();
    let identity = |name: &str| issue.find_identity(name).ok();
    let only = |node: Option<NodeId>| node.map(|node| (vec![node], Change::None));
    match about {
        About::System => None,
        About::Owner => only(owner(name)),
        About::Identity => only(identity(name)),
        About::Node => only(
            name.parse()
                .ok()
                .or_else(|| identity(name))
                .or_else(|| owner(name)),
        ),
        About::Approval => only(name.parse().ok().and_then(|id| {
            let state = issue.state();
            state.read(|book| book.approval(id).map(|asked| asked.request.identity))
        })),
        About::OwnerTransfer => {
            let Transfer { to, .. } = document(body)?;
            Some((vec![owner(name)?], Change::Transferred(owner(&to))))
        }
        About::IdentityTransfer => {
            let Transfer { to, .. } = document(body)?;
            Some((vec![identity(name)?], Change::Transferred(owner(&to))))
        }
        About::NewIdentity => {
            let new: NewIdentity = document(body)?;
            let to = owner(&new.owner).into_iter().collect();
            Some((to, Change::New(Box::new(new))))
        }
        About::ChangedIdentity => {
            let change: ChangeIdentity = document(body)?;
            Some((vec![identity(name)?], Change::Changed(Box::new(change))))
        }
        About::NewGateway => {
            let new: NewGateway = document(body)?;
            Some((owner(&new.owner).into_iter().collect(), Change::Gateway))
        }
        About::NewApproval => only(identity(&document::<NewApproval>(body)?.identity)),
        About::Nodes => Some((ending::nodes(issue, &document(body)?), Change::None)),
        About::OneNode => Some((vec![ending::node(body)?], Change::None)),
    }
}

pub(super) fn document<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let text = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(text).ok()
}
