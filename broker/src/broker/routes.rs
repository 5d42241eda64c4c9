//! Which route is behind which door.

use std::sync::Arc;

use axum::Router;

use super::Broker;
use crate::http::audited::audited;
use crate::http::caller::Doorkeeper;
use crate::http::duties::Table;
use crate::http::health::{self, Pulse, SecretsPulse, Vitals};
use crate::http::oauth::Confirmations;
use crate::http::{admin, drift, egress, feed, leaks, metadata, oauth, reports, socket};
use crate::issue::keys::in_force;
use crate::store::Store;
use crate::store::event::KeyUse;

/// All routes of a broker, each wrapped.
pub struct Routes {
    /// OAuth, metadata, feed, reports.
    pub public: Router,
    /// Administration with a token, metrics.
    pub admin: Router,
    /// Administration by whoever the kernel vouches for.
    pub socket: Router,
    /// What each route of administration takes.
    pub duties: Table,
}

impl Broker {
    /// Mounts every route behind its door.
    pub fn routes(&self) -> Routes {
        let pulse = self.pulse();
        let doorkeeper: Arc<dyn Doorkeeper> = self.issue.clone();
        let confirmations: Arc<dyn Confirmations> = self.revoke.clone();
        let public = Router::new()
            .merge(oauth::routes(
                self.issue.clone(),
                confirmations.clone(),
                self.begun.clone(),
            ))
            .merge(metadata::routes(self.issue.clone(), None))
            .merge(feed::routes(
                self.revoke.clone(),
                doorkeeper.clone(),
                self.clock.clone(),
            ))
            .merge(reports::routes(
                self.watch.clone(),
                doorkeeper.clone(),
                self.clock.clone(),
                self.begun.clone(),
            ))
            .merge(egress::routes(
                self.integrations.clone(),
                doorkeeper.clone(),
                self.clock.clone(),
                self.stop.clone(),
            ))
            .merge(leaks::routes(self.finders()))
            .merge(health::routes(pulse.clone()));
        let watched = Router::new()
            .merge(health::routes(pulse.clone()))
            .merge(health::metrics(
                &self.counters,
                pulse.clone(),
                self.secrets_pulse(),
            ));
        let rooms = admin::Rooms {
            issue: self.issue.clone(),
            revoke: self.revoke.clone(),
            vault: self.vault.clone(),
            integrations: self.integrations.clone(),
            finders: self.finders(),
            rotations: self.rotations.clone(),
            confirmations,
            pulse,
            clock: self.clock.clone(),
        };
        let administration = admin::routes(rooms.clone()).merge(drift::routes(self.watch.clone()));
        let admin = admin::door::remote_administrators(administration.clone(), self.issue.clone())
            .merge(watched.clone());
        let (administration, duties) = administration.apart();
        let socket = socket::local_administrators(administration.merge(admin::local_routes(rooms)))
            .merge(watched);
        let wrap = |routes, behind_proxy, begun| {
            let (audit, stop) = (self.audit.clone(), self.stop.clone());
            audited(routes, audit, behind_proxy, begun, stop)
        };
        let begun = || Some(self.begun.clone());
        Routes {
            // Its handlers say themselves what has to come to its end: most of them hand out or look.
            public: wrap(public, self.config.behind_proxy, None),
            admin: wrap(admin, self.config.behind_proxy, begun()),
            socket: wrap(socket, false, begun()),
            duties,
        }
    }

    fn finders(&self) -> leaks::Finders {
        leaks::Finders {
            issue: self.issue.clone(),
            revoke: self.revoke.clone(),
            vault: self.vault.clone(),
            github: self.github.clone(),
            reports: self.reports.clone(),
        }
    }

    pub(super) fn secrets_pulse(&self) -> SecretsPulse {
        let (rotations, clock) = (self.rotations.clone(), self.clock.clone());
        Arc::new(move || rotations.health(clock.now()))
    }

    fn pulse(&self) -> Pulse {
        let (log, issue, revoke, clock) = (
            self.log.clone(),
            self.issue.clone(),
            self.revoke.clone(),
            self.clock.clone(),
        );
        Arc::new(move || Vitals {
            head: log.head(),
            store_writable: log.is_writable(),
            keys_loaded: in_force(issue.signing_keys().iter(), KeyUse::Mint, clock.now()).is_some(),
            feed_readers: revoke.open_streams(),
            policies: issue.policies().rules().len(),
            policies_refused: issue.policies_refused(),
            identities_unused: issue.identities_unused(),
        })
    }
}
