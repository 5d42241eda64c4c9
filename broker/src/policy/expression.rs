//! Conditions of policies, taken apart: what they are joined of, what they look at, and how they are written.
//!
//! Works on Cedar's JSON form of a policy, which is public and stable, unlike the tree inside the library.

use cedar_policy::{Policy, PolicyId};
use serde_json::{Value, json};

use super::bundle::{Bundle, Rule};

/// A policy in JSON; one that Cedar cannot write has nothing to take apart.
pub(super) fn json<'b>(bundle: &'b Bundle, rule: &Rule) -> &'b Value {
    let written = match rule.respond {
        Some(_) => &bundle.responses.written,
        None => &bundle.written,
    };
    written
        .get(&PolicyId::new(&rule.id))
        .unwrap_or(&Value::Null)
}

/// A condition's parts that all have to hold, in the order in which they are looked at.
pub(super) fn conjuncts(body: &Value) -> Vec<&Value> {
    joined(body, "&&")
}

/// A condition's parts of which one has to hold, in the order in which they are looked at.
pub(super) fn disjuncts(body: &Value) -> Vec<&Value> {
    joined(body, "||")
}

fn joined<'v>(body: &'v Value, operator: &str) -> Vec<&'v Value> {
    let mut parts = Vec::new();
    let mut waiting = vec![body];
    while let Some(part) = waiting.pop() {
        match sides(part, operator) {
            Some((left, right)) => waiting.extend([right, left]),
            None => parts.push(part),
        }
    }
    parts
}

/// Both sides of `left operator right`.
pub(super) fn sides<'v>(expression: &'v Value, operator: &str) -> Option<(&'v Value, &'v Value)> {
    let operands = expression.get(operator)?;
    Some((operands.get("left")?, operands.get("right")?))
}

/// `context.oidc.subject`, when the expression is a variable or something inside one.
pub(super) fn path(expression: &Value) -> Option<String> {
    let mut names = Vec::new();
    let mut inner = expression;
    loop {
        if let Some(variable) = inner.get("Var").and_then(Value::as_str) {
            names.push(variable);
            names.reverse();
            return Some(names.join("."));
        }
        let access = inner.get(".")?;
        names.push(access.get("attr")?.as_str()?);
        inner = access.get("left")?;
    }
}

/// The words written out in an expression: one, or all members of a set.
pub(super) fn literals(expression: &Value) -> Option<Vec<&str>> {
    match (expression.get("Value"), expression.get("Set")) {
        (Some(value), _) => Some(vec![value.as_str()?]),
        (_, Some(Value::Array(members))) => members
            .iter()
            .map(|member| member.get("Value")?.as_str())
            .collect(),
        _ => None,
    }
}

/// Every expression inside this one, itself first.
pub(super) fn all(expression: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    let mut waiting = vec![expression];
    while let Some(next) = waiting.pop() {
        found.push(next);
        match next {
            Value::Array(items) => waiting.extend(items.iter().rev()),
            Value::Object(members) => waiting.extend(members.values().rev()),
            _ => {}
        }
    }
    found
}

/// All paths that an expression looks at, each once; the longest of those that begin the same.
pub(super) fn paths(expression: &Value) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for path in all(expression).into_iter().filter_map(path) {
        let known = found
            .iter()
            .any(|known| *known == path || known.starts_with(&format!("{path}.")));
        if path.contains('.') && !known {
            found.push(path);
        }
    }
    found
}

/// As Cedar writes it: `a >= b` is `!(a < b)` to it, and `a != b` is `!(a == b)`.
pub(super) fn text(expression: &Value) -> Option<String> {
    let policy = json!({
        "effect": "permit",
        "principal": {"op": "All"},
        "action": {"op": "All"},
        "resource": {"op": "All"},
        "conditions": [{"kind": "when", "body": expression}],
    });
    let written = Policy::from_json(None, policy).ok()?.to_cedar()?;
    let (_, condition) = written.split_once("when {")?;
    let (condition, _) = condition.rsplit_once('}')?;
    let line = condition.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(without_brackets(&line).to_owned())
}

/// Brackets around the whole say nothing.
fn without_brackets(mut text: &str) -> &str {
    while let Some(inner) = text
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
    {
        let mut depth = 0_i64;
        for c in inner.chars() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                '"' => return text,
                _ => {}
            }
            if depth < 0 {
                return text;
            }
        }
        text = inner;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(condition: &str) -> Value {
        let text = format!("permit(principal, action, resource) when {{ {condition} }};");
        let policy = Policy::parse(None, text).unwrap().to_json().unwrap();
        policy["conditions"][0]["body"].clone()
    }

    #[test]
    fn a_condition_falls_into_its_parts_in_order() {
        let body = body("context.a && (context.b || context.c) && !context.d");
        let parts: Vec<_> = conjuncts(&body).into_iter().map(text).collect();
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        assert_eq!(parts[0], "context.a");
        assert_eq!(parts.len(), 3);
        let either = conjuncts(&body)[1];
        assert_eq!(disjuncts(either).len(), 2);
    }

    #[test]
    fn what_is_looked_at_is_named_in_full() {
        let body = body(r#"context.oidc.subject == "a" && principal.tags.contains("b")"#);
        assert_eq!(paths(&body), ["context.oidc.subject", "principal.tags"]);
        let pin = conjuncts(&body)[0];
        let (left, right) = sides(pin, "==").unwrap();
        assert_eq!(path(left).unwrap(), "context.oidc.subject");
        assert_eq!(literals(right).unwrap(), ["a"]);
    }

    #[test]
    fn a_set_of_words_is_read_and_a_computed_one_is_not() {
        let written = body(r#"["a", "b"].contains(context.a)"#);
        let (set, _) = sides(&written, "contains").unwrap();
        assert_eq!(literals(set).unwrap(), ["a", "b"]);
        let computed = body(r#"[principal.name].contains(context.a)"#);
        let (set, _) = sides(&computed, "contains").unwrap();
        assert!(literals(set).is_none());
    }

    #[test]
    fn parts_are_written_as_one_line() {
        let body = body(r#"(context.hour < 1) && resource.name like "*:read""#);
        let parts = conjuncts(&body);
        assert_eq!(text(parts[0]).unwrap(), "context.hour < 1");
        assert_eq!(text(parts[1]).unwrap(), r#"resource.name like "*:read""#);
    }
}
