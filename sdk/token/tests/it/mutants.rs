//! Everything the gate accepts the reference accepts too, tried on mutants of a good token.
//!
//! A mutant is signed again after the change, so that it reaches the checks behind the signature.
//! `LANYARD_MUTANTS` sets how many are tried (default 10,000).

use std::cell::Cell;

use lanyard_token::testing::{TestIssuer, reference_accepts};
use lanyard_token::{Algorithm, PublicKey};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::hostile::{gate, issuer};

/// What is put into headers and claims: pieces that mean something to some reader of JSON or JWT.
const PIECES: [&str; 40] = [
    " ",
    "\n",
    "\t",
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "null",
    "true",
    "0",
    "1",
    "9",
    "-",
    ".",
    "e3",
    "1e999",
    "\\u0000",
    "\\ud800",
    "\u{435}",
    "\u{feff}",
    "\"exp\":1,",
    "\"nbf\":1,",
    "\"aud\":[],",
    "\"iss\":\"x\",",
    "\"crit\":[],",
    "\"b64\":false,",
    "\"typ\":\"JWT\",",
    "\"act\":null,",
    "\"scope\":\"admin\",",
    "a",
    "A",
    "/",
    "+",
    "=",
    "\"x\":1,",
    "\"kid\":\"\",",
];

/// One change of a text, at a place given as a fraction of its length.
#[derive(Clone, Debug)]
enum Change {
    Insert(f64, usize),
    Remove(f64, usize),
    Replace(f64, usize),
    Double(f64, usize),
    Exchange(f64, f64),
}

impl Change {
    fn apply(&self, text: &mut Vec<char>) {
        let place = |fraction: f64| (text.len() as f64 * fraction) as usize;
        match self {
            Self::Insert(at, piece) => {
                let at = place(*at);
                text.splice(at..at, PIECES[*piece].chars());
            }
            Self::Remove(at, count) => {
                let at = place(*at);
                text.drain(at..text.len().min(at + count));
            }
            Self::Replace(at, piece) => {
                let at = place(*at);
                text.splice(at..text.len().min(at + 1), PIECES[*piece].chars());
            }
            Self::Double(at, count) => {
                let at = place(*at);
                let part = text[at..text.len().min(at + count)].to_vec();
                text.splice(at..at, part);
            }
            Self::Exchange(one, other) => {
                let (one, other) = (place(*one), place(*other));
                if one < text.len() && other < text.len() {
                    text.swap(one, other);
                }
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let place = 0.0..1.0f64;
    prop_oneof![
        (place.clone(), 0..PIECES.len()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (place.clone(), 1..20usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (place.clone(), 0..PIECES.len()).prop_map(|(at, piece)| Change::Replace(at, piece)),
        (place.clone(), 1..30usize).prop_map(|(at, count)| Change::Double(at, count)),
        (place.clone(), place).prop_map(|(one, other)| Change::Exchange(one, other)),
    ]
}

fn changed(text: &str, changes: &[Change]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for change in changes {
        change.apply(&mut text);
    }
    text.into_iter().collect()
}

fn mutants() -> u32 {
    std::env::var("LANYARD_MUTANTS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(10_000)
}

fn runner() -> TestRunner {
    TestRunner::new(Config {
        cases: mutants(),
        failure_persistence: None,
        ..Config::default()
    })
}

/// Signing is most of the work, so the check without a change of the signature runs on Ed25519.
#[test]
fn what_passes_the_gate_after_a_change_of_its_json_passes_the_reference() {
    let issuer = issuer(Algorithm::EdDsa);
    let changes = || proptest::collection::vec(change(), 1..4);
    let both = (changes(), changes(), 0..3u8);
    let passed = Cell::new(0);
    let outcome = runner().run(&both, |(in_header, in_claims, which)| {
        let mut header = issuer.header_json();
        let mut claims = issuer.claims_json();
        if which != 0 {
            claims = changed(&claims, &in_claims);
        }
        if which != 1 {
            header = changed(&header, &in_header);
        }
        let token = issuer.token_of_json(&header, &claims);
        passed.set(passed.get() + u32::from(gate(&issuer, &token).is_ok()));
        agree(&issuer, &token)
    });
    outcome.unwrap();
    // Spaces between members, other digits of a time: some changes are harmless.
    assert!(
        passed.get() > 0,
        "no mutant passed, so nothing was compared"
    );
}

#[test]
fn what_passes_the_gate_after_a_change_of_its_text_passes_the_reference() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let issuer = issuer(algorithm);
        let token = issuer.token();
        let changes = proptest::collection::vec(change(), 1..3);
        runner()
            .run(&changes, |changes| {
                agree(&issuer, &changed(&token, &changes))
            })
            .unwrap();
    }
}

#[test]
fn arbitrary_text_is_refused_and_never_panics() {
    let issuer = issuer(Algorithm::Es256);
    let texts = prop_oneof![
        "\\PC*",
        "[A-Za-z0-9_.-]{0,300}",
        "([A-Za-z0-9_-]{0,90}\\.){0,5}"
    ];
    let outcome = runner().run(&texts, |text| {
        prop_assert!(gate(&issuer, &text).is_err());
        let _ = PublicKey::from_jwk(&text);
        Ok(())
    });
    outcome.unwrap();
}

fn agree(issuer: &TestIssuer, token: &str) -> Result<(), TestCaseError> {
    // The reference reads the clock, which goes on during the test; so it is the one with leeway.
    if gate(issuer, token).is_ok() {
        prop_assert!(
            reference_accepts(issuer, token, 60),
            "only the gate accepts {token}"
        );
    }
    Ok(())
}
