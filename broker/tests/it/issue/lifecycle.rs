//! Whose an identity is, and what that ends.

use lanyard::issue::administration::{
    AdminError, AskedRights, ChangeIdentity, NewGateway, NewIdentity, NewOwner, Witness,
};
use lanyard::store::Event;
use lanyard::store::Store;
use lanyard::store::event::{By, Cause, Kind, Used, UsedOperation};
use lanyard_token::{NodeId, Rev};

use super::world::{ORDERS, STOCK, World};

async fn another_owner(world: &World, name: &str) {
    let owner = NewOwner {
        name: name.to_owned(),
        contact: None,
    };
    world.issue.create_owner(owner, By::Broker).await.unwrap();
}

fn written_after(world: &World, before: Rev) -> Vec<Event> {
    let records = world.store.read(before, 1_000).unwrap();
    records
        .into_iter()
        .flat_map(|record| record.events)
        .collect()
}

#[tokio::test]
async fn a_transfer_ends_what_was_obtained_under_the_old_owner_in_the_same_record() {
    let world = World::new().await;
    another_owner(&world, "heirs").await;
    let (billing, server) = (
        world.identity("billing").await,
        world.identity("server").await,
    );
    let (token, bystander) = (world.token(&billing).await, world.token(&server).await);
    let before = world.head();
    let transferred = world
        .issue
        .transfer_identity("billing", "heirs", By::Broker, Some("reorganised"))
        .await
        .unwrap();
    assert_eq!(transferred.identities, [billing.id]);
    assert_eq!(
        world.store.read(before, 10).unwrap().len(),
        1,
        "one record, so that nobody sees half of it"
    );
    // Nothing in it enables: who disables the identity at the same moment is not overruled.
    assert!(matches!(
        written_after(&world, before).as_slice(),
        [Event::Revoked { cause: Cause::Changed, node, .. }, Event::IdentityTransferred { identity, .. }]
            if *node == billing.id && *identity == billing.id
    ));
    assert!(!world.lives(&token));
    assert!(world.lives(&bystander));

    let fresh = world.token(&billing).await;
    let heirs = world.issue.find_owner("heirs").unwrap();
    assert_eq!(world.claims(&fresh).lin.owner(), heirs);
    let team = world.issue.find_owner("team").unwrap();
    world.issue.disable(team, By::Broker, "left").await.unwrap();
    assert!(world.lives(&fresh), "the old owner ends nothing any more");
    assert!(!world.lives(&bystander));
    world
        .issue
        .disable(heirs, By::Broker, "left too")
        .await
        .unwrap();
    assert!(!world.lives(&fresh));
}

#[tokio::test]
async fn a_disabled_identity_stays_disabled_through_a_transfer() {
    let world = World::new().await;
    another_owner(&world, "heirs").await;
    let billing = world.identity("billing").await;
    world
        .issue
        .disable(billing.id, By::Broker, "stolen")
        .await
        .unwrap();
    world
        .issue
        .transfer_identity("billing", "heirs", By::Broker, None)
        .await
        .unwrap();
    let seen = world.issue.show_identity("billing").unwrap();
    assert!(seen.disabled);
    assert_eq!(seen.owner, world.issue.find_owner("heirs").unwrap());
}

#[tokio::test]
async fn everything_of_an_owner_goes_to_another_and_out_of_its_end() {
    let world = World::new().await;
    another_owner(&world, "heirs").await;
    let holders = [
        world.identity("billing").await,
        world.identity("server").await,
    ];
    let team = world.issue.find_owner("team").unwrap();
    world.issue.disable(team, By::Broker, "left").await.unwrap();
    let transferred = world
        .issue
        .transfer_owner("team", "heirs", By::Broker, None)
        .await
        .unwrap();
    assert_eq!(transferred.identities.len(), 2);
    for holder in &holders {
        assert!(world.lives(&world.token(holder).await));
    }
    let nothing = world
        .issue
        .transfer_owner("team", "heirs", By::Broker, None)
        .await
        .unwrap();
    assert_eq!((nothing.identities.len(), nothing.rev), (0, None));
}

#[tokio::test]
async fn nobody_is_an_orphan() {
    let world = World::new().await;
    another_owner(&world, "heirs").await;
    let billing = world.identity("billing").await;
    let heirs = world.issue.find_owner("heirs").unwrap();
    world
        .issue
        .disable(heirs, By::Broker, "left")
        .await
        .unwrap();
    let by = || By::Broker;
    let refused = world
        .issue
        .transfer_identity("billing", "heirs", by(), None)
        .await;
    assert!(
        matches!(refused, Err(AdminError::OwnerDisabled { .. })),
        "{refused:?}"
    );
    let new = NewIdentity {
        name: "late".to_owned(),
        owner: "heirs".to_owned(),
        kind: Kind::Service,
        tags: Vec::new(),
        audiences: vec![ORDERS.to_owned()],
        scopes: String::new(),
        max_lifetime: None,
    };
    let refused = world.issue.create_identity(new, by()).await;
    assert!(
        matches!(refused, Err(AdminError::OwnerDisabled { .. })),
        "{refused:?}"
    );
    let refused = world
        .issue
        .transfer_identity("billing", "nobody", by(), None)
        .await;
    assert!(
        matches!(refused, Err(AdminError::NotFound { .. })),
        "{refused:?}"
    );
    let refused = world
        .issue
        .transfer_identity("billing", "team", by(), None)
        .await;
    assert!(
        matches!(refused, Err(AdminError::OwnedAlready { .. })),
        "{refused:?}"
    );

    let team = world.issue.find_owner("team").unwrap();
    world.issue.disable(team, by(), "left").await.unwrap();
    let refused = world.issue.enable(billing.id, by(), None).await;
    let words = refused.unwrap_err().to_string();
    assert!(
        words.contains("`team` is disabled: enable it, or transfer"),
        "{words}"
    );
}

#[tokio::test]
async fn who_may_ask_for_less_loses_what_it_had_and_who_may_ask_for_more_keeps_it() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let change =
        |change: ChangeIdentity| world.issue.change_identity("billing", change, By::Broker);
    let token = world.token(&billing).await;
    let before = world.head();
    change(ChangeIdentity::default()).await.unwrap();
    assert_eq!(world.head(), before, "nothing changed, nothing is written");

    let more = ChangeIdentity {
        scopes: Some("orders:read orders:write orders:list".to_owned()),
        ..ChangeIdentity::default()
    };
    change(more).await.unwrap();
    assert!(world.lives(&token));

    let less = ChangeIdentity {
        audiences: Some(vec![STOCK.to_owned()]),
        ..ChangeIdentity::default()
    };
    change(less).await.unwrap();
    assert!(!world.lives(&token));
    let form = [("grant_type", "client_credentials"), ("audience", ORDERS)];
    world
        .post("/oauth/token", Some(&billing), &form)
        .await
        .assert_error(400, "invalid_target");
    let refused = change(ChangeIdentity {
        audiences: Some(vec!["https://broker.example/admin".to_owned()]),
        ..ChangeIdentity::default()
    });
    assert!(
        refused.await.is_err(),
        "the broker's own doors are not given away"
    );
}

fn labelled(tags: &[&str]) -> ChangeIdentity {
    ChangeIdentity {
        tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()),
        ..ChangeIdentity::default()
    }
}

#[tokio::test]
async fn whoever_gets_other_labels_loses_what_it_had_under_those_of_before() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let change = |tags: &[&str]| {
        let change = labelled(tags);
        world.issue.change_identity("billing", change, By::Broker)
    };
    // A grant may hang on a label, and a forbid may name one.
    for (tags, ends) in [
        (&["grant.refunds", "prod"] as &[_], true),
        (&["prod", "grant.refunds"], false),
        (&["prod"], true),
        (&["prod", "quarantined"], true),
    ] {
        let token = world.token(&billing).await;
        change(tags).await.unwrap();
        assert_eq!(world.lives(&token), !ends, "{tags:?}");
        // It is no less usable than before.
        world.token(&billing).await;
    }
}

const BY_LABEL: &str = r#"
@id("refunds") @owner("team") @why("w")
permit(principal, action == Lanyard::Action::"issue", resource)
when { resource.name == "refunds:write" && principal.tags.contains("grant.refunds") };
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_that_a_label_gave_outlives_the_label_not_even_in_a_race() {
    let world = std::sync::Arc::new(World::new().await);
    let billing = world.identity("billing").await;
    super::policies::enforce(&world, BY_LABEL).await.unwrap();
    let client = world.client(&billing);
    let wanted = lanyard::issue::policy::Request {
        audiences: vec![ORDERS.parse().unwrap()],
        scopes: Some("refunds:write".parse().unwrap()),
        ..Default::default()
    };
    let mut given = 0;
    for round in 0..200 {
        let label = labelled(&["grant.refunds"]);
        let given_it = world.issue.change_identity("billing", label, By::Broker);
        given_it.await.unwrap();
        let minting = {
            let (world, client, wanted) = (world.clone(), client.clone(), wanted.clone());
            tokio::spawn(async move {
                let issued = world.issue.client_credentials(&client, &wanted, None);
                let issued = issued.await.ok()?;
                Some(issued.token.expose().to_owned())
            })
        };
        // Shift the moment, so that every interleaving gets its turn.
        for _ in 0..round % 8 {
            tokio::task::yield_now().await;
        }
        let taken = world
            .issue
            .change_identity("billing", labelled(&[]), By::Broker);
        taken.await.unwrap();
        if let Some(token) = minting.await.unwrap() {
            given += 1;
            assert!(!world.lives(&token), "round {round}");
        }
    }
    assert!(given > 0);
}

#[tokio::test]
async fn a_gateway_that_is_changed_stays_the_witness_it_was_enrolled_as() {
    let world = World::new().await;
    world.identity("billing").await;
    for (name, sole_witness) in [("door", true), ("gate", false)] {
        let gateway = NewGateway {
            name: name.to_owned(),
            owner: "team".to_owned(),
            audiences: vec![ORDERS.to_owned()],
            sole_witness,
            egress: false,
        };
        world.issue.add_gateway(gateway, By::Broker).await.unwrap();
        let change = ChangeIdentity {
            audiences: Some(vec![ORDERS.to_owned(), STOCK.to_owned()]),
            max_lifetime: Some(600),
            ..ChangeIdentity::default()
        };
        let changed = world.issue.change_identity(name, change, By::Broker);
        changed.await.unwrap();
    }
    let listed = world.issue.list_gateways();
    let told: Vec<_> = listed
        .iter()
        .map(|one| (one.name.as_str(), one.audiences.len(), one.sole_witness))
        .collect();
    assert_eq!(told, [("door", 2, true), ("gate", 2, false)]);
}

/// Days go by, and somebody works on each second of them.
async fn days_with(world: &World, days: u64, holder: &super::world::Holder) {
    for day in 0..days {
        world.clock.advance_millis(24 * 3_600 * 1_000);
        if day % 2 == 1 {
            world.issue.keep_keys().await.unwrap();
            world.token(holder).await;
        }
    }
}

#[tokio::test]
async fn what_nobody_uses_is_reported_after_a_month_and_disabled_after_three() {
    let world = World::new().await;
    let (busy, idle) = (world.identity("busy").await, world.identity("idle").await);
    let gateway = lanyard::issue::administration::NewGateway {
        name: "door".to_owned(),
        owner: "team".to_owned(),
        audiences: vec![ORDERS.to_owned()],
        sole_witness: false,
        egress: false,
    };
    world.issue.add_gateway(gateway, By::Broker).await.unwrap();
    world.issue.local_admin_token(By::Broker).await.unwrap();
    days_with(&world, 30, &busy).await;
    assert!(world.issue.unused(30).is_empty());

    days_with(&world, 2, &busy).await;
    let unused = world.issue.unused(30);
    let names: Vec<&str> = unused.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["door", "idle"]);
    let announced: Vec<_> = unused.iter().map(|one| one.disabled_in_days).collect();
    assert_eq!(
        announced,
        [None, Some(59)],
        "never a gateway, and nobody unannounced"
    );
    assert_eq!(world.issue.disable_unused().await.unwrap(), 0);
    assert_eq!(world.issue.identities_unused(), 2);

    days_with(&world, 60, &busy).await;
    let before = world.head();
    assert_eq!(world.issue.disable_unused().await.unwrap(), 1);
    assert!(matches!(
        written_after(&world, before).as_slice(),
        [Event::Revoked { node, cause: Cause::Unused, by: By::Broker }] if *node == idle.id
    ));
    assert_eq!(
        world.issue.disable_unused().await.unwrap(),
        0,
        "once is enough"
    );
    assert!(!world.issue.show_identity("door").unwrap().disabled);

    world.issue.enable(idle.id, By::Broker, None).await.unwrap();
    assert_eq!(
        world.issue.disable_unused().await.unwrap(),
        0,
        "who enables it means to use it"
    );
    assert!(world.lives(&world.token(&idle).await));
}

/// A day goes by, and it works.
async fn a_day(world: &World, holder: &super::world::Holder) {
    world.clock.advance_millis(24 * 3_600 * 1_000);
    world.issue.keep_keys().await.unwrap();
    world.token(holder).await;
}

/// What a gateway told of it today.
async fn seen(world: &World, holder: &super::world::Holder, name: &str, scopes: &str) {
    let used = Used {
        identity: holder.id,
        gateway: NodeId::from_u64(7),
        audience: ORDERS.parse().unwrap(),
        operations: vec![UsedOperation {
            name: name.to_owned(),
            scopes: scopes.parse().unwrap(),
        }],
    };
    let event = Event::Used(Box::new(used));
    world.store.append(vec![event]).await.unwrap();
}

#[tokio::test]
async fn a_right_that_no_gateway_saw_used_is_listed_once_it_is_old_enough_with_who_says_so() {
    let world = World::new().await;
    let (busy, blind) = (world.identity("busy").await, world.identity("blind").await);
    let asked = |days, identity: &str| AskedRights {
        days,
        identity: Some(identity.to_owned()),
        owner: None,
        operations: true,
    };
    let listed = |days, identity: &str| -> Vec<_> {
        let rights = world.issue.unused_rights(&asked(days, identity));
        let rights = rights.into_iter();
        rights
            .map(|one| (one.right, one.witness, one.last_used.is_some()))
            .collect()
    };
    for _ in 0..29 {
        a_day(&world, &busy).await;
        world.token(&blind).await;
        seen(&world, &busy, "GET /orders", "orders:read").await;
    }
    assert!(listed(30, "busy").is_empty(), "nothing is thirty days old");
    seen(&world, &blind, "POST /orders", "orders:write").await;
    for _ in 0..2 {
        a_day(&world, &busy).await;
        world.token(&blind).await;
        seen(&world, &busy, "GET /orders", "orders:read").await;
    }
    assert_eq!(
        listed(30, "busy"),
        [
            (STOCK.to_owned(), Witness::Tokens, false),
            ("orders:write".to_owned(), Witness::Gateways, false),
            ("POST /orders".to_owned(), Witness::Gateways, false),
        ]
    );
    // Gateways have told of it for two days only: before, its tokens are all there is to go by.
    let blind: Vec<_> = listed(30, "blind").into_iter().map(|one| one.0).collect();
    assert_eq!(blind, [STOCK]);
    assert!(listed(32, "busy").is_empty());
}

#[tokio::test]
async fn without_any_word_of_a_gateway_what_a_token_had_was_used() {
    let world = World::new().await;
    let busy = world.identity("busy").await;
    for _ in 0..40 {
        world.clock.advance_millis(24 * 3_600 * 1_000);
        world.issue.keep_keys().await.unwrap();
        let only = [("scope", "orders:read")];
        world.token_with(&busy, &only).await;
    }
    let asked = AskedRights {
        days: 30,
        ..AskedRights::default()
    };
    let rights = world.issue.unused_rights(&asked);
    let rights: Vec<_> = rights
        .iter()
        .map(|one| (one.right.as_str(), one.witness))
        .collect();
    assert_eq!(
        rights,
        [(STOCK, Witness::Tokens), ("orders:write", Witness::Tokens)]
    );
}

#[tokio::test]
async fn a_broker_that_lay_still_disables_nobody_at_its_start() {
    let world = World::new().await;
    let idle = world.identity("idle").await;
    world.clock.advance_millis(300 * 24 * 3_600 * 1_000);
    world.issue.keep_keys().await.unwrap();
    assert_eq!(world.issue.disable_unused().await.unwrap(), 0);
    assert!(world.lives(&world.token(&idle).await));
}

#[tokio::test]
async fn keys_are_listed_by_age_with_their_last_use() {
    let world = World::new().await;
    let busy = world.identity("busy").await;
    days_with(&world, 10, &busy).await;
    let (spare, _) = world
        .issue
        .add_key("busy", Some("spare".to_owned()), None, By::Broker)
        .await
        .unwrap();
    days_with(&world, 4, &busy).await;
    let ages = world.issue.key_ages();
    let told: Vec<_> = ages
        .iter()
        .map(|age| {
            (
                age.id,
                age.age_days,
                age.quiet_days,
                age.last_used.is_some(),
            )
        })
        .collect();
    assert_eq!(told, [(busy.credential, 14, 0, true), (spare, 4, 3, false)]);
}
