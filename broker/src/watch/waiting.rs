//! A revocation that the table asks for and that waits: all that speaks for it is the word of one gateway,
//! which may have been taken over.

use lanyard_token::NodeId;
use serde::Serialize;

use super::state::{VerdictRecord, WatchState};
use crate::store::event::Response;

/// What waits, and who may end it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// What would be revoked.
    pub node: NodeId,
    /// Whose word it rests on.
    pub gateways: Vec<NodeId>,
    /// The same in a sentence, with the command for whoever does not want to wait.
    pub sentence: String,
}

impl Waiting {
    /// Nothing waits once an owner has said that all is fine.
    pub(super) fn of(record: &VerdictRecord, state: &WatchState) -> Option<Self> {
        if record.cleared.is_some() {
            return None;
        }
        let held_back = record.responses.iter().rev();
        let mut held_back = held_back.filter(|taken| taken.held_back == Some(Response::Revoke));
        let taken = held_back.next()?;
        let issued = state.issued(record.judgement.token);
        let credential = issued.map(|issued| issued.credential());
        // A recycled token stands for the credential that it was minted from.
        let node = match (taken.response, credential) {
            (Response::Recycle, credential) => credential?,
            _ => taken.node?,
        };
        let gateways = record.judgement.carried_by().to_vec();
        let name = |gateway: &NodeId| {
            let known = state.subject(*gateway);
            known.map_or_else(
                || format!("`{gateway}`"),
                |known| format!("`{}`", known.name),
            )
        };
        let names: Vec<String> = gateways.iter().map(name).collect();
        let command = match credential {
            Some(credential) if credential != node => format!("lanyard token revoke {node}"),
            _ => format!("lanyard key revoke {node}"),
        };
        let sentence = format!(
            "not revoked: this rests on the word of {} alone. A second gateway that sees it too within the hour \
             revokes {node}, and so can you: {command}",
            match names.as_slice() {
                [name] => format!("gateway {name}"),
                names => format!("each of the gateways {}", names.join(", ")),
            }
        );
        Some(Self {
            node,
            gateways,
            sentence,
        })
    }
}
