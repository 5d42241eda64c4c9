//! A simulated world: who works with which credential, when, on what, from where.
//!
//! Public data says little about rates, bytes, networks, hours and deployments. A world has them: replicas of
//! roles that follow people's days and weeks, hourly jobs that walk through tables, partners that poll, send
//! bursts and copy the month at its end, agents with sessions and tasks. Backends fail and callers repeat
//! themselves, roles are rushed, releases change all members of a role at once, machines are drained.
//!
//! **What it is not.** It knows nothing of tokens, gateways' verdicts or the engine, and nothing here was chosen
//! by what the engine makes of it: worlds and attackers were written down before the first run. People are
//! less regular than this; what fails here fails outside, what holds here may not.
//!
//! **Seeds.** Everything follows from a seed, on every machine. Seeds below [`FIRST_REPORTED_SEED`] may be
//! looked at while thresholds are chosen; figures that are reported come from that seed on.

pub mod calendar;
mod caller;
pub mod catalogue;
mod fleet;
pub mod random;
pub mod role;
mod weather;
mod work;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use lanyard_drift::{Event, Millis, Outcome};

pub(crate) use caller::sizes;
use caller::{Around, Caller};
use catalogue::Catalogue;
pub use fleet::Fleet;
use random::Random;
use role::{Habits, Kind, Role, Task};
use weather::Weather;
pub(crate) use work::REQUESTS_PER_SECOND;

/// Gateways of a world, of all audiences.
pub const GATEWAYS: u8 = 6;
/// Reported figures come from this seed on; smaller ones are for choosing.
pub const FIRST_REPORTED_SEED: u64 = 1_000;

/// Streams of chance that are not a caller's.
const CATALOGUE_STREAM: u64 = 0;
const WEATHER_STREAM: u64 = 1;
const ROLES_STREAM: u64 = 2;
/// The first caller's; far from the others.
const CALLERS_STREAM: u64 = 1_000_000;

/// What tokens are for, and which gateways serve it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Services and partners call it, through four gateways.
    Shop,
    /// Agents call it, through two.
    Tools,
}

impl Audience {
    /// What a kind of identity calls.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Service | Kind::Integration => Self::Shop,
            Kind::Agent => Self::Tools,
        }
    }

    /// The gateways that serve it.
    #[must_use]
    pub const fn gateways(self) -> std::ops::Range<u8> {
        match self {
            Self::Shop => 0..4,
            Self::Tools => 4..GATEWAYS,
        }
    }
}

/// Who works, with which role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Which role.
    pub role: usize,
    /// Which kind.
    pub kind: Kind,
}

/// One call by an honest caller. The token is whoever's business who simulates minting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// When.
    pub at: Millis,
    /// Whose.
    pub identity: usize,
    /// Through which gateway.
    pub gateway: u8,
    /// Rises when the caller begins something that needs a token of its own.
    pub session: u32,
    /// What the gateway sees before.
    pub event: Event,
    /// What the gateway sees after.
    pub outcome: Outcome,
}

/// A world, from its first call to its last.
pub struct World {
    catalogue: Catalogue,
    roles: Vec<Role>,
    weather: Weather,
    identities: Vec<Identity>,
    callers: Vec<Caller>,
    due: BinaryHeap<Reverse<(Millis, usize)>>,
    end: Millis,
}

impl World {
    /// The world of a seed, with so many of each, for so many days.
    #[must_use]
    pub fn new(seed: u64, fleet: &Fleet, days: u64) -> Self {
        let catalogue = Catalogue::new(&mut Random::seeded(seed, CATALOGUE_STREAM));
        let mut random = Random::seeded(seed, ROLES_STREAM);
        let roles = fleet.roles(days, &catalogue, &mut random);
        let (roles, members): (Vec<Role>, Vec<usize>) = roles.into_iter().unzip();
        let mut random = Random::seeded(seed, WEATHER_STREAM);
        let weather = Weather::new(days, catalogue.backends(), roles.len(), &mut random);
        let mut world = Self {
            catalogue,
            roles,
            weather,
            identities: Vec::new(),
            callers: Vec::new(),
            due: BinaryHeap::new(),
            end: calendar::midnight(days),
        };
        for (role, count) in members.into_iter().enumerate() {
            for _ in 0..count {
                world.hire(role, seed);
            }
        }
        world
    }

    /// The next call, in order of time; `None` when the world is over.
    pub fn next_call(&mut self) -> Option<Call> {
        let mut next = self.due.peek_mut()?;
        let Reverse((at, index)) = *next;
        if at >= self.end {
            return None;
        }
        let around = Around {
            catalogue: &self.catalogue,
            roles: &self.roles,
            weather: &self.weather,
        };
        let caller = self.callers.get_mut(index)?;
        let call = caller.call(around);
        *next = Reverse((caller.due(), index));
        call
    }

    /// When the next call comes; `None` when the world is over.
    #[must_use]
    pub fn due(&self) -> Option<Millis> {
        let Reverse((at, _)) = self.due.peek()?;
        (*at < self.end).then_some(*at)
    }

    /// Everybody who works, by number.
    #[must_use]
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// The roles, by number.
    #[must_use]
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// What can be called.
    #[must_use]
    pub const fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What an identity does at the moment.
    #[must_use]
    pub fn habits(&self, identity: usize) -> Option<&Habits> {
        let (_, version, _) = self.callers.get(identity)?.standing();
        let role = self.identities.get(identity)?.role;
        self.roles.get(role)?.habits(version)
    }

    /// The network an identity runs in at the moment.
    #[must_use]
    pub fn network(&self, identity: usize) -> Option<u64> {
        let (network, _, _) = self.callers.get(identity)?.standing();
        Some(network)
    }

    /// The task an agent works on at the moment.
    #[must_use]
    pub fn task(&self, identity: usize) -> Option<&Task> {
        self.callers.get(identity)?.task()
    }

    /// Releases that were rolled out up to now.
    #[must_use]
    pub fn deployments(&self) -> usize {
        let now = self.due().unwrap_or(self.end);
        self.roles
            .iter()
            .map(|role| role.deployments_until(now))
            .sum()
    }

    fn hire(&mut self, role: usize, seed: u64) {
        let identity = self.identities.len();
        let Some(manner) = self.roles.get(role).map(|role| role.manner) else {
            return;
        };
        let random = Random::seeded(seed, CALLERS_STREAM + identity as u64);
        let around = Around {
            catalogue: &self.catalogue,
            roles: &self.roles,
            weather: &self.weather,
        };
        if let Some(caller) = Caller::new(identity, role, calendar::BEGIN, around, random) {
            self.due.push(Reverse((caller.due(), identity)));
            self.callers.push(caller);
            self.identities.push(Identity {
                role,
                kind: manner.kind(),
            });
        }
    }
}

#[cfg(test)]
mod tests;
