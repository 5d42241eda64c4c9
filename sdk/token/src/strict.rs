//! What derived deserialisers leave open, closed.
//!
//! A derived struct also reads a JSON array in member order, and an `Option` also reads `null`.
//! Both would be a second text for the same claims, so both are refused here. Unknown and repeated
//! members are refused by the derived code itself (`deny_unknown_fields`, named fields).

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads `T` from a JSON object and from nothing else.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct ObjectOnly<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectOnly<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(ObjectOnly(PhantomData))
}

/// Reads an optional member that, when it is there, is not `null`.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A value read by [`object`], for places where an attribute cannot stand (elements of a list).
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        #[expect(dead_code, reason = "only its presence matters")]
        a: u64,
        #[serde(default, deserialize_with = "present")]
        b: Option<u64>,
    }

    fn read(text: &str) -> Option<Pair> {
        serde_json::from_str::<Object<Pair>>(text)
            .ok()
            .map(|object| object.0)
    }

    #[test]
    fn only_an_object_with_each_member_once_is_read() {
        assert_eq!(read(r#"{"a":1,"b":2}"#).unwrap().b, Some(2));
        assert_eq!(read(r#"{"a":1}"#).unwrap().b, None);
        for text in [
            "[1,2]",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":null}"#,
            r#"{"a":1,"c":1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":1} x"#,
            "null",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
