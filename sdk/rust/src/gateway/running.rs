//! What runs beside a gateway: the reader of the feed and the reporter.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Gateway;
use super::report::ReportCounters;
use crate::feed::FeedFailure;

/// How often a starting program looks whether its gateway is ready.
const READY_POLL: Duration = Duration::from_millis(5);

/// What runs beside a gateway. It goes on until [`Running::stop`] or the end of the runtime, also
/// when this handle is dropped: a gateway whose feed had stopped unnoticed would go blind.
pub struct Running {
    gateway: Gateway,
    stop: watch::Sender<()>,
    /// `None` once its end was seen.
    reader: Option<JoinHandle<Result<(), FeedFailure>>>,
    reporter: JoinHandle<()>,
    counters: Arc<ReportCounters>,
}

impl Running {
    pub(super) fn begin(
        gateway: Gateway,
        stop: watch::Sender<()>,
        reading: impl Future<Output = Result<(), FeedFailure>> + Send + 'static,
        reporting: impl Future<Output = ()> + Send + 'static,
        counters: Arc<ReportCounters>,
    ) -> Self {
        let reader = tokio::spawn(async move {
            let outcome = reading.await;
            if let Err(error) = &outcome {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "the feed is not read"
                );
            }
            outcome
        });
        Self {
            gateway,
            stop,
            reader: Some(reader),
            reporter: tokio::spawn(reporting),
            counters,
        }
    }

    /// What became of reports.
    #[must_use]
    pub fn reports(&self) -> &ReportCounters {
        &self.counters
    }

    /// Waits until the gateway knows enough to decide: a verified snapshot, from the broker or from
    /// the disk. Fails when the feed cannot be read for a reason on this machine.
    pub async fn ready(&mut self) -> Result<(), FeedFailure> {
        while !self.gateway.feed().has_snapshot() {
            if self.reader.as_ref().is_some_and(JoinHandle::is_finished)
                && let Some(reader) = self.reader.take()
            {
                reader.await.unwrap_or(Ok(()))?;
            }
            tokio::time::sleep(READY_POLL).await;
        }
        Ok(())
    }

    /// Sends the last reports and stops.
    pub async fn stop(self) -> Result<(), FeedFailure> {
        self.stop.send_replace(());
        if self.reporter.await.is_err() {
            tracing::error!("the reporter ended by a panic");
        }
        match self.reader {
            Some(reader) => reader.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }
}

/// Resolves when told to stop; never when the handle was only dropped.
pub(super) async fn until(mut stopped: watch::Receiver<()>) {
    if stopped.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
