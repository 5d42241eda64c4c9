//! One rule of an integration as its calls are counted: what does not change from call to call is made once.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use opentelemetry::KeyValue;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

/// Statuses by their first digit.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// One rule.
pub(in crate::egress) struct Operation {
    pub(super) integration: Arc<str>,
    name: Arc<str>,
    pub(super) duration: OnceLock<Histogram>,
    /// Made with the first call that ends so: what never happened is not told.
    classes: [OnceLock<Class>; CLASSES.len()],
}

/// Calls of a rule that ended alike.
pub(super) struct Class {
    pub(super) calls: Counter,
    /// The integration's first.
    pub(super) labels: [KeyValue; 3],
}

impl Operation {
    fn new(integration: &Arc<str>, name: &str) -> Self {
        Self {
            integration: Arc::clone(integration),
            name: name.into(),
            duration: OnceLock::new(),
            classes: Default::default(),
        }
    }

    /// The rule's words: `GET /v1/charges/{id}`.
    pub(in crate::egress) fn name(&self) -> &str {
        &self.name
    }

    /// Those that ended with such a status. `make` is given the integration, the rule and the class.
    pub(super) fn class(
        &self,
        status: u16,
        make: impl FnOnce(&str, &str, &str) -> Counter,
    ) -> Option<&Class> {
        // What is no status is the third party's fault.
        let at = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        let (class, label) = self.classes.get(at).zip(CLASSES.get(at))?;
        Some(class.get_or_init(|| Class {
            calls: make(&self.integration, &self.name, label),
            labels: [
                KeyValue::new("lanyard.integration", Arc::clone(&self.integration)),
                KeyValue::new("lanyard.operation", Arc::clone(&self.name)),
                KeyValue::new("lanyard.status", *label),
            ],
        }))
    }
}

/// The rules of all integrations, by the gateway's names for them: `GET /stripe/v1/charges/{id}`.
pub(in crate::egress) struct Operations(HashMap<Box<str>, Operation>);

impl Operations {
    /// From the gateway's names, and the integrations' own.
    pub(in crate::egress) fn new<'n>(
        routed: impl Iterator<Item = &'n str>,
        integration: impl Fn(&str) -> Option<&'n Arc<str>>,
    ) -> Self {
        Self(
            routed
                .filter_map(|routed| {
                    let (method, path) = routed.split_once(" /")?;
                    let (name, below) = path.split_at(path.find('/').unwrap_or(path.len()));
                    let operation =
                        Operation::new(integration(name)?, &format!("{method} {below}"));
                    Some((routed.into(), operation))
                })
                .collect(),
        )
    }

    /// The one that the gateway calls so.
    pub(in crate::egress) fn get(&self, routed: &str) -> Option<&Operation> {
        self.0.get(routed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_called_as_it_stands_in_its_integration() {
        let names = ["stripe".into(), "a-b".into()];
        let integration = |name: &str| names.iter().find(|own: &&Arc<str>| ***own == *name);
        let routed = ["GET /stripe/v1/charges/{id}", "POST /a-b", "GET /other/v1"];
        let operations = Operations::new(routed.into_iter(), integration);
        let named = |routed| operations.get(routed).map(Operation::name);
        assert_eq!(named(routed[0]), Some("GET /v1/charges/{id}"));
        assert_eq!(named(routed[1]), Some("POST "));
        assert_eq!(named(routed[2]), None);
    }

    #[test]
    fn what_ends_alike_is_counted_together_and_made_once() {
        let operation = Operation::new(&"party".into(), "GET /x");
        let mut made = Vec::new();
        for status in [200, 204, 503, 999, 0, 101] {
            let class = operation.class(status, |_, _, class| {
                made.push(class.to_owned());
                Counter::default()
            });
            class.unwrap().calls.inc();
        }
        assert_eq!(made, ["2xx", "5xx", "1xx"]);
        let counted = |status| {
            operation
                .class(status, |_, _, _| panic!("made twice"))
                .unwrap()
                .calls
                .get()
        };
        assert_eq!([counted(201), counted(500), counted(100)], [2, 2, 2]);
    }
}
