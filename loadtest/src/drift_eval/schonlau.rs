//! The standard benchmark for "is this credential in other hands": people whose calls somebody else continued.
//!
//! ```text
//! population ─► peers, and one threshold (its labels choose it, here, never in the engine)
//! data       ─► each identity's first 5,000 calls are its history; then windows of 100, once, in order, online
//! ```
//! A window is scored before it can be learned, and the engine alone decides whether it learns. The peers of a
//! reported person are the people of the population: of other reported people nothing is used, not even their
//! history. The people of the population are scored in the same way, each with the others as peers.

mod armed;
mod budget;
mod cold;
mod poisoning;

use std::collections::BTreeMap;

use super::metrics;
use super::metrics::calls::{Caught, caught};
use super::metrics::windows::{Point, Roc};
use super::people::{Labels, People, Person};
use super::subject::{self, Peers, Scored, Subject};
use super::tally::Tally;
use armed::Armed;
pub(super) use budget::{BUDGETS, Paging};
pub(super) use cold::HISTORIES;
pub(super) use poisoning::RAMPS;

/// Shares of false alarms at which hits are told, in percent.
pub(super) const RATES: [&str; 6] = ["1.0", "1.3", "1.7", "2.5", "4.6", "6.7"];
/// False alarms in 10,000 calls at which runs are told.
pub(super) const CALL_RATES: [&str; 2] = ["1.0", "2.5"];
/// The share of false alarms at which poisoning and cold starts are told: the middle of the published range.
const WORKING_RATE: f64 = 0.025;

/// What was measured in one direction.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) auc: f64,
    pub(super) hits_at: BTreeMap<&'static str, f64>,
    pub(super) fixed: Point,
    pub(super) best: Point,
    /// `None` where the engine has no score for each call.
    pub(super) per_request: Option<BTreeMap<&'static str, Caught>>,
    /// The sum that comes to one false alarm in 10,000 calls of the population, in nats.
    pub(super) alarm_level: f64,
    pub(super) poisoning: BTreeMap<&'static str, f64>,
    pub(super) cold_start: BTreeMap<&'static str, f64>,
    pub(super) budget: BTreeMap<&'static str, Paging>,
    pub(super) roc: Roc,
}

/// Tunes on the population, then reads the data once.
pub(super) fn evaluate(population: &People, data: &People, tally: &Tally) -> Found {
    // Everybody of the data is scored once, then with each ramp's donors, then with each shorter history.
    let passes = 2 + HISTORIES.len();
    tally.begin(
        "masquerades",
        population.people.len() + passes * data.people.len(),
    );
    let members = Members::of(&population.people);
    let (threshold, alarm_level) = {
        let (scored, labels) = (members.score_each_other(tally), &population.labels);
        let threshold = metrics::roc(&scored, labels).best_threshold();
        (threshold, metrics::calls::level(&scored, labels, 1.0))
    };
    let scored: Vec<Scored> = data
        .people
        .iter()
        .map(|person| {
            tally.step();
            let peers = members.without(&[&person.identity]);
            subject::score(person, knowing(person), &peers)
        })
        .collect();
    report(&scored, &data.labels, (threshold, alarm_level), |armed| {
        let ramps = poisoning::take_overs(&members, data, armed, tally);
        let cold = cold::starts(&members, data, tally);
        (ramps, cold)
    })
}

fn knowing(person: &Person) -> Subject {
    Subject::knowing(person.known())
}

/// The people of the population, as the engine knows them from their history.
struct Members<'a> {
    members: Vec<(&'a Person, Subject)>,
}

impl<'a> Members<'a> {
    fn of(people: &'a [Person]) -> Self {
        let members = people.iter().map(|person| (person, knowing(person)));
        Self {
            members: members.collect(),
        }
    }

    /// All but some as peers: nobody is its own peer, whatever folder it comes from.
    fn without(&self, names: &[&str]) -> Peers {
        let others = self.members.iter();
        let others = others.filter(|(person, _)| !names.contains(&person.identity.as_str()));
        Peers::of(others.map(|(_, subject)| subject))
    }

    fn score_each_other(&self, tally: &Tally) -> Vec<Scored> {
        let members = self.members.iter();
        let one = |(person, subject): &(&Person, Subject)| {
            tally.step();
            let peers = self.without(&[&person.identity]);
            subject::score(person, subject.clone(), &peers)
        };
        members.map(one).collect()
    }

    /// The member in this place, in the order of the recording.
    fn member(&self, place: usize) -> Option<&Person> {
        self.members.get(place).map(|(person, _)| *person)
    }

    fn count(&self) -> usize {
        self.members.len()
    }
}

type Shares = BTreeMap<&'static str, f64>;

fn report(
    scored: &[Scored],
    labels: &Labels,
    (threshold, alarm_level): (f64, f64),
    further: impl FnOnce(Armed) -> (Shares, Shares),
) -> Found {
    let roc = metrics::roc(scored, labels);
    let hits_at = RATES.map(|rate| (rate, roc.hits_at(number(rate) / 100.0)));
    let calls_are_scored = scored.iter().any(|person| !person.calls.is_empty());
    let per_request = CALL_RATES.map(|rate| (rate, caught(scored, labels, number(rate))));
    let armed = Armed::at(scored, labels, WORKING_RATE);
    let (mut poisoning, cold_start) = further(armed);
    poisoning.insert("ordinary_hits", armed.hits(scored, labels));
    Found {
        auc: roc.auc(),
        hits_at: hits_at.into(),
        fixed: roc.at(threshold),
        best: roc.at(roc.best_threshold()),
        per_request: calls_are_scored.then(|| per_request.into()),
        alarm_level,
        poisoning,
        cold_start,
        budget: budget::paging(scored),
        roc,
    }
}

/// The number that one of the names above writes.
pub(super) fn number(name: &str) -> f64 {
    name.parse().unwrap_or(f64::NAN)
}
