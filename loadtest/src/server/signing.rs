//! jsonwebtoken's signing on ring, with the key parsed once.
//!
//! By itself it parses the key for every token. The baseline is spared that: whoever measures beside it must not win by
//! something that any user could mend.

use std::sync::{Arc, OnceLock};

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, new_error};
use jsonwebtoken::signature::{Error as SignatureError, Signer};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

/// Makes an ES256 key and teaches jsonwebtoken to sign with it, and with no other, in this process.
pub(super) fn install() -> Result<EncodingKey, Box<dyn std::error::Error>> {
    static SIGNS_ON_RING: CryptoProvider = CryptoProvider {
        signer_factory: signer,
        verifier_factory: no_verifier,
        key_utils: KeyUtils::new_unimplemented(),
    };
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
        .map_err(|_| "ring gave no key")?;
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random)
        .map_err(|_| "ring refuses its own key")?;
    PARSED
        .set(Arc::new(key))
        .map_err(|_| "the key was made already")?;
    SIGNS_ON_RING
        .install_default()
        .map_err(|_| "another provider was installed already")?;
    Ok(EncodingKey::from_ec_der(pkcs8.as_ref()))
}

static PARSED: OnceLock<Arc<EcdsaKeyPair>> = OnceLock::new();

struct RingSigner(Arc<EcdsaKeyPair>);

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        let signature = signature.map_err(|_| SignatureError::new())?;
        Ok(signature.as_ref().to_vec())
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}

fn signer(algorithm: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    match (algorithm, PARSED.get()) {
        (Algorithm::ES256, Some(key)) => Ok(Box::new(RingSigner(Arc::clone(key)))),
        _ => Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    }
}

fn no_verifier(_: &Algorithm, _: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    Err(new_error(ErrorKind::UnsupportedAlgorithm))
}
