//! Project Wycheproof's JOSE vectors, at the signature layer: import of the JWK, then the JWS.
//!
//! The vectors sign `foo` under headers without `typ`, so no token of ours is among them; what is
//! tried is [`PublicKey::from_jwk`], canonical base64url and [`PublicKey::verify`]. They are read
//! from the folder that `LANYARD_VECTORS` names. Their absence is said aloud, and is a failure
//! when `CI=true`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_token::{Algorithm, PublicKey};
use serde::Deserialize;
use serde_json::Value;

const FILES: [&str; 3] = [
    "json_web_signature_test.json",
    "json_web_key_test.json",
    "json_web_crypto_test.json",
];

/// Valid signatures that we refuse, by file, reason and number: all use an algorithm that is not
/// ours. Nothing in ES256 that is valid is refused.
const REFUSED_VALID: [(&str, &str, &[u64]); 13] = [
    (
        "json_web_signature_test.json",
        "HS256",
        &[1, 348, 352, 357, 358, 359, 372, 373, 376, 377],
    ),
    (
        "json_web_signature_test.json",
        "RS256",
        &[33, 259, 260, 261, 262, 263, 345, 349],
    ),
    (
        "json_web_signature_test.json",
        "RS384",
        &[264, 265, 266, 267],
    ),
    (
        "json_web_signature_test.json",
        "RS512",
        &[268, 269, 270, 271],
    ),
    (
        "json_web_signature_test.json",
        "PS256",
        &[272, 273, 274, 275, 287, 288, 346, 350],
    ),
    (
        "json_web_signature_test.json",
        "PS384",
        &[320, 321, 322, 323],
    ),
    (
        "json_web_signature_test.json",
        "PS512",
        &[325, 326, 327, 328],
    ),
    ("json_web_signature_test.json", "ES521", &[347, 351]),
    ("json_web_key_test.json", "HS256", &[2, 13]),
    ("json_web_key_test.json", "HS384", &[14]),
    ("json_web_key_test.json", "HS512", &[15]),
    ("json_web_key_test.json", "RS256", &[5]),
    ("json_web_crypto_test.json", "HS256 and RS256", &[1, 33, 48]),
];

/// Encrypted tokens, which we never read.
const JWE: (&str, &str, &[u64]) = ("json_web_crypto_test.json", "JWE", &[50, 67]);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    /// Absent for symmetric keys and for some sets.
    public: Option<Value>,
    private: Value,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "tcId")]
    id: u64,
    comment: String,
    jws: Option<Value>,
    result: String,
}

#[test]
fn no_jose_vector_is_wrongly_accepted_and_each_valid_one_refused_is_named() {
    let Some(folder) = folder() else { return };
    let mut refused: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut accepted = 0;
    for file in FILES {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let vectors: Vectors = serde_json::from_str(&text).unwrap();
        for group in &vectors.test_groups {
            let keys = keys(group.public.as_ref().unwrap_or(&group.private));
            for case in &group.tests {
                let passes = case
                    .jws
                    .as_ref()
                    .and_then(Value::as_str)
                    .is_some_and(|jws| verifies(&keys, jws));
                match (case.result.as_str(), passes) {
                    ("invalid", true) => panic!("{file} {}: {}", case.id, case.comment),
                    ("valid", false) => {
                        let algorithm = stated_algorithm(case);
                        println!("{file} {}: valid, refused because of {algorithm}", case.id);
                        refused.entry(file).or_default().push(case.id);
                    }
                    ("valid", true) => accepted += 1,
                    _ => {}
                }
            }
        }
    }
    for file in FILES {
        let rows = REFUSED_VALID
            .iter()
            .chain([&JWE])
            .filter(|(name, _, _)| *name == file);
        let mut named: Vec<u64> = rows.flat_map(|(_, _, ids)| ids.iter().copied()).collect();
        named.sort_unstable();
        let mut found = refused.remove(file).unwrap_or_default();
        found.sort_unstable();
        assert_eq!(found, named, "{file}");
    }
    assert_eq!(accepted, 3, "the valid ES256 vectors");
}

fn folder() -> Option<PathBuf> {
    let beside_the_repository =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let folder = std::env::var_os("LANYARD_VECTORS").map_or(beside_the_repository, PathBuf::from);
    if FILES.iter().all(|file| folder.join(file).is_file()) {
        return Some(folder);
    }
    let missing = format!(
        "NOT TESTED: Wycheproof's JOSE vectors are not in {}; set LANYARD_VECTORS to their folder",
        folder.display()
    );
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
    // Straight to the terminal: the test harness swallows what a passing test prints.
    let _ = writeln!(std::io::stderr(), "{missing}");
    None
}

/// The keys of a group by the name the vectors give them. One that cannot be imported refuses the
/// whole group, as [`lanyard_token::KeySet::from_jwks`] does.
fn keys(jwk: &Value) -> Vec<(String, PublicKey)> {
    let list = match jwk.get("keys") {
        Some(keys) => keys.as_array().cloned().unwrap_or_default(),
        None => vec![jwk.clone()],
    };
    let imported: Option<Vec<(String, PublicKey)>> = list
        .into_iter()
        .map(|mut jwk| {
            // Our keys are named by their thumbprint and these are not, so the name is kept aside.
            let kid = jwk.as_object_mut()?.remove("kid")?.as_str()?.to_owned();
            PublicKey::from_jwk(&jwk.to_string())
                .ok()
                .map(|key| (kid, key))
        })
        .collect();
    imported.unwrap_or_default()
}

/// Checks a compact JWS as strictly as its lack of a `typ` allows.
fn verifies(keys: &[(String, PublicKey)], jws: &str) -> bool {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Header {
        alg: String,
        kid: String,
    }
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let [head, payload, signature] = jws.split('.').collect::<Vec<_>>()[..] else {
        return false;
    };
    let Some(header) = decode(head).and_then(|json| serde_json::from_slice::<Header>(&json).ok())
    else {
        return false;
    };
    let (Some(_), Some(signature)) = (decode(payload), decode(signature)) else {
        return false;
    };
    let message = format!("{head}.{payload}");
    keys.iter().any(|(kid, key)| {
        *kid == header.kid
            && Algorithm::from_name(&header.alg) == Some(key.algorithm())
            && key.verify(message.as_bytes(), &signature)
    })
}

fn stated_algorithm(case: &Case) -> String {
    let head = case
        .jws
        .as_ref()
        .and_then(Value::as_str)
        .and_then(|jws| jws.split('.').next());
    head.and_then(|head| URL_SAFE_NO_PAD.decode(head).ok())
        .and_then(|json| serde_json::from_slice::<Value>(&json).ok())
        .map_or("encryption".to_owned(), |header| header["alg"].to_string())
}
