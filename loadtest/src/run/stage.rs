//! A broker, a service behind its gateway, and those who may call it.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::RunArgs;
use crate::broker::{Broker, Member};
use crate::load::resident_bytes;
use crate::peers::Guarded;
use crate::server::{AUDIENCE, PATH, SCOPE};

/// Each may ask for fifty tokens a second.
const CALLERS: usize = 40;

/// Everything that is there before anything happens.
pub(super) struct Stage {
    pub(super) broker: Broker,
    pub(super) owner: String,
    pub(super) service: Service,
    pub(super) callers: Vec<Caller>,
}

/// Where good calls go.
pub(super) struct Service {
    pub(super) address: SocketAddr,
    pub(super) path: String,
    /// Nothing when it was named with --target.
    pub(super) guarded: Option<Guarded>,
}

/// An identity with a token that lives for as long as a run.
pub(super) struct Caller {
    pub(super) member: Member,
    pub(super) token: String,
}

/// Resident memory of the two processes, where they were started here.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(super) struct Resident {
    pub(super) gateway: Option<u64>,
    pub(super) broker: Option<u64>,
}

impl Stage {
    pub(super) async fn set(args: &RunArgs) -> Result<Self, Box<dyn Error>> {
        let broker = Broker::open(&args.broker).await?;
        let run = std::process::id();
        let owner = broker.add_owner(&format!("run-{run}")).await?;
        let audience = args.audience.as_deref().unwrap_or(AUDIENCE);
        let scope = args.scope.as_deref().unwrap_or(SCOPE);
        let service = match &args.target {
            Some(url) => Service {
                address: url
                    .socket_addrs(|| None)?
                    .into_iter()
                    .next()
                    .ok_or("--target has no address")?,
                path: url.path().to_owned(),
                guarded: None,
            },
            None => {
                let name = format!("run-{run}");
                let guarded = Guarded::start(&broker, &owner, &name).await?;
                Service {
                    address: guarded.address(),
                    path: PATH.to_owned(),
                    guarded: Some(guarded),
                }
            }
        };
        let mut callers = Vec::with_capacity(CALLERS);
        for number in 0..CALLERS {
            let name = format!("run-{run}-{number}");
            let member = broker.add_member(&name, &owner, audience, scope).await?;
            let token = broker
                .token(&member, &[("requested_lifetime", "3600")])
                .await?;
            callers.push(Caller { member, token });
        }
        Ok(Self {
            broker,
            owner,
            service,
            callers,
        })
    }

    pub(super) fn resident(&self) -> Resident {
        let guarded = self.service.guarded.as_ref();
        Resident {
            gateway: guarded.and_then(|guarded| guarded.peer().resident_bytes()),
            broker: self.broker.resident_bytes(),
        }
    }

    /// The processes to weigh.
    fn processes(&self) -> [Option<u32>; 2] {
        let guarded = self.service.guarded.as_ref();
        [
            guarded.and_then(|guarded| guarded.peer().process()),
            self.broker.process(),
        ]
    }
}

/// Weighs both now and then; a peak between two looks is missed.
pub(super) struct Sampler {
    over: Arc<AtomicBool>,
    highest: tokio::task::JoinHandle<Resident>,
}

const LOOK: Duration = Duration::from_millis(100);

impl Sampler {
    pub(super) fn start(stage: &Stage) -> Self {
        let processes = stage.processes();
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let highest = tokio::spawn(async move {
            let mut highest = Resident::default();
            while !until.load(Ordering::Relaxed) {
                let [gateway, broker] = processes.map(|id| id.and_then(resident_bytes));
                highest.gateway = highest.gateway.max(gateway);
                highest.broker = highest.broker.max(broker);
                tokio::time::sleep(LOOK).await;
            }
            highest
        });
        Self { over, highest }
    }

    pub(super) async fn stop(self) -> Resident {
        self.over.store(true, Ordering::Relaxed);
        self.highest.await.unwrap_or_default()
    }
}
