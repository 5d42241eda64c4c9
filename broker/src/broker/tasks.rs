//! A broker at work: what runs beside the doors, and the way it ends.

use std::time::Duration;

use axum_server::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::signals::{Wish, Wishes};
use super::{Broker, Doors, StartError, gauges};
use crate::config::Config;
use crate::http::socket::AdminSocket;
use crate::issue::ReloadError;
use crate::store::Store;
use crate::store::event::By;

/// How long requests in flight may take to finish. The feed's streams end at once, so this is for the
/// slow and the stuck.
const GRACE: Duration = Duration::from_secs(5);

impl Broker {
    /// Serves until it is told to stop; `ready` is called once everything is served. Ends by finishing
    /// what is in flight, writing what is only counted, and saving the index.
    pub async fn run(
        self,
        doors: Doors,
        mut wishes: Wishes,
        ready: impl FnOnce(),
    ) -> Result<(), StartError> {
        let socket =
            AdminSocket::bind(&self.config.socket).map_err(|source| StartError::Listen {
                setting: "socket",
                address: self.config.socket.display().to_string(),
                source,
            })?;
        let stop = self.stop.clone();
        let mut tasks = self.background(&stop);
        let (public, admin, local) = (Handle::new(), Handle::new(), Handle::new());
        let certificates = doors.certificates.clone();
        let (routes, limits) = (self.routes(), self.config.limits);
        let mut servers = JoinSet::new();
        servers.spawn(doors.public.serve(routes.public, limits, public.clone()));
        servers.spawn(doors.admin.serve(routes.admin, limits, admin.clone()));
        servers.spawn(socket.serve(routes.socket, local.clone()));
        tokio::join!(public.listening(), admin.listening(), local.listening());
        ready();
        tell_service_manager(&[sd_notify::NotifyState::Ready]);

        let failed = loop {
            tokio::select! {
                wish = wishes.recv() => match wish {
                    Some(Wish::Reload(config)) => {
                        certificates.reload(&config);
                        self.reload_policies(&config);
                    }
                    Some(Wish::Stop) | None => break None,
                },
                Some(ended) = servers.join_next() => {
                    break Some(ended.map_err(std::io::Error::other).and_then(|served| served).err());
                }
            }
        };
        tell_service_manager(&[sd_notify::NotifyState::Stopping]);
        tracing::info!("stopping");
        stop.cancel();
        public.graceful_shutdown(Some(GRACE));
        admin.graceful_shutdown(Some(GRACE));
        local.graceful_shutdown(Some(GRACE));
        while servers.join_next().await.is_some() {}
        let (ended, acted) = tokio::join!(self.begun.finish(GRACE), self.reports.finish(GRACE));
        if !ended {
            tracing::error!(name: "lanyard.change.lost", "a change that was begun did not come to its end");
        }
        if !acted {
            tracing::error!(name: "lanyard.leak.lost", "a report of a leak was not acted on");
        }
        while tasks.join_next().await.is_some() {}
        if let Err(error) = self.audit.write_refusals(true).await {
            tracing::warn!(%error, "the last refusals could not be written");
        }
        if let Err(error) = self.issue.write_denials(true).await {
            tracing::warn!(%error, "the last denials could not be written");
        }
        let log = self.log.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || log.close()).await {
            tracing::error!(%error, "the log was not closed");
        }
        match failed {
            None => Ok(()),
            Some(error) => Err(StartError::Stopped(error.unwrap_or_else(|| {
                std::io::Error::other("it ended without being told to")
            }))),
        }
    }

    /// Beside the doors: nobody waits for a folder to be read. What is wrong with it is logged there.
    fn reload_policies(&self, config: &Config) {
        let issue = self.issue.clone();
        issue.read_policies_from(config.policy_bundle.as_deref());
        tokio::spawn(async move {
            if let Err(ReloadError::Store(error)) = issue.reload_policies(By::Broker, None).await {
                tracing::error!(%error, "the policies are not exchanged");
            }
        });
    }

    fn background(&self, stop: &CancellationToken) -> JoinSet<()> {
        gauges::register(&self.secrets_pulse());
        let mut tasks = JoinSet::new();
        let until_stopped = |work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let stop = stop.clone();
            async move { stop.run_until_cancelled(work).await.unwrap_or(()) }
        };
        tasks.spawn(until_stopped(Box::pin(self.issue.clone().run())));
        tasks.spawn(self.watch.clone().run(stop.clone().cancelled_owned()));
        let (revoke, stopped) = (self.revoke.clone(), stop.clone().cancelled_owned());
        tasks.spawn(async move { revoke.run(stopped).await });
        let (rotations, stopped) = (self.rotations.clone(), stop.clone().cancelled_owned());
        tasks.spawn(async move { rotations.run(stopped).await });
        let audit = self.audit.clone();
        tasks.spawn(until_stopped(Box::pin(async move { audit.run().await })));
        if let Some(period) = sd_notify::watchdog_enabled() {
            let log = self.log.clone();
            tasks.spawn(until_stopped(Box::pin(async move {
                loop {
                    // Asking the log proves that its lock is not stuck; a full disk is no reason to die.
                    let _ = log.head();
                    tell_service_manager(&[sd_notify::NotifyState::Watchdog]);
                    tokio::time::sleep(period / 2).await;
                }
            })));
        }
        tasks
    }
}

/// Without a service manager this does nothing.
fn tell_service_manager(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
