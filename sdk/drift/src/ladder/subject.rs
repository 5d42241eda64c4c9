//! Numbers of things that somebody else names, and of places in somebody else's order.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An identity, a credential, a token, a gateway or a verdict: opaque here, compared and nothing
/// more. Written as 16 lower-case hexadecimal digits, as tokens write their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectId(pub u64);

/// A place in the order in which tokens were issued and ended: "minted after" is decided by it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Place(pub u64);

/// Digits of a subject.
const DIGITS: usize = 16;

impl std::fmt::Display for SubjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for SubjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SubjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let digits = text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !digits || text.len() != DIGITS {
            return Err(D::Error::custom(
                "expected 16 lower-case hexadecimal digits",
            ));
        }
        u64::from_str_radix(&text, 16)
            .map(Self)
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_sixteen_lower_case_digits_and_nothing_else() {
        let subject = SubjectId(0xab);
        let text = serde_json::to_string(&subject).unwrap();
        assert_eq!(text, r#""00000000000000ab""#);
        assert_eq!(serde_json::from_str::<SubjectId>(&text).unwrap(), subject);
        for wrong in [
            r#""ab""#,
            r#""00000000000000AB""#,
            r#""+0000000000000ab""#,
            r#""000000000000000ab""#,
            "171",
        ] {
            assert!(serde_json::from_str::<SubjectId>(wrong).is_err(), "{wrong}");
        }
    }
}
