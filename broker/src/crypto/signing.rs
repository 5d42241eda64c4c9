//! Signing keys: made, read, used; and how the log keeps their private halves.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_token::{Algorithm, KeyId, PublicKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use super::{CryptoError, SealingRoot};
use crate::store::event::SigningKey;

/// A private key that signs, parsed once.
pub enum SigningKeyPair {
    /// ECDSA on P-256 with SHA-256, `r ‖ s`.
    Es256(EcdsaKeyPair),
    /// Ed25519.
    EdDsa(Ed25519KeyPair),
}

impl SigningKeyPair {
    /// A new private key, as PKCS#8.
    pub fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let random = SystemRandom::new();
        let document = match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            }
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random),
        };
        let document = document.map_err(|_| CryptoError::Unusable("make a signing key"))?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// Reads PKCS#8.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, CryptoError> {
        let unusable = |_| CryptoError::Unusable("read a signing key");
        Ok(match algorithm {
            Algorithm::Es256 => Self::Es256(
                EcdsaKeyPair::from_pkcs8(
                    &ECDSA_P256_SHA256_FIXED_SIGNING,
                    pkcs8,
                    &SystemRandom::new(),
                )
                .map_err(unusable)?,
            ),
            Algorithm::EdDsa => Self::EdDsa(Ed25519KeyPair::from_pkcs8(pkcs8).map_err(unusable)?),
        })
    }

    /// The half that may be shown.
    pub fn public(&self) -> Result<PublicKey, CryptoError> {
        let (algorithm, bytes) = match self {
            Self::Es256(pair) => (Algorithm::Es256, pair.public_key().as_ref()),
            Self::EdDsa(pair) => (Algorithm::EdDsa, pair.public_key().as_ref()),
        };
        PublicKey::from_raw(algorithm, bytes)
            .map_err(|_| CryptoError::Unusable("read a public key"))
    }

    /// Signs: 64 bytes for either algorithm, as JOSE wants them (RFC 7518 3.4, RFC 8037 3.1).
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64], CryptoError> {
        let signature = match self {
            Self::Es256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map_err(|_| CryptoError::Unusable("sign"))?,
            Self::EdDsa(pair) => pair.sign(message),
        };
        signature
            .as_ref()
            .try_into()
            .map_err(|_| CryptoError::Unusable("sign"))
    }
}

/// What signing keys are sealed for; the place is the key's name.
const SIGNING_KEY: &str = "signing key";

/// The public half of a key in the log, read from the delegation the log carries.
///
/// The log is sealed and chained and the broker itself wrote the delegation, so its signature is not
/// checked again here; gateways check it under the root they pinned.
pub fn delegated_key(key: KeyId, delegation: &str) -> Option<PublicKey> {
    #[derive(serde::Deserialize)]
    struct Delegated {
        jwk: PublicKey,
    }
    let payload = delegation.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let public = serde_json::from_slice::<Delegated>(&json).ok()?.jwk;
    (public.thumbprint() == key).then_some(public)
}

/// Seals a private signing key (PKCS#8) as the log keeps it.
pub fn seal_signing_key(
    root: &SealingRoot,
    key: KeyId,
    pkcs8: &[u8],
) -> Result<String, CryptoError> {
    Ok(URL_SAFE_NO_PAD.encode(root.seal(SIGNING_KEY, key.as_bytes(), pkcs8)?))
}

/// Opens a signing key as the log keeps it, and refuses one that is not the key it is called.
pub fn open_signing_key(
    root: &SealingRoot,
    key: &SigningKey,
) -> Result<SigningKeyPair, CryptoError> {
    let refused = CryptoError::Sealed {
        purpose: SIGNING_KEY,
    };
    let Ok(sealed) = URL_SAFE_NO_PAD.decode(&key.sealed) else {
        return Err(refused);
    };
    let pkcs8 = root.open(SIGNING_KEY, key.key.as_bytes(), &sealed)?;
    let pair = SigningKeyPair::from_pkcs8(key.algorithm, &pkcs8)?;
    if pair.public()?.thumbprint() == key.key {
        Ok(pair)
    } else {
        Err(refused)
    }
}
