//! What is written while somebody else writes, or while the disk does not keep it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use lanyard_token::Rev;

use super::super::machine::{Reference, Step};
use super::*;
use crate::store::event::VersionState;
use crate::store::{Appended, NodeNumbers, Record, StoreError};

/// A store that loses the last letter of each value when it is read, while it is said to.
struct Losing {
    store: MemoryStore,
    loses: Arc<AtomicBool>,
}

impl Store for Losing {
    fn append(&self, events: Vec<Event>) -> Appended {
        self.store.append(events)
    }
    fn head(&self) -> Rev {
        self.store.head()
    }
    fn read(&self, after: Rev, limit: usize) -> Result<Vec<Record>, StoreError> {
        let mut records = self.store.read(after, limit)?;
        for event in records.iter_mut().flat_map(|record| &mut record.events) {
            if let Event::SecretVersionAdded(added) = event
                && self.loses.load(Ordering::Relaxed)
            {
                added.sealed.pop();
            }
        }
        Ok(records)
    }
    fn nodes(&self) -> &NodeNumbers {
        self.store.nodes()
    }
    fn is_writable(&self) -> bool {
        true
    }
}

/// One of `key`, after the first look.
async fn looked(world: &World) -> LogJournal {
    let begun = world.begin().await;
    let journal = world.rotations.journal(begun.id, By::Broker).unwrap();
    let before = BTreeSet::from([Reference("key".to_owned())]);
    journal.record(Fact::Looked { before }, None).await.unwrap();
    journal
}

async fn made(journal: &LogJournal, name: &str, value: &str) -> Result<(), Halted> {
    let reference = Reference(name.to_owned());
    let value = SecretValue::parse(Zeroizing::new(value.to_owned())).unwrap();
    journal
        .record(Fact::Created { reference }, Some(value))
        .await
}

fn states(world: &World) -> Vec<VersionState> {
    let view = world.rotations.vault.show("key").unwrap();
    view.versions.iter().map(|version| version.state).collect()
}

#[tokio::test]
async fn a_new_key_that_the_disk_does_not_give_back_is_ended_and_another_one_is_made() {
    let loses = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&loses);
    let world = World::over(|store| Arc::new(Losing { store, loses: told })).await;
    let journal = looked(&world).await;
    loses.store(true, Ordering::Relaxed);
    let written = made(&journal, "key-2", "sk_2").await;
    assert!(matches!(written, Err(Halted::Log(_))), "{written:?}");
    let rotation = journal.rotation();
    let orphans = BTreeSet::from([Reference("key-2".to_owned())]);
    assert_eq!(*rotation.step(), Step::Clearing { orphans });
    assert_eq!(rotation.version(), Version(3), "it has another number");
    assert_eq!(
        states(&world),
        [VersionState::Active, VersionState::Retired]
    );
    // And when the disk is well again, another one comes into force.
    loses.store(false, Ordering::Relaxed);
    let reference = Reference("key-2".to_owned());
    journal
        .record(Fact::Cleared { reference }, None)
        .await
        .unwrap();
    made(&journal, "key-3", "sk_3").await.unwrap();
    for fact in [Fact::Proved, Fact::Published] {
        journal.record(fact, None).await.unwrap();
    }
    assert_eq!(
        world.rotations.vault.show("key").unwrap().active,
        Some(Version(3))
    );
}

#[tokio::test]
async fn what_was_undone_a_moment_before_does_not_come_into_force() {
    let world = World::new().await;
    let journal = looked(&world).await;
    made(&journal, "key-2", "sk_2").await.unwrap();
    journal.record(Fact::Proved, None).await.unwrap();
    // Whoever carries it on has decided by now to publish it.
    let rotation = journal.rotation.to_string();
    world.rotations.abort(&rotation, By::Broker).await.unwrap();
    journal.record(Fact::Published, None).await.unwrap();
    assert!(matches!(journal.rotation().step(), Step::Clearing { .. }));
    assert_eq!(
        states(&world),
        [VersionState::Active, VersionState::Pending]
    );
    let again = world.rotations.abort(&rotation, By::Broker).await;
    assert!(matches!(again, Err(RotateError::BeingUndone(_))));
}

#[tokio::test]
async fn one_whose_end_was_asked_for_is_not_undone_any_more() {
    let world = World::new().await;
    let journal = looked(&world).await;
    made(&journal, "key-2", "sk_2").await.unwrap();
    for fact in [
        Fact::Proved,
        Fact::Published,
        Fact::Overlapped,
        Fact::Drained,
        Fact::Confirmed,
        Fact::Asked {
            call: machine::Call::Revoke(Reference("key".to_owned())),
        },
    ] {
        journal.record(fact, None).await.unwrap();
    }
    assert!(!journal.abandon().await.unwrap());
    assert!(!journal.rotation().is_abandoned());
}

#[tokio::test]
async fn of_two_that_are_begun_at_once_the_second_never_was() {
    let world = World::new().await;
    let first = world.begin().await;
    let secret = world.rotations.vault.find("key").unwrap();
    let under = world.rotations.state.rotation(first.id).unwrap();
    let begun = |rotation| {
        Event::RotationBegun(Box::new(RotationBegun {
            rotation,
            secret,
            cause: RotationCause::Asked,
            creation: under.rotation.creation().clone(),
            old: under.rotation.old().cloned(),
            version: under.rotation.version(),
            rules: under.rules,
            discerning: true,
            by: By::Broker,
        }))
    };
    let second = world.store.nodes().next();
    world.store.append(vec![begun(second)]).await.unwrap();
    assert_eq!(world.rotations.state.under_way(secret), Some(first.id));
    assert!(world.rotations.state.rotation(second).is_none());
    // A fact that comes after its end does not end the next one.
    world
        .rotations
        .abort(&first.id.to_string(), By::Broker)
        .await
        .unwrap();
    let third = world.begin().await;
    let late = Event::RotationStepped {
        rotation: first.id,
        fact: Box::new(Fact::Recovered),
        by: By::Broker,
    };
    world.store.append(vec![late]).await.unwrap();
    assert_eq!(world.rotations.state.under_way(secret), Some(third.id));
    assert_eq!(
        world.rotations.state.ended()[&machine::Outcome::Abandoned],
        1
    );
}

#[tokio::test]
async fn who_else_has_the_old_one_is_found_by_what_it_is() {
    let world = World::new().await;
    let journal = looked(&world).await;
    // All three were put with the same value.
    let other = journal.held_by_another(Version(1)).await.unwrap().unwrap();
    assert!(["keeper", "another"].contains(&other.as_str()), "{other}");
    for secret in ["keeper", "another"] {
        world.put(secret, "what it is called does not matter").await;
    }
    // What is being drained has another one in its place already.
    assert_eq!(journal.held_by_another(Version(1)).await.unwrap(), None);
}

#[tokio::test]
async fn another_way_of_listing_the_same_keys_is_no_other_place() {
    let world = World::new().await;
    let begun = world.begin().await;
    let journal = world.rotations.journal(begun.id, By::Broker).unwrap();
    let secret = world.rotations.vault.find("another").unwrap();
    let planned = world.plan_for("another", "http://127.0.0.1:1", &["127.0.0.0/8"]);
    planned.await.unwrap();
    let mut plan = world.rotations.state.plan(secret).unwrap();
    plan.third_party["find"]["path"] = json!("/v1/keys?limit=50");
    let write = async |plan: RotationPlan| {
        let (plan, by) = (Box::new(plan), By::Broker);
        let planned = Event::RotationPlanned { plan, by };
        world.store.append(vec![planned]).await.unwrap();
    };
    let is_left_alone = || {
        journal
            .kept_elsewhere()
            .contains(&Reference("another".to_owned()))
    };
    write(plan.clone()).await;
    assert!(is_left_alone());
    // Of a plan that nobody can read nobody knows where it leads.
    plan.third_party = json!({"kind": "carrier pigeon"});
    write(plan).await;
    assert!(is_left_alone());
}

#[tokio::test]
async fn a_version_beside_those_that_are_exchanged_waits_for_a_person_too() {
    let world = World::new().await;
    let pending = NewVersion {
        name: "key".to_owned(),
        owner: None,
        value: SecretValue::parse(Zeroizing::new("sk_2".to_owned())).unwrap(),
        reference: Some("key-2".to_owned()),
        pending: true,
    };
    world
        .rotations
        .vault
        .put(pending, By::Broker)
        .await
        .unwrap();
    let journal = looked(&world).await;
    assert_eq!(journal.rotation().version(), Version(3));
    let secret = world.rotations.vault.find("key").unwrap();
    let leaked = world.rotations.vault.leaked((secret, Version(2)), None);
    assert!(leaked.await.unwrap());
    world.rotations.begin_what_is_urgent(NOW).await;
    let [waiting] = &world.rotations.waiting()[..] else {
        panic!("{:?}", world.rotations.waiting());
    };
    assert!(
        waiting.why.contains("version 2 was found elsewhere"),
        "{waiting:?}"
    );
    // And is retired beside the exchange, which goes on; those two are not.
    let retire = |version| {
        let vault = &world.rotations.vault;
        vault.retire("key", Some(Version(version)), By::Broker, None)
    };
    retire(2).await.unwrap();
    assert!(retire(1).await.is_err());
    world.rotations.begin_what_is_due(NOW).await;
    assert_eq!(world.rotations.waiting(), []);
}

#[tokio::test]
async fn what_was_undone_a_moment_before_is_not_asked_for() {
    let world = World::new().await;
    let journal = looked(&world).await;
    let create = machine::Call::Create(Version(2));
    assert!(journal.rotation().wants(&create));
    let rotation = journal.rotation.to_string();
    world.rotations.abort(&rotation, By::Broker).await.unwrap();
    let head = world.store.head();
    let asked = Fact::Asked {
        call: create.clone(),
    };
    journal.record(asked, None).await.unwrap();
    assert_eq!(world.store.head(), head, "it is not written");
    assert!(!journal.rotation().wants(&create));
}

#[tokio::test]
async fn a_look_that_an_abort_came_before_leaves_nothing_behind() {
    let world = World::new().await;
    let journal = looked(&world).await;
    let rotation = journal.rotation.to_string();
    world.rotations.abort(&rotation, By::Broker).await.unwrap();
    assert_eq!(*journal.rotation().step(), Step::Sweeping);
    let head = world.store.head();
    let orphans = BTreeSet::new();
    journal
        .record(Fact::Probed { orphans }, None)
        .await
        .unwrap();
    assert_eq!(world.store.head(), head, "it is not written");
    assert_eq!(*journal.rotation().step(), Step::Sweeping);
}
