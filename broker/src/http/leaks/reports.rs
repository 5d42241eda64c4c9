//! Reports that are acted on while nobody waits for them: whoever reported was told that it was received, so a broker that
//! stops sees to them before it does.

use std::time::Duration;

use tokio_util::task::TaskTracker;

/// Those of a broker. Clones are of the same.
#[derive(Clone, Default)]
pub struct Reports(TaskTracker);

impl Reports {
    /// One more.
    pub fn begin(&self, acting: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(acting);
    }

    /// Waits until all are acted on, and no longer than that; says whether they are.
    pub async fn finish(&self, longest: Duration) -> bool {
        self.0.close();
        tokio::time::timeout(longest, self.0.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_stops_waits_for_reports_but_not_for_ever() {
        let reports = Reports::default();
        let done = Arc::new(AtomicBool::new(false));
        let its = done.clone();
        reports.clone().begin(async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            its.store(true, Ordering::SeqCst);
        });
        assert!(reports.finish(Duration::from_secs(5)).await);
        assert!(done.load(Ordering::SeqCst));
        reports.begin(std::future::pending());
        assert!(!reports.finish(Duration::from_secs(5)).await);
    }
}
