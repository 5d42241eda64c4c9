//! A plan as somebody wrote it: tables whose members are taken out by their names.
//!
//! *Why not derived:* a derived reader of tables that share members lets misspelt ones through, does not say in which
//! table something is wrong, and repeats what it found, which may be a credential in the wrong place.

use std::fmt;

use serde::de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

use super::super::driver::Unsuitable;

/// The longest member that is repeated: a name that was misspelt, not a value in its place.
const LONGEST_NAME: usize = 32;

/// JSON in which no member stands twice: of two, nobody could say which was meant.
pub struct Written(pub Value);

/// A table, and what was asked of it.
pub(in super::super) struct Table {
    place: String,
    members: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Table {
    /// Reads a table that stands at a place; the outermost one is at none.
    pub(in super::super) fn read(place: &str, value: Value) -> Result<Self, Unsuitable> {
        let Value::Object(members) = value else {
            return Err(unsuitable(format!("`{place}` is a table")));
        };
        Ok(Self {
            place: place.to_owned(),
            members,
            known: Vec::new(),
        })
    }

    /// What a member is called from outside.
    pub(in super::super) fn path(&self, member: &str) -> String {
        if self.place.is_empty() {
            member.to_owned()
        } else {
            format!("{}.{member}", self.place)
        }
    }

    /// Takes a member out, if it is there. `is` says what it should be.
    pub(in super::super) fn optional<T: DeserializeOwned>(
        &mut self,
        member: &'static str,
        is: &str,
    ) -> Result<Option<T>, Unsuitable> {
        match self.take(member) {
            None => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                // What serde says repeats what it found.
                .map_err(|_| unsuitable(format!("`{}` is {is}", self.path(member)))),
        }
    }

    /// Takes a member out that has to be there.
    pub(in super::super) fn required<T: DeserializeOwned>(
        &mut self,
        member: &'static str,
        is: &str,
    ) -> Result<T, Unsuitable> {
        self.optional(member, is)?
            .ok_or_else(|| unsuitable(format!("`{}` is missing: {is}", self.path(member))))
    }

    /// Takes out a table that has to be there.
    pub(in super::super) fn table(&mut self, member: &'static str) -> Result<Self, Unsuitable> {
        let place = self.path(member);
        match self.take(member) {
            None => Err(unsuitable(format!("`{place}` is missing: a table"))),
            Some(value) => Self::read(&place, value),
        }
    }

    /// Nothing is left: what is was misspelt.
    pub(in super::super) fn finish(self) -> Result<(), Unsuitable> {
        let Some(left) = self.members.keys().next() else {
            return Ok(());
        };
        let is_name = left.len() <= LONGEST_NAME
            && left
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let what = match (is_name, self.place.is_empty()) {
            (true, _) => format!("`{}` is no member", self.path(left)),
            (false, true) => "the plan has a member that is none".to_owned(),
            (false, false) => format!("`{}` has a member that is none", self.place),
        };
        let known: Vec<String> = self.known.iter().map(|name| format!("`{name}`")).collect();
        Err(unsuitable(format!(
            "{what}: there are {}",
            known.join(", ")
        )))
    }

    /// `null` is what is not there.
    fn take(&mut self, member: &'static str) -> Option<Value> {
        self.known.push(member);
        self.members.remove(member).filter(|value| !value.is_null())
    }
}

fn unsuitable(text: String) -> Unsuitable {
    Unsuitable::Settings(text)
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Once).map(Self)
    }
}

struct Once;

impl<'de> Visitor<'de> for Once {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON in which no member stands twice")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Written(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Written(value))) = members.next_entry::<String, Written>()? {
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a member stands there twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(value: Value) -> Table {
        Table::read("third_party.find", value).unwrap()
    }

    fn says<T>(refused: Result<T, Unsuitable>) -> String {
        match refused {
            Ok(_) => panic!("it is taken"),
            Err(refused) => refused.to_string(),
        }
    }

    #[test]
    fn what_is_misspelt_is_named_and_so_is_what_there_is() {
        let mut find = table(json!({"path": "/", "itmes": "/data"}));
        assert_eq!(find.required::<String>("path", "a path").unwrap(), "/");
        assert_eq!(find.optional::<String>("items", "a pointer").unwrap(), None);
        assert_eq!(
            says(find.finish()),
            "`third_party.find.itmes` is no member: there are `path`, `items`"
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_what_was_found() {
        let mut find = table(json!({"path": 1, "items": "hunter2", "hunter2": 1, "method": null}));
        let refused = says(find.required::<String>("path", "a text"));
        assert_eq!(refused, "`third_party.find.path` is a text");
        let refused = says(find.optional::<u64>("items", "a number"));
        assert_eq!(refused, "`third_party.find.items` is a number");
        let refused = says(find.required::<String>("method", "such as `GET`"));
        assert_eq!(
            refused,
            "`third_party.find.method` is missing: such as `GET`"
        );
        assert!(!says(find.finish()).contains("hunter2"));
    }

    #[test]
    fn a_member_that_stands_there_twice_is_refused_however_deep() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"b":[{"a":1,"a":2}]}"#] {
            assert!(serde_json::from_str::<Written>(text).is_err(), "{text}");
        }
        let text = r#"{"a":[1,-1,0.5,true,null,"x"],"b":{"a":1}}"#;
        let Written(read) = serde_json::from_str(text).unwrap();
        assert_eq!(read, serde_json::from_str::<Value>(text).unwrap());
    }
}
