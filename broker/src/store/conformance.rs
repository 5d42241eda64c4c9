//! What every store must do, whatever it is made of: each law is tried on each implementation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use lanyard_token::{NodeId, Rev};

use super::log::{Log, LogConfig};
use super::memory::MemoryStore;
use super::{
    DamagedRow, Event, MAX_EVENTS, Projection, Projections, Record, Row, Store, StoreError,
};
use crate::clock::{Clock, ManualClock, UnixMillis};
use crate::crypto::SealingRoot;
use crate::store::event::{By, Cause};

/// Remembers every record it was given.
#[derive(Default)]
struct Witness(Mutex<Vec<Record>>);

impl Projection for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }
    fn apply(&self, record: &Record) {
        self.0.lock().unwrap().push(record.clone());
    }
    fn changed_rows(&self) -> Vec<Row> {
        Vec::new()
    }
    fn load_row(&self, _key: &[u8], _value: &[u8]) -> Result<(), DamagedRow> {
        Err(DamagedRow)
    }
    fn reset(&self) {
        self.0.lock().unwrap().clear();
    }
}

/// A store under test, with all that keeps it alive.
struct Subject {
    store: Arc<dyn Store>,
    witness: Arc<Witness>,
    clock: Arc<ManualClock>,
    _folder: Option<tempfile::TempDir>,
}

fn in_memory() -> Subject {
    let (clock, witness) = (clock(), Arc::new(Witness::default()));
    let store = Arc::new(MemoryStore::new(clock.clone(), vec![witness.clone()]));
    Subject {
        store,
        witness,
        clock,
        _folder: None,
    }
}

fn on_disk() -> Subject {
    let (clock, witness) = (clock(), Arc::new(Witness::default()));
    let folder = tempfile::tempdir().unwrap();
    let mut config = LogConfig::new(folder.path().join("data"), "https://login.example");
    config.reserve_bytes = 64 << 10;
    // Small, so that the laws are tried across the edges of segments.
    config.segment_bytes = 8 << 10;
    let projections: Projections = vec![witness.clone()];
    let root = Arc::new(SealingRoot::from_bytes(&[1; 32]));
    let (store, _) = Log::open(config, root, clock.clone(), projections).unwrap();
    Subject {
        store,
        witness,
        clock,
        _folder: Some(folder),
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(UnixMillis(1_700_000_000_000)))
}

fn created(name: impl Into<String>) -> Event {
    let owner = NodeId::new(1, 1).unwrap();
    Event::OwnerCreated {
        owner,
        name: name.into(),
        contact: None,
        by: By::Broker,
    }
}

fn revoked(counter: u64) -> Event {
    Event::Revoked {
        node: NodeId::new(1, counter).unwrap(),
        cause: Cause::Requested,
        by: By::Broker,
    }
}

/// Tries one law on every store.
macro_rules! laws {
    ($($law:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $law() { super::$law(&super::in_memory()); })*
        }
        mod log {
            $(#[test] fn $law() { super::$law(&super::on_disk()); })*
        }
    };
}

laws!(
    a_new_store_begins_with_the_record_of_its_boot,
    what_was_appended_is_read_back_in_order,
    a_batch_is_in_one_record_or_in_none,
    whoever_was_answered_finds_it_applied,
    an_append_of_none_or_too_many_is_refused_and_changes_nothing,
    many_callers_at_once_each_get_the_place_of_their_own_events,
    projections_see_every_record_once_and_in_order,
    time_never_goes_back_even_when_the_clock_does,
    reading_stops_at_the_limit_and_goes_on_where_it_stopped,
    node_numbers_are_never_given_twice,
);

fn a_new_store_begins_with_the_record_of_its_boot(subject: &Subject) {
    let records = subject.store.read(Rev::ZERO, 10).unwrap();
    assert_eq!(records.len(), 1);
    assert!(matches!(
        records[0].events[..],
        [Event::Booted { boot: 1, .. }]
    ));
    assert_eq!(subject.store.head(), Rev::new(1, 1).unwrap());
    assert_eq!(subject.store.nodes().boot(), 1);
    assert!(subject.store.is_writable());
}

fn what_was_appended_is_read_back_in_order(subject: &Subject) {
    for n in 0..50 {
        let rev = subject
            .store
            .append(vec![created(format!("owner {n}")), revoked(n)])
            .wait()
            .unwrap();
        assert_eq!(rev, subject.store.head());
    }
    let records = subject.store.read(Rev::new(1, 1).unwrap(), 1_000).unwrap();
    let events: Vec<Event> = records
        .into_iter()
        .flat_map(|record| record.events)
        .collect();
    let expected: Vec<Event> = (0..50)
        .flat_map(|n| [created(format!("owner {n}")), revoked(n)])
        .collect();
    assert_eq!(events, expected);
}

fn a_batch_is_in_one_record_or_in_none(subject: &Subject) {
    let answers: Vec<_> = (0..40)
        .map(|batch| {
            let events = (0..90).map(|n| created(format!("{batch}/{n}"))).collect();
            subject.store.append(events)
        })
        .collect();
    let revs: Vec<Rev> = answers
        .into_iter()
        .map(|answer| answer.wait().unwrap())
        .collect();
    for (batch, rev) in revs.into_iter().enumerate() {
        let before = Rev::from_u64(rev.as_u64() - 1).unwrap();
        let record = subject.store.read(before, 1).unwrap().remove(0);
        assert_eq!(record.rev, rev);
        let first = record
            .events
            .iter()
            .position(|event| *event == created(format!("{batch}/0")))
            .unwrap();
        for n in 0..90 {
            assert_eq!(record.events[first + n], created(format!("{batch}/{n}")));
        }
    }
}

fn whoever_was_answered_finds_it_applied(subject: &Subject) {
    for n in 0..20 {
        let rev = subject.store.append(vec![revoked(n)]).wait().unwrap();
        let seen = subject.witness.0.lock().unwrap();
        assert!(
            seen.iter()
                .any(|record| record.rev == rev && record.events.contains(&revoked(n)))
        );
    }
}

fn an_append_of_none_or_too_many_is_refused_and_changes_nothing(subject: &Subject) {
    let head = subject.store.head();
    assert_eq!(
        subject.store.append(Vec::new()).wait(),
        Err(StoreError::Size(0))
    );
    let many = vec![revoked(1); MAX_EVENTS + 1];
    assert_eq!(
        subject.store.append(many).wait(),
        Err(StoreError::Size(MAX_EVENTS + 1))
    );
    assert_eq!(subject.store.head(), head);
    let most = vec![revoked(1); MAX_EVENTS];
    assert_eq!(
        subject.store.append(most).wait().unwrap(),
        head.forward(MAX_EVENTS as u64).unwrap()
    );
}

fn many_callers_at_once_each_get_the_place_of_their_own_events(subject: &Subject) {
    let answers = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for caller in 0..16 {
            let (store, answers) = (&subject.store, &answers);
            scope.spawn(move || {
                for n in 0..25 {
                    let name = format!("{caller}/{n}");
                    let rev = store.append(vec![created(&name)]).wait().unwrap();
                    answers.lock().unwrap().insert(name, rev);
                }
            });
        }
    });
    let records = subject.store.read(Rev::ZERO, usize::MAX).unwrap();
    let place_of = |name: &String| {
        let holds = |record: &&Record| record.events.contains(&created(name));
        records.iter().find(holds).map(|record| record.rev)
    };
    for (name, rev) in answers.into_inner().unwrap() {
        assert_eq!(place_of(&name), Some(rev), "{name}");
    }
    let count: usize = records.iter().map(|record| record.events.len()).sum();
    assert_eq!(count, 16 * 25 + 1);
}

fn projections_see_every_record_once_and_in_order(subject: &Subject) {
    let answers: Vec<_> = (0..500)
        .map(|n| subject.store.append(vec![revoked(n)]))
        .collect();
    for answer in answers {
        answer.wait().unwrap();
    }
    let seen = subject.witness.0.lock().unwrap().clone();
    assert_eq!(seen, subject.store.read(Rev::ZERO, usize::MAX).unwrap());
    assert!(seen.windows(2).all(|pair| pair[0].rev < pair[1].rev));
}

fn time_never_goes_back_even_when_the_clock_does(subject: &Subject) {
    let start = subject.clock.now();
    for step in [5_000, 0, 60_000, 1, 59_999] {
        subject.clock.set(start.plus_millis(step));
        subject.store.append(vec![revoked(step)]).wait().unwrap();
    }
    let times: Vec<u64> = subject
        .store
        .read(Rev::ZERO, 10)
        .unwrap()
        .iter()
        .map(|record| record.at.millis_since(start))
        .collect();
    assert_eq!(times, [0, 5_000, 5_000, 60_000, 60_000, 60_000]);
}

fn reading_stops_at_the_limit_and_goes_on_where_it_stopped(subject: &Subject) {
    for n in 0..30 {
        subject.store.append(vec![revoked(n)]).wait().unwrap();
    }
    let (mut after, mut read) = (Rev::ZERO, Vec::new());
    loop {
        let some = subject.store.read(after, 7).unwrap();
        assert!(some.len() <= 7);
        let Some(last) = some.last() else { break };
        after = last.rev;
        read.extend(some);
    }
    assert_eq!(read, subject.store.read(Rev::ZERO, usize::MAX).unwrap());
    assert_eq!(read.len(), 31);
    assert!(
        subject
            .store
            .read(subject.store.head(), 1)
            .unwrap()
            .is_empty()
    );
    assert!(subject.store.read(Rev::ZERO, 0).unwrap().is_empty());
}

fn node_numbers_are_never_given_twice(subject: &Subject) {
    let numbers = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mine: Vec<NodeId> = (0..200).map(|_| subject.store.nodes().next()).collect();
                numbers.lock().unwrap().extend(mine);
            });
        }
    });
    let mut numbers = numbers.into_inner().unwrap();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 1_600);
}
