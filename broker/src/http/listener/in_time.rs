//! A connection must say what it speaks in time.
//!
//! hyper's own limit on a request's head begins once it knows which HTTP is spoken. Whoever sends
//! nothing, or only the beginning of HTTP/2's preface, never comes that far and would keep its place
//! among the listener's connections for ever. After the first bytes hyper's limits hold: the head's
//! for HTTP/1, pings for HTTP/2.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How every HTTP/2 connection begins (RFC 9113 section 3.4); no request of HTTP/1 does.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Accepts like the one inside, and gives each connection this long to begin.
#[derive(Clone)]
pub(super) struct InTime<A> {
    inner: A,
    within: Duration,
}

impl<A> InTime<A> {
    pub(super) const fn new(inner: A, within: Duration) -> Self {
        Self { inner, within }
    }
}

impl<A, I, S> Accept<I, S> for InTime<A>
where
    A: Accept<I, S, Future: Send + 'static>,
{
    type Stream = Beginning<A::Stream>;
    type Service = A::Service;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let accepted = self.inner.accept(stream, service);
        let within = self.within;
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            Ok((Beginning::new(stream, within), service))
        })
    }
}

/// A connection that has yet to say what it speaks, and any connection after that.
pub(super) struct Beginning<T> {
    stream: T,
    awaited: Option<Awaited>,
}

struct Awaited {
    until: Pin<Box<Sleep>>,
    /// What the preface still lacks: empty when it was sent whole.
    rest: &'static [u8],
}

impl<T> Beginning<T> {
    fn new(stream: T, within: Duration) -> Self {
        Self {
            stream,
            awaited: Some(Awaited {
                until: Box::pin(tokio::time::sleep(within)),
                rest: PREFACE,
            }),
        }
    }

    /// Takes note of what was read; nothing at all is the end of the connection.
    fn read(&mut self, bytes: &[u8]) {
        let Some(awaited) = &mut self.awaited else {
            return;
        };
        match awaited.rest.strip_prefix(bytes) {
            Some(rest) if !bytes.is_empty() && !rest.is_empty() => awaited.rest = rest,
            _ => self.awaited = None,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Beginning<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        match &polled {
            Poll::Ready(Ok(())) => self.read(buffer.filled().get(before..).unwrap_or_default()),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if let Some(awaited) = &mut self.awaited
                    && awaited.until.as_mut().poll(context).is_ready()
                {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Beginning<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn whoever_says_nothing_or_only_how_http2_begins_is_cut_off() {
        for said in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
            let (mut client, server) = duplex(64);
            client.write_all(said).await.unwrap();
            let mut server = Beginning::new(server, SHORT);
            let error = server.read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{said:?}");
        }
    }

    #[tokio::test]
    async fn whoever_has_begun_may_take_as_long_as_hyper_allows() {
        for said in [
            &b"G"[..],
            b"PRA",
            PREFACE,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0",
        ] {
            let (mut client, server) = duplex(64);
            let mut server = Beginning::new(server, SHORT);
            for byte in said.chunks(1) {
                client.write_all(byte).await.unwrap();
                server.read_u8().await.unwrap();
            }
            tokio::time::sleep(SHORT * 2).await;
            client.write_all(b"x").await.unwrap();
            assert_eq!(server.read_u8().await.unwrap(), b'x', "{said:?}");
            drop(client);
            assert_eq!(server.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        }
    }
}
