//! What operations are called, as gateways say.
//!
//! Habits and reports hold hashes only. A gateway may name what it reports, and a name is believed
//! when it hashes to the operation at an audience that the gateway serves: so a name is either the
//! right one or belongs to nothing, up to the 32 bits of the hash. It is still a stranger's text that
//! will be shown to people: what is not plain is no name, and the operation goes by its id.
//!
//! Told once in a gateway's run. Bounded per gateway, forgotten with the process: whoever then reports of
//! an operation without its name is asked to report again, with all names.

use std::collections::{BTreeMap, HashMap};

use lanyard_drift::{OperationId, Verdict};
use lanyard_token::{Audience, NodeId, ScopeSet};

use super::state::Subject;
use crate::store::event::{NamedOperation, UsedOperation};

/// The longest name, in bytes.
const MAX_BYTES: usize = 256;
/// Names kept of one gateway: as many as a route table has routes.
const KEPT: usize = 4_096;

/// Names of operations, by who told them.
#[derive(Default)]
pub(super) struct Names {
    told: HashMap<NodeId, BTreeMap<OperationId, Told>>,
}

/// What a gateway told of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    /// A name that cannot be shown is none, and not asked for again.
    name: Option<String>,
    audience: Audience,
    /// What its route demands.
    scopes: ScopeSet,
}

impl Names {
    /// A gateway names what it reports, and says what each demands; which scopes those are is its own affair, and
    /// what is no scope is none.
    pub(super) fn hear(
        &mut self,
        gateway: NodeId,
        served: &Subject,
        (names, scopes): (&[String], &[String]),
    ) {
        if names.is_empty() {
            return;
        }
        let known = self.told.entry(gateway).or_default();
        let scopes = scopes.iter().map(String::as_str);
        for (name, scopes) in names.iter().zip(scopes.chain(std::iter::repeat(""))) {
            let shown = Some(name).filter(|name| is_plain(name));
            for audience in &served.audiences {
                let operation = OperationId::of(&format!("{} {name}", audience.as_str()));
                let told = Told {
                    name: shown.cloned(),
                    audience: audience.clone(),
                    scopes: scopes.parse().unwrap_or_default(),
                };
                if known.get(&operation) == Some(&told) {
                    continue;
                }
                if known.len() >= KEPT {
                    // Its routes have changed many times over; those in use come again.
                    known.clear();
                }
                known.insert(operation, told);
            }
        }
    }

    /// Whether a gateway has told what all of these are called, as far as that can be told.
    pub(super) fn has_told(
        &self,
        gateway: NodeId,
        mut operations: impl Iterator<Item = OperationId>,
    ) -> bool {
        let told = self.told.get(&gateway);
        operations.all(|operation| told.is_some_and(|told| told.contains_key(&operation)))
    }

    /// What these operations are, at this audience, as far as the gateway told and it can be shown.
    pub(super) fn used_at(
        &self,
        gateway: NodeId,
        audience: &Audience,
        operations: impl Iterator<Item = OperationId>,
    ) -> Vec<(OperationId, UsedOperation)> {
        let Some(told) = self.told.get(&gateway) else {
            return Vec::new();
        };
        operations
            .filter_map(|operation| {
                let told = told.get(&operation)?;
                let name = told.name.clone().filter(|_| told.audience == *audience)?;
                let scopes = told.scopes.clone();
                Some((operation, UsedOperation { name, scopes }))
            })
            .collect()
    }

    /// The names that a verdict needs, as the gateways behind it told them.
    pub(super) fn of(&self, verdict: &Verdict, gateways: &[NodeId]) -> Vec<NamedOperation> {
        let mut names: Vec<NamedOperation> = Vec::new();
        for operation in verdict.operations() {
            if names.iter().any(|named| named.operation == operation) {
                continue;
            }
            let told = gateways
                .iter()
                .find_map(|gateway| self.told.get(gateway)?.get(&operation)?.name.as_ref());
            names.extend(told.map(|name| NamedOperation {
                operation,
                name: name.clone(),
            }));
        }
        names
    }
}

/// Whether a name can be shown anywhere as it is: in a terminal, a log line, a page.
fn is_plain(name: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b" /{}-._~:@%+*,;=!$()[]#".contains(&byte);
    !name.is_empty() && name.len() <= MAX_BYTES && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_do_harm_where_it_is_shown_is_no_name() {
        assert!(is_plain("GET /orders/{id}"));
        assert!(is_plain("tool:search.orders"));
        for hostile in [
            "",
            "GET /<script>alert(1)</script>",
            "GET /\u{1b}[2J",
            "GET /a\nlanyard: all is well",
            "GET /\"onload=",
            "GET /`x`",
            "GET /&lt;",
            "GET /\u{202e}gnp",
            "GET /\u{0}",
            &"x".repeat(257),
        ] {
            assert!(!is_plain(hostile), "{hostile:?}");
        }
    }
}
