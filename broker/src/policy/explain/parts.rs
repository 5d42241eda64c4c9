//! The parts of a policy, each asked as a policy of its own.

use std::str::FromStr;

use cedar_policy::{
    Authorizer, Decision, Entities, Expression, Policy, PolicyId, PolicySet, Request,
};
use lanyard_token::Scope;
use serde_json::{Value, json};

use super::super::administration::Act;
use super::super::asked::Asked;
use super::super::bundle::{Bundle, Rule};
use super::super::expression;
use super::super::respond::Drift;
use super::super::using::Use;
use super::super::words::Unfit;

/// One scope of a request, as Cedar sees it.
pub(in crate::policy) struct Situation {
    request: Request,
    entities: Entities,
}

impl Situation {
    pub(in crate::policy) fn of(
        bundle: &Bundle,
        asked: &Asked<'_>,
        scope: &Scope,
    ) -> Result<Self, Unfit> {
        let words = &bundle.words;
        let request = Request::new(
            words.identity(asked.subject.name),
            words.issue.clone(),
            words.scope(asked.audience, scope.as_str()),
            words.context(asked)?,
            None,
        )
        .map_err(|error| error.to_string())?;
        let entities = words.entities(asked, std::iter::once(scope.as_str()))?;
        Ok(Self { request, entities })
    }

    /// A verdict.
    pub(super) fn of_drift(bundle: &Bundle, drift: &Drift<'_>) -> Result<Self, Unfit> {
        let (request, entities) = bundle.put(drift)?;
        Ok(Self { request, entities })
    }

    /// An act of an administrator, as Cedar sees it.
    pub(in crate::policy) fn act(bundle: &Bundle, act: &Act<'_>) -> Result<Self, Unfit> {
        let words = &bundle.words;
        let request = Request::new(
            words.identity(act.who.name),
            words.action(act.action),
            words.on(act)?,
            words.act_context(act)?,
            None,
        )
        .map_err(|error| error.to_string())?;
        let entities = words.act_entities(act)?;
        Ok(Self { request, entities })
    }

    /// A gateway's use of a secret; `None`: the schema has no word of secrets.
    pub(super) fn of_use(bundle: &Bundle, asked: &Use<'_>) -> Result<Option<Self>, Unfit> {
        let put = bundle.put_use(asked)?;
        Ok(put.map(|(request, entities)| Self { request, entities }))
    }

    /// Whether a policy permits; or how it failed.
    fn holds(&self, policy: &Value) -> Result<bool, String> {
        let policy = Policy::from_json(Some(PolicyId::new("part")), policy.clone())
            .map_err(|error| error.to_string())?;
        let set = PolicySet::from_policies([policy]).map_err(|error| error.to_string())?;
        let response = Authorizer::new().is_authorized(&self.request, &set, &self.entities);
        match response.diagnostics().errors().next() {
            Some(fault) => Err(fault.to_string()),
            None => Ok(response.decision() == Decision::Allow),
        }
    }

    fn value(&self, path: &str) -> Option<String> {
        let expression = Expression::from_str(path).ok()?;
        cedar_policy::eval_expression(&self.request, &self.entities, &expression)
            .ok()
            .map(|value| value.to_string())
    }
}

/// Why a policy does not apply.
pub(in crate::policy) struct WhyNot {
    /// Whether it is about this identity at all.
    pub(in crate::policy) about_them: bool,
    /// Whether its head fits, and a condition does not.
    pub(in crate::policy) by_condition: bool,
    /// In words.
    pub(in crate::policy) words: String,
}

impl WhyNot {
    /// How near it comes to applying; the greater is the nearer.
    pub(in crate::policy) const fn nearness(&self) -> (bool, bool) {
        (self.about_them, self.by_condition)
    }
}

/// The first part that does not hold; `None`: all do.
pub(super) fn why_not(bundle: &Bundle, rule: &Rule, situation: &Situation) -> Option<WhyNot> {
    first_unmet(bundle, rule, situation, |_| true)
}

/// What is taken to be so of circumstances that nobody knows beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    /// Whoever comes may come from anywhere: what a permit needs, and nothing that a forbid does.
    Anywhere,
    /// Likewise, but where from is known.
    Here,
    /// Nothing of the kind: what forbids need, and nothing that permits do.
    Surely,
}

impl Around {
    /// The members of `context` that are tried, or known.
    const fn known(self) -> &'static [&'static str] {
        const TRIED: [&str; 6] = ["proof", "grant", "hour", "own", "wider", "scopes"];
        const HERE: [&str; 7] = [
            "proof", "grant", "hour", "own", "wider", "scopes", "network",
        ];
        match self {
            Self::Here => &HERE,
            Self::Anywhere | Self::Surely => &TRIED,
        }
    }
}

/// The first part that does not hold, whatever the circumstances that nobody knows; `None`: there may be some.
pub(in crate::policy) fn never(
    bundle: &Bundle,
    rule: &Rule,
    situation: &Situation,
    around: Around,
) -> Option<WhyNot> {
    let known = around.known();
    let unmet = first_unmet(bundle, rule, situation, |part| !looks_beyond(part, known));
    let unsure = || {
        (around == Around::Surely && depends(bundle, rule, known)).then(|| WhyNot {
            about_them: true,
            by_condition: true,
            words: "it depends on circumstances that may never come".to_owned(),
        })
    };
    unmet.or_else(unsure)
}

/// Whether a forbid holds, whatever the circumstances that nobody knows.
pub(in crate::policy) fn forbids(
    bundle: &Bundle,
    rule: &Rule,
    situation: &Situation,
    around: Around,
) -> bool {
    let known = around.known();
    let counts = |part: &Value| !looks_beyond(part, known);
    (around == Around::Surely || !depends(bundle, rule, known))
        && first_unmet(bundle, rule, situation, counts).is_none()
}

fn depends(bundle: &Bundle, rule: &Rule, known: &[&str]) -> bool {
    let policy = expression::json(bundle, rule);
    let conditions = policy.get("conditions");
    conditions.is_some_and(|conditions| looks_beyond(conditions, known))
}

/// Whether it depends on other members of `context` than these.
fn looks_beyond(expression: &Value, known: &[&str]) -> bool {
    let is_context = |part: &Value| part.get("Var").and_then(Value::as_str) == Some("context");
    let is_known = |part: &&&Value| {
        let member = part.get(".").or_else(|| part.get("has"));
        member.is_some_and(|member| {
            let name = member.get("attr").and_then(Value::as_str);
            member.get("left").is_some_and(is_context)
                && name.is_some_and(|name| known.contains(&name))
        })
    };
    let all = expression::all(expression);
    let looks = all.iter().filter(|part| is_context(part)).count();
    looks > all.iter().filter(is_known).count()
}

/// The first of the parts that count which does not hold.
fn first_unmet(
    bundle: &Bundle,
    rule: &Rule,
    situation: &Situation,
    counts: impl Fn(&Value) -> bool,
) -> Option<WhyNot> {
    let policy = expression::json(bundle, rule);
    for (part, whom) in [
        ("principal", "the identity"),
        (
            "resource",
            match rule.respond {
                Some(_) => "what it looks like",
                None => "what is asked for",
            },
        ),
    ] {
        let constraint = policy.get(part).unwrap_or(&Value::Null);
        if situation.holds(&headed(part, constraint)) != Ok(true) {
            return Some(WhyNot {
                about_them: part != "principal",
                by_condition: false,
                words: format!("{whom} is not {}", constrained(constraint)),
            });
        }
    }
    let conditions = policy.get("conditions").and_then(Value::as_array);
    let words = conditions
        .into_iter()
        .flatten()
        .find_map(|condition| unmet(condition, situation, &counts))?;
    Some(WhyNot {
        about_them: true,
        by_condition: true,
        words,
    })
}

/// The part of a condition that keeps the policy from applying.
fn unmet(
    condition: &Value,
    situation: &Situation,
    counts: impl Fn(&Value) -> bool,
) -> Option<String> {
    let body = condition.get("body")?;
    let unless = condition.get("kind").and_then(Value::as_str) == Some("unless");
    let parts = if unless {
        expression::disjuncts(body)
    } else {
        expression::conjuncts(body)
    };
    parts
        .into_iter()
        .filter(|part| counts(part))
        .find_map(|part| match situation.holds(&conditional(part)) {
            Ok(true) if unless => Some(format!("unless {}", told(part, situation))),
            Ok(false) if !unless => Some(format!("it is not so that {}", told(part, situation))),
            Ok(_) => None,
            Err(fault) => Some(format!("it failed, which denies: {fault}")),
        })
}

/// A part as Cedar writes it, with the values it looked at.
fn told(part: &Value, situation: &Situation) -> String {
    let text = expression::text(part).unwrap_or_else(|| part.to_string());
    let values: Vec<_> = expression::paths(part)
        .into_iter()
        .map(|path| match situation.value(&path) {
            Some(value) => format!("{path} is {value}"),
            None => format!("{path} is absent"),
        })
        .collect();
    if values.is_empty() {
        return format!("`{text}`");
    }
    format!("`{text}` ({})", values.join(", "))
}

/// A part of a policy's head, in words.
fn constrained(constraint: &Value) -> String {
    let short = |kind: &str| kind.trim_start_matches("Lanyard::").to_lowercase();
    let named = |of: &Value| {
        let member = |name| {
            let entity = of.get("entity");
            entity
                .and_then(|entity| entity.get(name)?.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        format!("{} `{}`", short(&member("type")), member("id"))
    };
    let text = |name| constraint.get(name).and_then(Value::as_str);
    match (text("op"), constraint.get("in")) {
        (Some("=="), _) => named(constraint),
        (Some("in"), _) => format!("in {}", named(constraint)),
        (Some("is"), Some(inside)) => format!("in {}", named(inside)),
        (Some("is"), None) => format!("of type {}", short(text("entity_type").unwrap_or_default())),
        _ => "what it is about".to_owned(),
    }
}

/// A policy for whatever meets this part of a head.
fn headed(part: &str, constraint: &Value) -> Value {
    let mut policy = conditional(&json!({"Value": true}));
    if let Some(object) = policy.as_object_mut() {
        object.insert(part.to_owned(), constraint.clone());
    }
    policy
}

/// A policy for everybody, under this condition.
fn conditional(body: &Value) -> Value {
    json!({
        "effect": "permit",
        "principal": {"op": "All"},
        "action": {"op": "All"},
        "resource": {"op": "All"},
        "conditions": [{"kind": "when", "body": body}],
    })
}
