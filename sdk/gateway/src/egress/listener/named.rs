//! The name that a caller of TLS asked for (SNI): whoever asks for one and then calls another, is answered by neither.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::{Accept, NoDelayAcceptor};
use axum_server::tls_rustls::RustlsAcceptor;
use http::uri::Authority;
use tokio::net::TcpStream;
use tower::Layer;

type Tls = RustlsAcceptor<NoDelayAcceptor>;

/// Accepts TLS, and tells each request of a connection which name it was opened for.
#[derive(Clone)]
pub(super) struct Named(pub(super) Tls);

/// The name that a connection was opened for; `None` where it named none, as with an address.
#[derive(Clone, Debug)]
pub(in super::super) struct ServerName(Option<Arc<str>>);

impl ServerName {
    /// Whether a request to this host and port belongs on such a connection.
    pub(in super::super) fn is_of(&self, host: &str) -> bool {
        let Some(name) = &self.0 else {
            return true;
        };
        let host: Option<Authority> = host.parse().ok();
        // RFC 6066, 3: without the dot at its end.
        host.is_some_and(|host| host.host().trim_end_matches('.').eq_ignore_ascii_case(name))
    }
}

impl<S> Accept<TcpStream, S> for Named
where
    S: Send + 'static,
{
    type Stream = <Tls as Accept<TcpStream, S>>::Stream;
    type Service = AddExtension<S, ServerName>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let accepted = self.0.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            let name = stream.get_ref().1.server_name().map(Arc::from);
            Ok((stream, Extension(ServerName(name)).layer(service)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_belongs_to_a_connection_that_was_opened_for_its_host() {
        let named = ServerName(Some("egress.example".into()));
        for host in ["egress.example", "EGRESS.example:8443", "egress.example."] {
            assert!(named.is_of(host), "{host}");
        }
        for host in [
            "other.example",
            "egress.example.other.example",
            "x.egress.example:443",
            "127.0.0.1",
            "",
        ] {
            assert!(!named.is_of(host), "{host}");
        }
        assert!(ServerName(None).is_of("127.0.0.1:8443"));
    }
}
