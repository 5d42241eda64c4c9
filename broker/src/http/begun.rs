//! What was begun is ended, whether or not somebody still waits for it.
//!
//! A handler lives as long as its request. Whoever hangs up, or waits for too long, would end it between two of its steps: what it
//! handed to the log is written all the same, but the lock that it held over that is free, and the next one decides by what was
//! there before. Two values would get the number of one version, and both be acknowledged. So what changes something runs
//! beside its request, which only waits for it; and a broker that stops sees to all of it before it does.

use std::panic::resume_unwind;
use std::time::Duration;

use axum::Error;
use axum::body::Body;
use futures::{StreamExt, stream};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// What is under way. Clones are of the same.
#[derive(Clone, Default)]
pub struct Begun(TaskTracker);

impl Begun {
    /// One that nobody waits for.
    pub fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(work);
    }

    /// Waits for its end. Whoever stops waiting does not stop it.
    pub async fn end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match self.0.spawn(work.in_current_span()).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The process ends.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Waits until all of it has ended, and no longer than that; says whether it has.
    pub async fn finish(&self, longest: Duration) -> bool {
        self.0.close();
        timeout(longest, self.0.wait()).await.is_ok()
    }
}

/// The body of a request that goes on without its caller: it breaks off then, so that nothing waits for the rest of it for ever.
pub fn until(deadline: Instant, body: Body) -> Body {
    let read = stream::unfold(Some(body.into_data_stream()), move |data| async move {
        let mut data = data?;
        match timeout_at(deadline, data.next()).await {
            Ok(next) => next.map(|next| (next, Some(data))),
            Err(_) => Some((Err(Error::new("the body did not come in time")), None)),
        }
    });
    Body::from_stream(read)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Takes three seconds, and says when it is through.
    fn work() -> (Arc<AtomicBool>, impl Future<Output = ()> + Send + 'static) {
        let done = Arc::new(AtomicBool::new(false));
        let its = done.clone();
        let work = async move {
            sleep(3 * SECOND).await;
            its.store(true, Ordering::SeqCst);
        };
        (done, work)
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stops_waiting_does_not_stop_it_and_the_end_waits_for_it() {
        let begun = Begun::default();
        let (done, changing) = work();
        assert!(timeout(SECOND, begun.end(changing)).await.is_err());
        assert!(!done.load(Ordering::SeqCst));
        assert!(begun.finish(5 * SECOND).await);
        assert!(done.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_stops_waits_but_not_for_ever() {
        let begun = Begun::default();
        let (done, acting) = work();
        begun.clone().begin(acting);
        assert!(begun.finish(5 * SECOND).await);
        assert!(done.load(Ordering::SeqCst));
        begun.begin(std::future::pending());
        assert!(!begun.finish(5 * SECOND).await);
    }

    #[tokio::test]
    async fn a_panic_is_passed_on_to_whoever_waits() {
        let begun = Begun::default();
        let waiting = tokio::spawn(async move {
            begun.end(async { panic!("of the work") }).await;
        });
        let panic = waiting.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref(), Some(&"of the work"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_in_time_breaks_off() {
        let slow = stream::once(async { Ok::<_, Error>("first".into()) })
            .chain(stream::once(async {
                sleep(3 * SECOND).await;
                Ok::<axum::body::Bytes, Error>("second".into())
            }))
            .boxed();
        let read = until(Instant::now() + SECOND, Body::from_stream(slow));
        let read: Vec<_> = read.into_data_stream().collect().await;
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].as_ref().unwrap(), "first");
        assert!(read[1].is_err());
        let whole = until(Instant::now() + SECOND, Body::from("all of it"));
        let whole = axum::body::to_bytes(whole, 64).await.unwrap();
        assert_eq!(whole, "all of it");
    }
}
