//! What of an upstream may be called.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::upstream::is_plain_segment;
use crate::ScopeSet;

/// Whether a call may go out while it is not known what was revoked in the last seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleClass {
    /// Goes on with the last known state.
    Normal,
    /// 503 once the feed is older than 15 s. The usual one: a third party is somebody else's money and data.
    #[default]
    Strict,
}

/// One kind of call: `GET /v1/charges/{id}`, below the upstream's path; `POST /` where everything is in the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenRule")]
pub struct Rule {
    method: String,
    template: String,
    #[serde(skip_serializing_if = "is_none")]
    scopes: ScopeSet,
    class: RuleClass,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
}

/// Why it is no rule. Each names the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRule {
    /// In capitals; what reaches past the service, or shows what was sent, is never called.
    #[error(
        "`{0}` is no method that may be called: give one in capitals, such as GET; not CONNECT, not TRACE"
    )]
    Method(String),
    /// `/v1/charges/{id}`.
    #[error(
        "`{0}` is no template such as `/v1/charges/{{id}}`: plain segments, and names in braces for those that vary"
    )]
    Template(String),
}

impl Rule {
    /// The longest template, in bytes.
    pub const MAX_TEMPLATE: usize = 512;

    /// Its method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Its template, as the upstream sees it below its base.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.template
    }

    /// The scopes that are written down for it; none: the integration's usual one.
    #[must_use]
    pub const fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    /// How fresh the feed must be.
    #[must_use]
    pub const fn class(&self) -> RuleClass {
        self.class
    }

    /// Which parameter names the object: a segment, else a parameter of the query.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// Which parameter names where data goes, found like the object.
    #[must_use]
    pub fn destination(&self) -> Option<&str> {
        self.destination.as_deref()
    }

    /// The template with every name taken out: two rules with the same are about the same calls.
    pub(super) fn shape(&self) -> Vec<&str> {
        let names = |segment| if is_variable(segment) { "{}" } else { segment };
        self.template.split('/').map(names).collect()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.template)
    }
}

fn is_none(scopes: &ScopeSet) -> bool {
    scopes.iter().next().is_none()
}

fn is_variable(segment: &str) -> bool {
    segment
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|name| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            (1..=64).contains(&name.len()) && name.bytes().all(inner)
        })
}

fn is_template(template: &str) -> bool {
    let Some(path) = template.strip_prefix('/') else {
        return false;
    };
    if path.is_empty() {
        return true;
    }
    // With a slash at its end it is another path, which some services have alone.
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut names = std::collections::BTreeSet::new();
    template.len() <= Rule::MAX_TEMPLATE
        && path.split('/').all(|segment| {
            is_plain_segment(segment) || (is_variable(segment) && names.insert(segment))
        })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    method: String,
    template: String,
    #[serde(default)]
    scopes: ScopeSet,
    #[serde(default)]
    class: RuleClass,
    object: Option<String>,
    destination: Option<String>,
}

impl TryFrom<WrittenRule> for Rule {
    type Error = InvalidRule;

    fn try_from(written: WrittenRule) -> Result<Self, Self::Error> {
        let method = &written.method;
        let capitals = (1..=32).contains(&method.len())
            && method.bytes().all(|byte| byte.is_ascii_uppercase());
        if !capitals || matches!(method.as_str(), "CONNECT" | "TRACE") {
            return Err(InvalidRule::Method(shown(method)));
        }
        if !is_template(&written.template) {
            return Err(InvalidRule::Template(shown(&written.template)));
        }
        Ok(Self {
            method: written.method,
            template: written.template,
            scopes: written.scopes,
            class: written.class,
            object: written.object,
            destination: written.destination,
        })
    }
}

/// As much of a text as a message needs.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
