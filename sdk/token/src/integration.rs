//! Integrations: what egress may call at a third party, with which secret, and how much of it.
//!
//! Broker and egress read the same form of it: the broker before it keeps one, egress before it carries one. It
//! holds names of secrets and no values.

mod budget;
mod injection;
mod rule;
mod upstream;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use budget::Budget;
pub use injection::{Injection, InvalidInjection};
pub use rule::{InvalidRule, Rule, RuleClass};
pub use upstream::{InvalidUpstream, Network, Scheme, Upstream};

use crate::ScopeSet;

/// What a third party is called here: the first segment of the path under which egress serves it.
///
/// 1 to 63 characters of `a-z 0-9 -` that begin with a letter: safe in a path, a scope and a metric's label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct IntegrationName(Box<str>);

impl IntegrationName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 63;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for IntegrationName {
    type Err = InvalidIntegration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let named = (1..=Self::MAX_BYTES).contains(&text.len())
            && text.bytes().all(inner)
            && text.starts_with(|first: char| first.is_ascii_lowercase());
        named
            .then(|| Self(text.into()))
            .ok_or(InvalidIntegration::Name)
    }
}

impl fmt::Display for IntegrationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A third party as egress carries it. Read from TOML or JSON; a member that is not known is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Integration {
    name: IntegrationName,
    upstream: Upstream,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    private: Vec<Network>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificates: Option<String>,
    inject: Injection,
    #[serde(rename = "rule")]
    rules: Vec<Rule>,
    budget: Budget,
    websocket: bool,
}

/// Why something is no integration. Each names what to correct.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidIntegration {
    /// Another name.
    #[error("an integration's name is 1 to 63 characters of a-z 0-9 - that begin with a letter")]
    Name,
    /// See there.
    #[error(transparent)]
    Upstream(#[from] InvalidUpstream),
    /// See there.
    #[error(transparent)]
    Rule(#[from] InvalidRule),
    /// See there.
    #[error(transparent)]
    Injection(#[from] InvalidInjection),
    /// Say what may be called: what no rule names is refused.
    #[error("an integration without a `rule` lets nobody call anything")]
    NoRule,
    /// Two integrations would be clearer.
    #[error("an integration has at most {} rules", Integration::MAX_RULES)]
    TooManyRules,
    /// One of them would never be asked.
    #[error("the rule `{0}` stands there twice")]
    Repeated(String),
    /// Plain text over a network would show the credential.
    #[error(
        "an upstream with `http` is allowed only where every address is private and named: give `private`"
    )]
    PlainText,
}

impl Integration {
    /// Most rules of one.
    pub const MAX_RULES: usize = 256;

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &IntegrationName {
        &self.name
    }

    /// Where calls go.
    #[must_use]
    pub const fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Private networks that the upstream may be in; none unless named.
    #[must_use]
    pub fn private(&self) -> &[Network] {
        &self.private
    }

    /// Certificates (PEM) that are trusted for the upstream, instead of those of the system.
    #[must_use]
    pub fn certificates(&self) -> Option<&str> {
        self.certificates.as_deref()
    }

    /// How the credential goes into a call.
    #[must_use]
    pub const fn injection(&self) -> &Injection {
        &self.inject
    }

    /// What may be called.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// How much may be called.
    #[must_use]
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Whether a call may become a WebSocket.
    #[must_use]
    pub const fn websocket(&self) -> bool {
        self.websocket
    }

    /// The scopes a token needs for a rule: its own, or `NAME:use`. Never none, or every token for egress would do.
    #[must_use]
    pub fn scopes<'a>(&self, rule: &'a Rule) -> std::borrow::Cow<'a, ScopeSet> {
        use std::borrow::Cow;
        if rule.scopes().iter().next().is_some() {
            return Cow::Borrowed(rule.scopes());
        }
        // A name's letters are among those of a scope, and it is shorter: this is always one.
        let usual = format!("{}:use", self.name).parse().unwrap_or_default();
        Cow::Owned(usual)
    }
}

/// An integration as it is written down.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    upstream: String,
    #[serde(default)]
    private: Vec<String>,
    certificates: Option<String>,
    inject: Injection,
    #[serde(default, rename = "rule")]
    rules: Vec<Rule>,
    #[serde(default)]
    budget: Budget,
    #[serde(default)]
    websocket: bool,
}

impl TryFrom<Written> for Integration {
    type Error = InvalidIntegration;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let upstream: Upstream = written.upstream.parse()?;
        let private: Result<Vec<Network>, _> =
            written.private.iter().map(|text| text.parse()).collect();
        let private = private?;
        if upstream.scheme() == Scheme::Http && private.is_empty() {
            return Err(InvalidIntegration::PlainText);
        }
        match written.rules.len() {
            0 => return Err(InvalidIntegration::NoRule),
            many if many > Self::MAX_RULES => return Err(InvalidIntegration::TooManyRules),
            _ => {}
        }
        let mut seen = std::collections::BTreeSet::new();
        for rule in &written.rules {
            if !seen.insert((rule.method(), rule.shape())) {
                return Err(InvalidIntegration::Repeated(rule.to_string()));
            }
        }
        Ok(Self {
            name: written.name.parse()?,
            upstream,
            private,
            certificates: written.certificates,
            inject: written.inject,
            rules: written.rules,
            budget: written.budget,
            websocket: written.websocket,
        })
    }
}

#[cfg(test)]
mod tests;
