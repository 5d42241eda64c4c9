//! Rotations over a store in memory, at a third party where nobody is.

use serde_json::json;
use zeroize::Zeroizing;

use super::*;
use crate::clock::ManualClock;
use crate::crypto::SealingRoot;
use crate::outbound::Reach;
use crate::store::Store;
use crate::store::event::{RotationPlan, SecretUse, Version};
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
        let clock = Arc::new(ManualClock::at(NOW));
        let vault_state = Arc::new(VaultState::new());
        let state = Arc::new(RotationState::new());
        let integrations = Arc::new(IntegrationState::new());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(
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
            () = self.rotations.carry_on(rotation) => panic!("it cannot end"),
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
    let secret = rotations.vault.find("key").unwrap();
    let leaked = rotations.vault.leaked((secret, Version(1)), None).await;
    assert!(leaked.unwrap());
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
    // Another value in its place is as good.
    let new = NewVersion {
        name: "key".to_owned(),
        owner: None,
        value: SecretValue::parse(Zeroizing::new("another".to_owned())).unwrap(),
        reference: None,
        pending: false,
    };
    rotations.vault.put(new, By::Broker).await.unwrap();
    rotations.begin_what_is_due(NOW.plus_millis(120_000)).await;
    assert_eq!(rotations.waiting(), []);
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
        let carried_on = rotations.try_to_carry_on(rotation, &mut patience);
        // Nobody is there, so that it stays where it is.
        let ended = tokio::time::timeout(Duration::from_millis(200), carried_on).await;
        ended.is_err()
    };
    assert!(!goes_on().await, "its network is not named");
    let elsewhere = world.plan("http://127.0.0.1:2", &["127.0.0.0/8"]).await;
    let refused = elsewhere.unwrap_err();
    assert!(matches!(refused, RotateError::UnderWay { .. }), "{refused}");
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
        let begun = rotations.rotate("another", RotationCause::Leak, By::Broker);
        begun.await.unwrap().id
    };
    // Nobody is there: whoever asks is worn.
    let asks = async |rotation: NodeId| {
        let mut patience = Patience::default();
        let carried_on = world.rotations.try_to_carry_on(rotation, &mut patience);
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
