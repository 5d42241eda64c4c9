//! Nobody gets more than they have, and somebody is always left who can mend things.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use lanyard::store::Event;
use serde_json::json;

use super::*;

/// What the token is told: 403 and the missing right.
async fn lacks(world: &World, token: &str, path: &str, body: Value, right: &str) {
    let (status, answer) = world.send("POST", path, token, body.to_string()).await;
    assert_eq!(status, 403, "{path}: {answer}");
    let words = answer["error_description"].as_str().unwrap();
    assert!(words.contains(&format!("`{right}`")), "{path}: {words}");
}

async fn done(world: &World, token: &str, path: &str, body: Value) -> Value {
    let (status, answer) = world.send("POST", path, token, body.to_string()).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

fn service(name: &str, owner: &str) -> Value {
    json!({"name": name, "owner": owner, "kind": "service", "tags": ["prod"], "max_lifetime": 3600,
           "audiences": ["https://orders.example"], "scopes": "orders:read"})
}

/// Everything but the right to administer administrators.
const ALMOST: &str = r#"
@id("almost") permit(principal in Lanyard::Tag::"role.almost", action in Lanyard::Action::"administer", resource)
unless { action == Lanyard::Action::"administrators:write" };"#;

#[tokio::test(flavor = "multi_thread")]
async fn with_all_rights_but_one_nobody_makes_or_strengthens_an_administrator() {
    let world = World::new().await;
    let folder = bundle(
        &world,
        &format!("{WHOLE} unless {{ principal.roles.contains(\"almost\") }};{ALMOST}"),
    );
    world.broker.issue().read_policies_from(Some(&folder));
    let (status, answer) = tell(&world, "/v1/policy/reload", "{}").await;
    assert_eq!(status, 200, "{answer}");
    let full = world.administrator("root", "none").await;
    let almost = world.administrator("almost", "almost").await;
    let other = world.administrator("other", "almost").await;
    let issue = world.broker.issue();
    let (id, owner) = (
        issue.find_identity("almost").unwrap(),
        issue.find_owner("payments").unwrap(),
    );
    let right = "administrators:write";

    done(&world, &almost, "/v1/owners", json!({"name": "orders"})).await;
    done(
        &world,
        &almost,
        "/v1/identities",
        service("parcel", "orders"),
    )
    .await;
    done(&world, &almost, "/v1/identities/parcel/keys", json!({})).await;
    let key = issue.list_keys("other").unwrap()[0].id;
    let their_key = format!("/v1/keys/{key}/enable");
    let by_number = format!("/v1/identities/{id}");
    for (path, body) in [
        (
            "/v1/identities",
            json!({"name": "mine", "owner": "orders", "kind": "administrator"}),
        ),
        ("/v1/identities/almost", json!({"tags": []})),
        (
            "/v1/identities/almost",
            json!({"tags": ["role.administrator"]}),
        ),
        (&by_number, json!({"tags": []})),
        ("/v1/identities/other", json!({"max_lifetime": 60})),
        ("/v1/identities/almost/transfer", json!({"to": "orders"})),
        ("/v1/identities/almost/transfer", json!({"to": "nobody"})),
        ("/v1/owners/payments/transfer", json!({"to": "orders"})),
        ("/v1/identities/root/keys", json!({})),
        ("/v1/identities/almost/keys", json!({})),
        (
            "/v1/identities/almost/trusts",
            json!({"issuer": "https://issuer.example", "subject": "me"}),
        ),
        (&their_key, json!({})),
        ("/v1/identities/other/enable", json!({})),
        ("/v1/owners/payments/enable", json!({})),
        ("/v1/resume", json!({"node": id})),
        ("/v1/resume", json!({"node": owner})),
    ] {
        lacks(&world, &almost, path, body, right).await;
    }
    // Taking away needs none of it; giving back does.
    done(&world, &almost, "/v1/identities/other/disable", json!({})).await;
    lacks(
        &world,
        &almost,
        "/v1/identities/other/enable",
        json!({}),
        right,
    )
    .await;
    let (status, _) = world.send("GET", "/v1/owners", &other, "").await;
    assert_eq!(status, 401);
    done(&world, &full, "/v1/identities/other/enable", json!({})).await;
    // Who is not there when it is looked is not given anything.
    let nobody = world
        .send("POST", "/v1/identities/nobody/keys", &almost, "{}")
        .await;
    assert_eq!(nobody.0, 404, "{}", nobody.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_makes_the_fleet_and_touches_no_administrator() {
    let world = World::new().await;
    world.administrator("root", "none").await;
    let deployer = world.administrator("pipeline", "deployer").await;
    done(&world, &deployer, "/v1/owners", json!({"name": "orders"})).await;
    done(
        &world,
        &deployer,
        "/v1/identities",
        service("parcel", "orders"),
    )
    .await;
    done(
        &world,
        &deployer,
        "/v1/identities/parcel",
        json!({"tags": ["prod", "new"]}),
    )
    .await;
    done(
        &world,
        &deployer,
        "/v1/identities/parcel/disable",
        json!({}),
    )
    .await;
    let mine = json!({"name": "mine", "owner": "orders", "kind": "administrator"});
    lacks(
        &world,
        &deployer,
        "/v1/identities",
        mine,
        "administrators:write",
    )
    .await;
    for (path, body, right) in [
        (
            "/v1/identities/pipeline",
            json!({"tags": []}),
            "identities:write",
        ),
        (
            "/v1/identities/root/disable",
            json!({}),
            "identities:disable",
        ),
        ("/v1/owners/payments/disable", json!({}), "owners:disable"),
        ("/v1/identities/parcel/keys", json!({}), "keys:write"),
        ("/v1/policy/reload", json!({}), "policy:reload"),
    ] {
        lacks(&world, &deployer, path, body, right).await;
    }
    // An owner without administrators is part of the fleet.
    done(&world, &deployer, "/v1/owners/orders/disable", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_lets_nothing_work_again_that_whoever_answers_alarms_ended() {
    let world = World::new().await;
    let root = world.administrator("root", "none").await;
    let deployer = world.administrator("pipeline", "deployer").await;
    let responder = world.administrator("alarm", "security-responder").await;
    for name in ["parcel", "letter", "stamp"] {
        world.settle("orders", name, Kind::Service, &["prod"]).await;
    }
    let issue = world.broker.issue();
    let (key, _) = issue
        .add_key("letter", None, None, By::Broker)
        .await
        .unwrap();
    done(&world, &root, "/v1/owners", json!({"name": "heirs"})).await;
    // What is nobody's alarm is part of the fleet.
    let to_heirs = || json!({"to": "heirs"});
    done(
        &world,
        &deployer,
        "/v1/identities/stamp/transfer",
        to_heirs(),
    )
    .await;

    done(
        &world,
        &responder,
        "/v1/identities/parcel/disable",
        json!({}),
    )
    .await;
    done(
        &world,
        &responder,
        &format!("/v1/keys/{key}/revoke"),
        json!({}),
    )
    .await;
    done(&world, &responder, "/v1/owners/orders/disable", json!({})).await;
    for (path, body, right) in [
        (
            "/v1/identities/parcel/enable",
            json!({}),
            "identities:enable",
        ),
        (
            &format!("/v1/keys/{key}/enable"),
            json!({}),
            "identities:enable",
        ),
        ("/v1/owners/orders/enable", json!({}), "owners:enable"),
        (
            "/v1/identities/letter/transfer",
            to_heirs(),
            "identities:enable",
        ),
    ] {
        lacks(&world, &deployer, path, body, right).await;
    }
    done(&world, &root, "/v1/owners/orders/enable", json!({})).await;
    let orders = issue.find_owner("orders").unwrap();
    let pause = json!({"node": orders, "seconds": 60});
    done(&world, &responder, "/v1/suspend", pause).await;
    let path = "/v1/identities/letter/transfer";
    lacks(&world, &deployer, path, to_heirs(), "identities:enable").await;
    done(&world, &root, path, to_heirs()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_ends_by_way_of_its_owner_an_administrator_that_they_may_not_end() {
    let world = World::new().await;
    let root = world.administrator("root", "none").await;
    world
        .settle("orders", "parcel", Kind::Service, &["prod"])
        .await;
    let issue = world.broker.issue();
    let owners = |name: &str| issue.find_owner(name).unwrap();
    let (with, without) = (owners("payments"), owners("orders"));

    let lead = world.administrator("lead", "team-lead").await;
    let (revoke, suspend) = ("tokens:revoke", "tokens:suspend");
    let nodes = json!({"nodes": [with], "reason": "all of it"});
    lacks(&world, &lead, "/v1/revoke", nodes, revoke).await;
    let pause = json!({"node": with, "seconds": 60});
    lacks(&world, &lead, "/v1/suspend", pause, suspend).await;
    let (status, _) = world.send("GET", "/v1/owners", &root, "").await;
    assert_eq!(status, 200);

    // A bundle of somebody's own, with the same exception.
    let tidy = r#"
@id("tidy") permit(principal in Lanyard::Tag::"role.tidy", action in Lanyard::Action::"administer", resource)
unless { resource in Lanyard::Tag::"kind:administrator" };"#;
    let whole = format!("{WHOLE} unless {{ principal.roles.contains(\"tidy\") }};{tidy}");
    issue.read_policies_from(Some(&bundle(&world, &whole)));
    let (status, answer) = tell(&world, "/v1/policy/reload", "{}").await;
    assert_eq!(status, 200, "{answer}");
    let tidy = world.administrator("tidy", "tidy").await;
    for (path, body, right) in [
        ("/v1/owners/payments/disable", json!({}), "owners:disable"),
        (
            "/v1/owners/payments/transfer",
            json!({"to": "orders"}),
            "owners:transfer",
        ),
        ("/v1/revoke", json!({"nodes": [without, with]}), revoke),
        ("/v1/suspend", json!({"node": with, "seconds": 60}), suspend),
    ] {
        lacks(&world, &tidy, path, body, right).await;
    }
    let pause = json!({"node": without, "seconds": 60});
    done(&world, &tidy, "/v1/suspend", pause).await;
    done(&world, &tidy, "/v1/revoke", json!({"nodes": [without]})).await;
    // Whoever may end administrators ends them so, too.
    world
        .settle("stock", "second", Kind::Administrator, &[])
        .await;
    let nodes = json!({"nodes": [owners("stock")]});
    lacks(&world, &tidy, "/v1/revoke", nodes.clone(), revoke).await;
    done(&world, &root, "/v1/revoke", nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_lead_looks_after_its_own_and_widens_nothing() {
    let world = World::new().await;
    let lead = world.administrator("lead", "team-lead").await;
    world
        .settle("payments", "shop", Kind::Service, &["prod"])
        .await;
    world
        .settle("orders", "parcel", Kind::Service, &["prod", "stock"])
        .await;

    done(&world, &lead, "/v1/identities", service("till", "payments")).await;
    // Whoever names no lifetime gets the longest, which the others have too.
    let mut plain = service("plain", "payments");
    plain.as_object_mut().unwrap().remove("max_lifetime");
    done(&world, &lead, "/v1/identities", plain.clone()).await;
    plain["name"] = json!("wide");
    plain["scopes"] = json!("orders:write");
    let (status, answer) = world
        .send("POST", "/v1/identities", &lead, plain.to_string())
        .await;
    assert_eq!(status, 403, "{answer}");
    let words = answer["error_description"].as_str().unwrap();
    assert!(
        words.ends_with("wider than what the owner's identities have"),
        "{words}"
    );
    plain["owner"] = json!("orders");
    let (_, answer) = world
        .send("POST", "/v1/identities", &lead, plain.to_string())
        .await;
    let words = answer["error_description"].as_str().unwrap();
    assert!(words.ends_with("no role of yours gives it"), "{words}");
    done(&world, &lead, "/v1/identities/till/keys", json!({})).await;
    done(
        &world,
        &lead,
        "/v1/identities/till",
        json!({"max_lifetime": 60}),
    )
    .await;
    let write = "identities:write";
    for member in [
        json!({"audiences": ["https://orders.example", "https://production.example"]}),
        json!({"scopes": "orders:read orders:write"}),
        json!({"tags": ["prod", "grant.break-glass"]}),
        json!({"tags": []}),
    ] {
        lacks(&world, &lead, "/v1/identities/till", member, write).await;
    }
    let mut other = service("spy", "payments");
    other["kind"] = json!("agent");
    lacks(&world, &lead, "/v1/identities", other, write).await;
    lacks(
        &world,
        &lead,
        "/v1/identities",
        service("spy", "orders"),
        write,
    )
    .await;
    let own_administrator = json!({"name": "me-too", "owner": "payments", "kind": "administrator"});
    lacks(&world, &lead, "/v1/identities", own_administrator, write).await;
    lacks(
        &world,
        &lead,
        "/v1/identities/lead",
        json!({"tags": []}),
        write,
    )
    .await;
    lacks(
        &world,
        &lead,
        "/v1/identities/lead/keys",
        json!({}),
        "keys:write",
    )
    .await;
    lacks(
        &world,
        &lead,
        "/v1/identities/parcel/keys",
        json!({}),
        "keys:write",
    )
    .await;
    let take = json!({"to": "payments"});
    lacks(
        &world,
        &lead,
        "/v1/identities/parcel/transfer",
        take,
        "identities:transfer",
    )
    .await;

    // What it asks for, another must approve.
    let asked = json!({"identity": "till", "audience": "https://orders.example", "scopes": "orders:read",
                       "reason": "a look", "seconds": 600});
    let asked = done(&world, &lead, "/v1/approvals", asked).await;
    let path = format!("/v1/approvals/{}/approve", asked["id"].as_str().unwrap());
    lacks(
        &world,
        &lead,
        &path,
        json!({"hash": asked["hash"]}),
        "approvals:give",
    )
    .await;
    // One that revokes also what is not its own revokes nothing.
    let own = world.broker.issue().find_identity("till").unwrap();
    let theirs = world.broker.issue().find_identity("parcel").unwrap();
    let both = json!({"nodes": [own, theirs]});
    lacks(&world, &lead, "/v1/revoke", both, "tokens:revoke").await;
    let listed = world.broker.issue().list_identities();
    assert!(listed.iter().all(|identity| !identity.disabled));
    done(&world, &lead, "/v1/revoke", json!({"nodes": [own]})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_serves_is_changed_by_those_who_may_enrol_one() {
    let world = World::new().await;
    let lead = world.administrator("lead", "team-lead").await;
    let deployer = world.administrator("pipeline", "deployer").await;
    let two = ["https://orders.example", "https://stock.example"];
    let gateway = json!({"name": "door", "owner": "payments", "audiences": two});
    done(&world, &deployer, "/v1/gateways", gateway).await;
    let path = "/v1/identities/door";
    done(&world, &lead, path, json!({"max_lifetime": 60})).await;
    // Less than before, so that nothing but the right is missing.
    let fewer = json!({"audiences": [two[0]]});
    lacks(&world, &lead, path, fewer.clone(), "gateways:write").await;
    done(&world, &deployer, path, fewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_ended_early_by_those_who_may_resume_and_by_no_shorter_pause() {
    let world = World::new().await;
    let lead = world.administrator("lead", "team-lead").await;
    let responder = world.administrator("alarm", "security-responder").await;
    let shop = world
        .settle("payments", "shop", Kind::Service, &["prod"])
        .await;
    let pause = |seconds: u64| json!({"node": shop, "seconds": seconds});
    let resume = || json!({"node": shop});
    let issue = world.broker.issue();
    let until = || {
        let state = issue.state();
        state.read(|book| book.suspended_until(shop, issue.now()))
    };
    done(&world, &responder, "/v1/suspend", pause(86_400)).await;
    let standing = until();
    assert!(standing.is_some());

    lacks(&world, &lead, "/v1/resume", resume(), "tokens:resume").await;
    for token in [&lead, &responder] {
        let body = pause(1).to_string();
        let (status, answer) = world.send("POST", "/v1/suspend", token, body).await;
        assert_eq!(status, 409, "{answer}");
        let words = answer["error_description"].as_str().unwrap();
        assert!(words.contains("resume it first"), "{words}");
    }
    assert_eq!(until(), standing);

    done(&world, &lead, "/v1/suspend", pause(172_800)).await;
    assert!(until() > standing, "longer it may be");
    done(&world, &responder, "/v1/resume", resume()).await;
    done(&world, &lead, "/v1/suspend", pause(60)).await;
    assert!(until().is_some() && until() < standing);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_acts_for_an_administrator_administers_as_who_they_are() {
    let world = World::new().await;
    let full = world.administrator("root", "none").await;
    let id = world.settle("orders", "parcel", Kind::Service, &[]).await;
    let (_, key) = world
        .broker
        .issue()
        .add_key("parcel", None, None, By::Broker)
        .await
        .unwrap();
    let own = world.client_token(&id.to_string(), key.expose()).await;
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={full}\
         &subject_token_type=urn:ietf:params:oauth:token-type:access_token&actor_token={own}\
         &actor_token_type=urn:ietf:params:oauth:token-type:access_token&client_id={id}&client_secret={}",
        key.expose()
    );
    let request = Request::post("/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .unwrap();
    let response = world.public.clone().oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    let acting = answer["access_token"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"));
    let (status, answer) = world.send("GET", "/v1/owners", acting, "").await;
    assert_eq!(status, 403, "{answer}");
    let (status, _) = world.send("GET", "/v1/owners", &full, "").await;
    assert_eq!(status, 200);
    // A service's own token is none for this door at all.
    let (status, answer) = world.send("GET", "/v1/owners", &own, "").await;
    assert_eq!(
        (status.as_u16(), &answer["error"]),
        (401, &json!("invalid_token"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_sampled_with_who_was_refused_and_fill_no_log() {
    let world = World::new().await;
    let auditor = world.administrator("auditor", "auditor").await;
    let id = world.broker.issue().find_identity("auditor").unwrap();
    for _ in 0..100 {
        lacks(
            &world,
            &auditor,
            "/v1/owners",
            json!({"name": "x"}),
            "owners:write",
        )
        .await;
    }
    world.clock.advance_millis(60_000);
    world.broker.audit().write_refusals(true).await.unwrap();
    let events = world.broker.events().unwrap();
    let refused = events.iter().find_map(|event| match event {
        Event::Refused(refusal) if refusal.reason == "administration_denied" => Some(refusal),
        _ => None,
    });
    let refused = refused.unwrap();
    assert_eq!(
        (refused.route.as_str(), refused.count, refused.identity),
        ("/v1/owners", 100, Some(id))
    );
    let administered = |event: &&Event| matches!(event, Event::Administered { .. });
    assert_eq!(events.iter().filter(administered).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_is_ended_through_the_socket_alone() {
    let world = World::new().await;
    let root = world.administrator("root", "none").await;
    let second = world.administrator("second", "none").await;
    let responder = world.administrator("alarm", "security-responder").await;
    let issue = world.broker.issue();
    let (root_id, owner) = (
        issue.find_identity("root").unwrap(),
        issue.find_owner("payments").unwrap(),
    );
    let key = issue.list_keys("root").unwrap()[0].id;

    // While there are two, one may go.
    done(
        &world,
        &responder,
        "/v1/identities/second/disable",
        json!({}),
    )
    .await;
    let (status, _) = world.send("GET", "/v1/owners", &second, "").await;
    assert_eq!(status, 401);
    for (token, path, body) in [
        (&root, "/v1/identities/root/disable".to_owned(), json!({})),
        (
            &responder,
            "/v1/identities/root/disable".to_owned(),
            json!({}),
        ),
        (
            &responder,
            "/v1/owners/payments/disable".to_owned(),
            json!({}),
        ),
        (&responder, format!("/v1/keys/{key}/revoke"), json!({})),
        (&responder, "/v1/revoke".to_owned(), json!({"nodes": [key]})),
        (
            &responder,
            "/v1/revoke".to_owned(),
            json!({"nodes": [owner]}),
        ),
        (
            &responder,
            "/v1/suspend".to_owned(),
            json!({"node": root_id, "seconds": 60}),
        ),
        (
            &root,
            "/v1/identities/root".to_owned(),
            json!({"tags": ["role.auditor"]}),
        ),
    ] {
        let (status, answer) = world.send("POST", &path, token, body.to_string()).await;
        assert_eq!(status, 409, "{path}: {answer}");
        let words = answer["error_description"].as_str().unwrap();
        assert!(words.contains("Unix socket"), "{words}");
    }
    // Its token alone may end: it gets another with its key.
    let jti = issue.introspect(&root).unwrap().claims.jti;
    done(&world, &responder, "/v1/revoke", json!({"nodes": [jti]})).await;

    let (status, answer) = tell(&world, "/v1/identities/root/disable", "{}").await;
    assert_eq!(status, 200, "{answer}");
    let events = world.broker.events().unwrap();
    assert!(events.iter().any(|event| matches!(
        event,
        Event::Administered { by: By::Socket { uid: 0 }, action, status: 200 }
            if action == "POST /v1/identities/{identity}/disable"
    )));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_last_administrators_cannot_end_each_other_at_once() {
    let world = World::new().await;
    let one = world.administrator("one", "none").await;
    let two = world.administrator("two", "none").await;
    let disable = async |token: &str, path: &str| world.send("POST", path, token, "{}").await.0;
    let (first, second) = tokio::join!(
        disable(&one, "/v1/identities/two/disable"),
        disable(&two, "/v1/identities/one/disable")
    );
    let ended = [first, second]
        .iter()
        .filter(|status| status.is_success())
        .count();
    assert_eq!(ended, 1, "{first} {second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_rely_on_somebody_are_not_put_in_force_while_that_one_is_ended() {
    let world = World::new().await;
    let root = world.administrator("root", "none").await;
    world.administrator("second", "none").await;
    let issue = world.broker.issue();
    let good = issue.policies().hash();
    let only_second = WHOLE.replace(
        "principal.kind == \"administrator\"",
        "principal.name == \"second\"",
    );
    issue.read_policies_from(Some(&bundle(&world, &format!("{only_second};"))));

    // Somebody has looked: there are two. Before they are done, the policies are read again.
    let looked = issue.one_ending_at_a_time().await;
    let reloading = {
        let issue = issue.clone();
        tokio::spawn(async move { issue.reload_policies(By::Broker, None).await })
    };
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let second = issue.find_identity("second").unwrap();
    let ended = issue.disable(second, By::Broker, "left").await;
    ended.unwrap();
    drop(looked);
    let refused = reloading.await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("locked out"), "{refused}");
    assert_eq!(issue.policies().hash(), good);
    done(&world, &root, "/v1/owners", json!({"name": "orders"})).await;
}

const WHOLE: &str = r#"@id("all") permit(principal, action in Lanyard::Action::"administer", resource) when { principal.kind == "administrator" }"#;
const NOBODY: &str = ";\n\n@id(\"nobody\") forbid(principal, action == Lanyard::Action::\"policy:reload\", resource);";

fn bundle(world: &World, policies: &str) -> PathBuf {
    let folder = world.folder.join("policies");
    std::fs::create_dir_all(folder.join("own")).unwrap();
    let schema = include_str!("../../../../../policies/schema.cedarschema");
    std::fs::write(folder.join("schema.cedarschema"), schema).unwrap();
    std::fs::write(folder.join("own/policy.cedar"), policies).unwrap();
    if policies.starts_with("@id(\"all\")") {
        let registered = include_str!("../../../../../policies/registered/policy.cedar");
        std::fs::create_dir_all(folder.join("registered")).unwrap();
        std::fs::write(folder.join("registered/policy.cedar"), registered).unwrap();
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_lock_everybody_out_are_refused_with_their_line_and_the_last_good_ones_stay()
{
    let world = World::new().await;
    let folder = bundle(&world, &format!("{WHOLE}{NOBODY}"));
    world.broker.issue().read_policies_from(Some(&folder));
    // Where nobody could come in, nobody is locked out.
    let (status, answer) = tell(&world, "/v1/policy/reload", "{}").await;
    assert_eq!(status, 200, "{answer}");
    bundle(&world, &format!("{WHOLE};"));
    tell(&world, "/v1/policy/reload", "{}").await;

    let root = world.administrator("root", "none").await;
    let good = world.broker.issue().policies().hash();
    bundle(&world, &format!("{WHOLE}{NOBODY}"));
    let (status, answer) = world.send("POST", "/v1/policy/reload", &root, "{}").await;
    assert_eq!(status, 422, "{answer}");
    let words = answer["error_description"].as_str().unwrap();
    assert!(
        words.contains("own/policy.cedar:3") && words.contains("`nobody`"),
        "{words}"
    );
    assert_eq!(world.broker.issue().policies().hash(), good);
    assert_eq!(world.broker.issue().policies_refused(), 1);

    bundle(
        &world,
        &format!(
            "{};",
            WHOLE.replace("\"administrator\"", "\"adminstrator\"")
        ),
    );
    let (status, answer) = tell(&world, "/v1/policy/reload", "{}").await;
    assert_eq!(status, 422, "{answer}");
    let words = answer["error_description"].as_str().unwrap();
    assert!(words.contains("own/policy.cedar:1"), "{words}");
    let (status, _) = world.send("GET", "/v1/owners", &root, "").await;
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_under_which_no_administrator_gets_a_token_are_refused() {
    let world = World::new().await;
    let root = world.administrator("root", "none").await;
    let shut = "\n@id(\"shut\") forbid(principal, action == Lanyard::Action::\"issue\", resource) when { principal.kind == \"administrator\" };";
    let folder = bundle(&world, &format!("{WHOLE};\n{shut}"));
    world.broker.issue().read_policies_from(Some(&folder));
    let refused = async |why: &str| {
        let (status, answer) = world.send("POST", "/v1/policy/reload", &root, "{}").await;
        assert_eq!(status, 422, "{answer}");
        let words = answer["error_description"].as_str().unwrap();
        assert!(words.contains(why), "{words}");
    };
    refused("own/policy.cedar:3: every administrator would be locked out: `shut` forbids `root` a token").await;
    bundle(&world, &format!("{WHOLE};"));
    std::fs::remove_dir_all(folder.join("registered")).unwrap();
    refused("nothing permits `root` a token with `lanyard:admin`").await;
    bundle(&world, &format!("{WHOLE};"));
    let (status, answer) = world.send("POST", "/v1/policy/reload", &root, "{}").await;
    assert_eq!(status, 200, "{answer}");
}

/// Whoever has this token has policies read again from an address.
async fn reload_from(world: &World, token: &str, address: &str) -> (StatusCode, Value) {
    let peer: SocketAddr = address.parse().unwrap();
    let request = Request::post("/v1/policy/reload")
        .extension(ConnectInfo(peer))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body("{}".to_owned())
        .unwrap();
    let response = world.admin.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_shut_out_whoever_reads_them_from_where_they_are_are_refused() {
    let world = World::new().await;
    let root = world.administrator("root", "none").await;
    let misspelt = format!(
        "{WHOLE};\n@id(\"office\") forbid(principal, action in Lanyard::Action::\"administer\", resource)\n\
         unless {{ context has network && context.network.isInRange(ip(\"203.0.113.0/24\")) }};"
    );
    let folder = bundle(&world, &misspelt);
    world.broker.issue().read_policies_from(Some(&folder));
    let (status, answer) = reload_from(&world, &root, "198.51.100.7:4000").await;
    assert_eq!(status, 422, "{answer}");
    let words = answer["error_description"].as_str().unwrap();
    assert!(
        words.contains("own/policy.cedar:2: from where they are read again every administrator"),
        "{words}"
    );
    assert!(
        words.contains("`office` forbids `policy:reload` to `root`"),
        "{words}"
    );
    let (status, answer) = reload_from(&world, &root, "203.0.113.7:4000").await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_out_at_every_hour_names_who_could_before_and_one_at_some_hours_warns() {
    let world = World::new().await;
    let root = world.administrator("root", "none").await;
    for auditor in ["a-auditor", "z-auditor"] {
        world.administrator(auditor, "auditor").await;
    }
    let forbid = |when: &str| {
        format!(
            "{WHOLE};\n@id(\"shut\") forbid(principal, action == Lanyard::Action::\"policy:reload\", resource) {when};"
        )
    };
    let folder = bundle(&world, &forbid("when { context.hour < 24 }"));
    world.broker.issue().read_policies_from(Some(&folder));
    let (status, answer) = world.send("POST", "/v1/policy/reload", &root, "{}").await;
    assert_eq!(status, 422, "{answer}");
    let words = answer["error_description"].as_str().unwrap();
    assert!(
        words.contains("`shut` forbids `policy:reload` to `root`"),
        "{words}"
    );

    let hour = world.clock.now().seconds() / 3_600 % 24;
    let other = (hour + 12) % 24;
    bundle(
        &world,
        &forbid(&format!("when {{ context.hour == {other} }}")),
    );
    let (status, answer) = world.send("POST", "/v1/policy/reload", &root, "{}").await;
    assert_eq!(status, 200, "{answer}");
    let warning = answer["warning"].as_str().unwrap();
    assert!(
        warning.contains(&format!("(UTC: {other}): `shut` forbids")),
        "{warning}"
    );
    let (status, shown) = world.send("GET", "/v1/policy", &root, "").await;
    assert_eq!(status, 200);
    assert_eq!(shown, answer);
    assert!(
        shown["since"].is_u64() && shown["by"]["administrator"].is_object(),
        "{shown}"
    );
    assert_eq!(
        (&shown["policies"], &shown["permits"], &shown["forbids"]),
        (&json!(3), &json!(2), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_does_not_begin_with_policies_that_lock_its_administrators_out() {
    let world = World::new().await;
    let folder = bundle(&world, &format!("{WHOLE}{NOBODY}"));
    world.broker.issue().read_policies_from(Some(&folder));
    tell(&world, "/v1/policy/reload", "{}").await;
    let check = || world.broker.issue().check_administrators();
    check().unwrap();
    // The identity of the socket is none that comes in over the network.
    world
        .broker
        .issue()
        .local_admin_token(By::Broker)
        .await
        .unwrap();
    check().unwrap();
    world.administrator("auditor", "auditor").await;
    check().unwrap();
    world.administrator("root", "none").await;
    let broken = check().unwrap_err();
    assert!(
        broken.to_string().contains("own/policy.cedar:3"),
        "{broken}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_asks_no_policy() {
    let world = World::new().await;
    let folder = bundle(
        &world,
        "@id(\"nothing\") forbid(principal, action, resource);",
    );
    world.broker.issue().read_policies_from(Some(&folder));
    let (status, answer) = tell(&world, "/v1/policy/reload", "{}").await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = tell(&world, "/v1/owners", r#"{"name":"rescue"}"#).await;
    assert_eq!(status, 201, "{answer}");
    // Nor for its tokens.
    let issue = world.broker.issue();
    let given = issue.local_admin_token(By::Broker).await.unwrap();
    let seen = issue.introspect(given.token.expose()).unwrap();
    assert_eq!(seen.claims.scope.to_string(), "lanyard:admin");
    let events = world.broker.events().unwrap();
    assert!(events.iter().any(|event| matches!(
        event,
        Event::Administered { by: By::Socket { uid: 0 }, action, status: 201 } if action == "POST /v1/owners"
    )));
}
