//! Every seal, MAC and signature of the broker, except the one on access tokens (`issue::mint`).
//!
//! ```text
//! root sealing key ── HKDF ──► log segments (a key each, records numbered)
//!                        ├───► records sealed one by one (a key each, from a fresh salt)
//!                        └───► pepper (HMAC of API keys)
//! ```
//! AES-256-GCM everywhere. A derived key seals one message or one numbered sequence, so nonces never
//! need to be random and never repeat. Single records carry a key commitment: GCM alone lets one
//! ciphertext open under two keys.

pub mod jwt_provider;

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use lanyard_token::{Algorithm, KeyId, PublicKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use ring::{aead, hkdf, hmac};
use zeroize::Zeroizing;

use crate::store::event::SigningKey;

/// The root sealing key, the pepper's ancestor: 32 random bytes in a file only the broker reads.
pub struct SealingRoot(hkdf::Prk);

/// Why sealed things cannot be opened or keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The key file is missing or cannot be read.
    #[error("cannot read the sealing key `{path}`: make one with `lanyard seal init {path}`")]
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
    /// Sealed under another root, changed, or moved to another place.
    #[error("cannot open what was sealed for `{purpose}`: another sealing key, or it was changed")]
    Sealed { purpose: &'static str },
    /// The operating system gave no randomness, or a key is not a key.
    #[error("cannot {0}")]
    Unusable(&'static str),
}

impl SealingRoot {
    /// Reads a key file: exactly 32 bytes, readable by its owner alone.
    pub fn from_file(path: &Path) -> Result<Self, CryptoError> {
        use std::os::unix::fs::PermissionsExt;
        let unreadable = |source| CryptoError::KeyFile {
            path: path.to_owned(),
            source,
        };
        let mode = std::fs::metadata(path)
            .map_err(unreadable)?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(CryptoError::KeyFileMode {
                path: path.to_owned(),
            });
        }
        let bytes = Zeroizing::new(std::fs::read(path).map_err(unreadable)?);
        if bytes.len() != 32 {
            return Err(CryptoError::KeyFileContent {
                path: path.to_owned(),
            });
        }
        Ok(Self::from_bytes(&bytes))
    }

    /// Makes a new key file (0400); refuses to overwrite one.
    pub fn generate(path: &Path) -> Result<Self, CryptoError> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let unwritable = |source: std::io::Error| {
            let path = path.to_owned();
            match source.kind() {
                std::io::ErrorKind::AlreadyExists => CryptoError::KeyFileExists { path },
                _ => CryptoError::KeyFileUnwritten { path, source },
            }
        };
        let bytes = Zeroizing::new(random::<32>()?);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(path)
            .map_err(unwritable)?;
        file.write_all(&*bytes)
            .and_then(|()| file.sync_all())
            .map_err(unwritable)?;
        Ok(Self::from_bytes(&*bytes))
    }

    /// From the bytes themselves.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(hkdf::Salt::new(hkdf::HKDF_SHA256, b"lanyard root v1").extract(bytes))
    }

    /// The pepper under which API keys are hashed.
    pub fn pepper(&self) -> Result<Pepper, CryptoError> {
        let bytes = expand(&self.0, &[b"pepper v1"])?;
        Ok(Pepper(hmac::Key::new(hmac::HMAC_SHA256, &*bytes)))
    }

    /// A key that authenticates things kept open, such as the rows of the index.
    pub fn mac(&self, purpose: &'static str, place: &[u8]) -> Result<Mac, CryptoError> {
        let bytes = expand(&self.0, &[b"mac v1", purpose.as_bytes(), place])?;
        Ok(Mac(hmac::Key::new(hmac::HMAC_SHA256, &*bytes)))
    }

    /// The key of one numbered sequence of messages, such as a segment of the log. `salt` must be
    /// fresh for each sequence: the same numbers are used again in the next one.
    pub fn sequence(
        &self,
        purpose: &'static str,
        salt: &[u8; 32],
    ) -> Result<SequenceSeal, CryptoError> {
        let key = sealing_key(&*expand(
            &self.0,
            &[b"sequence v1", purpose.as_bytes(), salt],
        )?)?;
        Ok(SequenceSeal { purpose, key })
    }

    /// Seals one message under a key of its own: `1 ‖ salt 32 ‖ commitment 32 ‖ ciphertext ‖ tag 16`.
    /// `place` is authenticated, so a sealed thing cannot be moved.
    pub fn seal(
        &self,
        purpose: &'static str,
        place: &[u8],
        plain: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let salt = random::<32>()?;
        let (key, commitment) = self.record_key(purpose, place, &salt)?;
        let mut body = plain.to_vec();
        key.seal_in_place_append_tag(nonce(0), aead::Aad::from(place), &mut body)
            .map_err(|_| CryptoError::Unusable("seal"))?;
        let mut sealed = Vec::with_capacity(65 + body.len());
        sealed.push(1);
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(&commitment);
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Opens what [`SealingRoot::seal`] sealed for the same purpose and place.
    pub fn open(
        &self,
        purpose: &'static str,
        place: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let refused = CryptoError::Sealed { purpose };
        let Some((&[1], rest)) = sealed.split_first_chunk::<1>() else {
            return Err(refused);
        };
        let Some((salt, rest)) = rest.split_first_chunk::<32>() else {
            return Err(refused);
        };
        let Some((commitment, body)) = rest.split_first_chunk::<32>() else {
            return Err(refused);
        };
        let (key, expected) = self.record_key(purpose, place, salt)?;
        if !bool::from(subtle::ConstantTimeEq::ct_eq(
            &expected[..],
            &commitment[..],
        )) {
            return Err(refused);
        }
        let mut body = Zeroizing::new(body.to_vec());
        let plain_len = key
            .open_in_place(nonce(0), aead::Aad::from(place), &mut body)
            .map_err(|_| CryptoError::Sealed { purpose })?
            .len();
        body.truncate(plain_len);
        Ok(body)
    }

    fn record_key(
        &self,
        purpose: &'static str,
        place: &[u8],
        salt: &[u8; 32],
    ) -> Result<(aead::LessSafeKey, [u8; 32]), CryptoError> {
        let key = expand(
            &self.0,
            &[b"record key v1", purpose.as_bytes(), salt, place],
        )?;
        let commitment = expand(
            &self.0,
            &[b"record commitment v1", purpose.as_bytes(), salt, place],
        )?;
        Ok((sealing_key(&key)?, *commitment))
    }
}

/// Seals a numbered sequence of messages; each number at most once.
pub struct SequenceSeal {
    purpose: &'static str,
    key: aead::LessSafeKey,
}

impl SequenceSeal {
    /// Bytes a sealed message is longer than its plain text.
    pub const OVERHEAD: usize = 16;

    /// Seals message `number` in place, and appends the tag.
    pub fn seal(
        &self,
        number: u64,
        place: &[u8],
        message: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        self.key
            .seal_in_place_append_tag(nonce(number), aead::Aad::from(place), message)
            .map_err(|_| CryptoError::Unusable("seal"))
    }

    /// Opens message `number` in place, and cuts off the tag.
    pub fn open(
        &self,
        number: u64,
        place: &[u8],
        message: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        let plain_len = self
            .key
            .open_in_place(nonce(number), aead::Aad::from(place), message)
            .map_err(|_| CryptoError::Sealed {
                purpose: self.purpose,
            })?
            .len();
        message.truncate(plain_len);
        Ok(())
    }
}

/// Authenticates lists of parts.
#[derive(Clone)]
pub struct Mac(hmac::Key);

impl Mac {
    /// The first sixteen bytes of HMAC-SHA256 over the parts, each with its length ahead, so that no two
    /// lists of parts give the same tag.
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut tag = [0; 16];
        for (to, from) in tag.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        tag
    }
}

/// Under this, API keys are hashed, so that a copy of the store verifies nothing.
#[derive(Clone)]
pub struct Pepper(hmac::Key);

impl Pepper {
    /// HMAC-SHA256 of a key. Not a password hash on purpose: a 178-bit key cannot be guessed, and a
    /// slow hash would be a lever for whoever wants the broker busy.
    pub fn hash(&self, key: &str) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(hmac::sign(&self.0, key.as_bytes()).as_ref());
        hash
    }
}

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

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N], CryptoError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| CryptoError::Unusable("get randomness"))?;
    Ok(bytes)
}

fn nonce(number: u64) -> aead::Nonce {
    let mut bytes = [0; aead::NONCE_LEN];
    let (_, low) = bytes.split_at_mut(aead::NONCE_LEN - 8);
    low.copy_from_slice(&number.to_be_bytes());
    aead::Nonce::assume_unique_for_key(bytes)
}

fn sealing_key(bytes: &[u8; 32]) -> Result<aead::LessSafeKey, CryptoError> {
    aead::UnboundKey::new(&aead::AES_256_GCM, bytes)
        .map(aead::LessSafeKey::new)
        .map_err(|_| CryptoError::Unusable("make a sealing key"))
}

/// HKDF-Expand with length-prefixed parts, so that no two lists of parts give the same key.
fn expand(prk: &hkdf::Prk, parts: &[&[u8]]) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    struct ThirtyTwo;
    impl hkdf::KeyType for ThirtyTwo {
        fn len(&self) -> usize {
            32
        }
    }
    let mut info = Vec::new();
    for part in parts {
        info.extend_from_slice(&(part.len() as u64).to_be_bytes());
        info.extend_from_slice(part);
    }
    let mut out = Zeroizing::new([0; 32]);
    prk.expand(&[&info], ThirtyTwo)
        .and_then(|material| material.fill(&mut *out))
        .map_err(|_| CryptoError::Unusable("derive a key"))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_at_its_own_place_under_its_own_root() {
        let root = SealingRoot::from_bytes(&[1; 32]);
        let sealed = root.seal("test", b"here", b"secret").unwrap();
        assert_eq!(
            root.open("test", b"here", &sealed).unwrap().as_slice(),
            b"secret"
        );
        assert!(root.open("test", b"there", &sealed).is_err());
        assert!(root.open("other", b"here", &sealed).is_err());
        assert!(
            SealingRoot::from_bytes(&[2; 32])
                .open("test", b"here", &sealed)
                .is_err()
        );
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(root.open("test", b"here", &changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_key_file_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        SealingRoot::generate(&path).unwrap();
        SealingRoot::from_file(&path).unwrap();
        assert!(
            SealingRoot::generate(&path).is_err(),
            "an existing key is never overwritten"
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
        assert!(matches!(
            SealingRoot::from_file(&path),
            Err(CryptoError::KeyFileMode { .. })
        ));
    }
}
