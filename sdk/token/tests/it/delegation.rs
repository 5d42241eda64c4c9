//! What the root delegates, and what is not a delegation.

use lanyard_token::testing::TestIssuer;
use lanyard_token::{
    Algorithm, Delegation, DelegationFault, HeaderFault, KeyUse, PublicKey, RootKey, TrustedKeys,
};

const ISSUER: &str = "https://broker.example";
const NOW: u64 = 1_800_000_000;
const DAY: u64 = 24 * 3_600;

/// A root that signs whatever it is told to.
struct Root(TestIssuer);

impl Root {
    fn new() -> Self {
        Self(TestIssuer::new(Algorithm::EdDsa, ISSUER, "root", NOW))
    }

    fn key(&self) -> RootKey {
        RootKey::from_raw(self.0.key.raw()).unwrap()
    }

    fn delegate(&self, key: &PublicKey, key_use: KeyUse, nbf: u64, exp: u64) -> String {
        self.0
            .signed(Delegation::signing_input(ISSUER, key, key_use, nbf, exp))
    }

    fn read(&self, text: &str) -> Result<Delegation, DelegationFault> {
        Delegation::verify(text, &self.key(), ISSUER, NOW)
    }
}

fn key(algorithm: Algorithm) -> PublicKey {
    TestIssuer::new(algorithm, ISSUER, "a", NOW).key
}

#[test]
fn a_root_key_reads_back_what_it_prints() {
    let root = Root::new().key();
    assert_eq!(root.to_string().parse(), Ok(root.clone()));
    for text in ["", "AA", &"A".repeat(43), &format!("{root}=")] {
        assert!(text.parse::<RootKey>().is_err(), "{text}");
    }
}

#[test]
fn a_delegation_says_which_key_may_sign_what_and_until_when() {
    let root = Root::new();
    for (key_use, algorithm) in [
        (KeyUse::Mint, Algorithm::Es256),
        (KeyUse::Mint, Algorithm::EdDsa),
        (KeyUse::Feed, Algorithm::EdDsa),
    ] {
        let key = key(algorithm);
        let text = root.delegate(&key, key_use, NOW, NOW + 30 * DAY);
        let delegation = root.read(&text).unwrap();
        assert_eq!((delegation.key(), delegation.key_use()), (&key, key_use));
        assert_eq!(
            (delegation.not_before(), delegation.expires_at()),
            (NOW, NOW + 30 * DAY)
        );
    }
}

#[test]
fn times_issuers_and_roots_are_checked() {
    let root = Root::new();
    let key = key(Algorithm::EdDsa);
    let leeway = Delegation::LEEWAY;
    for (nbf, exp, fault) in [
        (NOW, NOW + 31 * DAY + 1, DelegationFault::Lifetime),
        (NOW, NOW, DelegationFault::Lifetime),
        (NOW + 1, 5, DelegationFault::Lifetime),
        (0, u64::MAX, DelegationFault::Lifetime),
        (NOW - DAY, NOW, DelegationFault::Expired),
        (NOW + leeway + 1, NOW + DAY, DelegationFault::NotYetValid),
    ] {
        assert_eq!(
            root.read(&root.delegate(&key, KeyUse::Mint, nbf, exp)),
            Err(fault)
        );
    }
    assert!(
        root.read(&root.delegate(&key, KeyUse::Mint, NOW + leeway, NOW + DAY))
            .is_ok()
    );
    let text = root.delegate(&key, KeyUse::Mint, NOW, NOW + DAY);
    let elsewhere = Delegation::verify(&text, &root.key(), "https://other.example", NOW);
    assert_eq!(elsewhere, Err(DelegationFault::Issuer));
    assert_eq!(Root::new().read(&text), Err(DelegationFault::Signature));
}

#[test]
fn only_exactly_our_members_are_a_delegation() {
    let root = Root::new();
    let header = r#"{"alg":"EdDSA","typ":"lanyard-delegation+jwt"}"#;
    let mint = key(Algorithm::Es256);
    let claims = |kid: &str, key_use: &str, more: &str| {
        let jwk = mint.to_jwk();
        let end = NOW + DAY;
        format!(
            r#"{{"iss":"{ISSUER}","kid":"{kid}","jwk":{jwk},"use":"{key_use}","nbf":{NOW},"exp":{end}{more}}}"#
        )
    };
    let kid = mint.thumbprint().to_string();
    let read = |header: &str, claims: &str| root.read(&root.0.token_of_json(header, claims));
    assert!(read(header, &claims(&kid, "mint", "")).is_ok());
    for bad in [
        claims(&kid, "feed", ""),
        claims(&kid, "root", ""),
        claims(&kid, "mint", r#","use":"mint""#),
        claims(&kid, "mint", r#","x":1"#),
        claims(&key(Algorithm::Es256).thumbprint().to_string(), "mint", ""),
        claims("", "mint", ""),
        "[]".to_owned(),
        "{}".to_owned(),
    ] {
        assert_eq!(read(header, &bad), Err(DelegationFault::Shape), "{bad}");
    }
    for (bad, fault) in [
        (r#"{"alg":"EdDSA","typ":"at+jwt"}"#, HeaderFault::Type),
        (
            r#"{"alg":"ES256","typ":"lanyard-delegation+jwt"}"#,
            HeaderFault::Algorithm,
        ),
        (r#"{"alg":"EdDSA"}"#, HeaderFault::MissingMember),
        (
            r#"{"alg":"EdDSA","typ":"lanyard-delegation+jwt","kid":"x"}"#,
            HeaderFault::UnknownMember,
        ),
    ] {
        let fault = Err(DelegationFault::Header(fault));
        assert_eq!(read(bad, &claims(&kid, "mint", "")), fault, "{bad}");
    }
    for text in ["", ".", "..", "a.b", &"a".repeat(5_000)] {
        assert!(root.read(text).is_err(), "{text}");
    }
}

#[test]
fn any_changed_character_ends_a_delegation() {
    let root = Root::new();
    let text = root.delegate(&key(Algorithm::Es256), KeyUse::Mint, NOW, NOW + DAY);
    for place in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        assert!(
            root.read(&String::from_utf8(bytes).unwrap()).is_err(),
            "{place}"
        );
    }
}

#[test]
fn a_removed_key_never_comes_back_and_an_ended_one_is_forgotten() {
    let root = Root::new();
    let (mint, feed) = (key(Algorithm::Es256), key(Algorithm::EdDsa));
    let delegation =
        |key: &PublicKey, key_use, exp| root.read(&root.delegate(key, key_use, NOW, exp)).unwrap();
    let for_mint = delegation(&mint, KeyUse::Mint, NOW + DAY);
    let for_feed = delegation(&feed, KeyUse::Feed, NOW + 2 * DAY);
    let mut keys: TrustedKeys = [&for_mint, &for_feed].into_iter().collect();
    assert!(keys.mint().get_at(&mint.thumbprint(), NOW).is_some());
    assert!(
        keys.mint().get(&feed.thumbprint()).is_none(),
        "a feed key mints nothing"
    );
    assert!(
        keys.feed().get(&mint.thumbprint()).is_none(),
        "a mint key signs no feed"
    );

    assert!(keys.mint().get_at(&mint.thumbprint(), NOW + DAY).is_none());
    keys.prune(NOW + DAY);
    assert_eq!((keys.mint().len(), keys.feed().len()), (0, 1));

    assert!(keys.trust(&for_mint));
    keys.remove(&mint.thumbprint());
    assert!(!keys.trust(&for_mint));
    assert!(keys.mint().is_empty());
    assert_eq!(keys.removed().count(), 1);
}
