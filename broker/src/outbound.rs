//! Calls to servers that others run: issuers of other tokens, third parties with credentials of ours.
//!
//! No redirect is followed, no proxy is used, and a name that leads to a private address is not connected to,
//! whenever it begins to: the connection is made to what was looked at, so that a name cannot lead elsewhere in
//! between. An address that is written down as such is whoever wrote it's business.

use std::net::IpAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder};
use url::{Host, Url};

pub use lanyard_token::address::is_public;

/// A client for such calls, to be told how long to wait. With `private_too`, names may lead anywhere.
pub fn client(private_too: bool) -> ClientBuilder {
    // Fails when somebody was first, which is as good: whoever embeds a broker may have chosen no provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("lanyard/", env!("CARGO_PKG_VERSION")));
    if private_too {
        builder
    } else {
        builder.dns_resolver(PublicOnly)
    }
}

/// The address that a URL writes down instead of a name.
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// Resolves names, and keeps what is public.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<_> = found.filter(|found| is_public(found.ip())).collect();
            if public.is_empty() {
                return Err("it leads to no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_followed() {
        let name = || "localhost".parse::<Name>().unwrap();
        assert!(PublicOnly.resolve(name()).await.is_err());
    }

    #[test]
    fn an_address_is_one_however_it_is_spelled() {
        for spelled in [
            "http://127.0.0.1/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            let address = literal(&Url::parse(spelled).unwrap()).unwrap();
            assert!(!is_public(address), "{spelled}");
        }
        assert_eq!(
            literal(&Url::parse("https://vendor.example/").unwrap()),
            None
        );
    }
}
