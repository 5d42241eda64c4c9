//! Project Wycheproof's signatures, against [`PublicKey::verify`]: none wrongly accepted, and every
//! valid one accepted.

use lanyard_token::{Algorithm, InvalidKey, PublicKey};
use wycheproof::{TestResult, ecdsa, eddsa};

/// Valid signatures that we refuse, each with its reason: there are none.
const REFUSED_VALID: [(usize, &str); 0] = [];

/// How the tests of one set went.
#[derive(Default)]
struct Tally {
    tests: usize,
    wrongly_accepted: Vec<usize>,
    refused_valid: Vec<usize>,
}

impl Tally {
    fn count(&mut self, id: usize, result: TestResult, accepted: bool) {
        self.tests += 1;
        match (result, accepted) {
            (TestResult::Invalid, true) => self.wrongly_accepted.push(id),
            (TestResult::Valid, false) => self.refused_valid.push(id),
            _ => {}
        }
    }

    fn assert(&self, at_least: usize) {
        assert!(self.tests >= at_least, "only {} tests", self.tests);
        assert_eq!(self.wrongly_accepted, [0; 0], "wrongly accepted");
        let named: Vec<usize> = REFUSED_VALID.iter().map(|(id, _)| *id).collect();
        assert_eq!(self.refused_valid, named, "valid but refused");
    }
}

#[test]
fn ed25519_signatures() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut tally = Tally::default();
    for group in &set.test_groups {
        let key = PublicKey::from_raw(Algorithm::EdDsa, &group.key.pk);
        for test in &group.tests {
            let accepted = key
                .as_ref()
                .is_ok_and(|key| key.verify(&test.msg, &test.sig));
            tally.count(test.tc_id, test.result, accepted);
        }
    }
    tally.assert(140);
}

#[test]
fn p256_signatures_of_fixed_length() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let mut tally = Tally::default();
    for group in &set.test_groups {
        let key = PublicKey::from_raw(Algorithm::Es256, &group.key.key);
        for test in &group.tests {
            let accepted = key
                .as_ref()
                .is_ok_and(|key| key.verify(&test.msg, &test.sig));
            tally.count(test.tc_id, test.result, accepted);
        }
    }
    tally.assert(200);
}

/// JWS has no room for DER: of the DER signatures only those that happen to have 64 bytes could
/// even be taken for one of ours.
#[test]
fn p256_signatures_as_der_are_never_accepted() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256).unwrap();
    for group in &set.test_groups {
        let Ok(key) = PublicKey::from_raw(Algorithm::Es256, &group.key.key) else {
            continue;
        };
        for test in &group.tests {
            assert!(!key.verify(&test.msg, &test.sig), "{}", test.tc_id);
        }
    }
}

#[test]
fn a_point_that_is_not_on_the_curve_accepts_nothing() {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    for group in &set.test_groups {
        let mut point = group.key.key.to_vec();
        point[64] ^= 1;
        let key = PublicKey::from_raw(Algorithm::Es256, &point).unwrap();
        for test in &group.tests {
            assert!(!key.verify(&test.msg, &test.sig), "{}", test.tc_id);
        }
    }
    assert_eq!(
        PublicKey::from_raw(Algorithm::Es256, &[4; 33]),
        Err(InvalidKey::Form)
    );
}
