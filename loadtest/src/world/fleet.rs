//! How many of each work in a world.

use super::catalogue::Catalogue;
use super::random::Random;
use super::role::{Manner, Role};

/// Roles and their members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// Roles of request-driven services.
    pub services: usize,
    /// Replicas of each.
    pub replicas: usize,
    /// Jobs of one role.
    pub jobs: usize,
    /// Partners of each of the three ways: polling, webhooks, export.
    pub partners: usize,
    /// Roles of agents; every second one has task scopes.
    pub agent_roles: usize,
    /// Agents of each.
    pub agents: usize,
}

impl Fleet {
    /// Enough for every attacker to have a victim of its own: some 120,000 calls on an average day.
    pub const SMALL: Self = Self {
        services: 4,
        replicas: 5,
        jobs: 3,
        partners: 2,
        agent_roles: 4,
        agents: 3,
    };
    /// For measuring what honest callers suffer: some 600,000 calls on an average day, about
    /// four deployments.
    pub const LARGE: Self = Self {
        services: 9,
        replicas: 10,
        jobs: 8,
        partners: 6,
        agent_roles: 4,
        agents: 10,
    };

    /// The roles, each with its number of members.
    pub(super) fn roles(
        &self,
        days: u64,
        catalogue: &Catalogue,
        random: &mut Random,
    ) -> Vec<(Role, usize)> {
        let mut roles = Vec::new();
        let mut add = |name: String, manner, scoped, members| {
            let role = Role::new(name, manner, scoped, days, catalogue, random);
            roles.push((role, members));
        };
        for n in 0..self.services {
            add(
                format!("service {n}"),
                Manner::Requests,
                false,
                self.replicas,
            );
        }
        add("job".to_owned(), Manner::Job, false, self.jobs);
        for n in 0..self.partners {
            add(format!("poller {n}"), Manner::Polling, false, 1);
            add(format!("sender {n}"), Manner::Webhooks, false, 1);
            add(format!("exporter {n}"), Manner::Export, false, 1);
        }
        for n in 0..self.agent_roles {
            let scoped = n % 2 == 0;
            add(format!("agent {n}"), Manner::Sessions, scoped, self.agents);
        }
        roles
    }
}
