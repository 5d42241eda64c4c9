//! Signing keys: made under the root's delegation, rotated with overlap, removed at once when told.
//!
//! ```text
//!  published ──────► signs ─────────────────► verifies only ───► forgotten
//!            ≥ 20 min       24 h                longest token + skew
//! ```
//! A verifier that fetched the keys just before a new one was published asks again within the JWKS
//! max-age (10 min), so it knows the key twice over before it sees its first signature.

mod plan;
mod ring;
mod root;

use lanyard_token::{Algorithm, KeyId, PublicKey};

use crate::clock::UnixMillis;
use crate::crypto::{self, CryptoError, SealingRoot, SigningKeyPair};
use crate::store::StoreError;
use crate::store::event::{KeyUse, SigningKey};

pub use plan::{Addition, plan};
pub use ring::{KeyRing, MintKey};
pub use root::{RootKeyError, RootKeyFile, RootSigner};

/// How far clocks may be apart when something is forgotten, in seconds.
pub const SKEW_SECONDS: u64 = 60;

/// How long a delegation of the root lasts, in seconds: 30 days.
const DELEGATION_SECONDS: u64 = 30 * 24 * 3_600;

/// Why there is no key, or no new one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No key may sign now: tend the keys.
    #[error("no signing key is in force")]
    None,
    /// No such key.
    #[error("there is no signing key `{0}`")]
    Unknown(KeyId),
    /// A private key cannot be made, opened or used: is it the right sealing key?
    #[error("a signing key cannot be used")]
    Unusable,
    /// The log took no word of it.
    #[error("the store refused a signing key")]
    Store(#[from] StoreError),
}

impl From<CryptoError> for KeyError {
    fn from(error: CryptoError) -> Self {
        tracing::error!(error = %error, "a signing key cannot be used");
        Self::Unusable
    }
}

/// Makes a signing key and the root's word for it, ready for the log.
pub fn create(
    addition: Addition,
    issuer: &str,
    seal: &SealingRoot,
    root: &RootSigner,
    longest_lifetime: u64,
    now: UnixMillis,
) -> Result<SigningKey, CryptoError> {
    let pkcs8 = SigningKeyPair::generate(addition.algorithm)?;
    let public = SigningKeyPair::from_pkcs8(addition.algorithm, &pkcs8)?.public()?;
    let signs_until = addition.signs_from.plus_millis(plan::SIGNS_MILLIS);
    let after = longest_lifetime
        .saturating_add(SKEW_SECONDS)
        .saturating_mul(1_000);
    let begins = now.seconds().saturating_sub(SKEW_SECONDS);
    Ok(SigningKey {
        key: public.thumbprint(),
        key_use: addition.key_use,
        algorithm: addition.algorithm,
        sealed: crypto::seal_signing_key(seal, public.thumbprint(), &pkcs8)?,
        delegation: root.delegate(
            issuer,
            &public,
            addition.key_use,
            begins,
            begins.saturating_add(DELEGATION_SECONDS),
        )?,
        signs_from: addition.signs_from,
        signs_until,
        verifies_until: signs_until.plus_millis(after),
    })
}

/// The public half of a key in the log.
pub fn delegated_key(key: &SigningKey) -> Option<PublicKey> {
    crypto::delegated_key(key.key, &key.delegation)
}

/// The newest key of a use that signs at `now`.
pub fn in_force<'a>(
    keys: impl Iterator<Item = &'a SigningKey>,
    key_use: KeyUse,
    now: UnixMillis,
) -> Option<&'a SigningKey> {
    keys.filter(|key| key.key_use == key_use && key.signs_from <= now && now < key.signs_until)
        .max_by_key(|key| (key.signs_from, key.key))
}

/// Which algorithm a use is signed with: feed messages have room for Ed25519 alone.
pub const fn algorithm_for(key_use: KeyUse, mint: Algorithm) -> Algorithm {
    match key_use {
        KeyUse::Mint => mint,
        KeyUse::Feed => Algorithm::EdDsa,
    }
}
