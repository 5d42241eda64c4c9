//! The reference verifier: jsonwebtoken at its strictest, on ring.

#![allow(
    clippy::disallowed_methods,
    reason = "here jsonwebtoken is not the policy but what ours is compared with"
)]

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, new_error};
use jsonwebtoken::signature::{Error as SignatureError, Verifier};
use jsonwebtoken::{Algorithm as Name, DecodingKey, EncodingKey, Validation, decode};

use super::TestIssuer;
use crate::{Algorithm, PublicKey};

/// Makes jsonwebtoken check signatures with ring. Does nothing when a provider is installed
/// already.
pub fn install_reference_provider() {
    static ON_RING: CryptoProvider = CryptoProvider {
        signer_factory: no_signer,
        verifier_factory: verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    // The only failure is that one is installed, which is as good.
    let _ = ON_RING.install_default();
}

/// Whether jsonwebtoken, told everything it can be told, accepts a token of this issuer.
///
/// It reads the real clock: the issuer's `now` must be near it. `leeway` is in seconds.
pub fn reference_accepts(issuer: &TestIssuer, token: &str, leeway: u64) -> bool {
    install_reference_provider();
    let (name, key) = match issuer.key.algorithm() {
        Algorithm::Es256 => (Name::ES256, DecodingKey::from_ec_der(issuer.key.raw())),
        Algorithm::EdDsa => (Name::EdDSA, DecodingKey::from_ed_der(issuer.key.raw())),
    };
    let mut validation = Validation::new(name);
    validation.leeway = leeway;
    validation.validate_nbf = true;
    validation.set_issuer(&[&issuer.claims.iss]);
    validation.set_audience(&[&issuer.claims.aud]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    decode::<serde_json::Value>(token, &key, &validation).is_ok()
}

struct RingVerifier {
    name: Name,
    key: PublicKey,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        if self.key.verify(message, signature) {
            Ok(())
        } else {
            Err(SignatureError::new())
        }
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Name {
        self.name
    }
}

fn verifier(name: &Name, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let algorithm = match name {
        Name::ES256 => Algorithm::Es256,
        Name::EdDSA => Algorithm::EdDsa,
        _ => return Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    };
    let key = PublicKey::from_raw(algorithm, key.try_get_as_bytes()?)
        .map_err(|_| new_error(ErrorKind::InvalidKeyFormat))?;
    Ok(Box::new(RingVerifier { name: *name, key }))
}

fn no_signer(_: &Name, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(new_error(ErrorKind::UnsupportedAlgorithm))
}
