//! Signing keys: published under the root's word, rotated under load without a refusal, removed at
//! once.

use lanyard::clock::{Clock, UnixMillis};
use lanyard::issue::keys::KeyError;
use lanyard::store::event::{By, KeyUse};
use lanyard::store::{Event, Store};
use lanyard_token::{
    Audience, Delegation, Expectations, KeyId, KeySet, KeyUse as DelegatedUse, TrustedKeys,
    UnverifiedToken,
};

use super::world::{Answer, ISSUER, NO_LIMITS, NOW, ORDERS, World};

async fn get(world: &World, path: &str) -> Answer {
    Answer::read(
        world
            .http
            .get(format!("{}{path}", world.url))
            .send()
            .await
            .unwrap(),
    )
    .await
}

/// What a gateway that pinned the root believes now.
async fn trusted(world: &World) -> TrustedKeys {
    let answer = get(world, "/v1/keys").await.json();
    assert_eq!(answer["issuer"], ISSUER);
    let now = world.clock.now().seconds();
    let root = world.issue.root().public();
    let delegations: Vec<Delegation> = answer["delegations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| Delegation::verify(text.as_str().unwrap(), root, ISSUER, now).unwrap())
        .collect();
    delegations.iter().collect()
}

fn verifies(keys: &KeySet, token: &str, now: u64) -> bool {
    let orders: Audience = ORDERS.parse().unwrap();
    let expected = Expectations::new(ISSUER, orders);
    UnverifiedToken::parse(token)
        .and_then(|token| token.verify(keys, &expected, now))
        .is_ok()
}

fn kid(token: &str) -> KeyId {
    *UnverifiedToken::parse(token).unwrap().key_id()
}

#[tokio::test]
async fn keys_are_published_with_the_roots_word_for_each() {
    let world = World::new().await;
    let answer = get(&world, "/.well-known/jwks.json").await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=600"));
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 1, "feed keys sign no tokens");
    assert_eq!(
        (keys[0]["use"].as_str(), keys[0]["alg"].as_str()),
        (Some("sig"), Some("ES256"))
    );
    let word = keys[0]["delegation"].as_str().unwrap();
    let delegation = Delegation::verify(word, world.issue.root().public(), ISSUER, NOW).unwrap();
    assert_eq!(delegation.key_use(), DelegatedUse::Mint);
    assert_eq!(
        delegation.key().thumbprint().as_str(),
        keys[0]["kid"].as_str().unwrap()
    );

    let token = world.token(&world.identity("billing").await).await;
    let trusted = trusted(&world).await;
    assert!(verifies(trusted.mint(), &token, NOW));
    assert_eq!(trusted.feed().len(), 1);
}

#[tokio::test]
async fn for_three_days_every_token_verifies_with_keys_fetched_ten_minutes_ago() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let mut fetched = trusted(&world).await;
    let mut kids = std::collections::HashSet::new();
    for minute in 0..(3 * 24 * 6) {
        world.issue.keep_keys().await.unwrap();
        let token = world.token(&billing).await;
        kids.insert(kid(&token));
        let now = world.clock.now().seconds();
        assert!(
            verifies(fetched.mint(), &token, now),
            "after {minute}0 minutes"
        );
        assert!(world.lives(&token));
        fetched = trusted(&world).await;
        world.clock.advance_millis(600_000);
    }
    assert!(
        (3..=4).contains(&kids.len()),
        "{} keys in three days",
        kids.len()
    );
}

#[tokio::test]
async fn a_compromised_key_signs_and_verifies_nothing_from_then_on() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let old = world.token(&billing).await;
    let stolen = kid(&old);
    let fresh = world
        .issue
        .compromise(stolen, "drill", By::Broker)
        .await
        .unwrap();
    assert!(!world.lives(&old));
    let new = world.token(&billing).await;
    assert_eq!(kid(&new), fresh);
    assert!(world.lives(&new));
    assert!(trusted(&world).await.mint().get(&stolen).is_none());
    let again = world.issue.compromise(stolen, "drill", By::Broker).await;
    assert_eq!(again, Err(KeyError::Unknown(stolen)));
}

#[tokio::test]
async fn a_key_that_somebody_else_removed_has_a_successor_at_once() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let old = world.token(&billing).await;
    let keeping = tokio::spawn(world.issue.clone().run());
    // Its first turn finds nothing to do.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    // As the golden-token alarm says it: an event in the log, and nothing else.
    let removed = Event::SigningKeyRemoved {
        key: kid(&old),
        reason: "two forged tokens".to_owned(),
        by: By::Verdict(lanyard_token::NodeId::from_u64(7)),
    };
    world.store.append(vec![removed]).await.unwrap();
    let waiting = async {
        while !world
            .issue
            .signing_keys()
            .iter()
            .any(|key| key.key_use == KeyUse::Mint)
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting)
        .await
        .expect("long before the next minute");
    keeping.abort();
    assert!(!world.lives(&old));
    let new = world.token(&billing).await;
    assert_ne!(kid(&new), kid(&old));
    assert!(world.lives(&new));
}

#[tokio::test]
async fn a_rotation_waits_until_verifiers_can_know_the_new_key() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let before = kid(&world.token(&billing).await);
    let next = world.issue.rotate(KeyUse::Mint).await.unwrap();
    assert_eq!(kid(&world.token(&billing).await), before);
    assert!(
        trusted(&world).await.mint().get(&next).is_some(),
        "published at once"
    );
    world.clock.set(UnixMillis::from_seconds(NOW + 20 * 60));
    assert_eq!(kid(&world.token(&billing).await), next);
}

#[tokio::test]
async fn metadata_is_the_same_under_both_names_and_names_the_issuer_byte_for_byte() {
    let world = World::new().await;
    let answers = [
        get(&world, "/.well-known/oauth-authorization-server").await,
        get(&world, "/.well-known/openid-configuration").await,
    ];
    assert_eq!(answers[0].json(), answers[1].json());
    let metadata = answers[0].json();
    assert_eq!(metadata["issuer"], ISSUER);
    assert_eq!(metadata["token_endpoint"], format!("{ISSUER}/oauth/token"));
    assert_eq!(
        metadata["jwks_uri"],
        format!("{ISSUER}/.well-known/jwks.json")
    );
    assert_eq!(
        get(&world, "/.well-known/security.txt").await.status,
        404,
        "nobody to write to was named"
    );
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "jsonwebtoken is the reference verifier here, not the policy"
)]
async fn the_reference_verifier_believes_our_tokens_under_our_published_keys() {
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};

    lanyard::crypto::jwt_provider::install();
    for (algorithm, foreign) in [
        (lanyard_token::Algorithm::Es256, Algorithm::ES256),
        (lanyard_token::Algorithm::EdDsa, Algorithm::EdDSA),
    ] {
        let world = World::with(NO_LIMITS, algorithm).await;
        let token = world.token(&world.identity("billing").await).await;
        let keys: JwkSet =
            serde_json::from_str(&get(&world, "/.well-known/jwks.json").await.body).unwrap();
        let key = DecodingKey::from_jwk(keys.find(kid(&token).as_str()).unwrap()).unwrap();
        let mut validation = Validation::new(foreign);
        validation.set_audience(&[ORDERS]);
        validation.set_issuer(&[ISSUER]);
        validation.validate_exp = false;
        let read = decode::<serde_json::Value>(&token, &key, &validation).unwrap();
        assert_eq!(read.claims["iss"], ISSUER);
        let mut forged = token.into_bytes();
        let last = forged.len() - 5;
        forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
        assert!(decode::<serde_json::Value>(&forged, &key, &validation).is_err());
    }
}
