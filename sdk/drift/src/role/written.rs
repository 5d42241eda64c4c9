//! The written form of [`Others`]: sorted, so that equal contents are equal bytes and a hash over them
//! names them; transitions by the places of their operations, which is shorter than their ids. What
//! could not have been made of members is refused.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::others::{MOST_OPERATIONS, MOST_TRANSITIONS, Others, Used};
use crate::event::OperationId;
use crate::version::Version;

/// Version of the written form.
const VERSION: u16 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: Version<VERSION>,
    members: u32,
    total: u64,
    /// Id, calls, users; ascending by id.
    operations: Vec<(u32, u64, u32)>,
    /// Place of the first operation in `operations`, place of the second, how often; ascending.
    transitions: Vec<(u16, u16, u32)>,
}

impl Serialize for Others {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let operations = self.operations.iter();
        let mut operations: Vec<_> = operations
            .map(|(id, used)| (*id, used.count, used.users))
            .collect();
        operations.sort_unstable();
        let place = |id: u32| operations.binary_search_by_key(&id, |(id, ..)| *id).ok();
        let placed = |(pair, count): (&u64, &u32)| {
            let (from, to) = ((*pair >> 32) as u32, *pair as u32);
            // At most 4,096 operations.
            Some((place(from)? as u16, place(to)? as u16, *count))
        };
        let mut transitions: Vec<_> = self.transitions.iter().filter_map(placed).collect();
        transitions.sort_unstable();
        Written {
            version: Version,
            members: self.members,
            total: self.total,
            operations,
            transitions,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Others {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        if written.operations.len() > MOST_OPERATIONS
            || written.transitions.len() > MOST_TRANSITIONS
        {
            return Err(D::Error::custom("more habits than a role has places"));
        }
        let ascending = written.operations.is_sorted_by(|(a, ..), (b, ..)| a < b);
        let ordered = written
            .transitions
            .is_sorted_by(|(a, b, _), (c, d, _)| (a, b) < (c, d));
        if !ascending || !ordered {
            return Err(D::Error::custom("habits out of order or repeated"));
        }
        let mut others = Self {
            members: written.members,
            total: written.total,
            ..Self::default()
        };
        let mut counted = 0_u64;
        for (id, count, users) in &written.operations {
            if *id == 0 || *count == 0 || *users == 0 || *users > written.members {
                return Err(D::Error::custom("an operation that no member can have"));
            }
            counted = counted.saturating_add(*count);
            let used = Used {
                count: *count,
                users: *users,
                successors: 0,
            };
            others.operations.insert(*id, used);
        }
        if written.members == 0 || counted > written.total {
            return Err(D::Error::custom("a total below its parts"));
        }
        let operation = |place: u16| {
            let found = written.operations.get(usize::from(place));
            found.map(|(id, ..)| OperationId::numbered(*id))
        };
        for (from, to, count) in &written.transitions {
            let (Some(from), Some(to), 1..) = (operation(*from), operation(*to), *count) else {
                return Err(D::Error::custom("a transition that no member can have"));
            };
            others.add_transition(from, to, *count);
        }
        others.complete();
        Ok(others)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Role;
    use super::*;
    use crate::{Baseline, Bounds, Event, Millis, Thresholds, Tracker};

    fn member(first: u64) -> Baseline {
        let mut tracker = Tracker::new(Millis(0), Bounds::cold(&Thresholds::default()));
        for n in 0..60 {
            let name = format!("GET /{}", first + n * n % 7);
            let _ = tracker.observe(&Event::of(OperationId::of(&name)), Millis(n * 1_000));
        }
        let mut baseline = Baseline::empty();
        let _ = baseline.absorb_cleared(&tracker.report().unwrap_or_default());
        baseline
    }

    fn others() -> Others {
        let members = [member(0), member(2), member(5)];
        Role::of(&members).unwrap().others().clone()
    }

    #[test]
    fn what_is_read_back_compares_as_what_was_written() {
        let others = others();
        let text = serde_json::to_string(&others).unwrap();
        let read: Others = serde_json::from_str(&text).unwrap();
        assert_eq!(read, others);
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        for n in 0..12 {
            let to = OperationId::of(&format!("GET /{n}"));
            let from = OperationId::of("GET /2");
            let (a, q) = (others.used(from), others.single(others.used(to)));
            assert_eq!(read.single(read.used(to)).to_bits(), q.to_bits());
            assert_eq!(
                read.after((from, to), read.used(from), q).to_bits(),
                others.after((from, to), a, q).to_bits()
            );
        }
    }

    #[test]
    fn what_no_role_can_hold_is_refused_in_words() {
        let good = serde_json::to_value(others()).unwrap();
        let change = |member: &str, value: serde_json::Value| {
            let mut bad = good.clone();
            bad[member] = value;
            serde_json::from_value::<Others>(bad)
                .unwrap_err()
                .to_string()
        };
        assert!(change("version", 9.into()).contains("version 9"));
        assert!(change("members", 0.into()).contains("no member can have"));
        assert!(change("total", 1.into()).contains("total below"));
        let twice = serde_json::json!([[1, 1, 1], [1, 1, 1]]);
        assert!(change("operations", twice).contains("out of order"));
        let unknown = serde_json::json!([[0, 60_000, 1]]);
        assert!(change("transitions", unknown).contains("no member can have"));
        let never = serde_json::json!([[0, 0, 0]]);
        assert!(change("transitions", never).contains("no member can have"));
        assert!(change("surprise", 1.into()).contains("surprise"));
    }
}
