//! Where a call came from, when proxies stand between.
//!
//! Each proxy appends the address it was called from to `X-Forwarded-For`, and a caller may write
//! there whatever it likes before that. So the list is read from its end, and only as long as the
//! speaker is one of our own proxies: the first address that is not is the caller.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// Which proxies are ours. None by default: then the peer of the connection is the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Box<[IpNet]>);

/// The text is no address and no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network like `10.0.0.0/8`")]
pub struct InvalidProxy(String);

impl TrustedProxies {
    /// Addresses and networks.
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, InvalidProxy> {
        let network = |text: &str| {
            text.parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| InvalidProxy(text.to_owned()))
        };
        Ok(Self(
            texts.into_iter().map(network).collect::<Result<_, _>>()?,
        ))
    }

    /// The caller's address; `None` when a trusted proxy passed on something that is no address.
    #[must_use]
    pub fn source(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let mut speaker = peer.to_canonical();
        if self.0.is_empty() {
            return Some(speaker);
        }
        for value in headers.get_all("x-forwarded-for").iter().rev() {
            for hop in value.to_str().ok()?.rsplit(',') {
                if !self.trusts(speaker) {
                    return Some(speaker);
                }
                speaker = hop.trim().parse::<IpAddr>().ok()?.to_canonical();
            }
        }
        Some(speaker)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(proxies: &[&str], peer: &str, forwarded: &[&str]) -> Option<IpAddr> {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        TrustedProxies::parse(proxies.iter().copied())
            .unwrap()
            .source(peer.parse().unwrap(), &headers)
    }

    #[test]
    fn without_proxies_the_header_is_only_what_the_caller_claims() {
        assert_eq!(
            source(&[], "198.51.100.7", &["203.0.113.9"]),
            "198.51.100.7".parse().ok()
        );
    }

    #[test]
    fn the_nearest_hop_that_is_not_ours_is_the_caller() {
        let ours = &["10.0.0.0/8", "192.0.2.1"];
        let caller = "203.0.113.9".parse().ok();
        assert_eq!(source(ours, "10.0.0.1", &["1.1.1.1, 203.0.113.9"]), caller);
        assert_eq!(
            source(ours, "10.0.0.1", &["1.1.1.1, 203.0.113.9, 192.0.2.1"]),
            caller
        );
        assert_eq!(
            source(ours, "10.0.0.1", &["1.1.1.1", "203.0.113.9,10.9.9.9"]),
            caller
        );
        assert_eq!(source(ours, "10.0.0.1", &[]), "10.0.0.1".parse().ok());
        assert_eq!(source(ours, "::ffff:10.0.0.1", &["203.0.113.9"]), caller);
    }

    #[test]
    fn what_is_no_address_is_no_source() {
        assert_eq!(source(&["10.0.0.0/8"], "10.0.0.1", &["unknown"]), None);
        assert!(TrustedProxies::parse(["10.0.0.0/99"]).is_err());
    }
}
