use std::path::{Path, PathBuf};

use super::*;
use crate::clock::ManualClock;
use crate::store::event::{Cause, Identity, Kind, Reference, SecretUse};
use crate::store::log::{Log, LogConfig};
use crate::store::memory::MemoryStore;
use crate::store::{Appended, NodeNumbers, Projections, Record};

const NOW: UnixMillis = UnixMillis(1_767_225_600_000);
const DOMAIN: &str = "https://lanyard.example";

struct World {
    vault: Arc<Vault>,
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    owner: NodeId,
}

fn seal() -> Arc<SealingRoot> {
    Arc::new(SealingRoot::from_bytes(&[7; 32]))
}

/// A vault over a store that `make` opens, with one owner.
async fn world(make: impl FnOnce(Arc<ManualClock>, Projections) -> Arc<dyn Store>) -> World {
    let (state, clock) = (Arc::new(VaultState::new()), Arc::new(ManualClock::at(NOW)));
    let store = make(clock.clone(), vec![state.clone()]);
    let owner = store.nodes().next();
    let created = Event::OwnerCreated {
        owner,
        name: "payments".to_owned(),
        contact: None,
        by: By::Broker,
    };
    store.append(vec![created]).await.unwrap();
    let vault = Arc::new(Vault::new(
        state,
        Arc::default(),
        store.clone(),
        clock.clone(),
        seal(),
        DOMAIN.to_owned(),
    ));
    World {
        vault,
        store,
        clock,
        owner,
    }
}

async fn in_memory() -> World {
    world(|clock, states| Arc::new(MemoryStore::new(clock, states))).await
}

fn on_disk(folder: &Path, clock: Arc<ManualClock>, states: Projections) -> Arc<Log> {
    let mut config = LogConfig::new(folder, DOMAIN);
    config.reserve_bytes = 64 << 10;
    Log::open(config, seal(), clock, states).unwrap().0
}

fn value(text: &str) -> SecretValue {
    SecretValue::parse(Zeroizing::new(text.to_owned())).unwrap()
}

fn new(name: &str, text: &str) -> NewVersion {
    NewVersion {
        name: name.to_owned(),
        owner: Some("payments".to_owned()),
        value: value(text),
        reference: None,
        pending: false,
    }
}

impl World {
    async fn put(&self, name: &str, text: &str) -> SecretView {
        self.vault.put(new(name, text), By::Broker).await.unwrap()
    }

    async fn leased(&self, name: &str) -> Result<(u32, String), VaultError> {
        let lease = self
            .vault
            .lease(name, NodeId::from_u64(77), 60, None)
            .await?;
        Ok((lease.version.0, lease.value.expose().to_owned()))
    }

    async fn append(&self, event: Event) {
        self.store.append(vec![event]).await.unwrap();
    }

    fn states(&self, name: &str) -> Vec<&'static str> {
        let shown = self.vault.show(name).unwrap();
        shown
            .versions
            .iter()
            .map(|version| version.state.word())
            .collect()
    }
}

#[tokio::test]
async fn the_newest_value_is_handed_out_and_the_one_before_is_drained() {
    let world = in_memory().await;
    let first = world.put("stripe/api-key", "sk_1").await;
    assert_eq!(
        (first.active, first.owner.as_str()),
        (Some(Version(1)), "payments")
    );
    let second = world.put("stripe/api-key", "sk_2").await;
    assert_eq!(second.id, first.id);
    assert_eq!(world.states("stripe/api-key"), ["draining", "active"]);
    assert_eq!(
        world.leased("stripe/api-key").await.unwrap(),
        (2, "sk_2".to_owned())
    );

    let by_number = world.vault.show(&first.id.to_string()).unwrap();
    assert_eq!(by_number.name, "stripe/api-key");
    world
        .vault
        .activate("stripe/api-key", Version(1), By::Broker, None)
        .await
        .unwrap();
    assert_eq!(
        world.leased("stripe/api-key").await.unwrap(),
        (1, "sk_1".to_owned())
    );
}

#[tokio::test]
async fn a_pending_value_is_kept_and_handed_out_to_nobody() {
    let world = in_memory().await;
    let pending = NewVersion {
        pending: true,
        reference: Some("AKIA".to_owned()),
        ..new("aws/key", "secret")
    };
    let shown = world.vault.put(pending, By::Broker).await.unwrap();
    assert_eq!(
        (shown.active, world.states("aws/key")),
        (None, vec!["pending"])
    );
    assert_eq!(
        shown.versions[0].reference,
        Some(Reference("AKIA".to_owned()))
    );
    assert!(matches!(
        world.leased("aws/key").await,
        Err(VaultError::Lease(LeaseRefused::NoneInForce))
    ));
    world
        .vault
        .activate("aws/key", Version(1), By::Broker, Some("proved"))
        .await
        .unwrap();
    assert_eq!(world.leased("aws/key").await.unwrap().1, "secret");
}

#[tokio::test]
async fn what_is_retired_is_out_for_good() {
    let world = in_memory().await;
    world.put("key", "one").await;
    world.put("key", "two").await;
    let refused = world
        .vault
        .retire("key", Some(Version(2)), By::Broker, None)
        .await;
    assert!(matches!(
        refused,
        Err(VaultError::Move(MoveRefused::InForce(Version(2))))
    ));
    world
        .vault
        .retire("key", Some(Version(1)), By::Broker, None)
        .await
        .unwrap();
    let again = world
        .vault
        .activate("key", Version(1), By::Broker, None)
        .await;
    assert!(matches!(
        again,
        Err(VaultError::Move(MoveRefused::Retired(Version(1))))
    ));
    world
        .vault
        .retire("key", None, By::Broker, Some("vendor left"))
        .await
        .unwrap();
    assert_eq!(world.states("key"), ["retired", "retired"]);
    assert!(world.leased("key").await.is_err());
    // The name may be used on.
    assert_eq!(world.put("key", "three").await.active, Some(Version(3)));
}

#[tokio::test]
async fn names_owners_and_words_that_cannot_be_are_refused_and_nothing_is_written() {
    let world = in_memory().await;
    world.put("key", "one").await;
    world
        .append(Event::OwnerCreated {
            owner: NodeId::from_u64(9_999),
            name: "platform".to_owned(),
            contact: None,
            by: By::Broker,
        })
        .await;
    let head = world.store.head();
    let put = async |change: fn(&mut NewVersion)| {
        let mut asked = new("other", "two");
        change(&mut asked);
        world
            .vault
            .put(asked, By::Broker)
            .await
            .unwrap_err()
            .to_string()
    };
    assert!(
        put(|asked| asked.name = "../other".to_owned())
            .await
            .contains("a secret's name")
    );
    assert!(put(|asked| asked.owner = None).await.contains("is new"));
    assert_eq!(
        put(|asked| asked.owner = Some("nobody".to_owned())).await,
        "there is no owner `nobody`"
    );
    assert!(
        put(|asked| asked.reference = Some("two\nlines".to_owned()))
            .await
            .contains("`reference`")
    );
    let other = put(|asked| {
        asked.name = "key".to_owned();
        asked.owner = Some("platform".to_owned());
    });
    assert!(other.await.contains("answers to `payments`"));
    let missing = world
        .vault
        .show("sk_live_51H8 pasted")
        .unwrap_err()
        .to_string();
    assert!(!missing.contains("51H8"), "{missing}");
    assert_eq!(world.store.head(), head);
}

#[tokio::test]
async fn the_end_of_an_owner_queues_its_secrets_until_a_new_value_is_in_force() {
    let world = in_memory().await;
    world.put("key", "one").await;
    let other = NewVersion {
        pending: true,
        ..new("key", "kept before")
    };
    world.vault.put(other, By::Broker).await.unwrap();
    world.clock.advance_millis(5_000);
    world
        .append(Event::Revoked {
            node: world.owner,
            cause: Cause::Requested,
            by: By::Broker,
        })
        .await;
    let queued = |world: &World| world.vault.show("key").unwrap().rotation_queued;
    assert_eq!(queued(&world), Some(NOW.plus_millis(5_000)));
    assert_eq!(
        world.leased("key").await.unwrap().1,
        "one",
        "what runs goes on"
    );
    let refused = world.vault.put(new("another", "x"), By::Broker).await;
    assert!(matches!(refused, Err(VaultError::OwnerDisabled { .. })));
    world.clock.advance_millis(5_000);
    world
        .vault
        .activate("key", Version(2), By::Broker, None)
        .await
        .unwrap();
    assert!(queued(&world).is_some(), "it was there when the owner was");
    world
        .append(Event::Enabled {
            node: world.owner,
            by: By::Broker,
            reason: None,
        })
        .await;
    assert!(
        queued(&world).is_some(),
        "copies that were made are still there"
    );
    world.put("key", "new").await;
    assert_eq!(queued(&world), None);
}

#[tokio::test]
async fn a_leak_that_is_reported_again_makes_the_log_no_longer_unless_something_is_to_be_done() {
    let world = in_memory().await;
    let id = world.put("key", "sk_1").await.id;
    let queued = || world.vault.show("key").unwrap().rotation_queued.is_some();
    let report = async |version| {
        let before = world.store.head();
        let at = Some("https://git.example".to_owned());
        let is_news = world
            .vault
            .leaked((id, Version(version)), at)
            .await
            .unwrap();
        assert_eq!(is_news, world.store.head() > before);
        is_news
    };
    assert!(report(1).await && queued());
    assert!(!report(1).await);
    world.put("key", "sk_2").await;
    assert!(!report(1).await && !queued());
    // Somebody puts the one that leaked in force again.
    let back = world.vault.activate("key", Version(1), By::Broker, None);
    back.await.unwrap();
    assert!(queued(), "it leaked, wherever it was meanwhile");
    assert!(!report(1).await && queued());
    assert!(report(2).await, "another one");
    assert!(!report(2).await);
    let found = world.vault.version_of("sk_2").await.unwrap();
    assert_eq!(found, [(id, Version(2))]);
}

#[tokio::test]
async fn what_was_found_elsewhere_stays_marked_and_comes_into_force_only_where_it_was_before() {
    let world = in_memory().await;
    let id = world.put("key", "sk_1").await.id;
    let kept = NewVersion {
        pending: true,
        ..new("key", "sk_2")
    };
    world.vault.put(kept, By::Broker).await.unwrap();
    for version in [1, 2, 7] {
        world
            .vault
            .leaked((id, Version(version)), None)
            .await
            .unwrap();
    }
    let activate = async |version| {
        let activated = world
            .vault
            .activate("key", Version(version), By::Broker, None);
        activated.await.map(|view| view.queued_because)
    };
    let refused = activate(2).await.unwrap_err();
    assert!(
        matches!(refused, VaultError::Move(MoveRefused::Leaked(Version(2)))),
        "{refused}"
    );
    world.put("key", "sk_3").await;
    let shown = world.vault.show("key").unwrap();
    assert_eq!(shown.queued_because, None, "what is in force is new");
    let exposed = |version: &VersionView| version.exposed.map(|exposed| exposed.cause);
    let leak = Some(RotationCause::Leak);
    let marks: Vec<_> = shown.versions.iter().map(exposed).collect();
    assert_eq!(marks, [leak, leak, None]);
    // An owner that ends later does not make less of it.
    world
        .vault
        .queue("key", RotationCause::OwnerEnded, By::Broker)
        .await
        .unwrap();
    assert_eq!(activate(1).await.unwrap(), leak);
    let rows = world.vault.state.show(id).unwrap();
    assert_eq!(
        rows.versions.iter().map(exposed).collect::<Vec<_>>(),
        [leak, leak, Some(RotationCause::OwnerEnded)]
    );
}

#[tokio::test]
async fn a_report_opens_each_version_once_and_keeps_nobody_waiting_meanwhile() {
    let world = in_memory().await;
    for number in 0..500 {
        world
            .put(&format!("key-{number}"), &format!("sk_{number}"))
            .await;
    }
    let mut asked = std::pin::pin!(world.vault.version_of("sk_49"));
    assert!(
        futures::poll!(asked.as_mut()).is_pending(),
        "five hundred values are opened elsewhere"
    );
    assert_eq!(asked.await.unwrap().len(), 1);
    assert!(!world.vault.state.has_unread());
    let mut again = std::pin::pin!(world.vault.version_of("sk_7"));
    assert!(
        futures::poll!(again.as_mut()).is_ready(),
        "nothing is left to open"
    );
    // What comes later is found as well, and the same value in two places.
    world.put("another", "sk_7").await;
    assert_eq!(world.vault.version_of("sk_7").await.unwrap().len(), 2);
    assert_eq!(world.vault.version_of("sk_500").await.unwrap(), []);
}

#[tokio::test]
async fn secrets_go_to_another_owner_one_by_one_or_all_at_once() {
    let world = in_memory().await;
    let platform = NodeId::from_u64(9_999);
    world
        .append(Event::OwnerCreated {
            owner: platform,
            name: "platform".to_owned(),
            contact: None,
            by: By::Broker,
        })
        .await;
    for n in 0..3 {
        world.put(&format!("key-{n}"), "x").await;
    }
    let shown = world
        .vault
        .transfer("key-0", "platform", By::Broker, Some("moved"))
        .await
        .unwrap();
    assert_eq!(shown.owner, "platform");
    let moved = world
        .vault
        .transfer_all(world.owner, platform, &By::Broker, None)
        .await
        .unwrap();
    assert_eq!(moved, 2);
    assert!(
        world
            .vault
            .list()
            .iter()
            .all(|secret| secret.owner == "platform")
    );
    assert_eq!(world.leased("key-1").await.unwrap().1, "x");
}

#[tokio::test]
async fn who_had_which_version_is_known_for_every_instant() {
    let world = in_memory().await;
    let egress = NodeId::from_u64(77);
    let grant = Box::new(Identity {
        name: "egress".to_owned(),
        owner: world.owner,
        kind: Kind::Gateway,
        tags: vec![],
        audiences: vec![],
        scopes: Default::default(),
        max_lifetime: 60,
        sole_witness: false,
    });
    world
        .append(Event::IdentityCreated {
            identity: egress,
            grant,
            by: By::Broker,
        })
        .await;
    world.put("key", "one").await;
    world.clock.advance_millis(10_000);
    world.leased("key").await.unwrap();
    world.clock.advance_millis(30_000);
    world.put("key", "two").await;
    world.leased("key").await.unwrap();

    let at = |millis| world.vault.who("key", NOW.plus_millis(millis));
    let before = at(9_999).await.unwrap();
    assert_eq!((before.active, before.holders.len()), (Some(Version(1)), 0));
    let first = at(10_000).await.unwrap();
    assert_eq!(
        (first.holders[0].name.as_str(), first.holders[0].version),
        ("egress", Version(1))
    );
    let both = at(40_000).await.unwrap();
    assert_eq!(
        (both.active, both.draining.as_slice()),
        (Some(Version(2)), &[Version(1)][..])
    );
    let versions: Vec<_> = both.holders.iter().map(|holder| holder.version.0).collect();
    assert_eq!(versions, [1, 2]);
    assert_eq!(
        at(70_000).await.unwrap().holders.len(),
        1,
        "the first lease ended"
    );
    assert_eq!(at(200_000).await.unwrap().holders.len(), 0);
}

#[tokio::test]
async fn who_used_a_version_around_an_instant_is_said_for_every_instant() {
    let world = in_memory().await;
    world.put("key", "one").await;
    let secret = world.vault.find("key").unwrap();
    let minute = |minutes: u64| NOW.plus_millis(minutes * 60_000);
    let used = async |gateway: u64, version: u32, at: UnixMillis, calls: u64| {
        let used = Event::SecretUsed(Box::new(SecretUse {
            integration: NodeId::from_u64(9),
            secret,
            version: Version(version),
            gateway: NodeId::from_u64(gateway),
            boot: 1,
            calls,
            last_at: at,
        }));
        world.store.append(vec![used]).await.unwrap();
    };
    // One uses it all the time, as it tells each minute; the other one once, and tells of it later.
    for n in 10..=60 {
        world.clock.set(minute(n));
        used(1, 1, minute(n), n).await;
    }
    used(2, 1, minute(20), 1).await;
    let users = async |at: UnixMillis| {
        let who = world.vault.who("key", at).await.unwrap();
        let replayed = replay::who(&*world.store, secret, at).unwrap();
        // What was told of later than two minutes after it the log is not read for.
        if at != minute(20) {
            assert_eq!(who, replayed, "the log says the same");
        }
        let users = who.users.into_iter();
        users
            .map(|user| (user.identity.as_u64(), user.first, user.last))
            .collect::<Vec<_>>()
    };
    let always = |last| (1, minute(10), minute(last));
    let once = (2, minute(20), minute(20));
    assert_eq!(users(minute(8)).await, []);
    assert_eq!(users(minute(15)).await, [always(17)]);
    assert_eq!(users(minute(20)).await, [always(22), once]);
    assert_eq!(users(minute(22)).await, [always(24)]);
    assert_eq!(users(minute(60)).await, [always(60)]);
    assert_eq!(users(minute(62)).await, []);
}

#[tokio::test]
async fn what_is_no_longer_in_memory_is_answered_from_the_log_and_the_same() {
    let world = in_memory().await;
    let id = world.put("key", "one").await.id;
    for n in 0..usage::MOST_SPANS as u64 + 50 {
        world
            .vault
            .lease("key", NodeId::from_u64(1_000 + n), 60, None)
            .await
            .unwrap();
        world.clock.advance_millis(60_000);
    }
    assert!(world.vault.state.who(id, NOW).is_none(), "it was forgotten");
    let who = world
        .vault
        .who("key", NOW.plus_millis(90_000))
        .await
        .unwrap();
    assert_eq!(
        who.holders
            .iter()
            .map(|holder| holder.identity)
            .collect::<Vec<_>>(),
        [NodeId::from_u64(1_001)]
    );
    for minute in [60, 500, usage::MOST_SPANS as u64 + 20] {
        let at = NOW.plus_millis(minute * 60_000 + 5);
        let kept = world.vault.state.who(id, at).unwrap();
        assert_eq!(kept, replay::who(&*world.store, id, at).unwrap());
    }
}

#[tokio::test]
async fn a_restart_finds_everything_with_the_index_and_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let first = world(|clock, states| on_disk(&path, clock, states)).await;
    for n in 0..20 {
        first
            .put(&format!("team/key-{n}"), &format!("value-{n}"))
            .await;
    }
    first.put("team/key-0", "newer").await;
    first.leased("team/key-0").await.unwrap();
    let (listed, who) = (
        first.vault.list(),
        first.vault.who("team/key-0", NOW).await.unwrap(),
    );
    drop(first);
    for with_index in [true, false] {
        if !with_index {
            std::fs::remove_dir_all(path.join("index")).unwrap();
        }
        let (state, clock) = (Arc::new(VaultState::new()), Arc::new(ManualClock::at(NOW)));
        let log = on_disk(&path, clock.clone(), vec![state.clone()]);
        let vault = Vault::new(
            state,
            Arc::default(),
            log.clone(),
            clock,
            seal(),
            DOMAIN.to_owned(),
        );
        assert_eq!(vault.list(), listed);
        assert_eq!(vault.who("team/key-0", NOW).await.unwrap(), who);
        let lease = vault
            .lease("team/key-7", NodeId::from_u64(77), 60, None)
            .await
            .unwrap();
        assert_eq!(lease.value.expose(), "value-7");
        log.close();
    }
}

#[tokio::test]
async fn an_index_from_before_there_was_a_vault_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(NOW));
    let before = on_disk(folder.path(), clock.clone(), Vec::new());
    let created = Event::OwnerCreated {
        owner: before.nodes().next(),
        name: "payments".to_owned(),
        contact: None,
        by: By::Broker,
    };
    before.append(vec![created]).await.unwrap();
    before.close();
    for start in 0..2 {
        let state = Arc::new(VaultState::new());
        let mut config = LogConfig::new(folder.path(), DOMAIN);
        config.reserve_bytes = 64 << 10;
        let (log, report) = Log::open(config, seal(), clock.clone(), vec![state.clone()]).unwrap();
        let rebuilt = matches!(report.index, crate::store::log::IndexState::Rebuilt { .. });
        assert_eq!(rebuilt, start == 0, "once: {:?}", report.index);
        assert!(state.owner("payments").is_ok());
        log.close();
    }
}

/// A log whose disk does something to what was written before it is read.
struct BadDisk {
    log: Arc<Log>,
    harm: fn(&Path),
}

impl Store for BadDisk {
    fn append(&self, events: Vec<Event>) -> Appended {
        self.log.append(events)
    }
    fn head(&self) -> Rev {
        self.log.head()
    }
    fn read(&self, after: Rev, limit: usize) -> Result<Vec<Record>, StoreError> {
        (self.harm)(self.log.folder());
        self.log.read(after, limit)
    }
    fn nodes(&self) -> &NodeNumbers {
        self.log.nodes()
    }
    fn is_writable(&self) -> bool {
        self.log.is_writable()
    }
}

/// The segment that is being written.
fn segment(folder: &Path) -> PathBuf {
    let segments = std::fs::read_dir(folder.join("segments")).unwrap();
    let mut paths: Vec<_> = segments.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        !path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("reserve")
    });
    paths.sort();
    paths.pop().unwrap()
}

fn flip_a_bit_at_the_end(folder: &Path) {
    let path = segment(folder);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[last] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_write_that_the_disk_damaged_is_refused_and_nothing_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let world = world(|clock, states| {
        let log = on_disk(&path, clock, states);
        Arc::new(BadDisk {
            log,
            harm: flip_a_bit_at_the_end,
        })
    })
    .await;
    let refused = world.vault.put(new("key", "one"), By::Broker).await;
    assert!(matches!(refused, Err(VaultError::NotReadBack)));
    assert_eq!(world.states("key"), ["retired"]);
    assert!(world.leased("key").await.is_err());
}

/// A store that gives back another version's value in the place of the newest.
struct Rollback(MemoryStore);

impl Store for Rollback {
    fn append(&self, events: Vec<Event>) -> Appended {
        self.0.append(events)
    }
    fn head(&self) -> Rev {
        self.0.head()
    }
    fn read(&self, after: Rev, limit: usize) -> Result<Vec<Record>, StoreError> {
        let all = self.0.read(Rev::ZERO, usize::MAX)?;
        let oldest = all
            .iter()
            .flat_map(|record| &record.events)
            .find_map(|event| match event {
                Event::SecretVersionAdded(added) => Some(added.sealed.clone()),
                _ => None,
            });
        let mut records = self.0.read(after, limit)?;
        for event in records.iter_mut().flat_map(|record| &mut record.events) {
            if let (Event::SecretVersionAdded(added), Some(oldest)) = (event, &oldest) {
                added.sealed.clone_from(oldest);
            }
        }
        Ok(records)
    }
    fn nodes(&self) -> &NodeNumbers {
        self.0.nodes()
    }
    fn is_writable(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn an_older_value_in_the_place_of_a_newer_one_does_not_open() {
    let world = world(|clock, states| Arc::new(Rollback(MemoryStore::new(clock, states)))).await;
    world.put("key", "one").await;
    let refused = world.vault.put(new("key", "two"), By::Broker).await;
    assert!(matches!(refused, Err(VaultError::NotReadBack)));
    assert_eq!(world.states("key"), ["active", "retired"]);
    assert_eq!(
        world.leased("key").await.unwrap().1,
        "one",
        "the one in force stays"
    );
}

#[tokio::test]
async fn a_data_key_that_came_later_seals_what_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let key = crate::crypto::HeldKey::generate(&folder.path().join("seal.key")).unwrap();
    let first = Arc::new(crate::crypto::seal_ring::begin(folder.path(), &key, NOW).unwrap());
    crate::crypto::seal_ring::add_data_key(folder.path(), &key, NOW).unwrap();
    let second = Arc::new(crate::crypto::seal_ring::open(folder.path(), &key).unwrap());
    let mut world = in_memory().await;
    Arc::get_mut(&mut world.vault).unwrap().seal = first;
    world.put("key", "one").await;
    Arc::get_mut(&mut world.vault).unwrap().seal = second;
    assert_eq!(world.leased("key").await.unwrap().1, "one");
    world.put("key", "two").await;
    let shown = world.vault.show("key").unwrap();
    let data_keys: Vec<_> = shown
        .versions
        .iter()
        .map(|version| version.data_key.unwrap().0)
        .collect();
    assert_eq!(data_keys, [1, 2]);
    world.put("another", "three").await;
    let counted = [1, 2, 3].map(|number| {
        world
            .vault
            .state
            .sealed_under(crate::crypto::DataKeyId(number))
    });
    assert_eq!(counted, [1, 2, 0]);
}

/// Says whether a type has a trait, without demanding it: the second `ask` is chosen only when the first
/// does not apply.
macro_rules! has {
    ($kind:ty: $has:path) => {{
        struct Asked<T>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "one of the two answers")]
        trait Otherwise {
            fn ask(&self) -> bool {
                false
            }
        }
        impl<T> Otherwise for &Asked<T> {}
        #[allow(dead_code, reason = "one of the two answers")]
        impl<T: $has> Asked<T> {
            fn ask(&self) -> bool {
                true
            }
        }
        (&Asked::<$kind>(std::marker::PhantomData)).ask()
    }};
}

#[test]
fn a_secret_can_be_neither_printed_nor_copied_nor_serialised() {
    assert!(has!(String: Clone) && has!(String: std::fmt::Debug) && has!(String: serde::Serialize));
    assert!(
        !has!(SecretValue: Clone) && !has!(crate::crypto::Secret: Clone) && !has!(Lease: Clone)
    );
    assert!(!has!(SecretValue: std::fmt::Debug) && !has!(SecretValue: std::fmt::Display));
    assert!(
        !has!(crate::crypto::Secret: std::fmt::Debug)
            && !has!(crate::crypto::Secret: std::fmt::Display)
    );
    assert!(!has!(crate::crypto::DataKey: std::fmt::Debug) && !has!(crate::crypto::DataKey: Clone));
    assert!(
        !has!(Lease: std::fmt::Debug)
            && !has!(NewVersion: std::fmt::Debug)
            && !has!(HeaderSafe<'static>: std::fmt::Debug)
    );
    assert!(!has!(SecretValue: serde::Serialize) && !has!(crate::crypto::Secret: serde::Serialize));
}
