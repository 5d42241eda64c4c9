//! Keys and key sets in their JSON form.

use lanyard_token::testing::TestIssuer;
use lanyard_token::{Algorithm, InvalidKey, KeySet, PublicKey};

fn key(algorithm: Algorithm) -> PublicKey {
    TestIssuer::new(algorithm, "i", "a", 1_000).key
}

#[test]
fn a_key_set_reads_back_and_finds_keys_by_name_alone() {
    let keys = [key(Algorithm::Es256), key(Algorithm::EdDsa)];
    let jwks = serde_json::json!({ "keys": keys.clone().map(|key| key.to_jwk()) }).to_string();
    let set = KeySet::from_jwks(&jwks).unwrap();
    assert_eq!(set.len(), 2);
    for key in &keys {
        assert_eq!(set.get(&key.thumbprint()), Some(key));
    }
    assert_eq!(set.get(&self::key(Algorithm::Es256).thumbprint()), None);
}

#[test]
fn a_set_with_a_foreign_a_repeated_or_a_damaged_key_is_refused_as_a_whole() {
    let good = key(Algorithm::Es256).to_jwk().to_string();
    let renamed = good.replace(r#""kid":""#, r#""kid":"A"#);
    for (keys, fault) in [
        (format!("[{good},{good}]"), InvalidKey::Repeated),
        (
            format!(r#"[{good},{{"kty":"oct","k":"AA"}}]"#),
            InvalidKey::Jwk,
        ),
        (format!("[{good},[]]"), InvalidKey::Jwk),
        (format!("[{renamed}]"), InvalidKey::Jwk),
        ("{}".to_owned(), InvalidKey::Jwk),
    ] {
        let text = format!(r#"{{"keys":{keys}}}"#);
        assert_eq!(KeySet::from_jwks(&text), Err(fault), "{text}");
    }
    assert_eq!(
        KeySet::from_jwks(r#"{"keys":[],"keys":[]}"#),
        Err(InvalidKey::Jwk)
    );
    assert_eq!(
        KeySet::from_jwks(&"[".repeat(100_000)),
        Err(InvalidKey::Jwk)
    );
}

#[test]
fn a_key_with_a_coordinate_of_another_length_is_refused() {
    let jwk = key(Algorithm::Es256).to_jwk();
    for (member, value) in [
        ("x", "AA"),
        ("y", ""),
        ("x", "=="),
        ("crv", "P-384"),
        ("kty", "RSA"),
    ] {
        let mut changed = jwk.clone();
        changed[member] = value.into();
        assert_eq!(
            PublicKey::from_jwk(&changed.to_string()),
            Err(InvalidKey::Jwk),
            "{member}"
        );
    }
}
