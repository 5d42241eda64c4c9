//! Until when a value may be used.
//!
//! It is given for a time, and before that time is over it can be taken back: the broker refuses the integration, somebody
//! revokes the secret, the integration or egress itself, or the integration goes away. A call that is waiting for a
//! connection when its value is taken back is not made, and an answer that is still coming is cut off. One whose value's time
//! is over meanwhile goes on: another version in its place, or a broker that is away, breaks no call that has begun.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lanyard_token::NodeId;
use tokio::time::sleep;

use super::door::Door;
use super::station::{Leased, Station};

/// How often a lease is looked at when nothing is heard of it: a machine that slept does not know how long.
const RECHECK: Duration = Duration::from_secs(1);

/// What a call that was made depends on until the end of its answer.
pub(super) struct Hold {
    pub(super) door: Door,
    pub(super) station: Arc<Station>,
    pub(super) leased: Arc<Leased>,
}

impl Hold {
    /// Whether the value was taken back.
    pub(super) fn is_over(&self) -> bool {
        self.door.is_taken_back(&self.station, &self.leased)
    }

    /// Resolves when it is.
    pub(super) fn over(&self) -> impl Future<Output = ()> + Send + 'static {
        let (door, station) = (self.door.clone(), Arc::clone(&self.station));
        let leased = Arc::clone(&self.leased);
        async move { door.taken_back(&station, &leased).await }
    }
}

impl Door {
    /// Whether a value may still be used: its time is not over, nobody refused or revoked it, and the integration is as it
    /// was when the call was decided.
    pub(super) fn holds(&self, station: &Arc<Station>, leased: &Leased) -> bool {
        self.current.gateway.now().boot < leased.until
            && !station.is_refused()
            && self.shared.carries(station)
            && self.is_alive(station, leased)
    }

    /// Resolves when a value is taken back.
    pub(super) async fn taken_back(&self, station: &Station, leased: &Leased) {
        let mut answers = self.shared.answers.subscribe();
        let feed = self.current.gateway.feed();
        let watch = feed.subscribe(leased.rev, &self.nodes(station, leased));
        loop {
            answers.borrow_and_update();
            if self.is_taken_back(station, leased) {
                return;
            }
            tokio::select! {
                _ = watch.dead() => return,
                _ = answers.changed() => {}
            }
        }
    }

    /// Resolves when the value that something stays open with may be used no more. While the broker gives it again and
    /// again, it may; another version in its place does not lengthen it.
    pub(super) async fn lease_over(&self, station: &Arc<Station>, mut leased: Arc<Leased>) {
        let mut answers = self.shared.answers.subscribe();
        loop {
            answers.borrow_and_update();
            if let Some(given) = station.leased.load_full()
                && Arc::ptr_eq(&given.held, &leased.held)
            {
                leased = given;
            }
            if !self.holds(station, &leased) {
                return;
            }
            let gateway = &self.current.gateway;
            let watch = gateway
                .feed()
                .subscribe(leased.rev, &self.nodes(station, &leased));
            let left = leased.until.since(gateway.now().boot);
            tokio::select! {
                _ = watch.dead() => return,
                _ = answers.changed() => {}
                () = sleep(left.min(RECHECK)) => {}
            }
        }
    }

    fn is_taken_back(&self, station: &Station, leased: &Leased) -> bool {
        !self.shared.is_given(station) || !self.is_alive(station, leased)
    }

    fn is_alive(&self, station: &Station, leased: &Leased) -> bool {
        let nodes = self.nodes(station, leased);
        let feed = self.current.gateway.feed();
        feed.check(leased.rev, &nodes).is_ok()
    }

    /// Whose revocation ends a lease: the integration's, the secret's and egress's own.
    fn nodes(&self, station: &Station, leased: &Leased) -> [NodeId; 3] {
        let integration = station.carried.id;
        let own = self.shared.own.unwrap_or(integration);
        [integration, leased.held.secret, own]
    }
}
