//! Connections whose heads are read beforehand: see [`super::framing`].

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::Framing;

/// What the server is given in the place of a head that is refused. No part of a head may hold its first byte, and the
/// rest looks like an end, which the server waits for before it judges: so it answers with 400 and closes the connection,
/// after the answers to what came before.
const UNREADABLE: &[u8] = b"\0\r\n\r\n";

/// Accepts as another one does, and reads along.
#[derive(Clone)]
pub(super) struct Strictly<A>(pub(super) A);

impl<A, I, S> Accept<I, S> for Strictly<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = Strict<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let accepted = self.0.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            Ok((Strict::new(stream), service))
        })
    }
}

/// A connection that is read along.
pub(super) struct Strict<S> {
    inner: S,
    framing: Framing,
    /// What the server is still to be given, once something was refused.
    refusal: Option<&'static [u8]>,
}

impl<S> Strict<S> {
    fn new(inner: S) -> Self {
        Self {
            inner,
            framing: Framing::default(),
            refusal: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        if this.refusal.is_none() {
            ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
            let came = buffer.filled().get(before..).unwrap_or_default();
            let Err((good, _)) = this.framing.take(came) else {
                return Poll::Ready(Ok(()));
            };
            this.refusal = Some(UNREADABLE);
            buffer.set_filled(before + good);
        }
        if let Some(left) = this.refusal {
            let (now, later) = left.split_at(left.len().min(buffer.remaining()));
            buffer.put_slice(now);
            this.refusal = Some(later);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}
