//! What of its registration an identity uses: to the day, like [`Usage`](super::Usage), so that a row changes once a day.
//!
//! Two witnesses. Gateways see what is used: an operation, and the scopes its route demands. Where no gateway
//! tells, there are only the tokens: that somebody had a scope, and whether it was asked for by name. Only
//! what is registered is counted, so a row is never longer than the registration and its operations.

use std::collections::BTreeMap;

use lanyard_token::{Audience, Scope, ScopeSet};
use serde::{Deserialize, Serialize};

use super::usage::day;
use crate::clock::UnixMillis;
use crate::store::event::{Identity, IssuedToken, Used, UsedOperation};

/// Operations that are remembered of one identity; beyond, the one that was used longest ago is forgotten.
const OPERATIONS: usize = 256;

/// When something that was registered was last used; beginnings of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Right {
    /// Since when it is registered.
    pub since: UnixMillis,
    /// A token had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<UnixMillis>,
    /// A request named it, and got it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<UnixMillis>,
    /// A gateway saw a call that needed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<UnixMillis>,
    /// Of an audience: since when gateways tell what is used there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_since: Option<UnixMillis>,
}

impl Right {
    const fn since(at: UnixMillis) -> Self {
        Self {
            since: at,
            given: None,
            named: None,
            seen: None,
            told_since: None,
        }
    }
}

/// All of an identity's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Where its tokens may be good for.
    #[serde(default)]
    pub audiences: BTreeMap<Audience, Right>,
    /// What it may be allowed there.
    #[serde(default)]
    pub scopes: BTreeMap<Scope, Right>,
    /// What a gateway saw it call.
    #[serde(default)]
    pub operations: BTreeMap<Audience, BTreeMap<String, Called>>,
}

/// An operation that was called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// The beginning of the last day.
    pub last: UnixMillis,
    /// What a token needs for it.
    #[serde(default)]
    pub scopes: ScopeSet,
}

impl Rights {
    /// Registered for exactly this from now on. What was registered before keeps its age.
    pub(super) fn register(&mut self, grant: &Identity, at: UnixMillis) {
        self.audiences
            .retain(|audience, _| grant.audiences.contains(audience));
        self.scopes
            .retain(|scope, _| grant.scopes.contains(scope.as_str()));
        for audience in &grant.audiences {
            let right = self.audiences.entry(audience.clone());
            right.or_insert(Right::since(at));
        }
        for scope in &grant.scopes {
            let right = self.scopes.entry(scope.clone());
            right.or_insert(Right::since(at));
        }
        let audiences = &self.audiences;
        self.operations
            .retain(|audience, _| audiences.contains_key(audience));
    }

    /// Since when it is registered for all that it is registered for.
    pub fn since(&self) -> Option<UnixMillis> {
        let all = self.audiences.values().chain(self.scopes.values());
        all.map(|right| right.since).max()
    }

    /// It obtained a token; whether that is news.
    pub(super) fn note_token(&mut self, token: &IssuedToken, at: UnixMillis) -> bool {
        let day = day(at);
        let asked = token.decided.as_ref().map(|decided| &decided.asked);
        // Tokens from before requests were kept do not say what was named.
        let named = asked.and_then(|asked| asked.scopes.as_ref().filter(|_| !asked.partial));
        let mut news = false;
        if let Some(right) = self.audiences.get_mut(&token.claims.aud) {
            news |= note(&mut right.given, day);
        }
        for scope in &token.claims.scope {
            if let Some(right) = self.scopes.get_mut(scope) {
                news |= note(&mut right.given, day);
                if named.is_some_and(|named| named.contains(scope.as_str())) {
                    news |= note(&mut right.named, day);
                }
            }
        }
        news
    }

    /// Gateways saw it used; whether that is news.
    pub(super) fn note_used(&mut self, used: &Used, at: UnixMillis) -> bool {
        let day = day(at);
        let Some(right) = self.audiences.get_mut(&used.audience) else {
            return false;
        };
        right.told_since.get_or_insert(day);
        let mut news = note(&mut right.seen, day);
        let scopes = used.operations.iter().flat_map(|one| &one.scopes);
        for scope in scopes {
            if let Some(right) = self.scopes.get_mut(scope) {
                news |= note(&mut right.seen, day);
            }
        }
        for operation in &used.operations {
            news |= self.note_operation(&used.audience, operation, day);
        }
        news
    }

    fn note_operation(
        &mut self,
        audience: &Audience,
        operation: &UsedOperation,
        day: UnixMillis,
    ) -> bool {
        let known = self.operations.values().map(BTreeMap::len).sum::<usize>();
        let there = self.operations.entry(audience.clone()).or_default();
        let called = Called {
            last: day,
            scopes: operation.scopes.clone(),
        };
        if let Some(before) = there.get_mut(&operation.name) {
            let news = before.last < day;
            if news {
                *before = called;
            }
            return news;
        }
        there.insert(operation.name.clone(), called);
        if known >= OPERATIONS {
            self.forget_oldest();
        }
        true
    }

    fn forget_oldest(&mut self) {
        let all = self.operations.iter().flat_map(|(audience, names)| {
            let names = names.iter();
            names.map(move |(name, called)| (called.last, audience, name))
        });
        let oldest = all
            .min()
            .map(|(_, audience, name)| (audience.clone(), name.clone()));
        if let Some((audience, name)) = oldest
            && let Some(names) = self.operations.get_mut(&audience)
        {
            names.remove(&name);
        }
    }
}

fn note(last: &mut Option<UnixMillis>, day: UnixMillis) -> bool {
    if *last >= Some(day) {
        return false;
    }
    *last = Some(day);
    true
}

#[cfg(test)]
mod tests {
    use lanyard_token::NodeId;

    use super::*;
    use crate::store::event::Kind;

    const DAY: u64 = 86_400_000;

    fn grant(scopes: &str) -> Identity {
        Identity {
            name: "billing".to_owned(),
            owner: NodeId::from_u64(1),
            kind: Kind::Service,
            tags: Vec::new(),
            audiences: vec!["https://a.example".parse().unwrap()],
            scopes: scopes.parse().unwrap(),
            max_lifetime: 300,
            sole_witness: false,
        }
    }

    fn used(operation: &str, scopes: &str) -> Used {
        Used {
            identity: NodeId::from_u64(2),
            gateway: NodeId::from_u64(3),
            audience: "https://a.example".parse().unwrap(),
            operations: vec![UsedOperation {
                name: operation.to_owned(),
                scopes: scopes.parse().unwrap(),
            }],
        }
    }

    #[test]
    fn what_was_registered_before_keeps_its_age_and_what_goes_is_forgotten() {
        let mut rights = Rights::default();
        rights.register(&grant("a:read a:write"), UnixMillis(DAY));
        rights.register(&grant("a:read a:delete"), UnixMillis(5 * DAY));
        let ages: Vec<_> = rights
            .scopes
            .iter()
            .map(|(scope, right)| (scope.as_str(), right.since.0 / DAY))
            .collect();
        assert_eq!(ages, [("a:delete", 5), ("a:read", 1)]);
        assert_eq!(rights.since(), Some(UnixMillis(5 * DAY)));
    }

    #[test]
    fn a_use_is_news_once_a_day_and_of_what_is_registered_alone() {
        let mut rights = Rights::default();
        rights.register(&grant("a:read"), UnixMillis(0));
        let call = used("GET /a", "a:read b:read");
        assert!(rights.note_used(&call, UnixMillis(DAY + 5)));
        assert!(!rights.note_used(&call, UnixMillis(DAY + 9)));
        assert!(rights.note_used(&call, UnixMillis(2 * DAY)));
        let seen: Vec<_> = rights.scopes.values().map(|right| right.seen).collect();
        assert_eq!(seen, [Some(UnixMillis(2 * DAY))]);
        let elsewhere = Used {
            audience: "https://b.example".parse().unwrap(),
            ..call
        };
        assert!(!rights.note_used(&elsewhere, UnixMillis(3 * DAY)));
    }

    #[test]
    fn operations_are_bounded_and_the_one_used_longest_ago_goes() {
        let mut rights = Rights::default();
        rights.register(&grant("a:read"), UnixMillis(0));
        for number in 0..=OPERATIONS as u64 {
            let call = used(&format!("GET /{number}"), "a:read");
            rights.note_used(&call, UnixMillis((number + 1) * DAY));
        }
        let names = rights.operations.values().next().unwrap();
        assert_eq!(names.len(), OPERATIONS);
        assert!(!names.contains_key("GET /0"));
    }
}
