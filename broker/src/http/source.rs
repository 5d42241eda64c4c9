//! Where a request comes from.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::extract::Request;
use http::HeaderMap;

/// The network a caller is in: a /24 or /48, never the full address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// The upper 24 bits.
    V4([u8; 3]),
    /// The upper 48 bits.
    V6([u16; 3]),
    /// This machine, through the Unix socket.
    Local,
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                Self::V6([a, b, c])
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4([a, b, c]) => write!(f, "{a}.{b}.{c}.0/24"),
            Self::V6([a, b, c]) => write!(f, "{}/48", Ipv6Addr::new(*a, *b, *c, 0, 0, 0, 0, 0)),
            Self::Local => f.write_str("local"),
        }
    }
}

/// Puts the caller's own address where handlers look for it, and says its network.
///
/// Behind a proxy that is the last entry of `X-Forwarded-For`: the proxy wrote it, everything before
/// it came from the caller.
pub fn settle(request: &mut Request, behind_proxy: bool) -> Network {
    let Some(ConnectInfo(peer)) = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .copied()
    else {
        return Network::Local;
    };
    if !behind_proxy {
        return peer.ip().into();
    }
    let Some(forwarded) = last_forwarded(request.headers()) else {
        return peer.ip().into();
    };
    request
        .extensions_mut()
        .insert(ConnectInfo(SocketAddr::new(forwarded, 0)));
    forwarded.into()
}

fn last_forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers
        .get_all("x-forwarded-for")
        .iter()
        .next_back()?
        .to_str()
        .ok()?;
    last.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_never_shows_the_host() {
        for (address, network) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ] {
            assert_eq!(
                Network::from(address.parse::<IpAddr>().unwrap()).to_string(),
                network
            );
        }
    }

    #[test]
    fn only_the_proxys_own_word_about_the_caller_is_believed() {
        let request = |header: &str| {
            let mut request = Request::new(axum::body::Body::empty());
            request
                .headers_mut()
                .insert("x-forwarded-for", header.parse().unwrap());
            request
                .extensions_mut()
                .insert(ConnectInfo("127.0.0.1:9".parse::<SocketAddr>().unwrap()));
            request
        };
        let mut spoofed = request("203.0.113.9, 198.51.100.7");
        assert_eq!(settle(&mut spoofed, true).to_string(), "198.51.100.0/24");
        assert_eq!(
            settle(&mut request("203.0.113.9"), false).to_string(),
            "127.0.0.0/24"
        );
        assert_eq!(
            settle(&mut request("nonsense"), true).to_string(),
            "127.0.0.0/24"
        );
    }
}
