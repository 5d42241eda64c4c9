//! The way of one call through the layer: a future by hand, so that a seen token's call needs no box for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body::Body as _;
use lanyard_drift::Outcome;
use pin_project_lite::pin_project;

use super::super::body::GuardedBody;
use super::super::decision::Denial;
use super::super::lease::{Ended, Lease};
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
    /// It only reads (RFC 9110, section 9.2.1): whoever is told to come again does no harm by it.
    pub(super) is_safe: bool,
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
    ///
    /// A token that ended while the service was at work is refused like any dead one, where the call only read or the service
    /// itself refused it: its owner's client gets a new token and asks again. What may have done something is broken off instead, for a
    /// refusal would say that nothing was done.
    fn answered<B>(self, mut response: Response<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let Self {
            lease,
            wants_rev,
            is_safe,
            request_bytes,
        } = self;
        let status = response.status();
        let is_alive = lease.not_revoked();
        if let Err(ended) = is_alive
            && (is_safe || status == StatusCode::UNAUTHORIZED)
        {
            return refused(&lease, ended, request_bytes.as_deref());
        }
        if wants_rev {
            let rev = HeaderValue::from(lease.decided_at().as_u64());
            response.headers_mut().insert(REV_HEADER, rev);
        }
        let status = status.as_u16();
        response.map(|body| {
            let body = GuardedBody::response(body, lease, status, request_bytes);
            // What is ready now goes out whole: a moment later it would be an answer without a beginning.
            Body::new(if is_alive.is_ok() {
                body.looked_at()
            } else {
                body
            })
        })
    }
}

fn refused(lease: &Lease, ended: Ended, request_bytes: Option<&AtomicU64>) -> Response<Body> {
    let denial = Denial::from(ended.0);
    let response = denial.into_response();
    let outcome = Outcome {
        status: Some(response.status().as_u16()),
        request_bytes: Some(request_bytes.map_or(0, |count| count.swap(0, Ordering::Relaxed))),
        response_bytes: response.body().size_hint().exact(),
    };
    lease.observe(&outcome, lease.now());
    ended.tell(lease);
    response
}
