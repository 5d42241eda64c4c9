//! Connecting: a name is resolved once, each of its addresses judged, and one of those very addresses connected to.
//!
//! So a name that means another address a moment later (DNS rebinding) changes nothing. A name that has one address
//! that is refused is refused as a whole: an honest one has none.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use lanyard_token::integration::Network;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Judgement, Resolver, judge};

/// How long one address is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a name may take to be resolved.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of a name that are tried.
const MOST_ADDRESSES: usize = 4;

/// Why nothing was connected to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// Name the network in the integration's `private` if it is meant.
    #[error("the name leads to an address that the integration may not connect to")]
    Refused,
    /// The name has no address now.
    #[error("the name cannot be resolved")]
    Unresolved(#[source] io::Error),
    /// Nobody answers there.
    #[error("the third party cannot be connected to")]
    Connect(#[source] io::Error),
}

/// Connects to judged addresses.
#[derive(Clone)]
pub struct Connector {
    private: Arc<[Network]>,
    resolver: Arc<dyn Resolver>,
}

impl Connector {
    pub(super) fn new(private: Arc<[Network]>, resolver: Arc<dyn Resolver>) -> Self {
        Self { private, resolver }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, Unreachable> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => timeout(RESOLVE_TIMEOUT, self.resolver.resolve(host, port))
                .await
                .map_err(|_| Unreachable::Unresolved(io::ErrorKind::TimedOut.into()))?
                .map_err(Unreachable::Unresolved)?,
        };
        let is_allowed = |address: &SocketAddr| match judge(address.ip(), &self.private) {
            Judgement::Named => true,
            // In clear only where every address is private and named.
            Judgement::Public => is_tls,
            Judgement::Refused => false,
        };
        if !addresses.iter().all(is_allowed) {
            return Err(Unreachable::Refused);
        }
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses.into_iter().take(MOST_ADDRESSES) {
            match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true).map_err(Unreachable::Connect)?;
                    return Ok(TokioIo::new(stream));
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(Unreachable::Connect(last))
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = Unreachable;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<TcpStream>, Unreachable>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}
