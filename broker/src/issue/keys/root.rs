//! The trust root's private half: it signs delegations, about once a day, and nothing else.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_token::{Algorithm, Delegation, KeyUse, PublicKey, RootKey};
use zeroize::Zeroizing;

use crate::crypto::{CryptoError, SealingRoot, SigningKeyPair};

/// What root key files are sealed for.
const PURPOSE: &str = "root key";
/// The first byte of PKCS#8 (an ASN.1 sequence); sealed files begin with another.
const PKCS8_FIRST: u8 = 0x30;

/// A root key on disk: PKCS#8 in a file only its owner reads, or the same sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKeyFile {
    path: PathBuf,
}

/// Why a root key cannot be had from a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootKeyError {
    /// Missing or unreadable.
    #[error("cannot use the root key `{path}`: make one with `lanyard root init {path}`")]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Keys are never overwritten: take another name.
    #[error("`{path}` exists already and was left alone")]
    Exists { path: PathBuf },
    /// A new key file cannot be written there.
    #[error("cannot write the root key `{path}`")]
    Unwritten {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Others may read an unsealed key.
    #[error("the root key `{path}` can be read by others: run `chmod 0400 {path}`")]
    Mode { path: PathBuf },
    /// Sealed, and no sealing key was given.
    #[error("the root key `{path}` is sealed: the sealing key is needed")]
    Sealed { path: PathBuf },
    /// Something else is in the file, or it is sealed under another key.
    #[error("the root key `{path}` cannot be used")]
    Content { path: PathBuf, source: CryptoError },
}

impl RootKeyFile {
    /// A file at this path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Makes a new root (0400), sealed if a sealing key is given; refuses to overwrite one.
    pub fn generate(&self, seal: Option<&SealingRoot>) -> Result<RootSigner, RootKeyError> {
        let unusable = |source| RootKeyError::Content {
            path: self.path.clone(),
            source,
        };
        let unwritable = |source: std::io::Error| {
            let path = self.path.clone();
            match source.kind() {
                std::io::ErrorKind::AlreadyExists => RootKeyError::Exists { path },
                _ => RootKeyError::Unwritten { path, source },
            }
        };
        let pkcs8 = SigningKeyPair::generate(Algorithm::EdDsa).map_err(unusable)?;
        let content = match seal {
            Some(seal) => Zeroizing::new(seal.seal(PURPOSE, b"", &pkcs8).map_err(unusable)?),
            None => pkcs8.clone(),
        };
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(&self.path)
            .map_err(unwritable)?;
        file.write_all(&content)
            .and_then(|()| file.sync_all())
            .map_err(unwritable)?;
        RootSigner::from_pkcs8(&pkcs8).map_err(unusable)
    }

    /// Reads the root.
    pub fn read(&self, seal: Option<&SealingRoot>) -> Result<RootSigner, RootKeyError> {
        let unusable = |source| RootKeyError::Content {
            path: self.path.clone(),
            source,
        };
        let unreadable = |source| RootKeyError::File {
            path: self.path.clone(),
            source,
        };
        let content = Zeroizing::new(std::fs::read(&self.path).map_err(unreadable)?);
        if content.first() == Some(&PKCS8_FIRST) {
            let mode = std::fs::metadata(&self.path)
                .map_err(unreadable)?
                .permissions()
                .mode();
            if mode & 0o077 != 0 {
                return Err(RootKeyError::Mode {
                    path: self.path.clone(),
                });
            }
            return RootSigner::from_pkcs8(&content).map_err(unusable);
        }
        let Some(seal) = seal else {
            return Err(RootKeyError::Sealed {
                path: self.path.clone(),
            });
        };
        let pkcs8 = seal.open(PURPOSE, b"", &content).map_err(unusable)?;
        RootSigner::from_pkcs8(&pkcs8).map_err(unusable)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The root, ready to delegate.
pub struct RootSigner {
    pair: SigningKeyPair,
    public: RootKey,
}

impl RootSigner {
    /// From PKCS#8 of an Ed25519 key.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, CryptoError> {
        let pair = SigningKeyPair::from_pkcs8(Algorithm::EdDsa, pkcs8)?;
        let public = RootKey::from_raw(pair.public()?.raw())
            .map_err(|_| CryptoError::Unusable("read the root key"))?;
        Ok(Self { pair, public })
    }

    /// What gateways pin.
    pub const fn public(&self) -> &RootKey {
        &self.public
    }

    /// The root's word that a key may be used between two moments (Unix seconds).
    pub fn delegate(
        &self,
        issuer: &str,
        key: &PublicKey,
        key_use: KeyUse,
        begins: u64,
        ends: u64,
    ) -> Result<String, CryptoError> {
        let input = Delegation::signing_input(issuer, key, key_use, begins, ends);
        let signature = self.pair.sign(input.as_bytes())?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_reads_back_plain_and_sealed_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let seal = SealingRoot::from_bytes(&[3; 32]);
        for (name, sealing) in [("plain", None), ("sealed", Some(&seal))] {
            let file = RootKeyFile::at(folder.path().join(name));
            let made = file.generate(sealing).unwrap();
            assert_eq!(file.read(sealing).unwrap().public(), made.public());
            assert!(matches!(
                file.generate(sealing),
                Err(RootKeyError::Exists { .. })
            ));
        }
        let sealed = RootKeyFile::at(folder.path().join("sealed"));
        assert!(matches!(
            sealed.read(None),
            Err(RootKeyError::Sealed { .. })
        ));
        let other = SealingRoot::from_bytes(&[4; 32]);
        assert!(matches!(
            sealed.read(Some(&other)),
            Err(RootKeyError::Content { .. })
        ));
    }

    #[test]
    fn a_plain_root_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = RootKeyFile::at(folder.path().join("root"));
        file.generate(None).unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o440)).unwrap();
        assert!(matches!(file.read(None), Err(RootKeyError::Mode { .. })));
    }
}
