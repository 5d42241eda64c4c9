//! Owners, identities, keys and gateways, and what disabling one ends.

use lanyard::clock::UnixMillis;
use lanyard::http::caller::{Door, Doorkeeper};
use lanyard::issue::administration::{AdminError, NewGateway, NewIdentity, NewOwner};
use lanyard::store::event::{By, Kind};
use lanyard_token::{NodeId, RootKey};
use serde_json::Value;

use super::world::{Holder, ISSUER, NOW, ORDERS, World};

#[tokio::test]
async fn names_stay_unique_when_many_ask_at_once() {
    let world = World::new().await;
    let new = || NewOwner {
        name: "one".to_owned(),
        contact: None,
    };
    let asked = (0..50).map(|_| world.issue.create_owner(new(), By::Broker));
    let answers = futures::future::join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert!(
        answers
            .iter()
            .flat_map(|answer| answer.as_ref().err())
            .all(|error| matches!(error, AdminError::Taken { .. }))
    );
    assert_eq!(world.issue.list_owners().len(), 2);
}

#[tokio::test]
async fn disabling_an_owner_is_one_watermark_that_ends_everything_below() {
    let world = World::new().await;
    let (billing, server) = (
        world.identity("billing").await,
        world.identity("server").await,
    );
    let tokens = [world.token(&billing).await, world.token(&server).await];
    let owner = world.issue.find_owner("team").unwrap();
    let before = world.head();
    let rev = world
        .issue
        .disable(owner, By::Broker, "left the company")
        .await
        .unwrap();
    assert_eq!(before.forward(1), Some(rev), "one event");
    assert!(tokens.iter().all(|token| !world.lives(token)));
    let form = [("grant_type", "client_credentials"), ("audience", ORDERS)];
    world
        .post("/oauth/token", Some(&billing), &form)
        .await
        .assert_error(401, "invalid_client");
    world.issue.enable(owner, By::Broker, None).await.unwrap();
    assert!(
        tokens.iter().all(|token| !world.lives(token)),
        "old tokens stay dead"
    );
    assert!(world.lives(&world.token(&billing).await));
}

#[tokio::test]
async fn a_revoked_key_ends_its_tokens_and_leaves_its_siblings() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let (credential, key) = world
        .issue
        .add_key("billing", Some("ci".to_owned()), None, By::Broker)
        .await
        .unwrap();
    let second = Holder {
        id: billing.id,
        credential,
        secret: key.expose().to_owned(),
    };
    let (first_token, second_token) = (world.token(&billing).await, world.token(&second).await);
    world
        .issue
        .revoke_credential(credential, By::Broker, "leaked")
        .await
        .unwrap();
    assert!(world.lives(&first_token) && !world.lives(&second_token));
    let listed = world.issue.list_keys("billing").unwrap();
    let seen: Vec<_> = listed
        .iter()
        .map(|key| (key.label.as_deref(), key.disabled))
        .collect();
    assert_eq!(seen, [(None, false), (Some("ci"), true)]);
    let gone = world
        .issue
        .revoke_credential(NodeId::from_u64(5), By::Broker, "x")
        .await;
    assert!(matches!(gone, Err(AdminError::NotFound { .. })));
}

#[tokio::test]
async fn an_expired_key_is_refused() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let end = UnixMillis::from_seconds(NOW + 60);
    let (credential, key) = world
        .issue
        .add_key("billing", None, Some(end), By::Broker)
        .await
        .unwrap();
    let short = Holder {
        id: billing.id,
        credential,
        secret: key.expose().to_owned(),
    };
    world.client(&short);
    world.clock.set(end);
    assert!(
        world
            .issue
            .authenticate(&short.id.to_string(), &short.secret, None)
            .is_err()
    );
    let past = world
        .issue
        .add_key("billing", None, Some(end), By::Broker)
        .await;
    assert!(matches!(past, Err(AdminError::Invalid(_))));
}

#[tokio::test]
async fn a_gateway_starts_with_its_enrolment_and_gets_tokens_for_the_broker_alone() {
    let world = World::new().await;
    let new = NewGateway {
        name: "edge".to_owned(),
        owner: "team".to_owned(),
        audiences: vec![ORDERS.to_owned()],
        sole_witness: false,
        egress: false,
    };
    let enrolment = world.issue.add_gateway(new, By::Broker).await.unwrap();
    let file: Value = serde_json::from_str(&enrolment.to_json()).unwrap();
    let mut members: Vec<&String> = file.as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(
        members,
        ["audiences", "client_id", "client_secret", "issuer", "root"]
    );
    assert_eq!(
        (file["issuer"].as_str(), file["audiences"][0].as_str()),
        (Some(ISSUER), Some(ORDERS))
    );
    let root: RootKey = file["root"].as_str().unwrap().parse().unwrap();
    assert_eq!(&root, world.issue.root().public());

    let holder = Holder {
        id: file["client_id"].as_str().unwrap().parse().unwrap(),
        credential: NodeId::from_u64(0),
        secret: file["client_secret"].as_str().unwrap().to_owned(),
    };
    let cc = ("grant_type", "client_credentials");
    let token = world
        .post("/oauth/token", Some(&holder), &[cc])
        .await
        .token();
    let claims = world.claims(&token);
    assert_eq!(
        (claims.aud.as_str(), claims.scope.to_string().as_str()),
        (ISSUER, "lanyard:feed lanyard:report")
    );
    world
        .post("/oauth/token", Some(&holder), &[cc, ("audience", ORDERS)])
        .await
        .assert_error(400, "invalid_target");
    let now = UnixMillis::from_seconds(NOW);
    let caller =
        Doorkeeper::admit(&*world.issue, &token, Door::Public, "lanyard:feed", now).unwrap();
    assert_eq!((caller.identity, caller.token), (holder.id, claims.jti));
    assert!(Doorkeeper::admit(&*world.issue, &token, Door::Admin, "lanyard:feed", now).is_err());
    assert!(Doorkeeper::admit(&*world.issue, &token, Door::Public, "lanyard:admin", now).is_err());
    assert_eq!(world.issue.list_gateways()[0].audiences[0].as_str(), ORDERS);
}

#[tokio::test]
async fn a_gateway_is_enrolled_and_never_registered_among_other_identities() {
    let world = World::new().await;
    world.identity("billing").await;
    let before = world.head();
    for scopes in ["lanyard:feed lanyard:report", "orders:read", ""] {
        let new = NewIdentity {
            name: "edge".to_owned(),
            owner: "team".to_owned(),
            kind: Kind::Gateway,
            tags: Vec::new(),
            audiences: vec![ORDERS.to_owned()],
            scopes: scopes.to_owned(),
            max_lifetime: None,
        };
        let refused = world.issue.create_identity(new, By::Broker).await;
        let words = refused.unwrap_err().to_string();
        assert_eq!(
            words,
            "`kind` is gateway: enrol it with `lanyard gateway add`"
        );
    }
    assert_eq!(world.head(), before);
}

#[tokio::test]
async fn a_local_administrator_gets_an_hour_at_the_admin_door() {
    let world = World::new().await;
    let now = UnixMillis::from_seconds(NOW);
    let one = world
        .issue
        .local_admin_token(By::Socket { uid: 0 })
        .await
        .unwrap();
    let two = world
        .issue
        .local_admin_token(By::Socket { uid: 0 })
        .await
        .unwrap();
    assert_eq!(
        (one.expires_in, one.scope.to_string().as_str()),
        (3_600, "lanyard:admin")
    );
    let admit =
        |token: &str, door| Doorkeeper::admit(&*world.issue, token, door, "lanyard:admin", now);
    let caller = admit(one.token.expose(), Door::Admin).unwrap();
    assert!(admit(one.token.expose(), Door::Public).is_err());
    assert_eq!(
        caller.identity,
        admit(two.token.expose(), Door::Admin).unwrap().identity
    );
    world
        .issue
        .disable(caller.identity, By::Broker, "no local administration")
        .await
        .unwrap();
    assert!(admit(one.token.expose(), Door::Admin).is_err());
    assert!(
        world
            .issue
            .local_admin_token(By::Socket { uid: 0 })
            .await
            .is_err()
    );
}

#[tokio::test]
async fn an_identity_is_found_by_name_and_by_number() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    assert_eq!(world.issue.find_identity("billing").unwrap(), billing.id);
    assert_eq!(
        world
            .issue
            .show_identity(&billing.id.to_string())
            .unwrap()
            .name,
        "billing"
    );
    assert!(matches!(
        world.issue.find_identity("nobody"),
        Err(AdminError::NotFound { .. })
    ));
    let orphan = NewIdentity {
        name: "orphan".to_owned(),
        owner: "nobody".to_owned(),
        kind: Kind::Service,
        tags: Vec::new(),
        audiences: vec![ORDERS.to_owned()],
        scopes: String::new(),
        max_lifetime: None,
    };
    let refused = world.issue.create_identity(orphan, By::Broker).await;
    assert!(matches!(
        refused,
        Err(AdminError::NotFound { kind: "owner", .. })
    ));
}
