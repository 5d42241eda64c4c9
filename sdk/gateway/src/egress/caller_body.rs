//! The caller's body on its way to the third party: bounded, without trailers, and whole where it has to be signed.
//!
//! A body that is kept whole is awaited before anything is leased, within [`WITHIN`], and all of them together are
//! [`KEPT`] bytes at most: callers that let theirs drip neither keep a value in use nor fill the memory.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use lanyard_token::integration::Integration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::answer::Problem;
use super::failure::is_caused_by;
use super::inject::payload_is_signed;

/// The longest body that is kept to be signed. Longer ones go to S3, which takes a signature without them.
const MOST_SIGNED: u64 = 8 * 1024 * 1024;
/// How long one may take to come in: its greatest length over a line of a megabit in a second.
pub(super) const WITHIN: Duration = Duration::from_secs(60);
/// All that are kept at a time: a handful of the longest, or thousands of the usual ones.
const KEPT: usize = 64 * 1024 * 1024;

/// What of the memory bodies may still take up.
pub(super) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(KEPT))
}

/// A body as it goes out.
pub(super) struct Bounded {
    pub(super) body: Body,
    /// All of it; `None` where it is handed on as it comes.
    pub(super) whole: Option<Bytes>,
    /// Given back when it is sent.
    _room: Option<OwnedSemaphorePermit>,
}

/// The body within its bound; all of it where it has to be signed.
pub(super) async fn bounded(
    headers: &HeaderMap,
    body: Body,
    integration: &Integration,
    room: &Arc<Semaphore>,
) -> Result<Bounded, Problem> {
    let most = integration.budget().request_bytes;
    let promised = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if promised
        .zip(most)
        .is_some_and(|(promised, most)| promised > most)
    {
        return Err(Problem::TooLarge);
    }
    let without_room = |body, whole| Bounded {
        body,
        whole,
        _room: None,
    };
    if body.is_end_stream() {
        return Ok(without_room(Body::empty(), Some(Bytes::new())));
    }
    let body = Plain(body);
    if payload_is_signed(integration.injection()) {
        let most = most.unwrap_or(MOST_SIGNED).min(MOST_SIGNED);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let (whole, kept) = timeout(WITHIN, whole(Limited::new(body, most), room))
            .await
            .map_err(|_| Problem::BodyTooSlow)??;
        return Ok(Bounded {
            body: Body::from(whole.clone()),
            whole: Some(whole),
            _room: kept,
        });
    }
    Ok(match most {
        Some(most) => {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            without_room(Body::new(Limited::new(body, most)), None)
        }
        None => without_room(Body::new(body), None),
    })
}

/// All of a body. What has come of it counts, not what was promised: a promise takes no room from anybody.
async fn whole(
    mut body: Limited<Plain>,
    room: &Arc<Semaphore>,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Problem> {
    let mut whole = BytesMut::new();
    let mut kept: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| of_the_body(&*error))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let more = Arc::clone(room).try_acquire_many_owned(length);
        let more = more.map_err(|_| Problem::NoRoom)?;
        match &mut kept {
            Some(kept) => kept.merge(more),
            None => kept = Some(more),
        }
        whole.extend_from_slice(&data);
    }
    Ok((whole.freeze(), kept))
}

/// What a caller is told of its body.
pub(super) fn of_the_body(error: &(dyn Error + 'static)) -> Problem {
    if is_caused_by::<LengthLimitError>(error) {
        Problem::TooLarge
    } else {
        Problem::BrokenOff
    }
}

/// A caller's body did not come to its end, or was none: what then fails at the third party is not its fault.
#[derive(Debug, thiserror::Error)]
#[error("the caller's body broke off")]
pub(super) struct BrokenOff(#[source] axum::Error);

/// A body without trailers. They may be left out anywhere (RFC 9110, 6.5.1), and would reach the third party uncleaned.
struct Plain(Body);

impl http_body::Body for Plain {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        loop {
            match ready!(Pin::new(&mut this.0).poll_frame(context)) {
                Some(Ok(frame)) if frame.is_trailers() => {}
                next => return Poll::Ready(next.map(|frame| frame.map_err(BrokenOff))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::StreamBody;

    use super::*;

    fn signed() -> Integration {
        toml::from_str(
            "name = \"s\"\nupstream = \"https://a.example\"\n[inject]\nkind = \"aws-sigv4\"\nsecret = \"s\"\n\
             region = \"r\"\nservice = \"execute-api\"\n[[rule]]\nmethod = \"POST\"\ntemplate = \"/x\"\n",
        )
        .unwrap()
    }

    /// So many bytes, and then nothing for ever.
    fn dripping(bytes: usize) -> Body {
        use futures::StreamExt;
        let first = Frame::data(Bytes::from(vec![b'x'; bytes]));
        let first = futures::stream::iter([Ok::<_, std::io::Error>(first)]);
        Body::new(StreamBody::new(first.chain(futures::stream::pending())))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_not_awaited_for_ever() {
        let (headers, integration, room) = (HeaderMap::new(), signed(), room());
        let dripping = bounded(&headers, dripping(1), &integration, &room);
        let ended = timeout(WITHIN * 2, dripping).await.unwrap();
        assert_eq!(ended.err(), Some(Problem::BodyTooSlow));
    }

    #[tokio::test(start_paused = true)]
    async fn all_bodies_that_are_kept_take_up_so_much_together_and_give_it_back() {
        let (room, integration) = (room(), signed());
        let long = usize::try_from(MOST_SIGNED).unwrap();
        let kept = (0..KEPT / long).map(|_| {
            let (room, integration) = (Arc::clone(&room), integration.clone());
            tokio::spawn(async move {
                let body = dripping(long);
                bounded(&HeaderMap::new(), body, &integration, &room).await
            })
        });
        let kept: Vec<_> = kept.collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let headers = HeaderMap::new();
        let one_more = || bounded(&headers, Body::from("x"), &integration, &room);
        assert_eq!(one_more().await.err(), Some(Problem::NoRoom));
        for one in kept {
            assert!(one.await.unwrap().is_err());
        }
        assert_eq!(one_more().await.unwrap().whole.unwrap(), "x");
        assert_eq!(room.available_permits(), KEPT);
    }

    #[tokio::test]
    async fn a_body_loses_its_trailers_and_nothing_else() {
        let mut trailers = HeaderMap::new();
        trailers.insert("authorization", "Bearer lanyard".parse().unwrap());
        let frames = [Frame::data(Bytes::from("ab")), Frame::trailers(trailers)];
        let frames = frames.map(Ok::<_, std::io::Error>);
        let body = Body::new(StreamBody::new(futures::stream::iter(frames)));
        let collected = Plain(body).collect().await.unwrap();
        assert!(collected.trailers().is_none());
        assert_eq!(collected.to_bytes(), "ab");
        assert_eq!(Plain(Body::from("abc")).size_hint().exact(), Some(3));
    }
}
