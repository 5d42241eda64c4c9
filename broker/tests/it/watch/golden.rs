//! A stolen signing key: forged tokens, and gateways that show them, invent them or are asked in vain.

use lanyard::clock::{Clock, UnixMillis};
use lanyard::store::event::{By, Cause, KeyUse, SigningKey};
use lanyard::store::{Event, Store};
use lanyard_token::testing::TestIssuer;
use lanyard_token::{Algorithm, Claims, Delegation, KeyId, NodeId};
use serde_json::{Value, json};

use super::world::*;

const ISSUER: &str = "https://broker.example";

/// A signing key that the log knows, and that a thief has.
struct Stolen(TestIssuer);

impl Stolen {
    async fn key(world: &World) -> Self {
        let now = world.clock.now().seconds();
        let issuer = TestIssuer::new(Algorithm::Es256, ISSUER, ORDERS, now);
        let root = TestIssuer::new(Algorithm::EdDsa, ISSUER, ORDERS, now);
        let input =
            Delegation::signing_input(ISSUER, &issuer.key, KeyUse::Mint, now - 10, now + 86_400);
        let key = SigningKey {
            key: issuer.key.thumbprint(),
            key_use: KeyUse::Mint,
            algorithm: Algorithm::Es256,
            sealed: String::new(),
            delegation: root.signed(input),
            signs_from: world.clock.now(),
            signs_until: UnixMillis::from_seconds(now + 86_400),
            verifies_until: UnixMillis::from_seconds(now + 90_000),
        };
        let added = Event::SigningKeyAdded(Box::new(key));
        world.store.append(vec![added]).await.unwrap();
        Self(issuer)
    }

    fn id(&self) -> KeyId {
        self.0.key.thumbprint()
    }

    fn claims(&self, world: &World, jti: u64) -> Claims {
        let now = world.clock.now().seconds();
        Claims {
            jti: NodeId::from_u64(jti),
            iat: now,
            exp: now + 300,
            rev: world.store.head(),
            ..self.0.claims.clone()
        }
    }

    fn token(&self, world: &World, jti: u64) -> String {
        self.0.token_of(&self.claims(world, jti))
    }
}

/// As a gateway reports its first use.
fn entry(world: &World, text: &str, jti: u64) -> Value {
    let digest = lanyard_token::token_digest(text.rsplit_once('.').unwrap().0);
    let mut tracker = world.cold_tracker();
    world.ordinary(&mut tracker, 1);
    let token = Token {
        jti: node(jti),
        identity: SERVICE,
        digest: format!("{:016x}", u64::from_be_bytes(digest)),
    };
    token.entry(&tracker.report().unwrap())
}

/// Shows these tokens; the answer.
async fn show(world: &World, gateway: u64, tokens: &[&str]) -> Value {
    let mut body = world.body(Vec::new());
    body["shown"] = json!(tokens);
    let (status, answer) = world.send(gateway, &body.to_string()).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

fn removed(world: &World) -> Vec<KeyId> {
    let removed = |event| match event {
        Event::SigningKeyRemoved {
            key,
            by: By::Verdict(_),
            ..
        } => Some(key),
        _ => None,
    };
    world.log().into_iter().filter_map(removed).collect()
}

#[tokio::test]
async fn the_token_dies_when_it_is_shown_and_the_key_at_the_second_one() {
    let world = World::new().await;
    let stolen = Stolen::key(&world).await;
    for (jti, ended) in [(0xf1, 0), (0xf2, 1)] {
        let text = stolen.token(&world, jti);
        let body = world.body(vec![entry(&world, &text, jti)]);
        let (_, receipt) = world.send(GATEWAY, &body.to_string()).await;
        assert_eq!(receipt["wanted"][0]["token"], json!(node(jti)), "{receipt}");
        let dead = (node(jti), Cause::NeverIssued);
        assert!(
            !world.revoked().contains(&dead),
            "a gateway's word ends nothing"
        );
        show(&world, GATEWAY, &[&text]).await;
        assert!(world.revoked().contains(&dead));
        assert!(
            world.suspended().contains(&node(jti)),
            "a forger chooses the rev: the number is blocked too"
        );
        assert_eq!(removed(&world).len(), ended, "after {jti:x}");
    }
    assert_eq!(removed(&world), [stolen.id()]);
    let proof = world.verdicts().pop().unwrap();
    assert_eq!(proof.forged_by, Some(stolen.id()));
    assert!(
        proof.sentence().contains("checked here"),
        "{}",
        proof.sentence()
    );
    assert_eq!(world.watch.counters().keys_ended.get(), 1);
    // The key is gone: what it signed is no evidence any more, and nothing ends twice.
    let third = stolen.token(&world, 0xf3);
    show(&world, SECOND_GATEWAY, &[&third]).await;
    assert_eq!(removed(&world).len(), 1);
}

#[tokio::test]
async fn one_forged_token_shown_by_everybody_any_number_of_times_is_one() {
    let world = World::new().await;
    let stolen = Stolen::key(&world).await;
    let text = stolen.token(&world, 0xf1);
    for gateway in [GATEWAY, SECOND_GATEWAY, MAIL_GATEWAY, GATEWAY] {
        show(&world, gateway, &[&text, &text]).await;
    }
    assert!(removed(&world).is_empty());
    let proofs = world.verdicts();
    assert_eq!(proofs.len(), 1);
}

#[tokio::test]
async fn two_forged_tokens_that_are_shown_together_end_the_key() {
    let world = World::new().await;
    let stolen = Stolen::key(&world).await;
    let texts = [stolen.token(&world, 0xf1), stolen.token(&world, 0xf2)];
    show(&world, GATEWAY, &texts.each_ref().map(String::as_str)).await;
    assert_eq!(removed(&world), [stolen.id()]);
}

#[tokio::test]
async fn a_forged_token_with_the_number_of_an_identity_or_a_credential_ends_neither() {
    let world = World::new().await;
    let stolen = Stolen::key(&world).await;
    let living = world.issue(SERVICE).await;
    for above in [node(SERVICE), credential(SERVICE)] {
        let claims = Claims {
            jti: above,
            ..stolen.claims(&world, 0xf1)
        };
        show(&world, GATEWAY, &[&stolen.0.token_of(&claims)]).await;
    }
    assert!(world.revoked().is_empty() && world.suspended().is_empty());
    assert!(world.state.is_alive(living.jti));
    assert_eq!(
        removed(&world),
        [stolen.id()],
        "the key is stolen all the same"
    );
}

#[tokio::test]
async fn digests_that_gateways_invent_end_no_key() {
    let world = World::new().await;
    let stolen = Stolen::key(&world).await;
    let other = Stolen::key(&world).await;
    for jti in 0xf1..0xf9 {
        let text = stolen.token(&world, jti);
        // Another key's signature under this one's name, a changed claim, junk.
        let (input, signature) = text.rsplit_once('.').unwrap();
        let foreign = other.token(&world, jti);
        let foreign = foreign.rsplit_once('.').unwrap().1;
        let changed = stolen.token(&world, jti + 100);
        let changed = changed.rsplit_once('.').unwrap().0;
        for gateway in [GATEWAY, SECOND_GATEWAY] {
            let body = world.body(vec![entry(&world, &text, jti)]);
            world.send(gateway, &body.to_string()).await;
            let lies = [
                format!("{input}.{foreign}"),
                format!("{changed}.{signature}"),
                "junk".to_owned(),
                String::new(),
            ];
            show(&world, gateway, &lies.each_ref().map(String::as_str)).await;
        }
    }
    assert!(removed(&world).is_empty());
}

#[tokio::test]
async fn tokens_that_the_log_issued_end_no_key_however_late_they_are_shown() {
    let world = World::new().await;
    let stolen = Stolen::key(&world).await;
    let mut texts = Vec::new();
    for jti in 0xe1..0xe4 {
        let claims = stolen.claims(&world, jti);
        let text = stolen.0.token_of(&claims);
        let digest = lanyard_token::token_digest(text.rsplit_once('.').unwrap().0);
        let issued = lanyard::store::event::IssuedToken {
            claims,
            key: stolen.id(),
            digest: lanyard::store::event::TokenDigest(digest),
            grant: lanyard::store::event::Grant::ClientCredentials,
            decided: None,
        };
        let issued = Event::TokenIssued(Box::new(issued));
        world.store.append(vec![issued]).await.unwrap();
        texts.push(text);
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    // Until the log has forgotten them, and beyond.
    for _ in 0..50 {
        show(&world, GATEWAY, &texts).await;
        world.clock.advance_millis(120_000);
        let tick = Event::BaselinesSaved { version: 0 };
        world.store.append(vec![tick]).await.unwrap();
    }
    assert!(removed(&world).is_empty());
    assert!(world.verdicts().is_empty());
}

#[tokio::test]
async fn forged_tokens_of_another_epoch_are_dead_and_end_no_key() {
    let world = World::new().await;
    let stolen = Stolen::key(&world).await;
    let texts: Vec<String> = (0xf1..0xf4)
        .map(|jti| {
            let other = lanyard_token::Rev::new(world.store.head().epoch() + 1, 1);
            stolen.0.token_of(&Claims {
                rev: other.unwrap(),
                ..stolen.claims(&world, jti)
            })
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    show(&world, GATEWAY, &texts).await;
    assert!(removed(&world).is_empty());
}

#[tokio::test]
async fn two_forged_tokens_a_day_apart_still_end_the_key_of_their_day_and_survive_a_replay() {
    let world = World::new().await;
    let stolen = Stolen::key(&world).await;
    show(&world, GATEWAY, &[&stolen.token(&world, 0xf1)]).await;
    world.clock.advance_millis(80_000_000);
    // The room is opened anew on what the log and the index hold.
    use lanyard::store::Projection;
    let replayed = lanyard::watch::state::WatchState::new();
    for row in world.state.changed_rows() {
        if let Some(value) = row.value {
            replayed.load_row(&row.key, &value).unwrap();
        }
    }
    let (before, after) = (
        world.state.signing_key(stolen.id(), world.clock.now()),
        replayed.signing_key(stolen.id(), world.clock.now()),
    );
    assert!(before.is_some() && before == after);
    show(&world, GATEWAY, &[&stolen.token(&world, 0xf2)]).await;
    assert_eq!(removed(&world), [stolen.id()]);
}
