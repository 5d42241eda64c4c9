//! One parcel: what is in it, and the bytes that are sent.

use std::collections::BTreeSet;

use bytes::Bytes;
use lanyard_drift::OperationId;
use lanyard_drift::parcel::Packing;
use lanyard_token::NodeId;
use serde::Serialize;

use super::{Name, Names, ShadowRoute};

/// Bytes of the names of operations in a parcel, and of the scopes that they demand; operations beyond go without a name, and are named in a
/// later one. With as many shown tokens and shadow routes as go into a parcel these are within the bytes of
/// words that a broker reads.
const NAMES_BYTES: usize = 32 * 1024;
/// Names of operations in a parcel. The broker takes 1,024.
const NAMES: usize = 1_024;

/// A numbered body, sent unchanged until it is answered.
pub(in crate::gateway::report) struct Parcel {
    pub(in crate::gateway::report) body: Bytes,
    pub(in crate::gateway::report) entries: u64,
    /// Tokens that are suspended here, and that it says so of.
    pub(in crate::gateway::report) suspected: Vec<NodeId>,
    /// Operations that it names.
    pub(super) named: Vec<OperationId>,
    /// It speaks of others too, which an earlier one has named.
    pub(super) named_before: bool,
}

/// What goes into one parcel.
pub(super) struct Draft {
    run: u64,
    number: u64,
    pub(super) packing: Packing,
    pub(super) spoken_of: BTreeSet<OperationId>,
    pub(super) suspected: Vec<NodeId>,
    pub(super) shadow_routes: Vec<ShadowRoute>,
    /// Whoever holds one can use it: never printed.
    pub(super) shown: Vec<Box<str>>,
}

/// What is said beside the counts.
#[derive(Serialize)]
struct Words<'d> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    operations: Vec<&'d str>,
    /// What each of them demands, in their order; nothing when none demands anything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<&'d str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    named_before: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    shadow_routes: &'d [ShadowRoute],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    shown: &'d [Box<str>],
}

impl Draft {
    pub(super) fn new(run: u64, number: u64) -> Self {
        Self {
            run,
            number,
            packing: Packing::default(),
            spoken_of: BTreeSet::new(),
            suspected: Vec::new(),
            shadow_routes: Vec::new(),
            shown: Vec::new(),
        }
    }

    /// The parcel, for a broker that was told what these operations are called.
    pub(super) fn parcel(&self, names: &Names, told: &BTreeSet<OperationId>) -> Parcel {
        let untold = self.spoken_of.difference(told).copied();
        let (named, told_now): (Vec<_>, Vec<_>) = named(untold, names);
        let operations = told_now.iter().map(|name| &*name.name).collect();
        let mut scopes: Vec<&str> = told_now.iter().map(|name| &*name.scopes).collect();
        if scopes.iter().all(|scopes| scopes.is_empty()) {
            scopes.clear();
        }
        let words = Words {
            operations,
            scopes,
            named_before: self.spoken_of.intersection(told).next().is_some(),
            shadow_routes: &self.shadow_routes,
            shown: &self.shown,
        };
        // Numbers and texts always serialise; without its words a parcel is still one.
        let mut text = serde_json::to_vec(&words).unwrap_or_default();
        if text == b"{}" {
            text.clear();
        }
        Parcel {
            body: self.packing.sealed(self.run, self.number, &text).into(),
            entries: u64::from(self.packing.count()),
            suspected: self.suspected.clone(),
            named_before: words.named_before,
            named,
        }
    }
}

/// Of a scope list: its quotes and its comma, which names have been reckoned without.
const QUOTED: usize = 3;

/// Names, as many as go into a parcel, and what they name.
fn named(
    operations: impl Iterator<Item = OperationId>,
    names: &Names,
) -> (Vec<OperationId>, Vec<&Name>) {
    let mut left = NAMES_BYTES;
    let bytes = |name: &Name| match name.scopes.len() {
        0 => name.name.len(),
        scopes => name.name.len() + scopes + QUOTED,
    };
    operations
        .filter_map(|operation| Some((operation, names.get(&operation)?)))
        .take_while(|(_, name)| match left.checked_sub(bytes(name)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .take(NAMES)
        .unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_leave_room_for_what_they_name() {
        let names: Names = (0..4_096)
            .map(|n| format!("GET /{}/{n}", "long".repeat(50)))
            .map(|name| (OperationId::of(&name), Name::of(&name, "")))
            .collect();
        let (operations, told) = named(names.keys().copied(), &names);
        let bytes: usize = told.iter().map(|name| name.name.len()).sum();
        assert!(!told.is_empty() && bytes <= NAMES_BYTES, "{bytes}");
        assert_eq!(operations.len(), told.len());
    }

    #[test]
    fn as_many_words_as_there_can_be_are_read() {
        let mut draft = Draft::new(1, 1);
        let route = |n| ShadowRoute {
            method: "M".repeat(32),
            path: format!("/{}{n:02}", "p".repeat(125)),
            calls: u64::MAX,
        };
        draft.shadow_routes = (0..super::super::SHADOW_ROUTES_PER_PARCEL)
            .map(route)
            .collect();
        let token = "t".repeat(4_096).into_boxed_str();
        draft.shown = vec![token; super::super::SHOWN_PER_PARCEL];
        let names: Names = (0..NAMES)
            .map(|n| format!("GET /{n:024}"))
            .map(|name| (OperationId::of(&name), Name::of(&name, "")))
            .collect();
        draft.spoken_of = names.keys().copied().collect();
        let parcel = draft.parcel(&names, &BTreeSet::new());
        let read = lanyard_drift::parcel::Parcel::read(&parcel.body).unwrap();
        assert!(read.words.len() <= lanyard_drift::parcel::WORDS_BYTES);
        assert_eq!(parcel.named.len(), NAMES);
    }
}
