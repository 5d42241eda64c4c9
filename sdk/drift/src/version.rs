//! The version of a serialised form, checked while reading.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes itself as the number `V` and reads back nothing but `V`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version<const V: u16>;

impl<const V: u16> Serialize for Version<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(V)
    }
}

impl<'de, const V: u16> Deserialize<'de> for Version<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = u16::deserialize(deserializer)?;
        if found == V {
            Ok(Self)
        } else {
            Err(D::Error::custom(format_args!(
                "written in version {found}, this build reads version {V} only"
            )))
        }
    }
}
