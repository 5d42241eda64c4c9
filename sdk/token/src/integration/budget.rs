//! How much of a third party may be used.

use serde::{Deserialize, Serialize};

/// Limits of one integration at one egress, over all callers, and of each identity there. What is left out is not
/// limited. A call over a limit is answered with 429.
///
/// Counted in memory of each egress: with two of them, twice as much goes through, and a restart begins anew. The third
/// party's own limits are the firm ones; these keep one caller from using up what all need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Calls in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_minute: Option<u32>,
    /// Calls in a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_day: Option<u32>,
    /// Calls of one identity in a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_calls_per_minute: Option<u32>,
    /// Calls that are under way at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_calls: Option<u32>,
    /// The longest body that goes out, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<u64>,
    /// The longest body that comes back, in bytes; longer ones are cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<u64>,
}
