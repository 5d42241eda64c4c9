//! Node numbers: everything that can be revoked has one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bits of a node number that count within one boot.
const COUNTER_BITS: u32 = 40;

/// Anything that can be revoked: an owner, an identity, a credential or a token.
///
/// 64 bits: a 24-bit boot number taken from the log, then a 40-bit counter. A broker therefore
/// never has to ask anybody before it numbers a token, and two boots can never collide.
/// On the wire it is exactly 16 lower-case hexadecimal digits; a token's is its `jti`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u64);

impl NodeId {
    /// The largest boot number (24 bits).
    pub const MAX_BOOT: u32 = (1 << 24) - 1;
    /// The largest counter within one boot (40 bits).
    pub const MAX_COUNTER: u64 = (1 << COUNTER_BITS) - 1;

    /// `None` when either part does not fit its bits.
    pub const fn new(boot: u32, counter: u64) -> Option<Self> {
        if boot > Self::MAX_BOOT || counter > Self::MAX_COUNTER {
            return None;
        }
        Some(Self(((boot as u64) << COUNTER_BITS) | counter))
    }

    /// The node with this number, as frames carry it.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number, as frames carry it.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Which boot of the broker numbered it.
    pub const fn boot(self) -> u32 {
        (self.0 >> COUNTER_BITS) as u32
    }
}

/// Sixteen digits.
struct Text([u8; 16]);

impl std::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        // Only digits are ever stored.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl NodeId {
    /// By hand: a token holds six of them at least, and formatting takes ten times as long.
    fn text(self) -> Text {
        let mut digits = [0; 16];
        let mut left = self.0;
        for place in digits.iter_mut().rev() {
            let digit = (left & 0xf) as u8;
            *place = digit + if digit < 10 { b'0' } else { b'a' - 10 };
            left >>= 4;
        }
        Text(digits)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a node is 16 lower-case hexadecimal digits")]
pub struct InvalidNodeId;

impl FromStr for NodeId {
    type Err = InvalidNodeId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let canonical = text.len() == 16
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return Err(InvalidNodeId);
        }
        u64::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| InvalidNodeId)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = NodeId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("16 lower-case hexadecimal digits")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<NodeId, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reads_back_what_it_prints() {
        let node = NodeId::new(7, 42).unwrap();
        assert_eq!(node.to_string(), "000007000000002a");
        assert_eq!(node.to_string().parse(), Ok(node));
        assert_eq!(node.boot(), 7);
        for number in [0, 0x0123_4567_89ab_cdef, u64::MAX] {
            let node = NodeId::from_u64(number);
            assert_eq!(node.to_string(), format!("{number:016x}"));
            assert_eq!(
                serde_json::to_string(&node).unwrap(),
                format!("\"{number:016x}\"")
            );
        }
    }

    #[test]
    fn only_sixteen_lower_case_digits_are_a_node() {
        for text in [
            "",
            "2a",
            "000007000000002A",
            " 00007000000002a",
            "+00007000000002a",
            "000007000000002a0",
        ] {
            assert_eq!(text.parse::<NodeId>(), Err(InvalidNodeId), "{text}");
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        assert_eq!(NodeId::new(NodeId::MAX_BOOT + 1, 0), None);
        assert_eq!(NodeId::new(0, NodeId::MAX_COUNTER + 1), None);
    }
}
