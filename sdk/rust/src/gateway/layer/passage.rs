//! The way of one call through the layer: a future by hand, so that a seen token's call needs no box for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response};
use pin_project_lite::pin_project;

use super::super::body::GuardedBody;
use super::super::lease::Lease;
use super::REV_HEADER;

type Boxed<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

pin_project! {
    /// What becomes of a call: the service's answer, or a refusal.
    pub struct Passage<F, E> {
        #[pin]
        way: Way<F, E>,
    }
}

pin_project! {
    #[project = Progress]
    enum Way<F, E> {
        Through { #[pin] answer: F, call: Option<Call> },
        Refused { answer: Option<Response<Body>> },
        // Signatures wait their turn: what is boxed is nothing beside them.
        Waiting { outcome: Boxed<E> },
    }
}

/// A call that was let in.
pub(super) struct Call {
    pub(super) lease: Lease,
    /// Its caller wants to know which place of the log the decision knew.
    pub(super) wants_rev: bool,
    /// Counts its body, when it has one.
    pub(super) request_bytes: Option<Arc<AtomicU64>>,
}

impl<F, E> Passage<F, E> {
    pub(super) const fn through(answer: F, call: Call) -> Self {
        let call = Some(call);
        Self {
            way: Way::Through { answer, call },
        }
    }

    pub(super) const fn refused(answer: Response<Body>) -> Self {
        let answer = Some(answer);
        Self {
            way: Way::Refused { answer },
        }
    }

    pub(super) fn waiting(
        outcome: impl Future<Output = Result<Response<Body>, E>> + Send + 'static,
    ) -> Self {
        let outcome = Box::pin(outcome);
        Self {
            way: Way::Waiting { outcome },
        }
    }
}

impl<F, B, E> Future for Passage<F, E>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match self.project().way.project() {
            Progress::Through { answer, call } => {
                let response = ready!(answer.poll(context))?;
                call.take().map(|call| call.answered(response))
            }
            Progress::Refused { answer } => answer.take(),
            Progress::Waiting { outcome } => return outcome.as_mut().poll(context),
        };
        // Whoever asks again after the answer gets none, as any future may do it.
        answer.map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer)))
    }
}

impl Call {
    /// The answer as its caller gets it: one that ends with the token.
    fn answered<B>(self, mut response: Response<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let Self {
            lease,
            wants_rev,
            request_bytes,
        } = self;
        if wants_rev {
            let rev = HeaderValue::from(lease.decided_at().as_u64());
            response.headers_mut().insert(REV_HEADER, rev);
        }
        let status = response.status().as_u16();
        response.map(|body| Body::new(GuardedBody::response(body, lease, status, request_bytes)))
    }
}
