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
use lanyard_token::NodeId;

use super::state::Subject;
use crate::store::event::NamedOperation;

/// The longest name, in bytes.
const MAX_BYTES: usize = 256;
/// Names kept of one gateway: as many as a route table has routes.
const KEPT: usize = 4_096;

/// Names of operations, by who told them.
#[derive(Default)]
pub(super) struct Names {
    /// A name that cannot be shown is none, and not asked for again.
    told: HashMap<NodeId, BTreeMap<OperationId, Option<String>>>,
}

impl Names {
    /// A gateway names what it reports.
    pub(super) fn hear(&mut self, gateway: NodeId, served: &Subject, names: &[String]) {
        if names.is_empty() {
            return;
        }
        let known = self.told.entry(gateway).or_default();
        for name in names {
            let shown = Some(name).filter(|name| is_plain(name));
            for audience in &served.audiences {
                let operation = OperationId::of(&format!("{} {name}", audience.as_str()));
                if known.get(&operation).map(Option::as_ref) == Some(shown) {
                    continue;
                }
                if known.len() >= KEPT {
                    // Its routes have changed many times over; those in use come again.
                    known.clear();
                }
                known.insert(operation, shown.cloned());
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

    /// The names that a verdict needs, as the gateways behind it told them.
    pub(super) fn of(&self, verdict: &Verdict, gateways: &[NodeId]) -> Vec<NamedOperation> {
        let mut names: Vec<NamedOperation> = Vec::new();
        for operation in verdict.operations() {
            if names.iter().any(|named| named.operation == operation) {
                continue;
            }
            let told = gateways
                .iter()
                .find_map(|gateway| self.told.get(gateway)?.get(&operation)?.as_ref());
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
