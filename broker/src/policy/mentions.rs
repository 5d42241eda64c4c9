//! What a policy reads of the circumstances that differ from one request to the next.
//!
//! Most policies speak of who asks, for what and how, which is the same each time somebody refreshes a token. A few
//! speak of the time, the hour or the network. Which they are is read off their expressions once, when a bundle is
//! loaded. What cannot be told (a policy that takes the context whole) counts as everything.

use serde_json::Value;

/// Which of the changing circumstances are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    /// To the second.
    pub(super) time: bool,
    /// Of the day.
    pub(super) hour: bool,
    /// Where from.
    pub(super) network: bool,
}

impl Mentions {
    const EVERYTHING: Self = Self {
        time: true,
        hour: true,
        network: true,
    };

    /// Of one policy, as data; without that nothing can be ruled out.
    pub(super) fn of(policy: Option<&Value>) -> Self {
        policy.map_or(Self::EVERYTHING, Self::within)
    }

    /// Of both.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            time: self.time || other.time,
            hour: self.hour || other.hour,
            network: self.network || other.network,
        }
    }

    /// Whether nothing that changes is looked at.
    pub(super) fn is_none(self) -> bool {
        self == Self::default()
    }

    fn within(expression: &Value) -> Self {
        match expression {
            Value::Object(members) => {
                let all = members.iter().map(|(operator, operand)| {
                    let read = matches!(operator.as_str(), "." | "has")
                        .then(|| member_of_context(operand))
                        .flatten();
                    match read {
                        Some(member) => Self::named(member),
                        None if operator == "Var" && operand == CONTEXT => Self::EVERYTHING,
                        None => Self::within(operand),
                    }
                });
                all.fold(Self::default(), Self::and)
            }
            Value::Array(items) => items
                .iter()
                .map(Self::within)
                .fold(Self::default(), Self::and),
            _ => Self::default(),
        }
    }

    fn named(member: &str) -> Self {
        Self {
            time: member == "time",
            hour: member == "hour",
            network: member == "network",
        }
    }
}

const CONTEXT: &str = "context";

/// The member that `context.member` or `context has member` reads; of `context has a.b` it is `a`.
fn member_of_context(operand: &Value) -> Option<&str> {
    if operand.get("left")?.get("Var")? != CONTEXT {
        return None;
    }
    let member = operand.get("attr")?;
    member.as_str().or_else(|| member.get(0)?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mentions(conditions: &str) -> Mentions {
        let text = format!("permit (principal, action, resource) {conditions};");
        let policy: cedar_policy::Policy = text.parse().unwrap();
        Mentions::of(policy.to_json().ok().as_ref())
    }

    #[test]
    fn what_is_read_is_found_wherever_it_stands() {
        let nothing = Mentions::default();
        for (conditions, expected) in [
            ("", nothing),
            (r#"when { principal.kind == "agent" }"#, nothing),
            (r#"when { context.proof == "api_key" }"#, nothing),
            // A word is not a reading.
            (r#"when { principal.name == "context.time" }"#, nothing),
            (
                "unless { context.hour >= 8 && context.hour < 18 }",
                Mentions {
                    hour: true,
                    ..nothing
                },
            ),
            (
                r#"when { if principal.tags.contains("x") then [context.time].isEmpty() else true }"#,
                Mentions {
                    time: true,
                    ..nothing
                },
            ),
            (
                r#"when { context has network && context.network.isInRange(ip("10.0.0.0/8")) }"#,
                Mentions {
                    network: true,
                    ..nothing
                },
            ),
            (
                "when { context has network.anything }",
                Mentions {
                    network: true,
                    ..nothing
                },
            ),
            (
                "when { {a: context.hour}.a == 3 } unless { context has network }",
                Mentions {
                    hour: true,
                    network: true,
                    ..nothing
                },
            ),
        ] {
            assert_eq!(mentions(conditions), expected, "{conditions}");
        }
    }

    #[test]
    fn a_policy_that_takes_the_context_whole_looks_at_everything() {
        for conditions in [
            "when { context == {} }",
            "when { [context].contains({}) }",
            "when { {left: context, attr: 3}.attr == 3 }",
        ] {
            assert_eq!(mentions(conditions), Mentions::EVERYTHING, "{conditions}");
        }
    }
}
