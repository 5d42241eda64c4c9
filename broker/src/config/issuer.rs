//! The issuer identifier (RFC 8414 section 2): an https address that is compared byte for byte.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// Who issues: an `https` URL without query, fragment or trailing slash; `http` only on loopback.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issuer(String);

impl Issuer {
    /// As it stands in `iss`, byte for byte.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The audience of administrators' tokens.
    pub fn admin_audience(&self) -> String {
        format!("{}/admin", self.0)
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not an issuer identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an https address without query, fragment or trailing slash (http only on loopback)")]
pub struct InvalidIssuer;

impl FromStr for Issuer {
    type Err = InvalidIssuer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| InvalidIssuer)?;
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => return Err(InvalidIssuer),
        };
        let scheme_fits = url.scheme() == "https" || (url.scheme() == "http" && loopback);
        let plain = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && !text.ends_with('/');
        // The text itself is what everybody compares, so it must already be the URL's normal form.
        let normal = url.as_str().strip_suffix('/').unwrap_or(url.as_str()) == text;
        if scheme_fits && plain && normal && text.len() <= 240 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidIssuer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_https_or_loopback_and_written_in_one_way_only() {
        for good in [
            "https://lanyard.example.com",
            "https://a.example/tenant",
            "http://127.0.0.1:8420",
            "http://[::1]:1",
        ] {
            assert_eq!(good.parse::<Issuer>().unwrap().as_str(), good);
        }
        for bad in [
            "http://lanyard.example.com",
            "https://lanyard.example.com/",
            "https://LANYARD.example.com",
            "https://lanyard.example.com:443",
            "https://a.example?x=1",
            "https://a.example#x",
            "https://user@a.example",
            "lanyard.example.com",
            "file:///etc",
            "",
        ] {
            assert!(bad.parse::<Issuer>().is_err(), "{bad}");
        }
    }
}
