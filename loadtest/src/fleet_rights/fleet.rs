//! Identities with more rights than they need, and what they really need.
//!
//! Members of a role do the same work: core scopes every day, and in some roles something weekly, monthly, or now
//! and then. Beside that everybody is registered for what nobody ever needs, as happens when rights are copied from
//! whoever was there before. A few roles get a release in the last ten days that begins to use what was granted
//! all along. Nothing of this is told to whoever tightens.

use std::collections::BTreeMap;

use crate::world::random::Random;

/// Audiences of the fleet.
const AUDIENCES: u64 = 24;
/// Of those, the share where gateways tell what is used.
const WATCHED: f64 = 0.9;
/// Members of a role: one to so many.
const MEMBERS: u64 = 8;
/// Scopes that an audience knows.
const SCOPES: usize = 14;

/// What sort of identity, and with that on which days it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Every day, all day.
    Service,
    /// A job of its own that runs on one day of the week.
    WeeklyJob,
    /// A job of its own that runs on one day of the month.
    MonthlyJob,
    /// On working days, now and then.
    Agent,
    /// On working days.
    Partner,
}

impl Kind {
    /// As Lanyard names it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Service | Self::WeeklyJob | Self::MonthlyJob => "service",
            Self::Agent => "agent",
            Self::Partner => "integration",
        }
    }

    /// Tokens on a day on which it works, and calls.
    pub(super) const fn busy(self) -> (u64, u64) {
        match self {
            Self::Service => (288, 20_000),
            Self::WeeklyJob | Self::MonthlyJob => (4, 2_000),
            Self::Agent => (12, 600),
            Self::Partner => (40, 1_500),
        }
    }
}

/// How a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// For what the work at hand needs.
    ByName,
    /// For everything, naming nothing.
    ForEverything,
    /// By name, for all that it is registered for.
    TooMuch,
}

/// How often a scope is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// On every day of work.
    Core,
    /// On this day of the week.
    Weekly(u32),
    /// On this day of the month.
    Monthly(u32),
    /// On a day now and then.
    Rarely,
    /// From this day on.
    From(u32),
    /// Never.
    Never,
}

impl Need {
    /// For the table.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Core => "daily",
            Self::Weekly(_) => "weekly",
            Self::Monthly(_) => "monthly",
            Self::Rarely => "now and then",
            Self::From(_) => "new release",
            Self::Never => "never needed",
        }
    }
}

/// One identity.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) tag: String,
    pub(super) asks: Asks,
    /// Where it works; it may be registered for one more audience, where it never comes.
    pub(super) audience: u64,
    pub(super) other_audience: Option<u64>,
    pub(super) scopes: BTreeMap<String, Need>,
    /// For a job: the day of the week or of the month.
    pub(super) runs: u32,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) members: Vec<Member>,
    watched: Vec<bool>,
}

impl Fleet {
    /// Of so many identities. `releases` is the share of roles that begin to use something in the last ten days.
    pub(super) fn drawn(identities: usize, releases: f64, random: &mut Random) -> Self {
        let watched = (0..AUDIENCES).map(|_| random.chance(WATCHED)).collect();
        let (mut members, mut role) = (Vec::with_capacity(identities), 0);
        while members.len() < identities {
            let kind = *random
                .weighted(&[
                    (0.68, Kind::Service),
                    (0.05, Kind::WeeklyJob),
                    (0.02, Kind::MonthlyJob),
                    (0.13, Kind::Agent),
                    (0.12, Kind::Partner),
                ])
                .unwrap_or(&Kind::Service);
            let asks = *random
                .weighted(&[
                    (0.60, Asks::ByName),
                    (0.35, Asks::ForEverything),
                    (0.05, Asks::TooMuch),
                ])
                .unwrap_or(&Asks::ByName);
            let (audience, needs) = (random.below(AUDIENCES), needs(kind, releases, random));
            let size = match kind {
                Kind::WeeklyJob | Kind::MonthlyJob => 1,
                _ => 1 + random.below(MEMBERS),
            };
            for member in 0..size {
                if members.len() < identities {
                    members.push(Member {
                        name: format!("r{role}-{member}"),
                        kind,
                        tag: format!("role-{role}"),
                        asks,
                        audience,
                        other_audience: random.chance(0.3).then(|| random.below(AUDIENCES)),
                        scopes: granted(&needs, random),
                        runs: 1 + random.below(28) as u32,
                    });
                }
            }
            role += 1;
        }
        Self { members, watched }
    }

    /// Whether gateways tell what is used there.
    pub(super) fn is_watched(&self, audience: u64) -> bool {
        let watched = self.watched.get(audience as usize);
        watched.copied().unwrap_or(false)
    }
}

/// What an audience is called.
pub(super) fn audience(number: u64) -> String {
    format!("https://a{number}.example")
}

/// What a role needs, by scope number.
fn needs(kind: Kind, releases: f64, random: &mut Random) -> Vec<(usize, Need)> {
    let numbers: Vec<usize> = (0..SCOPES).collect();
    let mut order = random.draw(&numbers, SCOPES).into_iter();
    let core = 1 + random.below(4) as usize;
    let mut needs: Vec<_> = order
        .by_ref()
        .take(core)
        .map(|scope| (scope, Need::Core))
        .collect();
    let works_daily = !matches!(kind, Kind::WeeklyJob | Kind::MonthlyJob);
    let mut sometimes = Vec::new();
    if works_daily && random.chance(0.20) {
        sometimes.push(Need::Weekly(random.below(7) as u32));
    }
    if works_daily && random.chance(0.10) {
        sometimes.push(Need::Monthly(1 + random.below(28) as u32));
    }
    if works_daily && random.chance(0.10) {
        sometimes.push(Need::Rarely);
    }
    if works_daily && random.chance(releases) {
        sometimes.push(Need::From(20 + random.below(10) as u32));
    }
    needs.extend(order.zip(sometimes));
    needs
}

/// What a member is registered for: what its role needs, and what was copied along.
fn granted(needs: &[(usize, Need)], random: &mut Random) -> BTreeMap<String, Need> {
    let name = |scope: usize| format!("s{scope}:use");
    let mut scopes: BTreeMap<String, Need> = needs
        .iter()
        .map(|(scope, need)| (name(*scope), *need))
        .collect();
    let numbers: Vec<usize> = (0..SCOPES).collect();
    let copied = 2 + random.below(6) as usize;
    for scope in random.draw(&numbers, copied) {
        scopes.entry(name(scope)).or_insert(Need::Never);
    }
    scopes
}
