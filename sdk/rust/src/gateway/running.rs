//! What runs beside a gateway: the reader of the feed and the reporter.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::builder::Remade;
use super::report::{ReportCounters, Reporter};
use super::route::{Route, RouteError};
use super::{Gateway, RouteTable};
use crate::client::ClientTokens;
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
    reporter: Reporting,
    tokens: ClientTokens,
    remade: Remade,
}

/// The reporter of one gateway.
struct Reporting {
    stop: watch::Sender<()>,
    task: JoinHandle<()>,
    counters: Arc<ReportCounters>,
}

impl Reporting {
    fn begin(gateway: Gateway, tokens: ClientTokens) -> Self {
        let reporter = Reporter::new(gateway, tokens);
        let (stop, stopped) = watch::channel(());
        Self {
            stop,
            counters: reporter.counters(),
            task: tokio::spawn(reporter.run(until(stopped))),
        }
    }

    /// Sends the last reports.
    async fn stop(self) {
        self.stop.send_replace(());
        if self.task.await.is_err() {
            tracing::error!("the reporter ended by a panic");
        }
    }
}

impl Running {
    pub(super) fn begin(
        gateway: Gateway,
        stop: watch::Sender<()>,
        reading: impl Future<Output = Result<(), FeedFailure>> + Send + 'static,
        tokens: ClientTokens,
        remade: Remade,
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
            reporter: Reporting::begin(gateway.clone(), tokens.clone()),
            gateway,
            stop,
            reader: Some(reader),
            tokens,
            remade,
        }
    }

    /// What became of reports.
    #[must_use]
    pub fn reports(&self) -> &ReportCounters {
        &self.reporter.counters
    }

    /// A gateway with other routes over the same feed, which takes the place of the one before it: for services
    /// whose routes change while they run.
    ///
    /// Calls under way go on at the old one, whose streams still end with their tokens. The new one sees every token
    /// for the first time: its signature is checked once more, and what is counted here for each token (calls of a
    /// task that are left, steps of a walk) begins anew, as after a restart. The old one's last reports are sent.
    pub fn replace_routes(
        &mut self,
        routes: impl IntoIterator<Item = Route>,
    ) -> Result<Gateway, RouteError> {
        let table = RouteTable::build(self.gateway.audience(), routes)?;
        let gateway = self.remade.with(table, &self.gateway);
        let reporter = Reporting::begin(gateway.clone(), self.tokens.clone());
        let old = std::mem::replace(&mut self.reporter, reporter);
        tokio::spawn(old.stop());
        self.gateway = gateway.clone();
        Ok(gateway)
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
        self.reporter.stop().await;
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
