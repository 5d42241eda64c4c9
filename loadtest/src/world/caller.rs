//! One process that makes calls: where it runs, which version it runs, what it does next.
//!
//! It keeps two connections to gateways and renews them now and then, repeats a call that failed, and starts
//! again elsewhere when its version is replaced or its machine is drained. Its work knows none of this.

use lanyard_drift::{Event, Millis, Outcome, TaskFit};

use super::calendar::{DAY, HOUR, MINUTE};
use super::catalogue::{Catalogue, Operation};
use super::random::Random;
use super::role::{Habits, Kind, Manner, Role, Task};
use super::weather::Weather;
use super::work::{Act, Export, Job, Planned, Polling, Requests, Scene, Sessions, Webhooks, Work};
use super::{Audience, Call};

/// Times that a call is made at most.
const ATTEMPTS: u8 = 4;
/// The first pause before a repetition; each further one is five times as long.
const BACKOFF: f64 = 200.0;
/// How long the members of a role take to be replaced, all together.
const ROLL_OUT: u64 = 3 * MINUTE;
/// How long a connection to a gateway lasts, on average.
const CONNECTION: f64 = HOUR as f64;
/// How long a process stays on one machine, on average.
const RESIDENCE: f64 = 3.0 * DAY as f64;
/// Share of reads whose object is gone.
const MISSING: f64 = 0.006;
/// Share of calls that are not allowed.
const DENIED: f64 = 0.000_3;

/// What a caller can look up.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) roles: &'a [Role],
    pub(super) weather: &'a Weather,
}

/// A process at work.
pub(super) struct Caller {
    role: usize,
    identity: usize,
    version: usize,
    /// How long after a release begins it reaches this process.
    turn: u64,
    network: u64,
    moves: Millis,
    audience: Audience,
    connections: [u8; 2],
    reconnects: Millis,
    session: u32,
    attempt: u8,
    planned: Planned,
    due: Millis,
    work: Box<dyn Work>,
    random: Random,
}

impl Caller {
    pub(super) fn new(
        identity: usize,
        role: usize,
        now: Millis,
        around: Around<'_>,
        mut random: Random,
    ) -> Option<Self> {
        let (manner, habits) = around
            .roles
            .get(role)
            .and_then(|role| Some((role.manner, role.habits(0)?)))?;
        let mut work: Box<dyn Work> = match manner {
            Manner::Requests => Box::new(Requests::new(&mut random)),
            Manner::Job => Box::new(Job::new(&mut random)),
            Manner::Polling => Box::<Polling>::default(),
            Manner::Webhooks => Box::<Webhooks>::default(),
            Manner::Export => Box::new(Export::new(&mut random)),
            Manner::Sessions => Box::<Sessions>::default(),
        };
        let scene = Scene {
            catalogue: around.catalogue,
            habits,
            rush: 1.0,
            now,
        };
        let planned = work.next(&scene, &mut random);
        let audience = Audience::of(manner.kind());
        Some(Self {
            role,
            identity,
            version: 0,
            turn: random.below(ROLL_OUT),
            network: random.pick(&habits.networks).copied().unwrap_or_default(),
            moves: now.plus(random.exponential(RESIDENCE) as u64),
            audience,
            connections: connections(audience, &mut random),
            reconnects: now.plus(random.exponential(CONNECTION) as u64),
            session: 0,
            attempt: 1,
            due: now.plus(planned.pause),
            planned,
            work,
            random,
        })
    }

    /// When it calls next.
    pub(super) const fn due(&self) -> Millis {
        self.due
    }

    /// Its network, the version it runs, and its current token's number.
    pub(super) const fn standing(&self) -> (u64, usize, u32) {
        (self.network, self.version, self.session)
    }

    /// What it works on, if it has tasks.
    pub(super) fn task(&self) -> Option<&Task> {
        self.work.task()
    }

    /// Makes the call that is due, and plans the next.
    pub(super) fn call(&mut self, around: Around<'_>) -> Option<Call> {
        let now = self.due;
        let role = around.roles.get(self.role)?;
        self.settle_in(role, now);
        let habits = role.habits(self.version)?;
        let act = self.planned.act;
        let operation = around.catalogue.get(act.operation)?;
        if self.planned.begins && self.attempt == 1 {
            self.session += 1;
        }
        let status = self.status(operation, around.weather, now);
        let call = Call {
            at: now,
            identity: self.identity,
            gateway: self.gateway(now),
            session: self.session,
            event: self.event(operation, act, habits, role),
            outcome: sizes(operation, act.size, status, &mut self.random),
        };
        self.plan(around, habits, status >= 500, now);
        Some(call)
    }

    /// A new version, or another machine: either way a new process with a token of its own.
    fn settle_in(&mut self, role: &Role, now: Millis) {
        let mut restarts = false;
        while role
            .releases
            .get(self.version + 1)
            .is_some_and(|next| next.at.plus(self.turn) <= now)
        {
            self.version += 1;
            restarts = true;
        }
        if now >= self.moves {
            self.moves = now.plus(self.random.exponential(RESIDENCE) as u64);
            restarts = true;
        }
        if restarts && let Some(habits) = role.habits(self.version) {
            self.session += 1;
            self.network = self
                .random
                .pick(&habits.networks)
                .copied()
                .unwrap_or_default();
        }
    }

    fn gateway(&mut self, now: Millis) -> u8 {
        if now >= self.reconnects {
            self.reconnects = now.plus(self.random.exponential(CONNECTION) as u64);
            self.connections = connections(self.audience, &mut self.random);
        }
        let [first, second] = self.connections;
        if self.random.chance(0.5) {
            first
        } else {
            second
        }
    }

    fn status(&mut self, operation: &Operation, weather: &Weather, now: Millis) -> u16 {
        if self.random.chance(weather.failing(operation.backend, now)) {
            return 503;
        }
        let random = &mut self.random;
        match operation.objects {
            Some(_) if random.chance(MISSING) => 404,
            _ if random.chance(DENIED) => 403,
            _ => 200,
        }
    }

    fn event(&self, operation: &Operation, act: Act, habits: &Habits, role: &Role) -> Event {
        Event {
            operation: operation.id,
            object: act.object,
            source: Some(self.exit(habits, role.manner)),
            client: Some(habits.client),
            destination: act.destination,
            task: role.scoped.then_some(TaskFit::Inside),
        }
    }

    /// The network that this call comes from. A partner of two networks has both at once and takes whichever is
    /// free, call by call; the millisecond stands for that, so that nothing is drawn.
    fn exit(&self, habits: &Habits, manner: Manner) -> u64 {
        let pooled = manner.kind() == Kind::Integration;
        let exits = habits.networks.len().max(1) as u64;
        let exit = (self.due.0 % exits) as usize;
        let pool = habits.networks.get(exit).filter(|_| pooled);
        pool.copied().unwrap_or(self.network)
    }

    fn plan(&mut self, around: Around<'_>, habits: &Habits, failed: bool, now: Millis) {
        if failed && self.attempt < ATTEMPTS {
            let backoff = BACKOFF * 5f64.powi(i32::from(self.attempt) - 1);
            self.attempt += 1;
            self.due = now.plus(self.random.between(0.5 * backoff, 1.5 * backoff) as u64);
            return;
        }
        self.attempt = 1;
        let scene = Scene {
            catalogue: around.catalogue,
            habits,
            rush: around.weather.rush(self.role, now),
            now,
        };
        self.planned = self.work.next(&scene, &mut self.random);
        self.due = now.plus(self.planned.pause);
    }
}

/// What a call comes back with.
pub(crate) fn sizes(
    operation: &Operation,
    times: f64,
    status: u16,
    random: &mut Random,
) -> Outcome {
    let response = if status < 300 {
        random.log_normal(operation.response * times, 0.6)
    } else {
        200.0
    };
    Outcome {
        status: Some(status),
        request_bytes: Some(random.log_normal(operation.request, 0.2) as u64),
        response_bytes: Some(response as u64),
    }
}

fn connections(audience: Audience, random: &mut Random) -> [u8; 2] {
    let gateways = audience.gateways();
    let count = gateways.end - gateways.start;
    let first = random.below(u64::from(count)) as u8;
    let step = 1 + random.below(u64::from(count) - 1) as u8;
    [first, (first + step) % count].map(|at| gateways.start + at)
}
