//! Other issuers whose tokens may be proof: addresses that are compared byte for byte.

use url::{Host, Url};

use super::{ConfigError, Settings};

/// Whose tokens may be proof beside keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Federation {
    /// Which issuers.
    pub issuers: Vec<ForeignIssuer>,
    /// Whether they may lie on loopback and private networks.
    pub private_addresses: bool,
}

/// An issuer, and where its keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignIssuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// Its key set; `None`: where its discovery document says.
    pub keys_at: Option<Url>,
}

impl Federation {
    pub(super) fn parse(settings: &Settings) -> Result<Self, ConfigError> {
        const ISSUERS: &str = "federation.issuers";
        let private_addresses = settings.expected("federation.private_addresses")?;
        let mut issuers: Vec<ForeignIssuer> = Vec::new();
        for text in settings
            .text(ISSUERS)
            .unwrap_or_default()
            .split_whitespace()
        {
            let foreign = ForeignIssuer::parse(text, private_addresses).ok_or_else(|| {
                // A password does not belong here, and not into a message either.
                let shown = if text.contains('@') { "…@…" } else { text };
                let why = format!(
                    "names `{shown}`: an issuer is an https address without query, fragment or password \
                     (http only on loopback, with `federation.private_addresses = true`), or ISSUER=KEY-SET"
                );
                ConfigError::refused(ISSUERS, why)
            })?;
            if issuers.iter().any(|known| known.issuer == foreign.issuer) {
                let why = format!("names `{}` twice", foreign.issuer);
                return Err(ConfigError::refused(ISSUERS, why));
            }
            issuers.push(foreign);
        }
        Ok(Self {
            issuers,
            private_addresses,
        })
    }
}

impl ForeignIssuer {
    fn parse(text: &str, private_too: bool) -> Option<Self> {
        let (issuer, keys_at) = match text.split_once('=') {
            Some((issuer, keys_at)) => (issuer, Some(address(keys_at, private_too)?)),
            None => (text, None),
        };
        address(issuer, private_too).filter(|url| url.query().is_none())?;
        Some(Self {
            issuer: issuer.to_owned(),
            keys_at,
        })
    }
}

/// Where keys may be asked for: nobody in between may change them.
fn address(text: &str, private_too: bool) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let loopback = match url.host()? {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => name == "localhost",
    };
    let scheme_fits =
        url.scheme() == "https" || (url.scheme() == "http" && loopback && private_too);
    let plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    (scheme_fits && plain).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(issuers: &str, private_too: &str) -> Result<Federation, ConfigError> {
        let flags = [
            ("federation.issuers", issuers.to_owned()),
            ("federation.private_addresses", private_too.to_owned()),
        ];
        Federation::parse(&Settings::gather(&[], None, &[], &flags)?)
    }

    #[test]
    fn issuers_are_taken_byte_for_byte_with_their_keys_where_they_are() {
        let read = parse(
            "https://token.actions.githubusercontent.com https://a.example/=https://keys.example/jwks?v=1",
            "false",
        );
        let issuers = read.unwrap().issuers;
        assert_eq!(
            issuers[0].issuer,
            "https://token.actions.githubusercontent.com"
        );
        assert_eq!(issuers[0].keys_at, None);
        assert_eq!(issuers[1].issuer, "https://a.example/");
        let keys_at = issuers[1].keys_at.as_ref().unwrap().as_str();
        assert_eq!(keys_at, "https://keys.example/jwks?v=1");
        assert!(parse("", "false").unwrap().issuers.is_empty());
        assert!(parse("http://127.0.0.1:7 http://localhost:7", "true").is_ok());
    }

    #[test]
    fn what_is_no_issuer_is_named() {
        for (issuers, private_too) in [
            ("http://issuer.example", "true"),
            ("http://127.0.0.1:7", "false"),
            ("https://a.example?x=1", "false"),
            ("https://a.example#x", "false"),
            ("https://user:hush@a.example", "false"),
            ("https://a.example=http://keys.example", "false"),
            ("https://a.example=", "false"),
            ("a.example", "false"),
            ("file:///etc", "true"),
            ("*", "false"),
            ("https://a.example https://a.example", "false"),
        ] {
            let error = parse(issuers, private_too).unwrap_err().to_string();
            assert!(error.contains("`federation.issuers`"), "{issuers}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
        assert!(parse("", "perhaps").is_err());
    }
}
