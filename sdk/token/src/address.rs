//! Which addresses may be connected to on behalf of others.
//!
//! What is not certainly on the open internet is private, and private is refused unless the network is named:
//! whoever can write a DNS record must not reach this machine, its neighbours, or the cloud's metadata.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::integration::Network;

/// What an address is to whoever names these networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// On the open internet.
    Public,
    /// In a network that is named.
    Named,
    /// Neither: not connected to.
    Refused,
}

/// Judges an address. An address inside another one (mapped, 6to4, NAT64) is judged as what it leads to.
#[must_use]
pub fn judge(address: IpAddr, private: &[Network]) -> Judgement {
    let address = leads_to(address);
    if private.iter().any(|network| network.contains(address)) {
        Judgement::Named
    } else if is_public(address) {
        Judgement::Public
    } else {
        Judgement::Refused
    }
}

/// Whether anybody can be reached there. What is not certainly public is private.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match leads_to(address) {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// The IPv4 address that an IPv6 one carries and leads to: mapped, 6to4 (RFC 3056), or behind NAT64 (RFC 6052), where
/// whoever has no IPv4 of its own finds all the open internet. Others stand for themselves.
fn leads_to(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else {
        return address.to_canonical();
    };
    let (high, low) = match v6.segments() {
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => (high, low),
        _ => return address,
    };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d).into()
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_reserved = a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        // The metadata address of one cloud stands in the open.
        || (a, b, c) == (168, 63, 129);
    !(is_reserved
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    match (first, second) {
        // Teredo, benchmarks and the like; documentation.
        (0x2001, 0..=0x01ff | 0x0db8) | (0x3fff, 0..=0x0fff) => false,
        // Global unicast; what lies outside it, NAT64 of a network's own (RFC 8215) too, may lead anywhere.
        _ => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_connected_to_and_nothing_beside_it() {
        let named: Network = "10.1.0.0/16".parse().unwrap();
        let judged = |text: &str| judge(text.parse().unwrap(), &[named]);
        assert_eq!(judged("10.1.2.3"), Judgement::Named);
        assert_eq!(judged("::ffff:10.1.2.3"), Judgement::Named);
        assert_eq!(judged("10.2.0.1"), Judgement::Refused);
        assert_eq!(judged("127.0.0.1"), Judgement::Refused);
        assert_eq!(judged("1.1.1.1"), Judgement::Public);
    }

    #[test]
    fn an_address_inside_of_another_is_judged_as_what_it_leads_to() {
        let named = ["10.1.0.0/16", "64:ff9b::/96", "2002::/16", "::/96"];
        let named: Vec<Network> = named.iter().map(|text| text.parse().unwrap()).collect();
        for (text, judgement) in [
            ("64:ff9b::1.1.1.1", Judgement::Public),
            ("64:ff9b::10.1.2.3", Judgement::Named),
            ("2002:a01:203::5", Judgement::Named),
            // Whoever names the way names no end of it.
            ("64:ff9b::10.2.0.1", Judgement::Refused),
            ("64:ff9b::127.0.0.1", Judgement::Refused),
            ("64:ff9b::169.254.169.254", Judgement::Refused),
            ("2002:7f00:1::", Judgement::Refused),
            // Another prefix of the same beginning is a network's own.
            ("64:ff9b:1::1.1.1.1", Judgement::Refused),
            ("64:ff9b::1:101:101", Judgement::Refused),
        ] {
            assert_eq!(judge(text.parse().unwrap(), &named), judgement, "{text}");
        }
    }

    #[test]
    fn only_the_open_internet_is_public() {
        for public in [
            "140.82.112.3",
            "1.1.1.1",
            "198.20.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "2002:102:304::",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:7f00:1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2001:10::1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "2002:a9fe:a9fe::",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }
}
