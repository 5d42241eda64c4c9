//! Bodies that end with their token, and are counted on the way.
//!
//! What it catches: a download, an event stream or an upload that outlives the token it was allowed
//! by. A body that ends so ends with an error, never properly: a cut answer must not look whole.
//!
//! A body that is ready at once costs one atomic load per frame. Only one that has to wait asks the
//! feed to be woken.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use lanyard_drift::Outcome;

use super::lease::{Ended, Lease};

/// A stream is observed each time this much of it has passed: often enough that a bulk download
/// shows within its first second, seldom enough to cost nothing.
pub(super) const STRETCH: u64 = 64 * 1024;

/// A body that ends when its token does.
pub struct GuardedBody<B> {
    body: B,
    lease: Lease,
    meter: Meter,
    ended: Option<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    /// Somebody has just seen that the token lives.
    is_looked_at: bool,
    over: bool,
}

/// What is counted on the way.
enum Meter {
    /// Bytes of the request, kept for the outcome.
    Request(Arc<AtomicU64>),
    /// Bytes of the response, told in stretches.
    Response {
        status: Option<u16>,
        bytes: u64,
        /// `None` when the request had no body.
        request: Option<Arc<AtomicU64>>,
    },
    /// All is told already.
    Settled,
}

impl<B: Body<Data = Bytes>> GuardedBody<B> {
    pub(super) const fn request(body: B, lease: Lease, count: Arc<AtomicU64>) -> Self {
        Self {
            body,
            lease,
            meter: Meter::Request(count),
            ended: None,
            is_looked_at: false,
            over: false,
        }
    }

    pub(super) fn response(
        body: B,
        lease: Lease,
        status: u16,
        request: Option<Arc<AtomicU64>>,
    ) -> Self {
        let mut meter = Meter::Response {
            status: Some(status),
            bytes: 0,
            request,
        };
        if let Some(bytes) = body.size_hint().exact().filter(|bytes| *bytes <= STRETCH) {
            // A short answer of known length is told at once, in one step.
            if let Meter::Response { bytes: counted, .. } = &mut meter {
                *counted = bytes;
            }
            meter.tell(&lease);
            meter = Meter::Settled;
        }
        Self {
            body,
            lease,
            meter,
            ended: None,
            is_looked_at: false,
            over: false,
        }
    }
}

impl<B> GuardedBody<B> {
    /// The token was alive a moment ago: the first frame, if it is ready, goes out without another look.
    pub(super) fn looked_at(mut self) -> Self {
        self.is_looked_at = true;
        self
    }
}

impl Meter {
    /// Counts a frame; whether a whole stretch has passed.
    fn count(&mut self, passed: u64) -> bool {
        match self {
            Self::Request(count) => {
                let before = count.fetch_add(passed, Ordering::Relaxed);
                before / STRETCH != before.saturating_add(passed) / STRETCH
            }
            Self::Response { bytes, .. } => {
                *bytes = bytes.saturating_add(passed);
                *bytes >= STRETCH
            }
            Self::Settled => false,
        }
    }

    /// Tells what has been counted since the last time. The request's bytes go with the response's.
    fn tell(&mut self, lease: &Lease) {
        if let Self::Response {
            status,
            bytes,
            request,
        } = self
        {
            let outcome = Outcome {
                status: status.take(),
                request_bytes: Some(
                    request
                        .as_ref()
                        .map_or(0, |count| count.swap(0, Ordering::Relaxed)),
                ),
                response_bytes: Some(std::mem::take(bytes)),
            };
            lease.observe(&outcome, lease.now());
        }
    }
}

impl<B> Body for GuardedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        if !std::mem::take(&mut this.is_looked_at)
            && let Err(ended) = this.lease.not_revoked()
        {
            return this.cut(ended);
        }
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let passed = frame.data_ref().map_or(0, |data| data.len() as u64);
                if this.meter.count(passed) {
                    this.meter.tell(&this.lease);
                    if let Err(ended) = this.lease.still_holds(this.lease.now()) {
                        return this.cut(ended);
                    }
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.over = true;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                this.over = true;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let ended = this
                    .ended
                    .get_or_insert_with(|| Box::pin(this.lease.ended()));
                match ended.as_mut().poll(context) {
                    Poll::Ready(ended) => this.cut(ended),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> GuardedBody<B> {
    fn cut<T>(&mut self, ended: Ended) -> Poll<Option<Result<T, BoxError>>> {
        self.over = true;
        ended.tell(&self.lease);
        Poll::Ready(Some(Err(ended.into())))
    }
}

impl<B> Drop for GuardedBody<B> {
    /// Read to its end, cut or given up: what passed is told.
    fn drop(&mut self) {
        self.meter.tell(&self.lease);
    }
}
