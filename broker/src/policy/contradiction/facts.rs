//! Conditions as facts that hold together, or cannot.
//!
//! A condition is taken apart into the ways in which it can hold, each a list of parts that hold or do not. A way is
//! impossible when the parts leave no value for something they speak of. What is compared with written-out words,
//! numbers and instants (`==`, `<`, `in`, a set's `contains`) is understood; any other part is a sentence that cannot
//! both hold and not hold. So what is called impossible is, and what is not called so may be.
//!
//! Why not ask a solver: it decides what this leaves open (sums, patterns, ranges of addresses) and is larger than
//! the broker.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::super::closed;
use super::super::expression::{path, sides, text};

/// More ways than these are not looked at: nothing is said about the condition.
const MOST_WAYS: usize = 256;

/// A part of a condition, and whether it holds.
type Fact<'v> = (&'v Value, bool);

/// What cannot hold together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) struct Clash(Vec<String>);

impl std::fmt::Display for Clash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_slice() {
            [part] => write!(f, "`{part}` is never so"),
            parts => write!(f, "`{}` are never so together", parts.join("` and `")),
        }
    }
}

/// All that has to hold for a policy to apply: its head but for the action, and its conditions.
pub(in crate::policy) fn whole(policy: &Value) -> Value {
    let heads = ["principal", "resource"]
        .into_iter()
        .filter_map(|part| head(part, policy.get(part)?));
    heads.chain([conditions(policy)]).fold(truth(), and)
}

/// All of a policy's conditions.
pub(super) fn conditions(policy: &Value) -> Value {
    let conditions = policy.get("conditions").and_then(Value::as_array);
    let bodies = conditions.into_iter().flatten().filter_map(|condition| {
        let body = condition.get("body")?.clone();
        match condition.get("kind").and_then(Value::as_str) {
            Some("unless") => Some(not(body)),
            _ => Some(body),
        }
    });
    bodies.fold(truth(), and)
}

pub(super) fn and(left: Value, right: Value) -> Value {
    json!({"&&": {"left": left, "right": right}})
}

pub(super) fn not(arg: Value) -> Value {
    json!({"!": {"arg": arg}})
}

/// That it is this instant or later, to the second.
pub(super) fn from(instant: OffsetDateTime) -> Value {
    let second = instant.to_offset(UtcOffset::UTC).replace_nanosecond(0);
    let second = second.ok().and_then(|second| second.format(&Rfc3339).ok());
    json!({">=": {
        "left": {".": {"left": {"Var": "context"}, "attr": "time"}},
        "right": {"datetime": [{"Value": second.unwrap_or_default()}]},
    }})
}

fn truth() -> Value {
    json!({"Value": true})
}

fn head(part: &str, constraint: &Value) -> Option<Value> {
    let variable = json!({"Var": part});
    let operator = constraint.get("op").and_then(Value::as_str)?;
    let (operator, entity) = match (operator, constraint.get("in")) {
        ("is", Some(inside)) => ("in", inside.get("entity")?),
        _ => (operator, constraint.get("entity")?),
    };
    Some(json!({operator: {"left": variable, "right": {"Value": {"__entity": entity}}}}))
}

/// Why a condition can never hold, when that is certain.
pub(in crate::policy) fn impossible(condition: &Value) -> Option<Clash> {
    let mut ways_left = MOST_WAYS;
    let mut way = Way::default();
    match way.learn(vec![(condition, true)]) {
        Some(clash) => Some(clash),
        None => way.closed(&mut ways_left),
    }
}

/// A way in which a condition can hold, as far as it is gone.
#[derive(Clone, Default)]
struct Way<'v> {
    left: BTreeMap<String, Left<'v>>,
    /// Where it parts: one of each has to hold, whole.
    choices: Vec<[Vec<Fact<'v>>; 2]>,
}

impl<'v> Way<'v> {
    /// Takes facts apart and notes what they say; what cannot hold with what was known before.
    fn learn(&mut self, mut open: Vec<Fact<'v>>) -> Option<Clash> {
        while let Some((part, holds)) = open.pop() {
            match taken_apart(part, holds) {
                Parts::All(facts) => open.extend(facts.into_iter().rev()),
                Parts::Either(choice) => self.choices.push(choice),
                Parts::One => {
                    for (about, claim) in claims((part, holds)) {
                        let known = self.left.entry(about.clone());
                        let known = known.or_insert_with(|| Left::all(&about));
                        known.learn(claim, (part, holds));
                        if known.is_nothing() {
                            let parts = known.because.iter();
                            return Some(Clash(parts.map(|fact| written(*fact)).collect()));
                        }
                    }
                }
            }
        }
        None
    }

    /// Why it leads nowhere, whichever choices are made. The first that leads to an end is enough for an answer, so
    /// what is possible is mostly found at once.
    fn closed(mut self, ways_left: &mut usize) -> Option<Clash> {
        let choice = self.choices.pop()?;
        let mut last = None;
        for facts in choice {
            *ways_left = ways_left.checked_sub(1)?;
            let mut way = self.clone();
            last = Some(match way.learn(facts) {
                Some(clash) => clash,
                None => way.closed(ways_left)?,
            });
        }
        last
    }
}

/// What an expression is made of.
enum Parts<'v> {
    /// All of these.
    All(Vec<Fact<'v>>),
    /// One of two.
    Either([Vec<Fact<'v>>; 2]),
    /// Nothing that is taken apart.
    One,
}

fn taken_apart(expression: &Value, holds: bool) -> Parts<'_> {
    if let Some(arg) = expression.get("!").and_then(|not| not.get("arg")) {
        return Parts::All(vec![(arg, !holds)]);
    }
    for (operator, all_when) in [("&&", true), ("||", false)] {
        if let Some((left, right)) = sides(expression, operator) {
            let (left, right) = ((left, holds), (right, holds));
            return match holds == all_when {
                true => Parts::All(vec![left, right]),
                false => Parts::Either([vec![left], vec![right]]),
            };
        }
    }
    let choice = expression.get("if-then-else");
    let parts = choice.and_then(|choice| {
        let member = |name| choice.get(name);
        Some((member("if")?, member("then")?, member("else")?))
    });
    match parts {
        Some((condition, then, otherwise)) => Parts::Either([
            vec![(condition, true), (then, holds)],
            vec![(condition, false), (otherwise, holds)],
        ]),
        None => Parts::One,
    }
}

/// As a person would write it: Cedar itself writes `a >= b` as `!(a < b)`.
fn written((part, holds): Fact<'_>) -> String {
    const OPPOSITES: [(&str, &str); 6] = [
        ("==", "!="),
        ("!=", "=="),
        ("<", ">="),
        (">=", "<"),
        ("<=", ">"),
        (">", "<="),
    ];
    let plain = |part: &Value| text(part).unwrap_or_else(|| part.to_string());
    let compared = OPPOSITES.iter().find_map(|(operator, opposite)| {
        let (left, right) = sides(part, operator)?;
        let operator = if holds { operator } else { opposite };
        Some(format!("{} {operator} {}", plain(left), plain(right)))
    });
    match compared {
        Some(compared) => compared,
        None if holds => plain(part),
        None => format!("!({})", plain(part)),
    }
}

/// What one fact says about something.
enum Claim {
    /// It is one of these.
    Among(BTreeSet<Word>),
    /// It is none of these.
    NoneOf(BTreeSet<Word>),
    /// It is from the one number to the other.
    Within(i128, i128),
}

/// A value that is written out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Number(i128),
    Text(String),
}

/// What facts leave of the values something can have.
#[derive(Clone)]
struct Left<'v> {
    among: Option<BTreeSet<Word>>,
    none_of: BTreeSet<Word>,
    from: i128,
    to: i128,
    because: Vec<Fact<'v>>,
}

impl<'v> Left<'v> {
    /// Nothing is known of it but what it is.
    fn all(about: &str) -> Self {
        let words = closed::words(about).map(|words| {
            let words = words.into_iter();
            words.map(|word| Word::Text(word.to_owned())).collect()
        });
        let (from, to) = match closed::range(about) {
            Some(range) => (i128::from(*range.start()), i128::from(*range.end())),
            None => (i128::MIN, i128::MAX),
        };
        Self {
            among: words,
            none_of: BTreeSet::new(),
            from,
            to,
            because: Vec::new(),
        }
    }

    fn learn(&mut self, claim: Claim, fact: Fact<'v>) {
        match claim {
            Claim::Among(words) => {
                self.among = Some(match self.among.take() {
                    Some(before) => before.intersection(&words).cloned().collect(),
                    None => words,
                });
            }
            Claim::NoneOf(words) => self.none_of.extend(words),
            Claim::Within(from, to) => {
                self.from = self.from.max(from);
                self.to = self.to.min(to);
            }
        }
        if self.because.last() != Some(&fact) {
            self.because.push(fact);
        }
    }

    fn is_nothing(&self) -> bool {
        let possible = |word: &Word| {
            let in_range = match word {
                Word::Number(number) => (self.from..=self.to).contains(number),
                Word::Text(_) => true,
            };
            in_range && !self.none_of.contains(word)
        };
        match &self.among {
            Some(among) => !among.iter().any(possible),
            None => {
                // So many numbers at most are taken out by name: one more is left.
                let named = i128::try_from(self.none_of.len()).unwrap_or(i128::MAX);
                let end = self.from.saturating_add(named).min(self.to);
                !(self.from..=end).any(|number| possible(&Word::Number(number)))
            }
        }
    }
}

/// What a fact says, about what. What is not understood is a sentence that holds or does not.
fn claims((part, holds): Fact<'_>) -> Vec<(String, Claim)> {
    let among = |words: BTreeSet<Word>, is: bool| {
        if is {
            Claim::Among(words)
        } else {
            Claim::NoneOf(words)
        }
    };
    for (operator, is) in [("==", holds), ("!=", !holds)] {
        let compared = sides(part, operator).and_then(|(left, right)| {
            let turned = path(right).zip(word(left));
            path(left).zip(word(right)).or(turned)
        });
        if let Some((about, word)) = compared {
            let mut said = vec![(about, among(BTreeSet::from([word]), is))];
            said.extend(belonging(part, operator, is));
            return said;
        }
    }
    if let Some((set, of)) = sides(part, "contains")
        && let Some(about) = path(of)
        && let Some(words) = members(set)
    {
        return vec![(about, among(words, holds))];
    }
    if let Some(said) = ordered(part, holds) {
        return vec![said];
    }
    let said = belonging(part, "in", holds);
    if !said.is_empty() {
        return said;
    }
    let truth = Word::Text(holds.to_string());
    vec![(part.to_string(), Claim::Among(BTreeSet::from([truth])))]
}

/// `context.hour < 5` and its like.
fn ordered(part: &Value, holds: bool) -> Option<(String, Claim)> {
    // Whether the left side is the smaller, and whether the sides may be equal.
    const ORDERS: [(&str, bool, bool); 4] = [
        ("<", true, false),
        ("<=", true, true),
        (">", false, false),
        (">=", false, true),
    ];
    ORDERS.into_iter().find_map(|(operator, below, equal)| {
        let (left, right) = sides(part, operator)?;
        let (about, than, below) = match (path(left), number(right)) {
            (Some(about), Some(number)) => (about, number, below),
            _ => (path(right)?, number(left)?, !below),
        };
        // What is not below is above or equal.
        let claim = match (below == holds, equal == holds) {
            (true, true) => Claim::Within(i128::MIN, than),
            (true, false) => Claim::Within(i128::MIN, than.saturating_sub(1)),
            (false, true) => Claim::Within(than, i128::MAX),
            (false, false) => Claim::Within(than.saturating_add(1), i128::MAX),
        };
        Some((about, claim))
    })
}

/// What being an entity, or below one, says about attributes: an identity has one owner and one kind, a scope one
/// audience. Nobody's other labels say anything about each other.
fn belonging(part: &Value, operator: &str, holds: bool) -> Vec<(String, Claim)> {
    let Some((left, right)) = sides(part, operator) else {
        return Vec::new();
    };
    let Some(variable) = path(left) else {
        return Vec::new();
    };
    let Some((kind, id)) = entity(right) else {
        return Vec::new();
    };
    let said = match (operator, kind) {
        ("in", "Lanyard::Owner") => vec![("owner", id)],
        ("in", "Lanyard::Tag") => match id.strip_prefix("kind:") {
            Some(kind) => vec![("kind", kind)],
            None => return Vec::new(),
        },
        ("in", "Lanyard::Audience") => vec![("audience", id)],
        // That it is not this scope says nothing about its audience and its name each.
        ("==" | "!=", "Lanyard::Scope") if holds => match id.rsplit_once('#') {
            Some((audience, name)) => vec![("audience", audience), ("name", name)],
            None => return Vec::new(),
        },
        ("==" | "!=", "Lanyard::Identity") => vec![("name", id)],
        _ => return Vec::new(),
    };
    let claim = |word: &str| {
        let words = BTreeSet::from([Word::Text(word.to_owned())]);
        if holds {
            Claim::Among(words)
        } else {
            Claim::NoneOf(words)
        }
    };
    said.into_iter()
        .map(|(attribute, word)| (format!("{variable}.{attribute}"), claim(word)))
        .collect()
}

fn entity(expression: &Value) -> Option<(&str, &str)> {
    let entity = expression.get("Value")?.get("__entity")?;
    Some((entity.get("type")?.as_str()?, entity.get("id")?.as_str()?))
}

fn members(set: &Value) -> Option<BTreeSet<Word>> {
    set.get("Set")?.as_array()?.iter().map(word).collect()
}

fn word(expression: &Value) -> Option<Word> {
    if let Some(number) = number(expression) {
        return Some(Word::Number(number));
    }
    match expression.get("Value")? {
        Value::String(text) => Some(Word::Text(text.clone())),
        other => Some(Word::Text(other.to_string())),
    }
}

/// A number that is written out; an instant is one, too, in milliseconds.
fn number(expression: &Value) -> Option<i128> {
    if let Some(number) = expression.get("Value").and_then(Value::as_i64) {
        return Some(i128::from(number));
    }
    let written = expression.get("datetime")?.get(0)?.get("Value")?.as_str()?;
    let whole = match written.len() {
        10 => format!("{written}T00:00:00Z"),
        _ => written.to_owned(),
    };
    let time = OffsetDateTime::parse(&whole, &Rfc3339).ok()?;
    Some(time.unix_timestamp_nanos() / 1_000_000)
}
