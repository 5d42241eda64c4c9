//! The hostile tokens, against the gate and against the reference verifier.

use std::collections::HashSet;

use lanyard_token::testing::{TestIssuer, hostile_tokens, reference_accepts};
use lanyard_token::{Algorithm, Rejection, UnverifiedToken, VerifiedToken};

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Es256, Algorithm::EdDsa];

/// An issuer at the present, because the reference verifier reads the real clock.
pub(crate) fn issuer(algorithm: Algorithm) -> TestIssuer {
    let now = jsonwebtoken::get_current_timestamp();
    TestIssuer::new(
        algorithm,
        "https://broker.example",
        "https://api.example",
        now,
    )
}

pub(crate) fn gate<'t>(
    issuer: &TestIssuer,
    token: &'t str,
) -> Result<VerifiedToken<'t>, Rejection> {
    UnverifiedToken::parse(token)?.verify(&issuer.keys(), &issuer.expectations(), issuer.now)
}

#[test]
fn a_plain_token_passes_the_gate_and_the_reference() {
    for algorithm in ALGORITHMS {
        let issuer = issuer(algorithm);
        let token = issuer.token();
        assert_eq!(gate(&issuer, &token).unwrap().claims(), &issuer.claims);
        assert!(reference_accepts(&issuer, &token, 0));
        let unchanged = issuer.token_of_json(&issuer.header_json(), &issuer.claims_json());
        assert!(
            gate(&issuer, &unchanged).is_ok(),
            "the table starts from what is accepted"
        );
    }
}

#[test]
fn every_hostile_token_is_refused_with_the_same_answer() {
    for algorithm in ALGORITHMS {
        let issuer = issuer(algorithm);
        let rows = hostile_tokens(&issuer);
        assert!(rows.len() >= 90, "{} rows", rows.len());
        let names: HashSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names.len(), rows.len(), "names are unique");
        let attacks: HashSet<u8> = rows.iter().map(|row| row.attack).collect();
        for attack in 1..=36 {
            assert!(attacks.contains(&attack), "no row for attack {attack}");
        }
        for row in &rows {
            let rejection = gate(&issuer, &row.text)
                .expect_err(&format!("{algorithm}, attack {}: {}", row.attack, row.name));
            let reached_the_signature = matches!(row.attack, 1..=3 | 5..=6 | 17 | 18);
            assert!(
                reached_the_signature || rejection != Rejection::Signature,
                "{} is correctly signed, so something else must refuse it",
                row.name
            );
            let outside = rejection.outside();
            assert_eq!(
                (outside.status, outside.error),
                (401, "invalid_token"),
                "{}",
                row.name
            );
        }
    }
}

#[test]
fn the_reference_lets_through_exactly_the_rows_that_say_so() {
    for algorithm in ALGORITHMS {
        let issuer = issuer(algorithm);
        let wrong: Vec<String> = hostile_tokens(&issuer)
            .into_iter()
            .filter(|row| reference_accepts(&issuer, &row.text, 0) != row.jsonwebtoken_accepts)
            .map(|row| format!("{algorithm} {} {}", row.attack, row.name))
            .collect();
        assert!(wrong.is_empty(), "rows with another answer: {wrong:#?}");
    }
}
