//! What the members of a role do, and how that changes with each release.
//!
//! Replicas of a role run one program, so they share its flows of operations, its client library and the
//! networks its platform puts it in. A release changes all of them at once: a new flow with an operation
//! nobody used before, another client, other networks for those that are moved.

use lanyard_drift::{Millis, stable_hash};

use super::calendar::{BEGIN, DAY, HOUR};
use super::catalogue::{Catalogue, OperationIndex, destination};
use super::random::Random;

/// The kinds of identities, as an operator would register them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Replicas and jobs of one's own.
    Service,
    /// Somebody else's system.
    Integration,
    /// A program that decides by itself what to call.
    Agent,
}

/// How the work of a role comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Requests of people, by day and week.
    Requests,
    /// A batch every hour, walking through a resource in order.
    Job,
    /// A question for news every minute, and what is new.
    Polling,
    /// Bursts of deliveries to many receivers.
    Webhooks,
    /// A copy of the day at night, and of the month at its end.
    Export,
    /// Sessions with a task.
    Sessions,
}

impl Manner {
    /// The kind of identity that works like this.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Requests | Self::Job => Kind::Service,
            Self::Polling | Self::Webhooks | Self::Export => Kind::Integration,
            Self::Sessions => Kind::Agent,
        }
    }
}

/// A role: what its members have in common.
#[derive(Clone, Debug)]
pub struct Role {
    /// For people.
    pub name: String,
    /// How its work comes about.
    pub manner: Manner,
    /// Whether its tokens carry a task scope.
    pub scoped: bool,
    /// Each release with the habits that begin with it; the first one is there from the beginning.
    pub releases: Vec<Release>,
}

/// One version of a role's program.
#[derive(Clone, Debug)]
pub struct Release {
    /// When its roll-out begins.
    pub at: Millis,
    /// What it does.
    pub habits: Habits,
}

/// What one version of a program does.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Sequences of operations with how often each comes.
    pub flows: Vec<(f64, Vec<OperationIndex>)>,
    /// What sessions are about; empty for whoever is no agent.
    pub tasks: Vec<(f64, Task)>,
    /// Where its calls send data; empty for most.
    pub destinations: Vec<u64>,
    /// Networks its members may run in.
    pub networks: Vec<u64>,
    /// Its client library.
    pub client: u64,
}

/// A task of an agent: what it needs and where it may reach.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Its tools.
    pub operations: Vec<OperationIndex>,
    /// Its destinations.
    pub destinations: Vec<u64>,
}

/// Mean days between releases, by how the role works: partners change seldom.
const fn days_between_releases(manner: Manner) -> f64 {
    match manner {
        Manner::Requests | Manner::Sessions => 2.5,
        Manner::Job => 5.0,
        Manner::Polling | Manner::Webhooks | Manner::Export => 12.0,
    }
}

impl Role {
    /// A role with its releases over so many days.
    #[must_use]
    pub fn new(
        name: String,
        manner: Manner,
        scoped: bool,
        days: u64,
        catalogue: &Catalogue,
        random: &mut Random,
    ) -> Self {
        let mut habits = Habits::new(&name, manner, catalogue, random);
        let mut releases = vec![Release {
            at: BEGIN,
            habits: habits.clone(),
        }];
        let mean = days_between_releases(manner) * DAY as f64;
        let mut at = random.exponential(mean);
        while at < (days * DAY) as f64 {
            habits = habits.next(&name, releases.len(), manner, catalogue, random);
            releases.push(Release {
                at: BEGIN.plus(at as u64),
                habits: habits.clone(),
            });
            // Nobody ships the next version before the last one is out.
            at += HOUR as f64 + random.exponential(mean);
        }
        Self {
            name,
            manner,
            scoped,
            releases,
        }
    }

    /// The habits of a version, of the first for a number that is none.
    #[must_use]
    pub fn habits(&self, version: usize) -> Option<&Habits> {
        let release = self.releases.get(version).or(self.releases.first());
        release.map(|release| &release.habits)
    }

    /// Releases after the first one whose roll-out began before this moment.
    #[must_use]
    pub fn deployments_until(&self, now: Millis) -> usize {
        let later = self.releases.iter().skip(1);
        later.filter(|release| release.at < now).count()
    }
}

impl Habits {
    fn new(name: &str, manner: Manner, catalogue: &Catalogue, random: &mut Random) -> Self {
        let mut habits = Self {
            flows: Vec::new(),
            tasks: Vec::new(),
            destinations: Vec::new(),
            networks: networks(manner, random),
            client: client(name, 0),
        };
        match manner {
            Manner::Requests => {
                let resources: Vec<usize> = (0..catalogue.resources.len()).collect();
                let own = random.draw(&resources, 3);
                for _ in 0..8 {
                    habits.flows.push(flow(&own, catalogue, random));
                }
            }
            Manner::Sessions => sessions(name, &mut habits, catalogue, random),
            Manner::Webhooks => {
                // One operation: everything else about a delivery is where it goes.
                habits
                    .flows
                    .push((1.0, one_resource(catalogue, random, &[3])));
                habits.destinations = (0..40)
                    .map(|n| destination(&format!("{name} receiver {n}")))
                    .collect();
            }
            Manner::Job => habits
                .flows
                .push((1.0, one_resource(catalogue, random, &[0, 1, 3]))),
            Manner::Polling => habits
                .flows
                .push((1.0, one_resource(catalogue, random, &[0, 1]))),
            Manner::Export => habits
                .flows
                .push((1.0, one_resource(catalogue, random, &[0, 1, 2]))),
        }
        habits
    }

    /// The habits of the next version.
    fn next(
        &self,
        name: &str,
        version: usize,
        manner: Manner,
        catalogue: &Catalogue,
        random: &mut Random,
    ) -> Self {
        let mut next = self.clone();
        next.client = client(name, version);
        // A new pool of machines now and then.
        if random.chance(0.4) {
            next.networks.push(random.bits());
            if next.networks.len() > 6 {
                next.networks.remove(0);
            }
        }
        match manner {
            Manner::Requests => {
                let any: Vec<usize> = (0..catalogue.resources.len()).collect();
                let resource = random.draw(&any, 1);
                let (weight, mut new) = flow(&resource, catalogue, random);
                // One or two more operations in what exists already, by chance a third.
                new.truncate(1 + random.below(3) as usize);
                next.flows.push((weight, new));
                if next.flows.len() > 12 {
                    next.flows.remove(0);
                }
            }
            Manner::Sessions => {
                let tools: Vec<OperationIndex> = catalogue.tools().collect();
                if let (Some((_, task)), Some(tool)) = (next.tasks.first_mut(), random.pick(&tools))
                    && !task.operations.contains(tool)
                {
                    task.operations.push(*tool);
                }
                next.tasks.rotate_left(1);
            }
            Manner::Webhooks => {
                let receiver = destination(&format!("{name} receiver of {version}"));
                next.destinations.push(receiver);
            }
            Manner::Job | Manner::Polling | Manner::Export => {}
        }
        next
    }

    /// Every operation that occurs in a flow or a task.
    #[must_use]
    pub fn operations(&self) -> Vec<OperationIndex> {
        let flows = self.flows.iter().flat_map(|(_, flow)| flow);
        let tasks = self.tasks.iter().flat_map(|(_, task)| &task.operations);
        let mut all: Vec<_> = flows.chain(tasks).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

fn client(name: &str, version: usize) -> u64 {
    stable_hash(format!("{name}/{version}").as_bytes())
}

/// A platform has a few networks, a partner one or two.
fn networks(manner: Manner, random: &mut Random) -> Vec<u64> {
    let count = match manner.kind() {
        Kind::Service => 4,
        Kind::Agent => 3,
        Kind::Integration => 1 + random.below(2),
    };
    (0..count).map(|_| random.bits()).collect()
}

/// A flow over some of these resources: a read first, seldom a deletion.
fn flow(
    resources: &[usize],
    catalogue: &Catalogue,
    random: &mut Random,
) -> (f64, Vec<OperationIndex>) {
    // List, read, history, create, change, delete.
    let verbs = [(3.0, 0), (6.0, 1), (1.5, 2), (1.5, 3), (2.0, 4), (0.2, 5)];
    let length = 1 + random.below(5) as usize;
    let mut operations = Vec::with_capacity(length);
    for step in 0..length {
        let resource = random.pick(resources).copied().unwrap_or_default();
        let verb = random.weighted(&verbs).copied().unwrap_or_default();
        let verb = if step == 0 { verb.min(1) } else { verb };
        operations.push(catalogue.of_resource(resource).start + verb);
    }
    (random.log_normal(1.0, 0.8), operations)
}

/// These operations of one resource.
fn one_resource(
    catalogue: &Catalogue,
    random: &mut Random,
    verbs: &[usize],
) -> Vec<OperationIndex> {
    let resource = random.below(catalogue.resources.len() as u64) as usize;
    let first = catalogue.of_resource(resource).start;
    verbs.iter().map(|verb| first + verb).collect()
}

/// Five tasks, each with its tools and destinations.
fn sessions(name: &str, habits: &mut Habits, catalogue: &Catalogue, random: &mut Random) {
    let tools: Vec<OperationIndex> = catalogue.tools().collect();
    let own = random.draw(&tools, 14);
    habits.destinations = (0..10)
        .map(|n| destination(&format!("{name} destination {n}")))
        .collect();
    for _ in 0..5 {
        let tools = 3 + random.below(4) as usize;
        let reach = 1 + random.below(4) as usize;
        let task = Task {
            operations: random.draw(&own, tools),
            destinations: random.draw(&habits.destinations, reach),
        };
        habits.tasks.push((random.log_normal(1.0, 0.7), task));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(manner: Manner) -> Role {
        let mut random = Random::seeded(5, 0);
        let catalogue = Catalogue::new(&mut random);
        Role::new("web".to_owned(), manner, false, 20, &catalogue, &mut random)
    }

    #[test]
    fn a_release_brings_another_client_and_now_and_then_new_operations() {
        let role = role(Manner::Requests);
        let deployments = role.deployments_until(BEGIN.plus(20 * DAY));
        assert!((3..20).contains(&deployments), "{deployments}");
        let mut new = 0;
        for pair in role.releases.windows(2) {
            let (old, next) = (&pair[0].habits, &pair[1].habits);
            assert_ne!(old.client, next.client);
            assert!(pair[0].at < pair[1].at);
            let known = old.operations();
            new += next
                .operations()
                .iter()
                .filter(|o| !known.contains(o))
                .count();
        }
        assert!(new > 0);
    }

    #[test]
    fn agents_have_tasks_with_tools_and_destinations() {
        let role = role(Manner::Sessions);
        let habits = role.habits(0).unwrap();
        assert_eq!(habits.tasks.len(), 5);
        assert!(
            habits
                .tasks
                .iter()
                .all(|(_, task)| { task.operations.len() >= 3 && !task.destinations.is_empty() })
        );
    }
}
