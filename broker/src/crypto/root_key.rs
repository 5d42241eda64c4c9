//! The root of everything sealed: a key that only wraps data keys, and where it is kept.
//!
//! Behind a trait, because it need not be in this process at all: a key management service or a token on
//! the machine wraps and unwraps without giving its key away.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::seal::fingerprint;
use super::{CryptoError, SealingRoot, random};

/// Wraps data keys.
pub trait RootKey: Send + Sync {
    /// What it is called beside the keys it wrapped; tells nothing of it.
    fn id(&self) -> &RootKeyId;

    /// Wraps a data key for this place.
    fn wrap(&self, place: &[u8], key: &DataKey) -> Result<Vec<u8>, CryptoError>;

    /// Opens what it wrapped for the same place.
    fn open(&self, place: &[u8], wrapped: &[u8]) -> Result<DataKey, CryptoError>;

    /// The key itself, where it is in our hands: installations from before there were data keys sealed
    /// with it, and the file of a trust root may be sealed with it.
    fn own(&self) -> Option<&DataKey>;
}

/// Names a root key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RootKeyId(String);

impl std::fmt::Display for RootKeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The 32 bytes of a key. It cannot be printed, and is wiped when dropped.
pub struct DataKey(Box<Zeroizing<[u8; 32]>>);

impl DataKey {
    /// A new one.
    pub fn generate() -> Result<Self, CryptoError> {
        Ok(Self(Box::new(Zeroizing::new(random::<32>()?))))
    }

    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self(Box::new(Zeroizing::new(bytes.try_into().ok()?))))
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The same key twice, for where two owners need it.
    pub(super) fn twin(&self) -> Self {
        Self(Box::new(Zeroizing::new(*self.bytes())))
    }
}

/// A root key in this process's memory: from a file, or from a variable for development.
pub struct HeldKey {
    id: RootKeyId,
    key: DataKey,
    seal: SealingRoot,
}

/// What data keys are wrapped for.
const PURPOSE: &str = "data key";

impl HeldKey {
    /// Reads a key file: exactly 32 bytes, readable by its owner alone.
    pub fn from_file(path: &Path) -> Result<Self, CryptoError> {
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
        let key = DataKey::from_slice(&bytes).ok_or_else(|| CryptoError::KeyFileContent {
            path: path.to_owned(),
        })?;
        Self::new(key)
    }

    /// Reads a variable's text: 64 hexadecimal digits. For development: whoever may look at the process
    /// reads its environment, and this process cannot take it out of there.
    pub fn from_variable(
        variable: &str,
        text: Option<Zeroizing<String>>,
    ) -> Result<Self, CryptoError> {
        let refused = || CryptoError::KeyVariable {
            variable: variable.to_owned(),
        };
        let text = text.ok_or_else(refused)?;
        let digits = text.trim().as_bytes();
        let mut bytes = Zeroizing::new([0_u8; 32]);
        if digits.len() != 64 {
            return Err(refused());
        }
        let mut values = digits.iter().map(|digit| char::from(*digit).to_digit(16));
        for byte in bytes.iter_mut() {
            let mut value = || values.next().flatten().ok_or_else(refused);
            *byte = u8::try_from(value()? * 16 + value()?).map_err(|_| refused())?;
        }
        Self::new(DataKey::from_slice(&*bytes).ok_or_else(refused)?)
    }

    /// Makes a new key file (0400); refuses to overwrite one.
    pub fn generate(path: &Path) -> Result<Self, CryptoError> {
        let unwritable = |source: std::io::Error| {
            let path = path.to_owned();
            match source.kind() {
                std::io::ErrorKind::AlreadyExists => CryptoError::KeyFileExists { path },
                _ => CryptoError::KeyFileUnwritten { path, source },
            }
        };
        let key = DataKey::generate()?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(path)
            .map_err(unwritable)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        file.write_all(key.bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all())
            .map_err(unwritable)?;
        Self::new(key)
    }

    pub(super) fn new(key: DataKey) -> Result<Self, CryptoError> {
        let id = fingerprint(key.bytes())?;
        Ok(Self {
            id: RootKeyId(id.iter().map(|byte| format!("{byte:02x}")).collect()),
            seal: SealingRoot::from_bytes(key.bytes()),
            key,
        })
    }

    /// Without data keys.
    pub fn alone(self) -> SealingRoot {
        self.seal
    }
}

impl RootKey for HeldKey {
    fn id(&self) -> &RootKeyId {
        &self.id
    }

    fn wrap(&self, place: &[u8], key: &DataKey) -> Result<Vec<u8>, CryptoError> {
        self.seal.seal(PURPOSE, place, key.bytes())
    }

    fn open(&self, place: &[u8], wrapped: &[u8]) -> Result<DataKey, CryptoError> {
        let opened = self.seal.open(PURPOSE, place, wrapped)?;
        DataKey::from_slice(&opened).ok_or(CryptoError::Sealed { purpose: PURPOSE })
    }

    fn own(&self) -> Option<&DataKey> {
        Some(&self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        HeldKey::generate(&path).unwrap();
        HeldKey::from_file(&path).unwrap();
        assert!(
            HeldKey::generate(&path).is_err(),
            "an existing key is never overwritten"
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
        assert!(matches!(
            HeldKey::from_file(&path),
            Err(CryptoError::KeyFileMode { .. })
        ));
    }

    #[test]
    fn a_variable_holds_the_key_in_hexadecimal_or_is_refused_without_its_text() {
        let read =
            |text: &str| HeldKey::from_variable("KEY", Some(Zeroizing::new(text.to_owned())));
        let key = read(&format!("{}\n", "0a".repeat(32))).unwrap();
        assert_eq!(key.key.bytes(), &[10; 32]);
        for text in [
            "",
            "0a",
            &"0a".repeat(33),
            &"0g".repeat(32),
            &"é".repeat(32),
            &"+1".repeat(32),
        ] {
            let Err(error) = read(text) else {
                panic!("{text}")
            };
            assert!(
                text.is_empty() || !error.to_string().contains(text),
                "{error}"
            );
        }
        assert!(HeldKey::from_variable("KEY", None).is_err());
    }
}
