//! The body of an answer on its way to the caller: searched, bounded, and given up when nothing comes any more or when the
//! value that the call was made with is taken back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

use super::headers::clean_trailers;
use super::hold::Hold;
use super::meter::Meter;
use super::scrub::{Needles, Scrubber};
use super::station::Station;

/// How long a third party may send nothing within an answer.
const IDLE: Duration = Duration::from_secs(60);

/// Why an answer was cut off. It ends with an error: what was cut must not look whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CutOff {
    #[error("the answer is longer than the integration allows")]
    TooLong,
    #[error("the third party stopped sending")]
    Silent,
    #[error("the credential of the call was taken back")]
    TakenBack,
    #[error("the third party broke off")]
    BrokenOff,
    #[error("the answer takes too much work to search")]
    TooDear,
}

/// An answer's body.
pub(super) struct AnswerBody<B = Incoming> {
    inner: B,
    station: Arc<Station>,
    needles: Arc<Needles>,
    scrubber: Scrubber,
    left: u64,
    hold: Option<Hold>,
    waiting: Option<Waiting>,
    trailers: Option<HeaderMap>,
    over: bool,
    meter: Arc<Meter>,
    _place: Option<OwnedSemaphorePermit>,
}

/// What ends an answer that has to be waited for: most come at once.
struct Waiting {
    idle: Pin<Box<Sleep>>,
    over: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Waiting {
    fn new(hold: Option<&Hold>) -> Self {
        Self {
            idle: Box::pin(sleep(IDLE)),
            over: match hold {
                Some(hold) => Box::pin(hold.over()),
                None => Box::pin(std::future::pending()),
            },
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<CutOff> {
        if self.over.as_mut().poll(context).is_ready() {
            return Poll::Ready(CutOff::TakenBack);
        }
        self.idle.as_mut().poll(context).map(|()| CutOff::Silent)
    }
}

impl<B> AnswerBody<B> {
    pub(super) fn new(
        inner: B,
        station: Arc<Station>,
        needles: Arc<Needles>,
        most: u64,
        meter: Arc<Meter>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            inner,
            station,
            needles,
            scrubber: Scrubber::default(),
            left: most,
            hold: None,
            waiting: None,
            trailers: None,
            over: false,
            meter,
            _place: place,
        }
    }

    /// Over when that is.
    pub(super) fn held_by(mut self, hold: Hold) -> Self {
        self.hold = Some(hold);
        self
    }

    fn cut(&mut self, why: CutOff) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.over = true;
        tracing::info!(name: "lanyard.egress.cut", { lanyard.reason = %why }, "an answer was cut off");
        Poll::Ready(Some(Err(why.into())))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        loop {
            if this.over {
                let trailers = this.trailers.take();
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            let Poll::Ready(next) = Pin::new(&mut this.inner).poll_frame(context) else {
                let hold = this.hold.as_ref();
                let waiting = this.waiting.get_or_insert_with(|| Waiting::new(hold));
                let why = ready!(waiting.poll(context));
                return this.cut(why);
            };
            if next.is_some() && this.hold.as_ref().is_some_and(Hold::is_over) {
                return this.cut(CutOff::TakenBack);
            }
            match next {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        if let Some(waiting) = &mut this.waiting {
                            waiting.idle.as_mut().reset(Instant::now() + IDLE);
                        }
                        let Some(left) = this.left.checked_sub(data.len() as u64) else {
                            return this.cut(CutOff::TooLong);
                        };
                        this.left = left;
                        let Ok(data) = this.scrubber.push(&this.needles, data) else {
                            return this.cut(CutOff::TooDear);
                        };
                        if !data.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                    }
                    Err(frame) => {
                        if let Ok(mut trailers) = frame.into_trailers() {
                            let injection = this.station.integration().injection();
                            let found = clean_trailers(&mut trailers, injection, &this.needles);
                            this.meter.scrubbed(found);
                            this.trailers = Some(trailers);
                        }
                    }
                },
                Some(Err(_)) => return this.cut(CutOff::BrokenOff),
                None => {
                    this.over = true;
                    let rest = this.scrubber.finish();
                    if !rest.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(rest))));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // What the scrubber holds is still to come, though nothing more comes in.
        let is_over = self.over || (self.inner.is_end_stream() && self.scrubber.held() == 0);
        is_over && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, held) = (self.inner.size_hint(), self.scrubber.held());
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint.set_lower(inner.lower().saturating_add(held));
        hint
    }
}

impl<B> Drop for AnswerBody<B> {
    fn drop(&mut self) {
        self.meter.scrubbed(self.scrubber.found());
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt, StreamBody};
    use lanyard_token::NodeId;

    use super::*;
    use crate::egress::lease::Carried;

    const VALUE: &str = "sk_live/4eC39HqLyjWD";

    fn answered(
        value: &str,
        frames: impl IntoIterator<Item = Frame<Bytes>>,
    ) -> AnswerBody<impl Body<Data = Bytes, Error = Infallible> + Unpin> {
        let integration = "name = \"party\"\nupstream = \"https://a.example\"\n[inject]\nkind = \"header\"\nsecret = \"s\"\n\
                           [[rule]]\nmethod = \"GET\"\ntemplate = \"/x\"\n";
        let station = Station::new(Carried {
            id: NodeId::from_u64(1),
            owner: "payments".to_owned(),
            integration: toml::from_str(integration).unwrap(),
        });
        let frames: Vec<_> = frames.into_iter().map(Ok).collect();
        AnswerBody::new(
            StreamBody::new(futures::stream::iter(frames)),
            Arc::new(station),
            Arc::new(Needles::of([value])),
            1 << 20,
            Arc::new(Meter::new()),
            None,
        )
    }

    #[tokio::test]
    async fn what_comes_after_a_body_is_cleaned_and_searched_like_its_head() {
        let mut trailers = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "session=1"),
            ("authorization", "Bearer of the third party"),
            ("grpc-status", "0"),
        ] {
            trailers.insert(name, value.parse().unwrap());
        }
        trailers.insert("grpc-message", format!("for {VALUE}").parse().unwrap());
        let frames = [Frame::data(Bytes::from("ab")), Frame::trailers(trailers)];
        let collected = answered(VALUE, frames).collect().await.unwrap();
        let trailers = collected.trailers().unwrap();
        let hidden = format!("for {}", "*".repeat(VALUE.len()));
        assert_eq!(trailers["grpc-message"], hidden);
        assert_eq!(trailers["grpc-status"], "0");
        assert_eq!(trailers.len(), 2);
        assert_eq!(collected.to_bytes(), "ab");
    }

    #[tokio::test]
    async fn an_answer_that_takes_too_much_work_to_search_is_cut_off() {
        let value = format!("{}b", "a".repeat(8_000));
        let chunk = || Frame::data(Bytes::from(vec![b'a'; 16 * 1024]));
        let cut = answered(&value, (0..20).map(|_| chunk())).collect().await;
        let error = cut.err().unwrap();
        assert_eq!(error.downcast_ref(), Some(&CutOff::TooDear));
    }
}
