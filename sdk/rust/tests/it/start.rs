//! Starting and stopping an enrolled gateway.

use http::Method;
use lanyard_sdk::feed::FeedFailure;
use lanyard_sdk::gateway::{GatewayError, Running};
use lanyard_sdk::{Decision, DriftMode, Enrolment, Gateway, Request, Secret};
use lanyard_token::RootKey;
use lanyard_token::testing::TestIssuer;

use crate::support::{AUDIENCE, NOW, World, routes};

fn enrolment(audiences: &[&str]) -> Enrolment {
    let root = TestIssuer::new(lanyard_token::Algorithm::EdDsa, "root", "root", NOW);
    Enrolment {
        // Nobody listens there.
        issuer: "http://127.0.0.1:9".to_owned(),
        root: RootKey::from_raw(root.key.raw()).unwrap(),
        client_id: "0000010000000007".to_owned(),
        client_secret: Secret::new("lyk_none"),
        audiences: audiences
            .iter()
            .map(|audience| audience.parse().unwrap())
            .collect(),
    }
}

fn start(folder: &std::path::Path) -> (Gateway, Running) {
    Gateway::builder()
        .enrolled(enrolment(&[AUDIENCE]))
        .unwrap()
        .feed(folder)
        .routes(routes())
        .unwrap()
        .drift(DriftMode::Enforce)
        .start()
        .unwrap()
}

#[tokio::test]
async fn a_new_gateway_whose_broker_is_away_lets_nobody_in_and_stops_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, running) = start(folder.path());
    let token = World::new().token(9);
    let decision = gateway.check(
        &token,
        &Request::new(&Method::GET, "/orders"),
        gateway.now(),
    );
    let Decision::Deny(denial) = decision else {
        panic!("let in")
    };
    assert_eq!(denial.outside().status, 503);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn two_gateways_cannot_share_a_state_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (_first, running) = start(folder.path());
    // The first has the folder once it has looked into it.
    while std::fs::read_dir(folder.path()).unwrap().next().is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let (_second, mut second) = start(folder.path());
    assert!(matches!(
        second.ready().await,
        Err(FeedFailure::InUse { .. })
    ));
    second.stop().await.unwrap();
    running.stop().await.unwrap();
}

#[test]
fn an_enrolment_for_several_audiences_needs_a_choice() {
    let several = || enrolment(&[AUDIENCE, "https://mail.example"]);
    assert!(matches!(
        Gateway::builder().enrolled(several()),
        Err(GatewayError::Audience(_))
    ));
    assert!(
        Gateway::builder()
            .enrolled_for(several(), &"https://mail.example".parse().unwrap())
            .is_ok()
    );
    assert!(
        Gateway::builder()
            .enrolled_for(several(), &"https://foreign.example".parse().unwrap())
            .is_err()
    );
}

#[tokio::test]
async fn routes_are_replaced_while_the_gateway_runs_and_revocations_reach_both() {
    let folder = tempfile::tempdir().unwrap();
    let (old, mut running) = start(folder.path());
    let other = lanyard_sdk::Route::new(Method::GET, "/elsewhere");
    let new = running.replace_routes([other]).unwrap();
    assert_eq!(
        new.routes().operations().collect::<Vec<_>>(),
        ["GET /elsewhere"]
    );
    assert!(old.routes().operations().len() > 1, "calls under way go on");
    let (node, rev) = (
        lanyard_token::NodeId::from_u64(9),
        lanyard_token::Rev::new(0, 1).unwrap(),
    );
    new.feed().end(node, rev);
    assert!(std::sync::Arc::ptr_eq(old.feed(), new.feed()));
    let twice = [
        lanyard_sdk::Route::new(Method::GET, "/a"),
        lanyard_sdk::Route::new(Method::GET, "/a"),
    ];
    assert!(running.replace_routes(twice).is_err());
    running.stop().await.unwrap();
}
