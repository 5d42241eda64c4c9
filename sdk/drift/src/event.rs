//! What a gateway saw: one call, and later what came of it.
//!
//! Everything here is already an id or a hash. Names, addresses and user agents stay at the edge,
//! so a report can travel without carrying them. A field that a gateway cannot know is `None`.

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since any fixed origin, the same for all calls of one tracker.
///
/// Time may stand still or run backwards: nothing in this crate panics or trips because of it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// Milliseconds from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Later by this much; the far future instead of an overflow.
    #[must_use]
    pub const fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

/// A method and route template at an audience, or a tool: the stable hash of its name.
///
/// The value is the same on every machine and in every release, because baselines outlive both.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct OperationId(u32);

impl OperationId {
    /// Stands for "all the operations that had no place of their own". No name hashes to it.
    pub const OTHER: Self = Self(0);

    /// The id of an operation's name, for example `https://api.example GET /orders/{id}`.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let hash = stable_hash(name.as_bytes());
        // Both halves take part; zero is taken by `OTHER`.
        let folded = (hash as u32) ^ ((hash >> 32) as u32);
        Self(if folded == 0 { 1 } else { folded })
    }

    /// The id with this number, as [`OperationId::get`] told it.
    #[must_use]
    pub const fn numbered(number: u32) -> Self {
        Self(number)
    }

    /// The number itself, for logs and metrics.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for OperationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The object a call names: `4711` in `GET /orders/4711`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Hash of the object's name, see [`stable_hash`].
    pub hash: u64,
    /// The name as a number, when it is one. Only numbers can be walked in order.
    pub number: Option<u64>,
}

impl Object {
    /// The object with this name: hashed, and read as a decimal number if it is one.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self {
            hash: stable_hash(name.as_bytes()),
            number: name.parse().ok(),
        }
    }
}

/// How a call relates to the task scope of its token (RFC 9396 `authorization_details`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskFit {
    /// Operation, destination and number of calls are within the task.
    Inside,
    /// The task does not name this operation.
    OutsideOperation,
    /// The task does not name this destination.
    OutsideDestination,
    /// The task's number of calls is used up.
    CallsSpent,
}

/// One verified call. Calls whose token failed verification must never become events: otherwise
/// anyone could make a victim look bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What was called.
    pub operation: OperationId,
    /// On what; `None` when the route names no object.
    pub object: Option<Object>,
    /// Hash of the source network (/24 or /48), when the gateway can see it.
    pub source: Option<u64>,
    /// Hash of the client's fingerprint (its user agent), when the gateway can see it.
    pub client: Option<u64>,
    /// Hash of where data goes, for egress and tools.
    pub destination: Option<u64>,
    /// Fit with the token's task scope; `None` when the token has none.
    pub task: Option<TaskFit>,
}

impl Event {
    /// A call of which only the operation is known; the other channels are absent.
    #[must_use]
    pub const fn of(operation: OperationId) -> Self {
        Self {
            operation,
            object: None,
            source: None,
            client: None,
            destination: None,
            task: None,
        }
    }
}

/// What came of a call, or of another stretch of a streaming response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// HTTP status; `None` when unseen, and for all but one stretch of a stream.
    pub status: Option<u16>,
    /// Bytes of the request since the last outcome of this call; `None` when unseen.
    pub request_bytes: Option<u64>,
    /// Bytes of the response since the last outcome of this call; `None` when unseen.
    pub response_bytes: Option<u64>,
}

/// A 64-bit hash that is the same everywhere and for ever (FNV-1a, then a mixing step).
///
/// Not for secrets: it is neither keyed nor one-way. Callers who must hide a name hash it with
/// a key of their own first.
#[must_use]
pub fn stable_hash(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = OFFSET;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    }
    mix(hash)
}

/// Spreads every input bit over all output bits (the finaliser of MurmurHash3, `fmix64`): FNV alone
/// leaves the high bits of short names nearly alike, and sketches look at the high bits.
pub(crate) const fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_ids_do_not_change_between_releases() {
        assert_eq!(
            OperationId::of("GET /orders/{id}"),
            OperationId::of("GET /orders/{id}")
        );
        assert_ne!(
            OperationId::of("GET /orders/{id}"),
            OperationId::of("PUT /orders/{id}")
        );
        // FNV-1a of the empty input is its offset; a change of this line orphans every baseline.
        assert_eq!(stable_hash(b""), mix(0xcbf2_9ce4_8422_2325));
        assert_eq!(stable_hash(b"a"), mix(0xaf63_dc4c_8601_ec8c));
    }

    #[test]
    fn no_name_becomes_the_id_of_all_others() {
        for n in 0..10_000 {
            assert_ne!(OperationId::of(&format!("op {n}")), OperationId::OTHER);
        }
    }

    #[test]
    fn only_plain_decimal_names_are_numbers() {
        assert_eq!(Object::of("4711").number, Some(4711));
        assert_eq!(Object::of("a4711").number, None);
        assert_eq!(Object::of("99999999999999999999999").number, None);
    }

    #[test]
    fn time_running_backwards_is_no_time_at_all() {
        assert_eq!(Millis(5).since(Millis(9)), 0);
    }
}
