//! Putting egress together, and running it until it is told to stop.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use lanyard_sdk::client::ClientError;
use lanyard_sdk::gateway::{GatewayError, TrustedProxies};
use lanyard_sdk::{Client, Enrolment, EnrolmentError, Gateway, Secret};
use lanyard_token::{Audience, NodeId, Scope};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::config::{Config, TlsFiles};
use super::keeper::{Keeper, Rerouting};
use super::lease::{BrokerLeases, LeaseSource, NoLeases};
use super::listener::{Certificate, ListenError, bind, serve};
use super::shared::Shared;
use super::upstream::{Resolver, SystemResolver};

/// How long calls under way may take once egress is told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Why egress does not start. Each says what to correct.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// See there.
    #[error("the enrolment cannot be used")]
    Enrolment(#[from] EnrolmentError),
    /// See there.
    #[error("the gateway cannot be made")]
    Gateway(#[from] GatewayError),
    /// See there.
    #[error("no client for the broker can be made")]
    Client(#[from] ClientError),
    /// See there.
    #[error(transparent)]
    Leases(#[from] NoLeases),
    /// See there.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Check path and permissions.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The system gives no randomness, no signals or no sockets.
    #[error("the system refuses what egress needs")]
    System(#[from] std::io::Error),
}

/// Egress without its sockets: a door, and who keeps leases for it.
pub struct Egress {
    shared: Arc<Shared>,
}

impl Egress {
    /// Puts it together. `reroute` makes the gateway that decides when integrations have changed; `own` is egress's own
    /// node, whose revocation ends every lease.
    pub fn new(
        gateway: Gateway,
        reroute: Rerouting,
        source: Arc<dyn LeaseSource>,
        resolver: Arc<dyn Resolver>,
        own: Option<NodeId>,
    ) -> std::io::Result<(Self, Keeper)> {
        Self::trusting(
            TrustedProxies::default(),
            gateway,
            reroute,
            source,
            resolver,
            own,
        )
    }

    fn trusting(
        proxies: TrustedProxies,
        gateway: Gateway,
        reroute: Rerouting,
        source: Arc<dyn LeaseSource>,
        resolver: Arc<dyn Resolver>,
        own: Option<NodeId>,
    ) -> std::io::Result<(Self, Keeper)> {
        let shared = Shared::new(gateway, proxies, resolver, own);
        let mut boot = [0; 8];
        SystemRandom::new()
            .fill(&mut boot)
            .map_err(|_| std::io::Error::other("no randomness"))?;
        let boot = u64::from_be_bytes(boot);
        let keeper = Keeper::new(Arc::clone(&shared), source, reroute, boot);
        Ok((Self { shared }, keeper))
    }

    /// What callers reach.
    pub fn door(&self) -> Router {
        self.shared.door()
    }

    /// Serves callers in clear on this socket, for as long as it is polled: for whoever is on the same machine.
    pub async fn serve_plain(&self, listener: std::net::TcpListener) -> std::io::Result<()> {
        listener.set_nonblocking(true)?;
        serve(listener, None, self.door(), Handle::new()).await
    }

    /// Serves callers over TLS on this socket, for as long as it is polled.
    pub async fn serve_tls(
        &self,
        listener: std::net::TcpListener,
        files: TlsFiles,
    ) -> Result<(), StartError> {
        listener.set_nonblocking(true)?;
        let certificate = Arc::new(Certificate::load(files)?);
        Ok(serve(listener, Some(certificate), self.door(), Handle::new()).await?)
    }

    /// What operators reach: `/livez`, `/readyz`, `/metrics`.
    pub fn admin(&self) -> Router {
        self.shared.admin()
    }
}

/// Runs until SIGTERM or SIGINT; SIGHUP reads the certificate again.
pub async fn run(config: Config) -> Result<(), StartError> {
    let certificate = config.tls.clone().map(Certificate::load).transpose()?;
    let listener = bind(config.listen)?;
    let admin = config.admin.map(bind).transpose()?;
    let pem = config.broker_certificates.as_deref().map(|path| {
        std::fs::read(path).map_err(|source| StartError::Unreadable {
            path: path.to_owned(),
            source,
        })
    });
    let pem = pem.transpose()?;

    if Secret::is_open_to_others(&config.enrolment) {
        let file = config.enrolment.display();
        tracing::warn!(
            name: "lanyard.egress.enrolment_open",
            "the enrolment `{file}` can be read by others: run `chmod 600 {file}`"
        );
    }
    let enrolment = Enrolment::read(&config.enrolment)?;
    let source = Arc::new(leases(&enrolment, pem.clone())?);
    let own = enrolment.client_id.parse().ok();
    let (gateway, running) = gateway(&config, enrolment, pem)?;
    // Routes are replaced by the keeper, and the end is here.
    let running = Arc::new(Mutex::new(Some(running)));
    let (egress, keeper) = Egress::trusting(
        config.proxies.clone(),
        gateway,
        rerouting(Arc::clone(&running)),
        source,
        Arc::new(SystemResolver),
        own,
    )?;
    let (stop, stopped) = oneshot::channel::<()>();
    let keeping = tokio::spawn(keeper.run(async move {
        // Told, or nobody is left to tell.
        let _ = stopped.await;
    }));
    let certificate = certificate.map(Arc::new);
    let handle = Handle::new();
    let routes = egress.door();
    let door = serve(listener, certificate.clone(), routes, handle.clone());
    let door = tokio::spawn(door);
    if let Some(admin) = admin {
        let routes = egress.admin();
        tokio::spawn(serve(admin, None, routes, handle.clone()));
    }
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!(name: "lanyard.egress.started", { address = %config.listen }, "egress listens");

    told_to_stop(certificate.as_deref()).await?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    handle.graceful_shutdown(Some(DRAIN));
    let served = door.await;
    drop(stop);
    let kept = keeping.await;
    let running = lock(&running).take();
    if let Some(running) = running
        && let Err(error) = running.stop().await
    {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the feed was not read"
        );
    }
    kept.map_err(std::io::Error::other)?;
    served.map_err(std::io::Error::other)??;
    Ok(())
}

fn leases(enrolment: &Enrolment, pem: Option<Vec<u8>>) -> Result<BrokerLeases, StartError> {
    let (issuer, id) = (enrolment.issuer.clone(), enrolment.client_id.clone());
    let audience: Audience = issuer
        .parse()
        .map_err(|_| ClientError::Issuer(issuer.clone()))?;
    let key = Secret::new(enrolment.client_secret.expose());
    let client = {
        let issuer = issuer.clone();
        move || {
            let key = Secret::new(key.expose());
            let builder = Client::builder(&issuer).client_credentials(&id, key);
            match &pem {
                Some(pem) => builder.certificates(pem.clone()).build(),
                None => builder.build(),
            }
        }
    };
    let scope = "lanyard:egress".parse::<Scope>();
    let tokens = client()?.tokens(audience, scope.into_iter().collect());
    let connect = Box::new(move || Ok(client()?.http().clone()));
    Ok(BrokerLeases::new(&issuer, tokens, connect)?)
}

/// The gateway before the first integration is known: it lets nobody through.
fn gateway(
    config: &Config,
    enrolment: Enrolment,
    pem: Option<Vec<u8>>,
) -> Result<(Gateway, lanyard_sdk::gateway::Running), StartError> {
    let builder = Gateway::builder();
    let builder = match &config.audience {
        Some(audience) => builder.enrolled_for(enrolment, audience)?,
        None => builder.enrolled(enrolment)?,
    };
    let mut builder = builder.feed(&config.state);
    if let Some(pem) = pem {
        builder = builder.certificates(pem);
    }
    Ok(builder.routes([])?.drift(config.drift).start()?)
}

type Shareable = Arc<Mutex<Option<lanyard_sdk::gateway::Running>>>;

fn rerouting(running: Shareable) -> Rerouting {
    Box::new(move |routes| match lock(&running).as_mut() {
        Some(running) => running.replace_routes(routes).map(Some),
        None => Ok(None),
    })
}

fn lock(running: &Shareable) -> MutexGuard<'_, Option<lanyard_sdk::gateway::Running>> {
    // A panic elsewhere leaves it whole.
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Resolves on SIGTERM or SIGINT. SIGHUP reads the certificate again.
async fn told_to_stop(certificate: Option<&Certificate>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hang_up.recv() => match certificate.map(Certificate::reload) {
                Some(Err(error)) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the certificate was not read again: the one before it stays"
                ),
                _ => tracing::info!("the certificate was read again"),
            },
        }
    }
}
