//! Task scope: what a token may do within its scopes, for one task.

use std::collections::BTreeSet;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::strict::{self, Object};

/// `authorization_details` of type `lanyard_task` (RFC 9396 section 2): operations, destinations,
/// number of calls, expiry.
///
/// What is absent is not restricted; an empty list allows nothing. A child's task is never wider
/// than its parent's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TaskScope {
    operations: Option<BTreeSet<String>>,
    destinations: Option<BTreeSet<String>>,
    /// How many calls the task may make; `None`: any number.
    pub calls: Option<u64>,
    /// When the task ends, in Unix seconds; `None`: with its token.
    pub expires_at: Option<u64>,
}

/// The text is not one `lanyard_task`. Answer `invalid_authorization_details` (RFC 9396 section 5).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTask {
    /// Not a JSON array of exactly one object of type `lanyard_task` with known members, each once.
    #[error("authorization details are one object of type `lanyard_task` with known members")]
    Shape,
    /// A list is longer than [`TaskScope::MAX_ITEMS`].
    #[error(
        "a task names at most {} operations and as many destinations",
        TaskScope::MAX_ITEMS
    )]
    TooMany,
    /// An operation or destination is empty, longer than [`TaskScope::MAX_ITEM_BYTES`] or has
    /// control characters.
    #[error(
        "operations and destinations are 1 to {} bytes without control characters",
        TaskScope::MAX_ITEM_BYTES
    )]
    Item,
}

/// The task asks for more than its parent has. Answer `invalid_authorization_details`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task is wider than the one it descends from")]
pub struct Wider;

impl TaskScope {
    /// The `type` of the authorization details.
    pub const TYPE: &'static str = "lanyard_task";
    /// The most operations, and the most destinations.
    pub const MAX_ITEMS: usize = 64;
    /// The longest operation or destination, in bytes.
    pub const MAX_ITEM_BYTES: usize = 256;
    /// The longest text that is read at all, in bytes: both lists full, with room for escapes.
    pub const MAX_TEXT_BYTES: usize = 64 * 1024;

    /// A task of these parts; `None` leaves a part unrestricted.
    pub fn new(
        operations: Option<Vec<String>>,
        destinations: Option<Vec<String>>,
        calls: Option<u64>,
        expires_at: Option<u64>,
    ) -> Result<Self, InvalidTask> {
        Ok(Self {
            operations: operations.map(items).transpose()?,
            destinations: destinations.map(items).transpose()?,
            calls,
            expires_at,
        })
    }

    /// Reads the request parameter `authorization_details`: a JSON array of exactly one object.
    ///
    /// Exactly one: with two, the wider would be the one that counts, and nobody would see it.
    pub fn parse(text: &str) -> Result<Self, InvalidTask> {
        if text.len() > Self::MAX_TEXT_BYTES {
            return Err(InvalidTask::Shape);
        }
        let list: Vec<Object<Wire>> = serde_json::from_str(text).map_err(|_| InvalidTask::Shape)?;
        let mut list = list.into_iter();
        match (list.next(), list.next()) {
            (Some(Object(wire)), None) => wire.try_into(),
            _ => Err(InvalidTask::Shape),
        }
    }

    /// The operations allowed, in order; `None`: not restricted.
    pub fn operations(&self) -> Option<impl ExactSizeIterator<Item = &str>> {
        self.operations
            .as_ref()
            .map(|list| list.iter().map(String::as_str))
    }

    /// The destinations allowed, in order; `None`: not restricted.
    pub fn destinations(&self) -> Option<impl ExactSizeIterator<Item = &str>> {
        self.destinations
            .as_ref()
            .map(|list| list.iter().map(String::as_str))
    }

    /// Whether the task allows this operation, named exactly.
    pub fn allows_operation(&self, operation: &str) -> bool {
        self.operations
            .as_ref()
            .is_none_or(|list| list.contains(operation))
    }

    /// Whether the task allows this destination, named exactly.
    pub fn allows_destination(&self, destination: &str) -> bool {
        self.destinations
            .as_ref()
            .is_none_or(|list| list.contains(destination))
    }

    /// Whether the task has not ended at `now` (Unix seconds).
    pub fn is_open_at(&self, now: u64) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether nothing is allowed here that `parent` forbids. What is left out here is not
    /// restricted, and so is only within a parent that does not restrict it either.
    pub fn within(&self, parent: &Self) -> bool {
        list_within(self.operations.as_ref(), parent.operations.as_ref())
            && list_within(self.destinations.as_ref(), parent.destinations.as_ref())
            && number_within(self.calls, parent.calls)
            && number_within(self.expires_at, parent.expires_at)
    }

    /// The task of a child that asked for this one: what it left out it inherits.
    pub fn narrow(self, parent: &Self) -> Result<Self, Wider> {
        let child = Self {
            operations: self.operations.or_else(|| parent.operations.clone()),
            destinations: self.destinations.or_else(|| parent.destinations.clone()),
            calls: self.calls.or(parent.calls),
            expires_at: self.expires_at.or(parent.expires_at),
        };
        if child.within(parent) {
            Ok(child)
        } else {
            Err(Wider)
        }
    }
}

fn items(list: Vec<String>) -> Result<BTreeSet<String>, InvalidTask> {
    if list.len() > TaskScope::MAX_ITEMS {
        return Err(InvalidTask::TooMany);
    }
    let item_allowed = |item: &String| {
        !item.is_empty()
            && item.len() <= TaskScope::MAX_ITEM_BYTES
            && !item.chars().any(char::is_control)
    };
    if !list.iter().all(item_allowed) {
        return Err(InvalidTask::Item);
    }
    Ok(list.into_iter().collect())
}

fn list_within(child: Option<&BTreeSet<String>>, parent: Option<&BTreeSet<String>>) -> bool {
    match (child, parent) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(child), Some(parent)) => child.is_subset(parent),
    }
}

fn number_within(child: Option<u64>, parent: Option<u64>) -> bool {
    match (child, parent) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(child), Some(parent)) => child <= parent,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, deserialize_with = "strict::present")]
    operations: Option<Vec<String>>,
    #[serde(default, deserialize_with = "strict::present")]
    destinations: Option<Vec<String>>,
    #[serde(default, deserialize_with = "strict::present")]
    calls: Option<u64>,
    #[serde(default, deserialize_with = "strict::present")]
    expires_at: Option<u64>,
}

impl TryFrom<Wire> for TaskScope {
    type Error = InvalidTask;

    fn try_from(wire: Wire) -> Result<Self, InvalidTask> {
        if wire.kind != Self::TYPE {
            return Err(InvalidTask::Shape);
        }
        Self::new(
            wire.operations,
            wire.destinations,
            wire.calls,
            wire.expires_at,
        )
    }
}

impl Serialize for TaskScope {
    /// One RFC 9396 object.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", Self::TYPE)?;
        if let Some(operations) = &self.operations {
            map.serialize_entry("operations", operations)?;
        }
        if let Some(destinations) = &self.destinations {
            map.serialize_entry("destinations", destinations)?;
        }
        if let Some(calls) = self.calls {
            map.serialize_entry("calls", &calls)?;
        }
        if let Some(expires_at) = self.expires_at {
            map.serialize_entry("expires_at", &expires_at)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for TaskScope {
    /// One RFC 9396 object.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire: Wire = strict::object(deserializer)?;
        wire.try_into().map_err(serde::de::Error::custom)
    }
}

/// The claim `authorization_details`: an array of exactly one task (RFC 9396 section 9.1).
pub(crate) mod array_of_one {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        task: &Option<TaskScope>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(usize::from(task.is_some())))?;
        if let Some(task) = task {
            list.serialize_element(task)?;
        }
        list.end()
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<TaskScope>, D::Error> {
        let [task] = <[TaskScope; 1]>::deserialize(deserializer)?;
        Ok(Some(task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(text: &str) -> TaskScope {
        TaskScope::parse(&format!(r#"[{{"type":"lanyard_task",{text}}}]"#)).unwrap()
    }

    #[test]
    fn what_a_child_leaves_out_it_inherits() {
        let parent = task(r#""operations":["GET /a","GET /b"],"calls":10,"expires_at":100"#);
        let child = task(r#""operations":["GET /a"],"calls":3"#)
            .narrow(&parent)
            .unwrap();
        assert!(child.within(&parent));
        assert_eq!((child.calls, child.expires_at), (Some(3), Some(100)));
        assert!(child.allows_operation("GET /a") && !child.allows_operation("GET /b"));
        assert!(child.allows_destination("anywhere"));
        assert!(child.is_open_at(99) && !child.is_open_at(100));
    }

    #[test]
    fn a_child_is_never_wider() {
        let parent =
            task(r#""operations":["GET /a"],"destinations":["x"],"calls":10,"expires_at":100"#);
        for wider in [
            r#""operations":["GET /b"]"#,
            r#""operations":["GET /a","GET /b"]"#,
            r#""destinations":["y"]"#,
            r#""calls":11"#,
            r#""expires_at":101"#,
        ] {
            assert_eq!(task(wider).narrow(&parent), Err(Wider), "{wider}");
        }
        assert!(
            !TaskScope::default().within(&parent),
            "leaving a part out is not a restriction"
        );
        assert!(parent.within(&TaskScope::default()));
        assert!(!task(r#""operations":[]"#).allows_operation("GET /a"));
    }

    #[test]
    fn only_one_object_of_our_type_with_known_members_is_read() {
        for text in [
            "[]",
            "{}",
            "null",
            "[[]]",
            "[{}]",
            r#"[["lanyard_task"]]"#,
            r#"{"type":"lanyard_task"}"#,
            r#"[{"type":"payment"}]"#,
            r#"[{"type":"lanyard_task","calls":-1}]"#,
            r#"[{"type":"lanyard_task","calls":1.5}]"#,
            r#"[{"type":"lanyard_task","calls":null}]"#,
            r#"[{"type":"lanyard_task","calls":1,"calls":2}]"#,
            r#"[{"type":"lanyard_task","actions":[]}]"#,
            r#"[{"type":"lanyard_task","operations":"GET /a"}]"#,
            r#"[{"type":"lanyard_task"},{"type":"lanyard_task"}]"#,
            r#"[{"type":"lanyard_task"}] x"#,
        ] {
            assert_eq!(TaskScope::parse(text), Err(InvalidTask::Shape), "{text}");
        }
        let long = format!(
            r#"[{{"type":"lanyard_task","operations":["{}"]}}]"#,
            "a".repeat(257)
        );
        assert_eq!(TaskScope::parse(&long), Err(InvalidTask::Item));
        let many = serde_json::json!([{"type": "lanyard_task", "destinations": vec!["a"; 65]}]);
        assert_eq!(
            TaskScope::parse(&many.to_string()),
            Err(InvalidTask::TooMany)
        );
    }

    #[test]
    fn a_task_reads_back_what_it_writes() {
        let full = task(r#""operations":["b","a"],"destinations":[],"calls":0,"expires_at":7"#);
        let text = serde_json::to_string(&[&full]).unwrap();
        assert_eq!(TaskScope::parse(&text).unwrap(), full);
        assert!(
            text.starts_with(r#"[{"type":"lanyard_task","operations":["a","b"]"#),
            "{text}"
        );
    }
}
