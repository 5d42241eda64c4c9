//! Every seal, MAC and signature of the broker, except the one on access tokens (`issue::mint`).
//!
//! ```text
//! sealing key (a file's; a KMS's later) ── wraps ──► data keys, numbered, in `seal.ring`
//! data key ── HKDF ──► log segments (a key each, records numbered)
//!                 ├───► records sealed one by one (a key each, from a fresh salt)
//!                 └───► the first one also: pepper (HMAC of API keys), MACs
//! ```
//! AES-256-GCM everywhere. A derived key seals one message or one numbered sequence, so nonces never
//! need to be random and never repeat. Single records carry a key commitment: GCM alone lets one
//! ciphertext open under two keys.

mod derived;
pub mod jwt_provider;
mod root_key;
mod seal;
pub mod seal_ring;
mod secret;
mod signing;

use std::path::PathBuf;

use ring::rand::{SecureRandom, SystemRandom};

pub use derived::{Mac, Pepper};
pub use root_key::{DataKey, HeldKey, RootKey, RootKeyId};
pub use seal::{DataKeyId, SealingRoot, SequenceSeal, parts, sealed_under};
pub use secret::Secret;
pub use signing::{SigningKeyPair, delegated_key, open_signing_key, seal_signing_key};

/// Why sealed things cannot be opened or keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The key file is missing or cannot be read.
    #[error(
        "cannot read the sealing key `{path}`: a broker that has data needs the one it had (a new one opens nothing of it); for a \
         new broker `lanyard seal init {path}` makes one"
    )]
    KeyFile {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Keys are never overwritten: take another name.
    #[error("`{path}` exists already and was left alone")]
    KeyFileExists { path: PathBuf },
    /// A new key file cannot be written there.
    #[error("cannot write the sealing key `{path}`")]
    KeyFileUnwritten {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Others may read the key file.
    #[error("the sealing key `{path}` can be read by others: run `chmod 0400 {path}`")]
    KeyFileMode { path: PathBuf },
    /// The key file holds something else.
    #[error("the sealing key `{path}` is not 32 bytes")]
    KeyFileContent { path: PathBuf },
    /// The variable is not set, or holds something else.
    #[error(
        "the variable `{variable}` is no sealing key: 64 hexadecimal digits, such as `openssl rand -hex 32` prints"
    )]
    KeyVariable { variable: String },
    /// The file of data keys cannot be read or written.
    #[error("cannot {action} the data keys `{path}`")]
    Ring {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// The file of data keys is not what was written: put its copy of the newest backup in place.
    #[error(
        "the data keys `{path}` are damaged: {why}; put `seal.ring` of the newest backup in place"
    )]
    RingDamaged { path: PathBuf, why: &'static str },
    /// Another sealing key is needed.
    #[error(
        "the data keys `{path}` are wrapped under the sealing key {wrapped_under}, and this one is {given}: set `seal.key_file` (or `--seal-key`) to that one"
    )]
    RingOfOther {
        path: PathBuf,
        wrapped_under: String,
        given: RootKeyId,
    },
    /// It cannot be done now.
    #[error("{0}")]
    Refused(&'static str),
    /// Sealed under another root, changed, or moved to another place.
    #[error("cannot open what was sealed for `{purpose}`: another sealing key, or it was changed")]
    Sealed { purpose: &'static str },
    /// The operating system gave no randomness, or a key is not a key.
    #[error("cannot {0}")]
    Unusable(&'static str),
}

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N], CryptoError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| CryptoError::Unusable("get randomness"))?;
    Ok(bytes)
}
