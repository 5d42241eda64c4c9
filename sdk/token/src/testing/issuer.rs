//! An issuer for tests, which signs whatever it is told to.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};

use crate::{
    Algorithm, Claims, Expectations, KeySet, Lineage, NodeId, PublicKey, Rev, base64url, header,
    signing_input,
};

/// Makes the 64-byte signature over a message.
type Sign = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// A signing key with everything a token of it needs to be believed.
pub struct TestIssuer {
    /// Its public key.
    pub key: PublicKey,
    /// Claims that are accepted as they are at [`now`](Self::now).
    pub claims: Claims,
    /// The time of the test, in Unix seconds.
    pub now: u64,
    /// Where `jku` and `x5u` point. A test may listen there and count connections.
    pub listener: String,
    sign: Sign,
}

impl TestIssuer {
    /// An issuer with a fresh key and plain claims.
    pub fn new(algorithm: Algorithm, issuer: &str, audience: &str, now: u64) -> Self {
        let (key, sign) = fresh_key(algorithm);
        let node = NodeId::from_u64;
        let claims = Claims {
            iss: issuer.to_owned(),
            sub: node(2).to_string(),
            client_id: node(2).to_string(),
            aud: audience.parse().expect("the audience of a test is valid"),
            exp: now.saturating_add(300),
            iat: now,
            nbf: None,
            jti: node(9),
            scope: "orders:read".parse().expect("the scope is valid"),
            rev: Rev::ZERO,
            lin: Lineage::of_credential(node(1), node(2), node(3)),
            act: None,
            cnf: None,
            authorization_details: None,
            bsl: None,
        };
        Self::with_key(key, claims, now, sign)
    }

    /// An issuer around the key of a running broker: `sign` makes its 64-byte signatures, `claims`
    /// are accepted at `now` by whatever is tested.
    pub fn with_key(
        key: PublicKey,
        claims: Claims,
        now: u64,
        sign: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = "http://127.0.0.1:9/keys".to_owned();
        Self {
            key,
            claims,
            now,
            listener,
            sign: Box::new(sign),
        }
    }

    /// A token that is accepted.
    pub fn token(&self) -> String {
        self.token_of(&self.claims)
    }

    /// A token with these claims.
    pub fn token_of(&self, claims: &Claims) -> String {
        self.signed(signing_input(
            claims,
            self.key.algorithm(),
            &self.key.thumbprint(),
        ))
    }

    /// A correctly signed token with exactly this header and these claims.
    pub fn token_of_json(&self, header: &str, claims: &str) -> String {
        self.token_of_bytes(header.as_bytes(), claims.as_bytes())
    }

    /// A correctly signed token with exactly these bytes as header and claims.
    pub fn token_of_bytes(&self, header: &[u8], claims: &[u8]) -> String {
        self.signed(format!(
            "{}.{}",
            base64url::encode(header),
            base64url::encode(claims)
        ))
    }

    /// `signing_input`, a full stop and its signature.
    pub fn signed(&self, signing_input: String) -> String {
        let signature = base64url::encode(&self.signature(signing_input.as_bytes()));
        format!("{signing_input}.{signature}")
    }

    /// The signature over a message.
    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        (self.sign)(message)
    }

    /// The header of its tokens.
    pub fn header_json(&self) -> String {
        header::access_token_json(self.key.algorithm(), &self.key.thumbprint())
    }

    /// The claims as JSON.
    pub fn claims_json(&self) -> String {
        serde_json::to_string(&self.claims).expect("claims can be written")
    }

    /// Its key alone.
    pub fn keys(&self) -> KeySet {
        [self.key.clone()].into_iter().collect()
    }

    /// What accepts its tokens: its issuer, its audience, no leeway.
    pub fn expectations(&self) -> Expectations {
        Expectations::new(self.claims.iss.clone(), self.claims.aud.clone())
    }
}

/// A fresh key and what signs with it.
pub(super) fn fresh_key(algorithm: Algorithm) -> (PublicKey, Sign) {
    let random = SystemRandom::new();
    match algorithm {
        Algorithm::Es256 => {
            let scheme = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let secret = EcdsaKeyPair::generate_pkcs8(scheme, &random).expect("a key is made");
            let pair = EcdsaKeyPair::from_pkcs8(scheme, secret.as_ref(), &random)
                .expect("the key is read back");
            let key = PublicKey::from_raw(algorithm, pair.public_key().as_ref());
            let sign = move |message: &[u8]| {
                pair.sign(&random, message)
                    .expect("P-256 signs")
                    .as_ref()
                    .to_vec()
            };
            (key.expect("ring makes valid keys"), Box::new(sign))
        }
        Algorithm::EdDsa => {
            let secret = Ed25519KeyPair::generate_pkcs8(&random).expect("a key is made");
            let pair = Ed25519KeyPair::from_pkcs8(secret.as_ref()).expect("the key is read back");
            let key = PublicKey::from_raw(algorithm, pair.public_key().as_ref());
            let sign = move |message: &[u8]| pair.sign(message).as_ref().to_vec();
            (key.expect("ring makes valid keys"), Box::new(sign))
        }
    }
}
