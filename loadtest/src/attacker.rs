//! Attackers in a simulated world: what each got hold of, whom it hurts, and how it goes about it.
//!
//! One file per way to attack. An attacker sees what it would see: the program it imitates, the network it sits
//! in, the token it copied. None of them knows of the engine's thresholds, and none was changed because of what
//! the engine makes of it. Who is attacked, when and how fast follows from the seed.
//!
//! | class | has | looks like the owner in |
//! | --- | --- | --- |
//! | enumeration, fast or one id in 30 s | the key, inside the owner's workload | network, client |
//! | slow exfiltration, as much again or half as much | the key, inside the owner's workload | everything but the amount |
//! | scraping | the key of a partner, at the partner's | network, client |
//! | theft | one copied token | nothing |
//! | replay beside the owner | one copied token | network, half of the time the client |
//! | probing | the key, inside the owner's workload | network, client |
//! | hijacked agent | the agent's own session | network, client, most calls |
//! | poisoning | the key, inside the owner's workload | network, client, and more and more of the habits |
//! | framing by junk, by a copied token | nothing; one copied token | it wants to be noticed |
//! | forging | the signing key | nothing |
//! | lying gateway | a gateway | there is no call at all |

mod cast;
mod enumerate;
mod exfiltrate;
mod forge;
mod frame;
mod hijack;
mod lie;
mod poison;
mod probe;
mod replay;
mod scrape;
mod theft;

use lanyard_drift::{Event, Millis, Object, Outcome, TaskFit};
use serde::Serialize;

pub use cast::cast;

use crate::world::catalogue::{Catalogue, Operation, OperationIndex};
use crate::world::random::Random;
use crate::world::role::{Habits, Task};
use crate::world::{Audience, World, sizes};

/// The ways to attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Object after object, twice a second.
    EnumerateFast,
    /// Object after object, one in thirty seconds.
    EnumerateSlow,
    /// The same, in no order.
    EnumerateShuffled,
    /// As much again as the owner reads, for days.
    Exfiltrate,
    /// All there is, in breadth, for half an hour.
    Scrape,
    /// A copied token, used from elsewhere.
    Theft,
    /// A copied token, used beside its owner.
    Replay,
    /// What else would it let me do?
    Probe,
    /// A talked-into agent whose token has a task scope.
    HijackScoped,
    /// One whose token has none.
    HijackUnscoped,
    /// A slow change of habits, then a take-over.
    Poison,
    /// Tokens that never verify, in a victim's name.
    FrameJunk,
    /// A copied token, used to make its owner look bad.
    FrameToken,
    /// Tokens that the log never issued.
    Forge,
    /// False reports about a credential that the gateway serves.
    LieServed,
    /// The same about one that it does not serve.
    LieUnserved,
    /// Half as much again as the owner reads, for days.
    ExfiltrateHalf,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::EnumerateFast,
        Self::EnumerateSlow,
        Self::EnumerateShuffled,
        Self::Exfiltrate,
        Self::Scrape,
        Self::Theft,
        Self::Replay,
        Self::Probe,
        Self::HijackScoped,
        Self::HijackUnscoped,
        Self::Poison,
        Self::FrameJunk,
        Self::FrameToken,
        Self::Forge,
        Self::LieServed,
        Self::LieUnserved,
        Self::ExfiltrateHalf,
    ];

    /// Whether the attacker wants the victim to be punished, and success is that it is not.
    #[must_use]
    pub const fn is_framing(self) -> bool {
        matches!(
            self,
            Self::FrameJunk | Self::FrameToken | Self::LieServed | Self::LieUnserved
        )
    }

    /// Whether it lives from one copied token.
    #[must_use]
    pub const fn is_bearer(self) -> bool {
        matches!(self.loot(), Loot::Token)
    }

    /// What it got hold of.
    #[must_use]
    pub const fn loot(self) -> Loot {
        match self {
            Self::EnumerateFast
            | Self::EnumerateSlow
            | Self::EnumerateShuffled
            | Self::Exfiltrate
            | Self::ExfiltrateHalf
            | Self::Scrape
            | Self::Probe
            | Self::Poison => Loot::Key,
            Self::Theft | Self::Replay | Self::FrameToken => Loot::Token,
            Self::HijackScoped | Self::HijackUnscoped => Loot::Session,
            Self::FrameJunk => Loot::Nothing,
            Self::Forge => Loot::SigningKey,
            Self::LieServed | Self::LieUnserved => Loot::Gateway,
        }
    }
}

/// What an attacker got hold of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loot {
    /// One token of the victim, copied just after it was minted. When it dies, that was all.
    Token,
    /// The victim's credential: it mints tokens of its own until that is ended.
    Key,
    /// The victim itself does it, with its own token.
    Session,
    /// The key that tokens are signed with: it makes what the log never issued.
    SigningKey,
    /// A gateway, which tells of calls that nobody made.
    Gateway,
    /// Nothing: what it presents never verifies.
    Nothing,
}

/// One attack on one victim.
pub struct Attack {
    /// Which way.
    pub class: Class,
    /// Whom.
    pub victim: usize,
    /// Not before this moment.
    pub begins: Millis,
    plan: Box<dyn Plan>,
    random: Random,
}

/// One call of an attacker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strike {
    /// When.
    pub at: Millis,
    /// Through which gateway; for a lying one: who lies.
    pub gateway: u8,
    /// What the gateway sees before, or says that it saw.
    pub event: Event,
    /// What it sees after.
    pub outcome: Outcome,
    /// Whether an object that is not the attacker's is gone if this is let through.
    pub takes: bool,
    /// Whether it needs a new token of its own.
    pub renews: bool,
}

impl Strike {
    /// Whether the token's own task forbids it.
    #[must_use]
    pub fn is_outside_task(&self) -> bool {
        self.event.task.is_some_and(|fit| fit != TaskFit::Inside)
    }
}

impl Attack {
    /// The next strike after `now`; `None` when the attacker has what it came for.
    pub fn strike(&mut self, world: &World, now: Millis) -> Option<Strike> {
        let identity = world.identities().get(self.victim)?;
        let view = View {
            catalogue: world.catalogue(),
            habits: world.habits(self.victim)?,
            network: world.network(self.victim)?,
            task: world.task(self.victim),
            scoped: world.roles().get(identity.role)?.scoped,
            now,
        };
        let random = &mut self.random;
        let blow = self.plan.next(&view, random)?;
        let operation = view.catalogue.get(blow.operation)?;
        let audience = match self.class {
            Class::LieUnserved => Audience::Shop,
            _ => Audience::of(identity.kind),
        };
        let gateways: Vec<u8> = audience.gateways().collect();
        let gateway = match self.class.loot() {
            Loot::Gateway => gateways.first(),
            _ => random.pick(&gateways),
        };
        Some(Strike {
            at: now.plus(blow.pause.max(1)),
            gateway: gateway.copied().unwrap_or_default(),
            event: blow.event(operation, &view),
            outcome: sizes(operation, 1.0, blow.status, random),
            takes: blow.takes && blow.status < 300,
            renews: blow.renews,
        })
    }
}

/// A way to attack.
trait Plan: Send {
    /// What comes next; `None` when it is over.
    fn next(&mut self, view: &View<'_>, random: &mut Random) -> Option<Blow>;
}

/// What an attacker sees of its victim.
struct View<'a> {
    catalogue: &'a Catalogue,
    habits: &'a Habits,
    network: u64,
    task: Option<&'a Task>,
    scoped: bool,
    now: Millis,
}

/// What an attacker decides.
#[derive(Clone, Copy, Debug)]
struct Blow {
    pause: u64,
    operation: OperationIndex,
    object: Option<Object>,
    destination: Option<u64>,
    network: u64,
    client: u64,
    status: u16,
    takes: bool,
    renews: bool,
}

impl View<'_> {
    /// A call as the victim's program would make it, from where the victim runs.
    fn beside(&self, operation: OperationIndex, pause: u64) -> Blow {
        Blow {
            pause,
            operation,
            object: None,
            destination: None,
            network: self.network,
            client: self.habits.client,
            status: 200,
            takes: false,
            renews: false,
        }
    }

    /// The same from somewhere else.
    fn elsewhere(&self, operation: OperationIndex, pause: u64, origin: (u64, u64)) -> Blow {
        Blow {
            network: origin.0,
            client: origin.1,
            ..self.beside(operation, pause)
        }
    }

    /// The victim's operations that read an object, or those of the first resource if it has none.
    fn object_reads(&self) -> Vec<OperationIndex> {
        let reads = |index: &OperationIndex| {
            let operation = self.catalogue.get(*index);
            operation.is_some_and(|known| known.reads && known.objects.is_some())
        };
        let own: Vec<_> = self.habits.operations().into_iter().filter(reads).collect();
        if own.is_empty() {
            self.catalogue.of_resource(0).filter(reads).collect()
        } else {
            own
        }
    }

    /// The operations of the victim's audience that it does not use itself.
    fn strange(&self) -> Vec<OperationIndex> {
        let own = self.habits.operations();
        let tools = self.catalogue.tools();
        let audience = if own.iter().any(|index| tools.contains(index)) {
            tools
        } else {
            0..tools.start
        };
        audience.filter(|index| !own.contains(index)).collect()
    }

    /// Any object of what this operation names.
    fn any_object(&self, operation: OperationIndex, random: &mut Random) -> Option<Object> {
        let resource = self.catalogue.get(operation)?.objects?;
        let newest = self.catalogue.resources.get(resource)?.newest(self.now);
        let number = random.below(newest);
        Some(crate::world::catalogue::numbered(resource, number))
    }
}

impl Blow {
    fn event(&self, operation: &Operation, view: &View<'_>) -> Event {
        Event {
            operation: operation.id,
            object: self.object,
            source: Some(self.network),
            client: Some(self.client),
            destination: self.destination,
            task: view.scoped.then(|| self.fit(view.task)),
        }
    }

    fn fit(&self, task: Option<&Task>) -> TaskFit {
        let Some(task) = task else {
            return TaskFit::OutsideOperation;
        };
        let strange = |to: u64| !task.destinations.contains(&to);
        if !task.operations.contains(&self.operation) {
            TaskFit::OutsideOperation
        } else if self.destination.is_some_and(strange) {
            TaskFit::OutsideDestination
        } else {
            TaskFit::Inside
        }
    }
}

#[cfg(test)]
mod tests;
