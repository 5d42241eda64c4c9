//! The gate at its edges: times, lengths, and what it says of a token it believes.

use lanyard_token::testing::{TestIssuer, reference_accepts};
use lanyard_token::{
    Algorithm, Claims, Expectations, InvalidLeeway, KeptToken, KeySet, MAX_TOKEN_BYTES, Rejection,
    UnverifiedToken, token_digest,
};

use crate::hostile::{gate, issuer};

fn at(
    issuer: &TestIssuer,
    claims: &Claims,
    expectations: &Expectations,
    now: u64,
) -> Result<(), Rejection> {
    let token = issuer.token_of(claims);
    let unverified = UnverifiedToken::parse(&token)?;
    let verified = unverified.verify(&issuer.keys(), expectations, now);
    verified.map(|_| ())
}

#[test]
fn a_trailing_clock_lets_a_token_begin_early_but_not_end_late() {
    let issuer = issuer(Algorithm::EdDsa);
    let trailing = issuer.expectations().with_trailing_clock();
    let verify = |now: u64| {
        UnverifiedToken::parse(&issuer.token())
            .unwrap()
            .verify(&issuer.keys(), &trailing, now)
            .map(|_| ())
    };
    assert_eq!(verify(issuer.now - 5), Ok(()));
    assert_eq!(verify(issuer.now - 6), Err(Rejection::NotYetValid));
    assert_eq!(verify(issuer.claims.exp - 1), Ok(()));
    assert_eq!(verify(issuer.claims.exp), Err(Rejection::Expired));
}

#[test]
fn a_token_ends_at_the_second_its_exp_names_and_leeway_shifts_that() {
    let issuer = issuer(Algorithm::EdDsa);
    let (claims, exp) = (&issuer.claims, issuer.claims.exp);
    let none = issuer.expectations();
    assert!(at(&issuer, claims, &none, exp - 1).is_ok());
    assert_eq!(
        at(&issuer, claims, &none, exp).unwrap_err(),
        Rejection::Expired
    );
    let five = issuer.expectations().with_leeway(5).unwrap();
    assert!(at(&issuer, claims, &five, exp + 4).is_ok());
    assert_eq!(
        at(&issuer, claims, &five, exp + 5).unwrap_err(),
        Rejection::Expired
    );
    assert_eq!(issuer.expectations().with_leeway(6), Err(InvalidLeeway));
}

#[test]
fn a_token_begins_at_its_iat_and_its_nbf() {
    let issuer = issuer(Algorithm::EdDsa);
    let mut claims = issuer.claims.clone();
    let iat = claims.iat;
    let none = issuer.expectations();
    let two = issuer.expectations().with_leeway(2).unwrap();
    assert!(at(&issuer, &claims, &none, iat).is_ok());
    assert_eq!(
        at(&issuer, &claims, &none, iat - 1).unwrap_err(),
        Rejection::NotYetValid
    );
    assert!(at(&issuer, &claims, &two, iat - 2).is_ok());
    claims.nbf = Some(iat + 10);
    assert_eq!(
        at(&issuer, &claims, &two, iat + 7).unwrap_err(),
        Rejection::NotYetValid
    );
    assert!(at(&issuer, &claims, &two, iat + 8).is_ok());
}

#[test]
fn a_lifetime_longer_than_expected_is_refused() {
    let issuer = issuer(Algorithm::EdDsa);
    let expectations = issuer.expectations().with_max_lifetime(300);
    let mut claims = issuer.claims.clone();
    assert!(at(&issuer, &claims, &expectations, issuer.now).is_ok());
    claims.exp += 1;
    let rejection = at(&issuer, &claims, &expectations, issuer.now).unwrap_err();
    assert_eq!(rejection, Rejection::LifetimeTooLong);
}

#[test]
fn a_key_is_believed_until_its_delegation_ends() {
    let issuer = issuer(Algorithm::Es256);
    let token = issuer.token();
    let mut keys = KeySet::default();
    keys.insert_until(issuer.key.clone(), issuer.now + 10);
    let verify = |keys: &KeySet, now| {
        UnverifiedToken::parse(&token)?.verify(keys, &issuer.expectations(), now)
    };
    assert!(verify(&keys, issuer.now + 9).is_ok());
    assert_eq!(
        verify(&keys, issuer.now + 10).unwrap_err(),
        Rejection::UnknownKey
    );
    assert_eq!(
        verify(&KeySet::default(), issuer.now).unwrap_err(),
        Rejection::UnknownKey
    );
}

#[test]
fn the_longest_token_passes_and_a_byte_more_does_not() {
    let issuer = issuer(Algorithm::Es256);
    let padded = |spaces: usize| {
        let claims = format!("{}{}", issuer.claims_json(), " ".repeat(spaces));
        issuer.token_of_json(&issuer.header_json(), &claims)
    };
    let fitting =
        (0..MAX_TOKEN_BYTES).take_while(|spaces| padded(*spaces).len() <= MAX_TOKEN_BYTES);
    let most = fitting.last().unwrap();
    assert!(padded(most).len() > MAX_TOKEN_BYTES - 2);
    assert!(gate(&issuer, &padded(most)).is_ok());
    assert_eq!(
        gate(&issuer, &padded(most + 1)).unwrap_err(),
        Rejection::TooLong
    );
}

#[test]
fn the_twin_of_an_ecdsa_signature_is_the_same_token() {
    let issuer = issuer(Algorithm::Es256);
    let (one, again) = (issuer.token(), issuer.token());
    let one = gate(&issuer, &one).unwrap();
    let again = gate(&issuer, &again).unwrap();
    assert_eq!(
        one.digest(),
        again.digest(),
        "two signatures over the same claims"
    );
    let token = issuer.token();
    assert_eq!(
        one.digest(),
        token_digest(token.rsplit_once('.').unwrap().0)
    );
    assert_eq!(one.key_id(), &issuer.key.thumbprint());
}

/// The one thing we accept and the reference does not: the name of RFC 9864 for the algorithm that
/// RFC 8037 calls `EdDSA`. jsonwebtoken 11 does not know it.
#[test]
fn ed25519_is_read_as_a_name_of_eddsa() {
    let issuer = issuer(Algorithm::EdDsa);
    let header = issuer.header_json().replace("EdDSA", "Ed25519");
    let token = issuer.token_of_json(&header, &issuer.claims_json());
    assert!(gate(&issuer, &token).is_ok());
    assert!(!reference_accepts(&issuer, &token, 0));
}

#[test]
fn the_whole_media_type_is_a_good_typ_for_both() {
    let issuer = issuer(Algorithm::Es256);
    let header = issuer.header_json().replace("at+jwt", "application/at+jwt");
    let token = issuer.token_of_json(&header, &issuer.claims_json());
    assert!(gate(&issuer, &token).is_ok());
    assert!(reference_accepts(&issuer, &token, 0));
}

#[test]
fn a_token_that_is_kept_says_what_it_said_at_the_gate() {
    let issuer = issuer(Algorithm::Es256);
    let token = issuer.token();
    let verified = gate(&issuer, &token).unwrap();
    let kept = KeptToken::of(&verified);
    assert_eq!(kept.text(), token);
    assert_eq!(kept.digest(), verified.digest());
    assert_eq!(kept.signing_input(), verified.signing_input());
    assert_eq!(kept.claims(), verified.claims());
}
