//! What can be called: operations on resources, tools of agents, and how big answers are.
//!
//! A resource holds objects. Some are popular (Zipf), some are recent; new ones are created all the time,
//! with rising numbers, as in a table with a serial key. So honest reads do find neighbours by chance.

use lanyard_drift::{Millis, Object, OperationId, stable_hash};

use super::calendar::{BEGIN, DAY};
use super::random::{Random, spread};

/// Resources of the shop: each has six operations.
const RESOURCES: [&str; 10] = [
    "orders",
    "customers",
    "invoices",
    "products",
    "stock",
    "payments",
    "shipments",
    "returns",
    "tickets",
    "reports",
];
/// Tools that agents call; those that end in `!` name a destination.
const TOOLS: [&str; 24] = [
    "search_mail",
    "read_mail",
    "send_mail!",
    "list_files",
    "read_file",
    "write_file",
    "share_file!",
    "search_web!",
    "read_page!",
    "post_message!",
    "read_channel",
    "list_channels",
    "read_calendar",
    "create_event",
    "invite!",
    "read_ticket",
    "update_ticket",
    "run_query",
    "read_schema",
    "http_get!",
    "http_post!",
    "read_contact",
    "update_contact",
    "transfer!",
];
/// Share of reads that are for something new.
const RECENT: f64 = 0.3;
/// How far behind the newest object such a read is, on average.
const RECENT_DEPTH: f64 = 300.0;

/// Where an operation stands in the catalogue.
pub type OperationIndex = usize;

/// Something that can be called.
#[derive(Clone, Debug)]
pub struct Operation {
    /// As the engine knows it.
    pub id: OperationId,
    /// As people know it.
    pub name: String,
    /// Which resource's objects it names, if it names one.
    pub objects: Option<usize>,
    /// Whether it names a destination.
    pub has_destination: bool,
    /// What breaks down together: a resource, or the tools.
    pub backend: usize,
    /// Whether it only reads, one object or a list.
    pub reads: bool,
    /// Median of the response, in bytes.
    pub response: f64,
    /// Median of the request, in bytes.
    pub request: f64,
}

/// A kind of object.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Objects when the world begins.
    pub population: u64,
    /// New ones per day.
    pub growth: u64,
    /// Scatters popularity over numbers.
    salt: u64,
}

/// Everything that can be called in a world.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// Operations of the shop first, six per resource, then tools.
    pub operations: Vec<Operation>,
    /// Resources of the shop.
    pub resources: Vec<Resource>,
}

impl Catalogue {
    /// The catalogue of one world.
    #[must_use]
    pub fn new(random: &mut Random) -> Self {
        let mut operations = Vec::new();
        let mut resources = Vec::new();
        for (backend, resource) in RESOURCES.iter().enumerate() {
            resources.push(Resource {
                population: random.log_normal(20_000.0, 0.8) as u64 + 1_000,
                growth: random.log_normal(500.0, 0.8) as u64 + 10,
                salt: random.bits(),
            });
            operations.extend(verbs(resource, backend, random));
        }
        let tools = RESOURCES.len();
        for tool in TOOLS {
            let name = tool.trim_end_matches('!');
            let writes = [
                "send", "write", "share", "post", "create", "update", "transfer", "invite",
            ];
            operations.push(Operation {
                id: OperationId::of(&format!("tool {name}")),
                name: format!("tool {name}"),
                objects: None,
                has_destination: tool.ends_with('!'),
                backend: tools,
                reads: !writes.iter().any(|verb| name.starts_with(verb)),
                response: random.log_normal(3_000.0, 0.7),
                request: random.log_normal(400.0, 0.4),
            });
        }
        Self {
            operations,
            resources,
        }
    }

    /// How many things can break down: resources, and the tools.
    #[must_use]
    pub fn backends(&self) -> usize {
        self.resources.len() + 1
    }

    /// The operation at this place.
    #[must_use]
    pub fn get(&self, index: OperationIndex) -> Option<&Operation> {
        self.operations.get(index)
    }

    /// The operations of a resource: list, read, history, create, change, delete.
    #[must_use]
    pub fn of_resource(&self, resource: usize) -> std::ops::Range<OperationIndex> {
        let first = resource * VERBS;
        first..(first + VERBS)
    }

    /// The tools.
    #[must_use]
    pub fn tools(&self) -> std::ops::Range<OperationIndex> {
        self.resources.len() * VERBS..self.operations.len()
    }

    /// An object that somebody honest asks for: popular, or recent.
    #[must_use]
    pub fn usual_object(&self, resource: usize, now: Millis, random: &mut Random) -> Object {
        let Some(held) = self.resources.get(resource) else {
            return numbered(resource, 0);
        };
        let number = if random.chance(RECENT) {
            let back = random.exponential(RECENT_DEPTH) as u64;
            held.newest(now).saturating_sub(back)
        } else {
            let rank = random.zipf(held.population);
            spread(rank ^ held.salt) % held.population.max(1)
        };
        numbered(resource, number)
    }
}

impl Resource {
    /// The number of the newest object.
    #[must_use]
    pub fn newest(&self, now: Millis) -> u64 {
        self.population + self.growth * now.since(BEGIN) / DAY
    }
}

/// The object of a resource with this number.
#[must_use]
pub fn numbered(resource: usize, number: u64) -> Object {
    Object {
        hash: spread(number.wrapping_add((resource as u64) << 48)),
        number: Some(number),
    }
}

/// A destination by its name.
#[must_use]
pub fn destination(name: &str) -> u64 {
    stable_hash(name.as_bytes())
}

/// Operations per resource.
const VERBS: usize = 6;

fn verbs(resource: &str, backend: usize, random: &mut Random) -> [Operation; VERBS] {
    let kinds = [
        ("GET", "", false, true, 8_000.0, 300.0),
        ("GET", "/{id}", true, true, 1_800.0, 250.0),
        ("GET", "/{id}/history", true, true, 3_500.0, 250.0),
        ("POST", "", false, false, 500.0, 1_200.0),
        ("PATCH", "/{id}", true, false, 400.0, 700.0),
        ("DELETE", "/{id}", true, false, 120.0, 250.0),
    ];
    kinds.map(|(method, path, object, reads, response, request)| {
        let name = format!("{method} /{resource}{path}");
        Operation {
            id: OperationId::of(&name),
            name,
            objects: object.then_some(backend),
            has_destination: false,
            backend,
            reads,
            response: random.log_normal(response, 0.3),
            request,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_operation_has_a_number_of_its_own_and_lists_name_no_object() {
        let catalogue = Catalogue::new(&mut Random::seeded(1, 0));
        let ids: BTreeSet<u32> = catalogue.operations.iter().map(|o| o.id.get()).collect();
        assert_eq!(ids.len(), catalogue.operations.len());
        let list = &catalogue.operations[catalogue.of_resource(0).start];
        assert_eq!((list.name.as_str(), list.objects), ("GET /orders", None));
        assert_eq!(catalogue.tools().len(), TOOLS.len());
    }

    #[test]
    fn popular_objects_come_again_and_new_ones_are_asked_for_as_they_appear() {
        let mut random = Random::seeded(1, 0);
        let catalogue = Catalogue::new(&mut random);
        let mut numbers = |now| -> Vec<u64> {
            (0..2_000)
                .filter_map(|_| catalogue.usual_object(0, now, &mut random).number)
                .collect()
        };
        let (early, late) = (numbers(BEGIN), numbers(BEGIN.plus(10 * DAY)));
        let distinct: BTreeSet<_> = early.iter().collect();
        assert!(distinct.len() < 1_700, "{}", distinct.len());
        let newest = catalogue.resources[0].newest(BEGIN);
        assert!(early.iter().all(|number| *number <= newest));
        assert!(late.iter().filter(|number| **number > newest).count() > 100);
    }
}
