//! Rotations over a store in memory, at a third party where nobody is.

mod written;

use serde_json::json;
use zeroize::Zeroizing;

use super::*;
use crate::clock::ManualClock;
use crate::crypto::SealingRoot;
use crate::outbound::Reach;
use crate::store::Store;
use crate::store::event::{Reference, RotationPlan, SecretUse, Version};
use crate::store::memory::MemoryStore;
use crate::vault::{NewVersion, SecretValue, VaultState};

const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

struct World {
    rotations: Arc<Rotations>,
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
}

impl World {
    /// With the secrets `key` and `keeper`; nobody said how they are exchanged.
    async fn new() -> Self {
        Self::over(|store| Arc::new(store)).await
    }

    async fn over(make: impl FnOnce(MemoryStore) -> Arc<dyn Store>) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let vault_state = Arc::new(VaultState::new());
        let state = Arc::new(RotationState::new());
        let integrations = Arc::new(IntegrationState::new());
        let store = make(MemoryStore::new(
            clock.clone(),
            vec![vault_state.clone(), state.clone(), integrations.clone()],
        ));
        let created = Event::OwnerCreated {
            owner: store.nodes().next(),
            name: "payments".to_owned(),
            contact: None,
            by: By::Broker,
        };
        store.append(vec![created]).await.unwrap();
        let vault = Arc::new(Vault::new(
            vault_state,
            state.clone(),
            store.clone(),
            clock.clone(),
            Arc::new(SealingRoot::from_bytes(&[7; 32])),
            "https://lanyard.example".to_owned(),
        ));
        for name in ["key", "keeper", "another"] {
            let new = NewVersion {
                name: name.to_owned(),
                owner: Some("payments".to_owned()),
                value: SecretValue::parse(Zeroizing::new("sk".to_owned())).unwrap(),
                reference: Some(name.to_owned()),
                pending: false,
            };
            vault.put(new, By::Broker).await.unwrap();
        }
        let outside = Caller::new(Reach::public()).unwrap();
        Self {
            rotations: Arc::new(Rotations::new(vault, state, integrations, outside)),
            store,
            clock,
        }
    }

    /// Says how `key` is exchanged.
    async fn plan(&self, base: &str, private: &[&str]) -> Result<PlanView, RotateError> {
        self.plan_for("key", base, private).await
    }

    async fn plan_for(
        &self,
        secret: &str,
        base: &str,
        private: &[&str],
    ) -> Result<PlanView, RotateError> {
        let description = include_str!("../../../../deploy/rotation/bearer-keys.toml");
        let description = toml::from_str::<toml::Value>(description).unwrap();
        let mut third_party = serde_json::to_value(description).unwrap();
        third_party["kind"] = json!("http");
        third_party["base"] = json!(base);
        let plan = json!({
            "third_party": third_party,
            "manager": "keeper",
            "private": private,
        });
        let plan = NewPlan::read(Written(plan)).unwrap();
        self.rotations.plan(secret, plan, By::Broker).await
    }

    async fn begin(&self) -> RotationView {
        self.plan("http://127.0.0.1:1", &["127.0.0.0/8"])
            .await
            .unwrap();
        let begun = self
            .rotations
            .rotate("key", RotationCause::Asked, By::Broker);
        begun.await.unwrap()
    }

    /// Another version, with what the third party calls it.
    async fn put(&self, secret: &str, reference: &str) {
        let new = NewVersion {
            name: secret.to_owned(),
            owner: None,
            value: SecretValue::parse(Zeroizing::new("sk-2".to_owned())).unwrap(),
            reference: Some(reference.to_owned()),
            pending: false,
        };
        self.rotations.vault.put(new, By::Broker).await.unwrap();
    }

    /// Somebody finds its first version.
    async fn leak(&self, secret: &str) {
        let vault = &self.rotations.vault;
        let id = vault.find(secret).unwrap();
        assert!(vault.leaked((id, Version(1)), None).await.unwrap());
    }

    /// Carries it on as a process would that began just now, until it tells somebody or for a while.
    async fn is_told(&self, rotation: NodeId, for_so_long: Duration) -> bool {
        let told = async {
            while self
                .rotations
                .show(&rotation.to_string())
                .unwrap()
                .alarm
                .is_none()
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = told => true,
            () = self.rotations.carry_on(rotation, self.rotations.running.begin(rotation).unwrap()) => panic!("it cannot end"),
            () = tokio::time::sleep(for_so_long) => false,
        }
    }
}

#[tokio::test]
async fn a_process_that_just_began_tells_of_a_rotation_that_has_stood_for_long() {
    let world = World::new().await;
    let rotation = world.begin().await.id;
    assert!(!world.is_told(rotation, Duration::from_millis(200)).await);
    // Others lived for twenty seconds each and got nowhere.
    world.clock.set(NOW.plus_millis(40_000));
    assert!(world.is_told(rotation, Duration::from_secs(20)).await);
    let alarm = world.rotations.show(&rotation.to_string()).unwrap().alarm;
    assert!(matches!(alarm, Some(Alarm::Stuck { .. })), "{alarm:?}");
}

#[tokio::test]
async fn a_secret_that_somebody_may_have_a_copy_of_is_waiting_even_when_nobody_planned_it() {
    let world = World::new().await;
    let rotations = &world.rotations;
    rotations.begin_what_is_due(NOW).await;
    assert_eq!(rotations.waiting(), []);
    world.leak("key").await;
    rotations.begin_what_is_due(NOW.plus_millis(60_000)).await;
    let [waiting] = &rotations.waiting()[..] else {
        panic!("{:?}", rotations.waiting());
    };
    assert_eq!(waiting.secret, "key");
    assert_eq!((waiting.cause, waiting.since), (RotationCause::Leak, NOW));
    assert!(
        waiting.why.contains("lanyard rotation plan key"),
        "{waiting:?}"
    );
    assert_eq!(rotations.health(NOW).kept_waiting, 1);
    // Another value in its place is as good, and what was found is still good at the third party.
    let new = NewVersion {
        name: "key".to_owned(),
        owner: None,
        value: SecretValue::parse(Zeroizing::new("another".to_owned())).unwrap(),
        reference: None,
        pending: false,
    };
    rotations.vault.put(new, By::Broker).await.unwrap();
    rotations.begin_what_is_due(NOW.plus_millis(120_000)).await;
    let [waiting] = &rotations.waiting()[..] else {
        panic!("{:?}", rotations.waiting());
    };
    assert!(waiting.why.contains("version 1"), "{waiting:?}");
}

#[tokio::test]
async fn the_end_of_an_old_version_waits_for_its_leases_and_for_what_gateways_tell_of() {
    let world = World::new().await;
    let rotation = world.begin().await.id;
    let used = || {
        let journal = world.rotations.journal(rotation, By::Broker).unwrap();
        journal.old_used()
    };
    assert_eq!(used(), None);
    let gateway = NodeId::from_u64(77);
    let lease = world.rotations.vault.lease("key", gateway, 60, None).await;
    let lease = lease.unwrap();
    assert_eq!(used(), Some(lease.until));
    let told = async |version: Version, last_at: UnixMillis| {
        let told = Event::SecretUsed(Box::new(SecretUse {
            integration: NodeId::from_u64(78),
            secret: lease.secret,
            version,
            gateway,
            boot: 1,
            calls: last_at.0,
            last_at,
        }));
        world.store.append(vec![told]).await.unwrap();
    };
    told(lease.version, NOW.plus_millis(30_000)).await;
    assert_eq!(used(), Some(lease.until));
    told(lease.version, NOW.plus_millis(90_000)).await;
    assert_eq!(used(), Some(NOW.plus_millis(90_000)));
    told(Version(2), NOW.plus_millis(95_000)).await;
    assert_eq!(
        used(),
        Some(NOW.plus_millis(90_000)),
        "of the old one alone"
    );
}

#[tokio::test]
async fn what_is_under_way_goes_on_by_the_plan_of_an_earlier_version_once_its_network_is_named() {
    let world = World::new().await;
    let rotation = world.begin().await.id;
    let rotations = &world.rotations;
    // As one wrote it that asked for no networks, and took lists that no release takes any more.
    let secret = rotations.vault.find("key").unwrap();
    let mut old = rotations.state.plan(secret).unwrap();
    let named = old.private.split_off(0);
    let write = async |plan: &RotationPlan| {
        let (plan, by) = (Box::new(plan.clone()), By::Broker);
        let planned = Event::RotationPlanned { plan, by };
        world.store.append(vec![planned]).await.unwrap();
    };
    write(&old).await;
    let goes_on = async || {
        let mut patience = Patience::default();
        let mut going = rotations.running.begin(rotation).unwrap();
        let carried_on = rotations.try_to_carry_on(rotation, &mut patience, &mut going);
        // Nobody is there, so that it stays where it is.
        let ended = tokio::time::timeout(Duration::from_millis(200), carried_on).await;
        ended.is_err()
    };
    assert!(!goes_on().await, "its network is not named");
    let elsewhere = world.plan("http://127.0.0.1:2", &["127.0.0.0/8"]).await;
    let refused = elsewhere.unwrap_err();
    assert!(
        matches!(refused, RotateError::PlanInUse { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("`ca_file`"), "{refused}");
    let shown = world.plan("http://127.0.0.1:1", &["127.0.0.0/8"]).await;
    assert_eq!(shown.unwrap().private, named);
    assert!(goes_on().await);
    let mut lax = rotations.state.plan(secret).unwrap();
    lax.third_party["verify"]["dead"] = json!([]);
    write(&lax).await;
    assert!(goes_on().await);
}

#[tokio::test]
async fn where_credentials_are_listed_together_one_rotation_goes_on_at_a_time() {
    let world = World::new().await;
    let first = world.begin().await.id;
    let begin = async |base: &str| {
        let planned = world.plan_for("another", base, &["127.0.0.0/8"]).await;
        planned.unwrap();
        let rotations = &world.rotations;
        let begun = rotations.rotate("another", RotationCause::Asked, By::Broker);
        begun.await.unwrap().id
    };
    // Nobody is there: whoever asks is worn.
    let asks = async |rotation: NodeId| {
        let mut patience = Patience::default();
        let rotations = &world.rotations;
        let mut going = rotations.running.begin(rotation).unwrap();
        let carried_on = rotations.try_to_carry_on(rotation, &mut patience, &mut going);
        let _ = tokio::time::timeout(Duration::from_millis(200), carried_on).await;
        patience.is_worn()
    };
    let second = begin("http://127.0.0.1:1").await;
    assert!(asks(first).await);
    assert!(!asks(second).await, "it would end what the first one makes");
    let abort = async |rotation: NodeId| {
        let aborted = world
            .rotations
            .abort(&rotation.to_string(), By::Broker)
            .await;
        aborted.unwrap();
    };
    abort(first).await;
    assert!(asks(second).await);
    abort(second).await;
    // Elsewhere nobody waits.
    assert!(asks(world.begin().await.id).await);
    assert!(asks(begin("http://127.0.0.1:2").await).await);
}

#[tokio::test]
async fn whoever_is_urgent_looks_first_and_whoever_waits_for_long_is_told_of() {
    let world = World::new().await;
    let usual = world.begin().await.id;
    let rotations = &world.rotations;
    let planned = world.plan_for("another", "http://127.0.0.1:1", &["127.0.0.0/8"]);
    planned.await.unwrap();
    let carry_on = |rotation| {
        let rotations = Arc::clone(rotations);
        let going = rotations.running.begin(rotation).unwrap();
        tokio::spawn(async move { rotations.carry_on(rotation, going).await })
    };
    let waits_for = |rotation: NodeId| rotations.show(&rotation.to_string()).unwrap().waits_for;
    let comes = async |is_so: &dyn Fn() -> bool| {
        let mut looks = 0;
        while !is_so() {
            looks += 1;
            assert!(looks < 2_000, "it does not come");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let first = carry_on(usual);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = rotations.rotate("another", RotationCause::Leak, By::Broker);
    let urgent = begun.await.unwrap().id;
    let second = carry_on(urgent);
    comes(&|| waits_for(usual) == Some(urgent) && waits_for(urgent).is_none()).await;
    // Nobody is there: whoever goes first is told of, and then who waits for it.
    world.clock.set(NOW.plus_millis(40_000));
    let why = |rotation: NodeId| match rotations.show(&rotation.to_string()).unwrap().alarm {
        Some(Alarm::Stuck { why }) => why,
        _ => String::new(),
    };
    comes(&|| !why(urgent).is_empty() && why(usual).contains(&urgent.to_string())).await;
    for task in [first, second] {
        task.abort();
        let _ = task.await;
    }
    assert_eq!(waits_for(usual), None, "nobody waits any more");
}

#[tokio::test]
async fn an_urgent_one_behind_one_that_has_looked_is_told_of_though_that_one_is_well() {
    let world = World::new().await;
    let first = world.begin().await.id;
    let rotations = &world.rotations;
    let looked = Fact::Looked {
        before: std::collections::BTreeSet::new(),
    };
    let journal = rotations.journal(first, By::Broker).unwrap();
    drive::Journal::record(&journal, looked, None)
        .await
        .unwrap();
    let planned = world.plan_for("another", "http://127.0.0.1:1", &["127.0.0.0/8"]);
    planned.await.unwrap();
    for (cause, is_told) in [(RotationCause::Asked, false), (RotationCause::Drift, true)] {
        let begun = rotations
            .rotate("another", cause, By::Broker)
            .await
            .unwrap();
        world.clock.advance_millis(26_000);
        assert_eq!(
            world.is_told(begun.id, Duration::from_secs(3)).await,
            is_told,
            "{}",
            cause.word()
        );
        let aborted = rotations.abort(&begun.id.to_string(), By::Broker).await;
        aborted.unwrap();
    }
}

#[tokio::test]
async fn a_leak_hurries_what_is_under_way_and_one_that_comes_into_force_again_is_told_of() {
    let world = World::new().await;
    let rotations = &world.rotations;
    let rotation = world.begin().await.id;
    let secret = rotations.vault.find("key").unwrap();
    let under = || rotations.state.rotation(rotation).unwrap();
    let record = async |fact: Fact, made: Option<&str>| {
        let journal = rotations.journal(rotation, By::Broker).unwrap();
        let made = made.map(|made| SecretValue::parse(Zeroizing::new(made.to_owned())).unwrap());
        drive::Journal::record(&journal, fact, made).await.unwrap();
    };
    let reference = |name: &str| machine::Reference(name.to_owned());
    let before = [reference("key")].into();
    record(Fact::Looked { before }, None).await;
    let reference = reference("key-2");
    record(Fact::Created { reference }, Some("sk_2")).await;
    record(Fact::Proved, None).await;
    record(Fact::Published, None).await;
    rotations.hurry().await;
    assert_eq!(under().cause, RotationCause::Asked);
    let until = || match under().rotation.step() {
        machine::Step::Overlapping { until } => *until,
        step => panic!("{step:?}"),
    };
    assert_eq!(until(), NOW.plus_millis(120_000));
    world.leak("key").await;
    rotations.hurry().await;
    let head = world.store.head();
    rotations.hurry().await;
    assert_eq!(world.store.head(), head, "once is enough");
    assert_eq!(under().cause, RotationCause::Leak);
    assert_eq!(until(), NOW.plus_millis(60_000));
    let queued = || rotations.vault.show("key").unwrap().queued_because;
    assert_eq!(queued(), None);
    rotations.begin_what_is_due(NOW).await;
    assert_eq!(rotations.waiting(), []);
    // The new one dies, and the old one takes its place again.
    record(Fact::Reverted, None).await;
    assert_eq!(queued(), Some(RotationCause::Leak));
    rotations.begin_what_is_due(NOW).await;
    let [waiting] = &rotations.waiting()[..] else {
        panic!("{:?}", rotations.waiting());
    };
    assert_eq!(waiting.cause, RotationCause::Leak);
    assert!(waiting.why.contains("in force again"), "{waiting:?}");
    for fact in [
        Fact::Overlapped,
        Fact::Drained,
        Fact::Confirmed,
        Fact::Revoked,
        Fact::Buried,
        Fact::Swept,
    ] {
        record(fact, None).await;
    }
    assert_eq!(rotations.state.under_way(secret), None);
    rotations.begin_what_is_due(NOW).await;
    let again = rotations.state.under_way(secret).unwrap();
    assert_eq!(
        rotations.state.rotation(again).unwrap().cause,
        RotationCause::Leak
    );
}

#[tokio::test]
async fn a_leaked_version_that_is_not_in_force_waits_for_a_person_until_it_is_retired() {
    let world = World::new().await;
    let rotations = &world.rotations;
    let new = NewVersion {
        name: "key".to_owned(),
        owner: None,
        value: SecretValue::parse(Zeroizing::new("sk_2".to_owned())).unwrap(),
        reference: None,
        pending: false,
    };
    rotations.vault.put(new, By::Broker).await.unwrap();
    world.leak("key").await;
    rotations.begin_what_is_due(NOW).await;
    let [waiting] = &rotations.waiting()[..] else {
        panic!("{:?}", rotations.waiting());
    };
    assert!(
        waiting.why.contains("lanyard secret retire key 1"),
        "{waiting:?}"
    );
    let retired = rotations
        .vault
        .retire("key", Some(Version(1)), By::Broker, None);
    retired.await.unwrap();
    rotations.begin_what_is_due(NOW).await;
    assert_eq!(rotations.waiting(), []);
}

#[tokio::test]
async fn third_parties_that_do_not_answer_hold_up_neither_each_other_nor_the_end() {
    let world = World::new().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", silent.local_addr().unwrap());
    for secret in ["key", "another"] {
        let planned = world.plan_for(secret, &base, &["127.0.0.0/8"]).await;
        planned.unwrap();
    }
    for secret in ["key", "another"] {
        world.leak(secret).await;
    }
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(Arc::clone(&world.rotations).run(async {
        let _ = stopped.await;
    }));
    let both_ask = async {
        let mut asking = Vec::new();
        while asking.len() < 2 {
            asking.push(silent.accept().await.unwrap());
        }
        asking
    };
    // Neither gives up within the ten seconds that a call may take.
    let asking = tokio::time::timeout(Duration::from_secs(5), both_ask).await;
    assert!(asking.is_ok(), "one waits for the other");
    stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), running).await;
    ended.expect("it ends without an answer").unwrap();
}

#[tokio::test]
async fn a_leak_is_no_matter_of_the_next_minute() {
    let world = World::new().await;
    let there = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", there.local_addr().unwrap());
    let planned = world.plan(&base, &["127.0.0.0/8"]).await;
    planned.unwrap();
    let running = tokio::spawn(Arc::clone(&world.rotations).run(std::future::pending()));
    let asks = async || tokio::time::timeout(Duration::from_millis(300), there.accept()).await;
    assert!(asks().await.is_err(), "nothing is due");
    world.clock.advance_millis(2_000);
    world.leak("key").await;
    assert!(asks().await.is_ok());
    running.abort();
}

#[tokio::test]
async fn one_credential_in_two_secrets_is_exchanged_by_neither() {
    let (here, there) = ("http://127.0.0.1:1", "http://127.0.0.1:2");
    let world = World::new().await;
    let plan = async |secret, base| world.plan_for(secret, base, &["127.0.0.0/8"]).await;
    plan("key", here).await.unwrap();
    plan("another", here).await.unwrap();
    world.put("another", "key").await;
    let is_shared = |refused: Result<_, RotateError>| {
        let refused = refused.map(|_: ()| ()).unwrap_err();
        let words = refused.to_string();
        assert!(matches!(refused, RotateError::Shared { .. }), "{words}");
        words
    };
    for secret in ["key", "another"] {
        let begun = world
            .rotations
            .rotate(secret, RotationCause::Asked, By::Broker);
        let words = is_shared(begun.await.map(drop));
        assert!(
            words.contains("`key`") && words.contains("`another`"),
            "{words}"
        );
    }
    is_shared(plan("another", here).await.map(drop));
    // What is called the same at another place is another credential.
    plan("another", there).await.unwrap();
    plan("key", here).await.unwrap();
}

#[tokio::test]
async fn a_role_of_two_plans_is_refused_at_the_second() {
    let world = World::new().await;
    let plan = |port: u16| {
        let plan = json!({
            "third_party": {
                "kind": "postgres", "host": "127.0.0.1", "port": port, "database": "shop",
                "roles": ["shop_a", "shop_b"], "plain": true,
            },
            "manager": "keeper",
            "private": ["127.0.0.0/8"],
        });
        NewPlan::read(Written(plan)).unwrap()
    };
    let planned = async |secret, port| world.rotations.plan(secret, plan(port), By::Broker).await;
    world.put("key", "shop_a").await;
    world.put("another", "shop_b").await;
    planned("key", 5_432).await.unwrap();
    let refused = planned("another", 5_432).await.unwrap_err();
    assert!(matches!(refused, RotateError::Shared { .. }), "{refused}");
    planned("another", 5_433).await.unwrap();
}

#[tokio::test]
async fn what_others_have_is_what_they_have_at_this_place_and_never_its_own() {
    let world = World::new().await;
    let begun = world.begin().await;
    let journal = world.rotations.journal(begun.id, By::Broker).unwrap();
    let others = || {
        let others = journal.kept_elsewhere();
        ["another", "keeper", "key"].map(|name| others.contains(&Reference(name.to_owned())))
    };
    // Nobody knows where a secret without a plan is kept.
    assert_eq!(others(), [true, true, false]);
    let elsewhere = world.plan_for("another", "http://127.0.0.1:2", &["127.0.0.0/8"]);
    elsewhere.await.unwrap();
    assert_eq!(others(), [false, true, false]);
    world.put("keeper", "key").await;
    assert_eq!(
        others(),
        [false, true, false],
        "it is its own, whoever has it too"
    );
}

#[tokio::test]
async fn a_manager_that_is_called_nothing_is_refused_at_the_plan() {
    let world = World::new().await;
    let new = NewVersion {
        name: "keeper".to_owned(),
        owner: None,
        value: SecretValue::parse(Zeroizing::new("sk-3".to_owned())).unwrap(),
        reference: None,
        pending: false,
    };
    let vault = &world.rotations.vault;
    vault.put(new, By::Broker).await.unwrap();
    let refused = world.plan("http://127.0.0.1:1", &["127.0.0.0/8"]).await;
    let words = refused.unwrap_err().to_string();
    assert!(
        words.contains("`keeper`") && words.contains("--reference"),
        "{words}"
    );
}
