//! A TCP listener: TLS, time limits and a cap on connections.

mod in_time;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::RustlsAcceptor;
use futures::future::BoxFuture;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

use super::tls::Certificate;
use crate::config::Limits;
use in_time::InTime;

/// A TLS handshake takes a client two round trips; more is a client that keeps the door open.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// Requests one HTTP/2 connection may have open.
const STREAMS: u32 = 128;
/// Idle HTTP/2 connections are asked whether anybody is there.
const PING_EVERY: Duration = Duration::from_secs(20);

/// A bound address and what is spoken there.
pub struct Listener {
    /// Bound and listening.
    pub socket: TcpListener,
    /// `None` speaks plain HTTP.
    pub certificate: Option<Certificate>,
}

impl Listener {
    /// Binds; the error says which address.
    pub fn bind(address: SocketAddr, certificate: Option<Certificate>) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            certificate,
        })
    }

    /// Where it listens, with the port the system chose when it was told 0.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until the handle is shut down.
    pub async fn serve(
        self,
        routes: Router,
        limits: Limits,
        handle: Handle<SocketAddr>,
    ) -> io::Result<()> {
        let capped = Capped(Arc::new(Semaphore::new(limits.connections)));
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        let mut server = axum_server::from_tcp(self.socket)?.handle(handle);
        let http = server.http_builder();
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_EVERY);
        match self.certificate {
            None => {
                let acceptor = InTime::new(capped, limits.header_timeout);
                server.acceptor(acceptor).serve(service).await
            }
            Some(certificate) => {
                let tls =
                    RustlsAcceptor::new(certificate.rustls()).handshake_timeout(HANDSHAKE_WITHIN);
                let acceptor = InTime::new(tls.acceptor(capped), limits.header_timeout);
                server.acceptor(acceptor).serve(service).await
            }
        }
    }
}

/// Hands out a permit with each connection; without one left it closes the connection at once, before
/// any handshake: a queue of connections would only make everybody wait for whoever opened them.
#[derive(Clone)]
struct Capped(Arc<Semaphore>);

impl<S: Send + 'static> Accept<TcpStream, S> for Capped {
    type Stream = TcpStream;
    type Service = Held<S>;
    type Future = std::future::Ready<io::Result<(TcpStream, Held<S>)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        std::future::ready(match self.0.clone().try_acquire_owned() {
            Ok(permit) => stream.set_nodelay(true).map(|()| {
                (
                    stream,
                    Held {
                        service,
                        _permit: Arc::new(permit),
                    },
                )
            }),
            Err(_) => Err(io::Error::other("too many connections")),
        })
    }
}

/// A connection's service, and its permit for as long as the connection lives.
#[derive(Clone)]
struct Held<S> {
    service: S,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl<S, R> Service<R> for Held<S>
where
    S: Service<R, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        Box::pin(self.service.call(request))
    }
}
