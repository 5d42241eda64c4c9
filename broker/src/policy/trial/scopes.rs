//! Scopes as files write them: a list of words.

use lanyard_token::{Scope, ScopeSet};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn serialize<S: Serializer>(scopes: &ScopeSet, to: S) -> Result<S::Ok, S::Error> {
    scopes.iter().collect::<Vec<_>>().serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ScopeSet, D::Error> {
    Ok(Vec::<Scope>::deserialize(from)?.into_iter().collect())
}

/// The same, where there may be none.
pub(super) mod optional {
    use super::{Deserialize, Deserializer, Scope, ScopeSet, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        scopes: &Option<ScopeSet>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let list = scopes
            .as_ref()
            .map(|scopes| scopes.iter().collect::<Vec<_>>());
        list.serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<ScopeSet>, D::Error> {
        let list = Option::<Vec<Scope>>::deserialize(from)?;
        Ok(list.map(|scopes| scopes.into_iter().collect()))
    }
}
