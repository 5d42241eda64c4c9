//! The one table of hostile tokens, held against every place of the issue room that takes a token.
//! All are signed with the broker's own key around the claims of a token it did issue.

use lanyard::clock::{Clock, UnixMillis};
use lanyard::http::caller::{Door, Doorkeeper};
use lanyard::http::problem::Problem;
use lanyard::issue::administration::NewGateway;
use lanyard::store::event::By;
use lanyard_token::Algorithm;
use lanyard_token::testing::hostile_tokens;

use super::world::{Holder, NO_LIMITS, World};

#[tokio::test]
async fn no_hostile_token_is_exchanged_shown_ended_or_let_in() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let world = World::with(NO_LIMITS, algorithm).await;
        let gateway = gateway(&world).await;
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", "lanyard:feed"),
        ];
        let token = world
            .post("/oauth/token", Some(&gateway), &form)
            .await
            .token();
        let mut thief = world.thief_of_the_mint_key(world.claims(&token));
        // Some tokens name a place to fetch their key from: nobody must come.
        let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        trap.set_nonblocking(true).unwrap();
        thief.listener = format!("http://{}/keys", trap.local_addr().unwrap());
        // The thief's hand is good: what it signs unchanged is taken for the token itself.
        assert!(world.lives(&thief.token()));
        assert!(admitted(&world, &thief.token()).is_ok());

        let rows = hostile_tokens(&thief);
        assert!(rows.len() >= 90, "{} rows", rows.len());
        let head = world.head();
        for row in &rows {
            let name = format!("{} ({})", row.name, row.attack);
            println!("{name}");
            let answer = world.exchange(&gateway, &row.text, &[]).await;
            answer.assert_error(400, "invalid_request");
            let actor = [
                ("actor_token", row.text.as_str()),
                (
                    "actor_token_type",
                    "urn:ietf:params:oauth:token-type:access_token",
                ),
            ];
            world
                .exchange(&gateway, &token, &actor)
                .await
                .assert_error(400, "invalid_request");

            let shown = [("token", row.text.as_str())];
            let inspected = world
                .post("/oauth/introspect", Some(&gateway), &shown)
                .await;
            let ended = world.post("/oauth/revoke", Some(&gateway), &shown).await;
            if row.text.is_empty() {
                inspected.assert_error(400, "invalid_request");
                ended.assert_error(400, "invalid_request");
            } else {
                assert_eq!(
                    (inspected.status, inspected.body.as_str()),
                    (200, r#"{"active":false}"#),
                    "{name}"
                );
                assert_eq!((ended.status, ended.body.as_str()), (200, ""), "{name}");
            }

            let problem = admitted(&world, &row.text).unwrap_err();
            let outside = (
                problem.status.as_u16(),
                problem.error,
                problem.description.as_str(),
            );
            assert_eq!(
                outside,
                (401, "invalid_token", "the token is missing or not valid"),
                "{name}"
            );
        }
        assert_eq!(world.head(), head, "no hostile token changes anything");
        assert!(world.lives(&token));
        let came = trap.accept().unwrap_err();
        assert_eq!(
            came.kind(),
            std::io::ErrorKind::WouldBlock,
            "a key was fetched from where a token said"
        );
    }
}

#[tokio::test]
async fn a_well_made_token_the_log_never_issued_is_refused_everywhere() {
    let world = World::new().await;
    let gateway = gateway(&world).await;
    let token = world
        .post(
            "/oauth/token",
            Some(&gateway),
            &[("grant_type", "client_credentials")],
        )
        .await
        .token();
    let mut claims = world.claims(&token);
    claims.jti = lanyard_token::NodeId::from_u64(claims.jti.as_u64() + 1_000);
    let golden = world.thief_of_the_mint_key(claims.clone()).token();
    assert!(!world.lives(&golden));
    assert!(admitted(&world, &golden).is_err());
    world
        .exchange(&gateway, &golden, &[])
        .await
        .assert_error(400, "invalid_request");
    claims.jti = world.claims(&token).jti;
    claims.exp += 60;
    let stretched = world.thief_of_the_mint_key(claims).token();
    assert!(
        !world.lives(&stretched),
        "the number of a real token does not help another text"
    );
}

async fn gateway(world: &World) -> Holder {
    let new = NewGateway {
        name: "edge".to_owned(),
        owner: "team".to_owned(),
        audiences: vec!["https://orders.example".to_owned()],
        sole_witness: false,
        egress: false,
    };
    let enrolment = world.issue.add_gateway(new, By::Broker).await.unwrap();
    let credential = world.issue.list_keys("edge").unwrap()[0].id;
    Holder {
        id: enrolment.client_id,
        credential,
        secret: enrolment.client_secret.expose().to_owned(),
    }
}

fn admitted(world: &World, token: &str) -> Result<(), Problem> {
    let now: UnixMillis = world.clock.now();
    let doorkeeper: &dyn Doorkeeper = &*world.issue;
    let caller = doorkeeper.admit(token, Door::Public, "lanyard:feed", now);
    caller
        .map(drop)
        .map_err(|rejection| Problem::from(&rejection))
}
