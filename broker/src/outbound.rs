//! Calls to servers that others run: issuers of other tokens, third parties with credentials of ours.
//!
//! **What may be reached:** the open internet, and private networks that somebody who may do so named. Every address
//! is judged, whether it was written down or came of a name, and the connection is made to the very address that was
//! judged: a name that leads elsewhere a moment later changes nothing. No redirect is followed and no proxy is asked,
//! since either would connect where nobody looked.
//!
//! **What it misses.** A server in the open that passes calls on to private ones, and an address in the open that the
//! routes of this machine lead elsewhere.

pub mod names;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lanyard_token::address::{Judgement, judge};
use lanyard_token::integration::Network;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder};
use tokio::net::TcpStream;
use url::{Host, Url};

use self::names::{Names, System};

/// The most addresses of one name that are tried. All are judged; a server with more has those for others.
const MOST_ADDRESSES: usize = 16;
/// How long it is waited for one address while there are others: two lost packets are sent again within it.
const LONGEST_CONNECT: Duration = Duration::from_secs(4);

/// Which addresses may be connected to, and who is asked for them. Cheap to clone.
#[derive(Clone)]
pub struct Reach {
    names: Arc<dyn Names>,
    private: Private,
}

/// What may be reached beside the open internet.
#[derive(Clone)]
enum Private {
    Named(Arc<[Network]>),
    All,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotConnected {
    /// Name its network, if it is meant.
    #[error("`{0}` is a private address, and its network is not named")]
    Address(IpAddr),
    /// Name the network that it leads to, if it is meant.
    #[error("`{0}` leads to a private address, and its network is not named")]
    Name(String),
    /// Look at the name.
    #[error("`{name}` has no address")]
    Unknown {
        name: String,
        source: std::io::Error,
    },
    /// Look whether anybody is there.
    #[error("nobody can be reached at `{name}`")]
    Failed {
        name: String,
        source: std::io::Error,
    },
}

impl Reach {
    /// The open internet.
    pub fn public() -> Self {
        Self::asking(Arc::new(System))
    }

    /// The open internet, where these know the addresses of names.
    pub fn asking(names: Arc<dyn Names>) -> Self {
        Self {
            names,
            private: Private::Named(Arc::new([])),
        }
    }

    /// Everything: where the operator said so.
    pub fn anywhere() -> Self {
        Self {
            private: Private::All,
            ..Self::public()
        }
    }

    /// The open internet and these private networks, where the same know the addresses of names.
    pub fn with(&self, private: &[Network]) -> Self {
        Self {
            names: Arc::clone(&self.names),
            private: Private::Named(private.into()),
        }
    }

    /// Whether an address may be connected to.
    pub fn allows(&self, address: IpAddr) -> bool {
        match &self.private {
            Private::All => true,
            Private::Named(networks) => judge(address, networks) != Judgement::Refused,
        }
    }

    /// Whether an address that a URL writes down may be connected to. What a name leads to is looked at whenever a
    /// connection begins.
    pub fn check(&self, url: &Url) -> Result<(), NotConnected> {
        match literal(url) {
            Some(address) if !self.allows(address) => Err(NotConnected::Address(address)),
            _ => Ok(()),
        }
    }

    /// Connects: to the first address that may be connected to and where somebody is.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, NotConnected> {
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) if self.allows(address) => vec![address],
            Ok(address) => return Err(NotConnected::Address(address)),
            Err(_) => self.addresses(host).await?,
        };
        let mut last = std::io::ErrorKind::AddrNotAvailable.into();
        for address in addresses {
            let connecting = TcpStream::connect((address, port));
            match tokio::time::timeout(LONGEST_CONNECT, connecting).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = std::io::ErrorKind::TimedOut.into(),
            }
        }
        Err(NotConnected::Failed {
            name: host.to_owned(),
            source: last,
        })
    }

    /// The addresses of a name, where all of them may be connected to: an honest name has none that may not.
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, NotConnected> {
        let found = self.names.addresses(name.to_owned()).await;
        let mut found = found.map_err(|source| NotConnected::Unknown {
            name: name.to_owned(),
            source,
        })?;
        if found.is_empty() || !found.iter().all(|address| self.allows(*address)) {
            return Err(NotConnected::Name(name.to_owned()));
        }
        found.truncate(MOST_ADDRESSES);
        Ok(found)
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let found = reach.addresses(name.as_str()).await?;
            // Port 0 stands for the one of the URL.
            let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(found) as Addrs)
        })
    }
}

/// Calls over HTTP, within a reach. Cheap to clone.
#[derive(Clone)]
pub struct Caller {
    reach: Reach,
    client: Client,
}

impl Caller {
    /// Calls within a reach; how long to wait is said with each.
    pub fn new(reach: Reach) -> Result<Self, reqwest::Error> {
        Self::built(reach, |builder| builder)
    }

    /// The same, with what `finish` says of all its calls.
    pub fn built(
        reach: Reach,
        finish: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Result<Self, reqwest::Error> {
        // Fails when somebody was first, which is as good: whoever embeds a broker may have chosen no provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            // For all addresses of a name together, each of which gets a part of it.
            .connect_timeout(2 * LONGEST_CONNECT)
            .user_agent(concat!("lanyard/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(reach.clone());
        let client = finish(builder).build()?;
        Ok(Self { reach, client })
    }

    /// Calls within the open internet and these private networks.
    pub fn with(&self, private: &[Network]) -> Result<Self, reqwest::Error> {
        if private.is_empty() {
            return Ok(self.clone());
        }
        Self::new(self.reach.with(private))
    }

    /// The same, to servers that these certificates vouch for and no others.
    pub fn believing(&self, pem: &[u8]) -> Result<Self, reqwest::Error> {
        let certificates = reqwest::Certificate::from_pem_bundle(pem)?;
        Self::built(self.reach.clone(), |builder| {
            builder.tls_certs_only(certificates)
        })
    }

    /// Where it may call.
    pub const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// A request; an address that is written down is judged here, since nobody is asked for it later.
    pub fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, NotConnected> {
        self.reach.check(&url)?;
        Ok(self.client.request(method, url))
    }
}

/// The address that a URL writes down instead of a name, however it spells it.
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

/// Why there is no connection, where it was us who did not want one.
pub fn refused<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a NotConnected> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref::<NotConnected>() {
            return Some(refused);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_followed_unless_it_is_named() {
        let public = Reach::public();
        let refused = public.connect("localhost", 1).await.unwrap_err();
        assert!(matches!(refused, NotConnected::Name(_)), "{refused}");
        assert!(public.resolve("localhost".parse().unwrap()).await.is_err());
        let here = public.with(&["127.0.0.0/8".parse().unwrap()]);
        assert!(here.resolve("localhost".parse().unwrap()).await.is_ok());
        assert!(Reach::anywhere().allows("127.0.0.1".parse().unwrap()));
    }

    /// Says the same of every name.
    struct Fixed(Vec<IpAddr>);

    impl Names for Fixed {
        fn addresses(
            &self,
            _: String,
        ) -> futures::future::BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
            Box::pin(std::future::ready(Ok(self.0.clone())))
        }
    }

    #[tokio::test]
    async fn every_address_of_a_name_is_judged_and_the_first_ones_are_tried() {
        let mut many: Vec<IpAddr> = (1..=40).map(|last| IpAddr::from([1, 1, 1, last])).collect();
        let reach = Reach::asking(Arc::new(Fixed(many.clone())));
        let tried = reach.addresses("vendor.example").await.unwrap();
        assert_eq!(tried, many[..MOST_ADDRESSES]);
        many.push("127.0.0.1".parse().unwrap());
        let reach = Reach::asking(Arc::new(Fixed(many)));
        let refused = reach.addresses("vendor.example").await.unwrap_err();
        assert!(matches!(refused, NotConnected::Name(_)), "{refused}");
    }

    #[test]
    fn an_address_is_one_however_it_is_spelled() {
        let public = Reach::public();
        for spelled in [
            "http://127.0.0.1/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            let url = Url::parse(spelled).unwrap();
            assert!(
                matches!(public.check(&url), Err(NotConnected::Address(_))),
                "{spelled}"
            );
            let caller = Caller::new(public.clone()).unwrap();
            assert!(caller.request(Method::GET, url).is_err(), "{spelled}");
        }
        let named = Url::parse("https://vendor.example/").unwrap();
        assert!(public.check(&named).is_ok());
    }
}
