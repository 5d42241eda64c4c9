//! Many gateways in one process, each with its own state, its own stream and its own checks of signatures.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use lanyard_sdk::feed::FeedView;
use lanyard_sdk::gateway::Running;
use lanyard_sdk::{DriftMode, Enrolment, Gateway, Route, Secret};

use crate::broker::Broker;
use crate::server::{AUDIENCE, SCOPE};

/// So many processes of one gateway, since a broker hands one identity tokens at a rate, and tells so many apart.
const INSTANCES: usize = 32;
/// A broker on the same machine answers in milliseconds; 256 gateways at once take their turns.
const PATIENCE: Duration = Duration::from_secs(60);

/// Gateways that run.
pub(super) struct Fleet {
    members: Vec<Member>,
    folder: tempfile::TempDir,
}

struct Member {
    enrolment: Secret,
    state: PathBuf,
    // Nothing while it is cut off.
    running: Option<(Gateway, Running)>,
}

impl Fleet {
    /// Starts so many, and waits until each knows enough to decide.
    pub(super) async fn start(
        broker: &Broker,
        owner: &str,
        name: &str,
        count: usize,
    ) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let mut members = Vec::new();
        let mut enrolment = String::new();
        for number in 0..count {
            if number % INSTANCES == 0 {
                let name = format!("bench-{name}-{}", number / INSTANCES);
                let file = broker.add_gateway_file(&name, owner, AUDIENCE).await?;
                enrolment = file.expose().to_owned();
            }
            members.push(Member {
                enrolment: Secret::new(enrolment.clone()),
                state: folder.path().join(number.to_string()),
                running: None,
            });
        }
        let mut fleet = Self { members, folder };
        fleet.come_back().await?;
        Ok(fleet)
    }

    /// What each that runs sees of the feed.
    pub(super) fn views(&self) -> Vec<Arc<FeedView>> {
        let running = self.members.iter().flat_map(|member| &member.running);
        running
            .map(|(gateway, _)| Arc::clone(gateway.feed()))
            .collect()
    }

    /// An enrolment of theirs, for whoever reads the feed beside them.
    pub(super) fn enrolment(&self) -> Result<Enrolment, Box<dyn Error>> {
        let member = self.members.first().ok_or("a fleet of none")?;
        Ok(Enrolment::parse(member.enrolment.expose())?)
    }

    /// Ends every second one. Its state stays on the disk.
    pub(super) async fn cut_off_half(&mut self) -> Result<(), Box<dyn Error>> {
        for member in self.members.iter_mut().skip(1).step_by(2) {
            if let Some((_, running)) = member.running.take() {
                running.stop().await?;
            }
        }
        Ok(())
    }

    /// Starts those that were cut off, on the state that they had.
    pub(super) async fn come_back(&mut self) -> Result<(), Box<dyn Error>> {
        for member in &mut self.members {
            if member.running.is_none() {
                member.running = Some(member.start()?);
            }
        }
        for member in &mut self.members {
            if let Some((_, running)) = &mut member.running {
                tokio::time::timeout(PATIENCE, running.ready()).await??;
            }
        }
        Ok(())
    }

    /// Ends all.
    pub(super) async fn stop(self) {
        for member in self.members {
            if let Some((_, running)) = member.running {
                // Its last reports are nobody's loss.
                let _ = running.stop().await;
            }
        }
        drop(self.folder);
    }
}

impl Member {
    /// Without observation: that is a thread for each, and none of it is measured here.
    fn start(&self) -> Result<(Gateway, Running), Box<dyn Error>> {
        let route = Route::new(Method::GET, "/orders/{id}").scopes(SCOPE.parse()?);
        Ok(Gateway::builder()
            .enrolled(Enrolment::parse(self.enrolment.expose())?)?
            .feed(&self.state)
            .routes([route])?
            .drift(DriftMode::Off)
            .start()?)
    }
}
