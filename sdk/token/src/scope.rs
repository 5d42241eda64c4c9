//! Scopes: what a token may do, in words of a small grammar.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One scope: 1 to 128 characters of `[a-z0-9:._/-]`.
///
/// The grammar is far smaller than that of RFC 6749 section 3.3: two scopes that look alike to a
/// person are the same scope, and no scope needs escaping anywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Box<str>);

/// The text is no scope, or the set is larger than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidScope {
    /// A scope has another length or another character than the grammar allows. Spell it right.
    #[error("a scope is 1 to 128 characters of a-z 0-9 : . _ / -")]
    Grammar,
    /// More than [`ScopeSet::MAX_SCOPES`] scopes. Ask for fewer.
    #[error("at most {} scopes are allowed", ScopeSet::MAX_SCOPES)]
    TooMany,
    /// Together longer than [`ScopeSet::MAX_BYTES`]. Ask for fewer.
    #[error("scopes are together at most {} bytes long", ScopeSet::MAX_BYTES)]
    TooLong,
}

impl Scope {
    /// The longest scope, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// The scope as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let byte_allowed =
            |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b':' | b'.' | b'_' | b'/' | b'-');
        if text.is_empty() || text.len() > Self::MAX_BYTES || !text.bytes().all(byte_allowed) {
            return Err(InvalidScope::Grammar);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Scope {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Scope {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A set of scopes: at most 64, together at most 1 KiB as text, sorted, each once.
///
/// As text (RFC 6749 section 3.3): separated by single spaces; the empty text is the empty set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ScopeSet {
    scopes: Vec<Scope>,
}

impl ScopeSet {
    /// The most scopes a set has.
    pub const MAX_SCOPES: usize = 64;
    /// The longest text of a set, in bytes, spaces included.
    pub const MAX_BYTES: usize = 1024;

    /// Whether `other` has every scope of this set.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.scopes
            .iter()
            .all(|scope| other.contains(scope.as_str()))
    }

    /// Whether the set has this scope.
    pub fn contains(&self, scope: &str) -> bool {
        self.scopes
            .binary_search_by(|own| own.as_str().cmp(scope))
            .is_ok()
    }

    /// The scopes both sets have.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let both = self
            .scopes
            .iter()
            .filter(|scope| other.contains(scope.as_str()));
        Self {
            scopes: both.cloned().collect(),
        }
    }

    /// The scopes in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Scope> {
        self.scopes.iter()
    }

    /// Whether the set has no scope.
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// How many scopes the set has.
    pub fn len(&self) -> usize {
        self.scopes.len()
    }
}

impl FromStr for ScopeSet {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidScope::TooLong);
        }
        let mut scopes = Vec::new();
        for word in text.split(' ') {
            if scopes.len() == Self::MAX_SCOPES {
                return Err(InvalidScope::TooMany);
            }
            scopes.push(word.parse()?);
        }
        scopes.sort_unstable();
        scopes.dedup();
        Ok(Self { scopes })
    }
}

impl FromIterator<Scope> for ScopeSet {
    /// What goes beyond the bounds is left out, last in order first: a set made of too many scopes
    /// loses some and never gains one.
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut all: Vec<Scope> = scopes.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        let mut length = 0;
        let mut fitting = 0;
        for scope in all.iter().take(Self::MAX_SCOPES) {
            length += scope.as_str().len() + usize::from(fitting > 0);
            if length > Self::MAX_BYTES {
                break;
            }
            fitting += 1;
        }
        all.truncate(fitting);
        Self { scopes: all }
    }
}

impl<'a> IntoIterator for &'a ScopeSet {
    type Item = &'a Scope;
    type IntoIter = std::slice::Iter<'a, Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.scopes.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ScopeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = ScopeSet;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("scopes separated by single spaces")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ScopeSet, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_sorted_and_has_each_scope_once() {
        let set: ScopeSet = "orders:write orders:read orders:write".parse().unwrap();
        assert_eq!(set.to_string(), "orders:read orders:write");
        assert_eq!(set.len(), 2);
        assert!(set.contains("orders:read") && !set.contains("orders"));
        assert_eq!("".parse::<ScopeSet>().unwrap(), ScopeSet::default());
    }

    #[test]
    fn look_alikes_wildcards_and_odd_spacing_are_no_scopes() {
        for text in [
            " ",
            "a  b",
            " a",
            "a ",
            "a\tb",
            "r\u{435}ad",
            "\u{ff41}",
            "a\u{200b}b",
            "a\u{a0}b",
            "*",
            "+a",
            "A",
            "a\nb",
            "a,b",
            "a\0",
        ] {
            assert_eq!(
                text.parse::<ScopeSet>(),
                Err(InvalidScope::Grammar),
                "{text:?}"
            );
        }
        assert_eq!("a".repeat(129).parse::<Scope>(), Err(InvalidScope::Grammar));
        let many = vec!["a"; 65].join(" ");
        assert_eq!(many.parse::<ScopeSet>(), Err(InvalidScope::TooMany));
        assert_eq!(
            "a ".repeat(10_000).parse::<ScopeSet>(),
            Err(InvalidScope::TooLong)
        );
    }

    #[test]
    fn a_collected_set_keeps_the_bounds_and_reads_back() {
        let long = (0..100).map(|n| format!("{}{n:03}", "a".repeat(100)).parse().unwrap());
        let set: ScopeSet = long.collect();
        assert!(set.to_string().len() <= ScopeSet::MAX_BYTES && !set.is_empty());
        assert_eq!(set.to_string().parse::<ScopeSet>().unwrap(), set);
    }

    #[test]
    fn subset_and_intersection_are_by_whole_scopes() {
        let wide: ScopeSet = "a b c".parse().unwrap();
        let narrow: ScopeSet = "b d".parse().unwrap();
        assert!(!narrow.is_subset_of(&wide));
        assert_eq!(narrow.intersection(&wide).to_string(), "b");
        assert!(narrow.intersection(&wide).is_subset_of(&wide));
        assert!(ScopeSet::default().is_subset_of(&narrow));
    }
}
