//! Where an integration's calls go.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How an upstream is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Over TLS.
    Https,
    /// In clear; only within private networks that the integration names.
    Http,
}

/// `https://api.example.com/v2`: one host, and the path that everything is below.
///
/// Written exactly one way: lower case, no user, no query, no fragment, no slash at the end, a port only when it is not
/// the usual one. So what a person reviews is what is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    scheme: Scheme,
    host: Box<str>,
    port: u16,
    base: Box<str>,
}

/// The text names no upstream, or no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUpstream {
    /// Begin it with one of the two.
    #[error("an upstream begins with `https://`, or with `http://` inside private networks")]
    Scheme,
    /// A name of letters, digits, hyphens and dots, or an address as it is usually written.
    #[error(
        "an upstream's host is a name in lower case or an address in its usual spelling, without a user"
    )]
    Host,
    /// 1 to 65535, and only when it is not the usual one.
    #[error("an upstream's port is a number from 1 to 65535 that is not the usual one")]
    Port,
    /// Take it off, or spell it plainly.
    #[error("an upstream's path has plain segments, no query and no `/` at its end")]
    Base,
    /// `10.1.0.0/16`, with nothing set behind the prefix.
    #[error("`{0}` is no network such as `10.1.0.0/16`")]
    Network(String),
}

impl Upstream {
    /// How it is spoken to.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Its name, or its address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What every path begins with: nothing, or `/v2`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// As it stands in a `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = match self.host.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.host.to_string(),
        };
        if self.port == usual_port(self.scheme) {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl FromStr for Upstream {
    type Err = InvalidUpstream;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            _ => return Err(InvalidUpstream::Scheme),
        };
        let (authority, base) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = authority_parts(authority)?;
        let port = match port {
            None => usual_port(scheme),
            Some(text) => {
                let port: u16 = text.parse().map_err(|_| InvalidUpstream::Port)?;
                if port == 0 || port == usual_port(scheme) || port.to_string() != text {
                    return Err(InvalidUpstream::Port);
                }
                port
            }
        };
        if !base.is_empty() && !base.split('/').skip(1).all(is_plain_segment) {
            return Err(InvalidUpstream::Base);
        }
        Ok(Self {
            scheme,
            host: host.into(),
            port,
            base: base.into(),
        })
    }
}

const fn usual_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Https => 443,
        Scheme::Http => 80,
    }
}

/// Host and port, if one is given.
fn authority_parts(authority: &str) -> Result<(&str, Option<&str>), InvalidUpstream> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(InvalidUpstream::Host)?;
        let address: std::net::Ipv6Addr = host.parse().map_err(|_| InvalidUpstream::Host)?;
        if address.to_string() != host {
            return Err(InvalidUpstream::Host);
        }
        return match after {
            "" => Ok((host, None)),
            _ => Ok((
                host,
                Some(after.strip_prefix(':').ok_or(InvalidUpstream::Host)?),
            )),
        };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if is_host_name(host) {
        Ok((host, port))
    } else {
        Err(InvalidUpstream::Host)
    }
}

/// A name, or an IPv4 address as it is usually written: what ends in a number and is not one is neither, since
/// resolvers read `0x7f.1` and `2130706433` as addresses too.
fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        (1..=63).contains(&label.len())
            && label.bytes().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or(host);
    let is_numeric = last.starts_with(|first: char| first.is_ascii_digit());
    host.len() <= 253
        && host.split('.').all(is_label)
        && (!is_numeric || host.parse::<std::net::Ipv4Addr>().is_ok())
}

/// Nothing that would have to be decoded, and no step up.
pub(super) fn is_plain_segment(segment: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'@')
    };
    !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(plain)
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Https => "https",
            Scheme::Http => "http",
        };
        write!(f, "{scheme}://{}{}", self.authority(), self.base)
    }
}

impl Serialize for Upstream {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Addresses with the same beginning: `10.1.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// How many bits all of its addresses begin with.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether its addresses are of the longer kind.
    #[must_use]
    pub const fn is_ipv6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// Whether all addresses of another one are in it.
    #[must_use]
    pub fn contains_all(&self, other: &Self) -> bool {
        other.prefix >= self.prefix && self.contains(other.address)
    }

    /// Whether an address is in it. An IPv4 address inside an IPv6 one is taken for the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX
                    .checked_shl(32 - u32::from(self.prefix))
                    .unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.prefix))
                    .unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = InvalidUpstream;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || InvalidUpstream::Network(text.chars().take(64).collect());
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let prefix: u8 = prefix.parse().map_err(|_| bad())?;
        let whole = match address {
            IpAddr::V4(own) => {
                prefix <= 32 && own.to_bits().trailing_zeros() >= 32 - u32::from(prefix)
            }
            IpAddr::V6(own) => {
                prefix <= 128 && own.to_bits().trailing_zeros() >= 128 - u32::from(prefix)
            }
        };
        let network = Self { address, prefix };
        if whole && network.to_string() == text {
            Ok(network)
        } else {
            Err(bad())
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
