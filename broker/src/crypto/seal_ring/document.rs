//! What the file of data keys says, wrapped and opened.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::file::RingFile;
use super::{DataKeyStatus, RingStatus, read};
use crate::clock::UnixMillis;
use crate::crypto::{CryptoError, DataKey, DataKeyId, RootKey, RootKeyId, SealingRoot, parts};

/// The file, opened.
pub(super) struct Ring {
    pub(super) version: u64,
    pub(super) root: RootKeyId,
    pub(super) next: Option<RootKeyId>,
    pub(super) newest: DataKeyId,
    pub(super) keys: Vec<Entry>,
}

pub(super) struct Entry {
    pub(super) number: DataKeyId,
    pub(super) role: Role,
    pub(super) made_at: UnixMillis,
    pub(super) key: DataKey,
}

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    /// What is stored is sealed under it.
    Data,
    /// A sealing key from before, for what was sealed straight under it: the file of a trust root.
    SealingKey,
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) format: u32,
    /// Counts the writes.
    pub(super) version: u64,
    pub(super) root: RootKeyId,
    pub(super) next: Option<RootKeyId>,
    pub(super) newest: DataKeyId,
    pub(super) keys: Vec<Wrapped>,
    pub(super) mac: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wrapped {
    pub(super) number: DataKeyId,
    pub(super) role: Role,
    pub(super) made_at: UnixMillis,
    pub(super) under: BTreeMap<RootKeyId, String>,
}

pub(super) const FORMAT: u32 = 1;

impl Ring {
    /// Of a new installation.
    pub(super) fn first(root: &dyn RootKey, now: UnixMillis) -> Result<Self, CryptoError> {
        let number = DataKeyId(1);
        Ok(Self {
            version: 0,
            root: root.id().clone(),
            next: None,
            newest: number,
            keys: vec![Entry {
                number,
                role: Role::Data,
                made_at: now,
                key: DataKey::generate()?,
            }],
        })
    }

    /// What is there; for an installation without the file, what it stands for.
    pub(super) fn of(
        files: &dyn RingFile,
        root: &dyn RootKey,
        now: UnixMillis,
    ) -> Result<Self, CryptoError> {
        if let Some(document) = read(files)? {
            return document.opened(root, &files.path());
        }
        let own = root.own().ok_or(WITHOUT_KEYS)?;
        Ok(Self {
            version: 0,
            root: root.id().clone(),
            next: None,
            newest: DataKeyId(0),
            keys: vec![Entry {
                number: DataKeyId(0),
                role: Role::Data,
                made_at: now,
                key: own.twin(),
            }],
        })
    }

    pub(super) fn sealing_root(&self, root: &dyn RootKey) -> Result<SealingRoot, CryptoError> {
        let of_role = |role: Role| self.keys.iter().filter(move |entry| entry.role == role);
        let keys = of_role(Role::Data).map(|entry| (entry.number, entry.key.twin()));
        let straight: Vec<_> = root
            .own()
            .into_iter()
            .chain(of_role(Role::SealingKey).map(|entry| &entry.key))
            .collect();
        SealingRoot::from_keys(&keys.collect(), self.newest, &straight)
            .ok_or(CryptoError::Unusable("find the newest data key"))
    }

    /// The sealing key of now opens what was sealed straight under it, also when another takes its place.
    pub(super) fn remember_sealing_key(
        &mut self,
        root: &dyn RootKey,
        now: UnixMillis,
    ) -> Result<(), CryptoError> {
        let Some(own) = root.own() else { return Ok(()) };
        if self
            .keys
            .iter()
            .any(|entry| entry.key.bytes() == own.bytes())
        {
            return Ok(());
        }
        let number = self.next_number()?;
        self.keys.push(Entry {
            number,
            role: Role::SealingKey,
            made_at: now,
            key: own.twin(),
        });
        Ok(())
    }

    pub(super) fn next_number(&self) -> Result<DataKeyId, CryptoError> {
        let last = self.keys.iter().map(|entry| entry.number.0).max();
        last.unwrap_or(0)
            .checked_add(1)
            .map(DataKeyId)
            .ok_or(CryptoError::Unusable("number a data key"))
    }

    /// Whether nothing needs `other` that this one does not open.
    pub(super) fn holds(&self, other: &Self) -> bool {
        other.keys.iter().all(|needed| {
            self.keys
                .iter()
                .any(|own| own.number == needed.number && own.key.bytes() == needed.key.bytes())
        })
    }

    pub(super) fn document(&self, roots: &[&dyn RootKey]) -> Result<Document, CryptoError> {
        let mut document = Document {
            format: FORMAT,
            version: self.version.saturating_add(1),
            root: self.root.clone(),
            next: self.next.clone(),
            newest: self.newest,
            keys: Vec::new(),
            mac: String::new(),
        };
        for entry in &self.keys {
            let mut wrapped = Wrapped {
                number: entry.number,
                role: entry.role,
                made_at: entry.made_at,
                under: BTreeMap::new(),
            };
            for root in roots {
                let key = root.wrap(&wrapped.place(root.id()), &entry.key)?;
                wrapped
                    .under
                    .insert(root.id().clone(), URL_SAFE_NO_PAD.encode(key));
            }
            document.keys.push(wrapped);
        }
        let first = roots.first().ok_or(CryptoError::Unusable("wrap a key"))?;
        document.mac = document.tag(&self.sealing_root(*first)?)?;
        Ok(document)
    }

    pub(super) fn status(&self) -> RingStatus {
        let data_keys = self.keys.iter().filter(|entry| entry.role == Role::Data);
        RingStatus {
            sealing_key: self.root.clone(),
            next_sealing_key: self.next.clone(),
            newest: self.newest,
            data_keys: data_keys
                .map(|entry| DataKeyStatus {
                    number: entry.number,
                    made_at: entry.made_at,
                })
                .collect(),
        }
    }
}

impl Wrapped {
    /// What a wrap is bound to.
    pub(super) fn place(&self, root: &RootKeyId) -> Vec<u8> {
        let role: &[u8] = match self.role {
            Role::Data => b"data",
            Role::SealingKey => b"sealing key",
        };
        parts(&[
            b"seal ring 1",
            root.to_string().as_bytes(),
            &self.number.0.to_be_bytes(),
            role,
        ])
    }
}

impl Document {
    pub(super) fn opened(&self, root: &dyn RootKey, path: &Path) -> Result<Ring, CryptoError> {
        let damaged = |why| CryptoError::RingDamaged {
            path: path.to_owned(),
            why,
        };
        if *root.id() != self.root && Some(root.id()) != self.next.as_ref() {
            let next = self.next.as_ref().map(|next| format!(" or {next}"));
            return Err(CryptoError::RingOfOther {
                path: path.to_owned(),
                wrapped_under: format!("{}{}", self.root, next.unwrap_or_default()),
                given: root.id().clone(),
            });
        }
        let mut keys = Vec::new();
        for wrapped in &self.keys {
            let sealed = wrapped.under.get(root.id());
            let sealed = sealed.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
            let sealed = sealed.ok_or_else(|| damaged("a key is missing"))?;
            let key = root
                .open(&wrapped.place(root.id()), &sealed)
                .map_err(|_| damaged("a key does not open"))?;
            keys.push(Entry {
                number: wrapped.number,
                role: wrapped.role,
                made_at: wrapped.made_at,
                key,
            });
        }
        let ring = Ring {
            version: self.version,
            root: self.root.clone(),
            next: self.next.clone(),
            newest: self.newest,
            keys,
        };
        let opened = ring
            .sealing_root(root)
            .map_err(|_| damaged("the newest key is missing"))?;
        let tag = self.tag(&opened)?;
        if bool::from(subtle::ConstantTimeEq::ct_eq(
            tag.as_bytes(),
            self.mac.as_bytes(),
        )) {
            Ok(ring)
        } else {
            Err(damaged("it is not what was written"))
        }
    }

    /// Over everything, under the first data key.
    pub(super) fn tag(&self, root: &SealingRoot) -> Result<String, CryptoError> {
        let mut whole = vec![
            self.format.to_be_bytes().to_vec(),
            self.version.to_be_bytes().to_vec(),
            self.root.to_string().into_bytes(),
            self.next
                .as_ref()
                .map(|next| next.to_string())
                .unwrap_or_default()
                .into_bytes(),
            self.newest.0.to_be_bytes().to_vec(),
        ];
        for key in &self.keys {
            whole.push(key.place(&self.root));
            whole.push(key.made_at.0.to_be_bytes().to_vec());
            for (id, wrapped) in &key.under {
                whole.push(id.to_string().into_bytes());
                whole.push(wrapped.clone().into_bytes());
            }
            // Where one key's wraps end.
            whole.push(Vec::new());
        }
        let whole: Vec<&[u8]> = whole.iter().map(Vec::as_slice).collect();
        Ok(URL_SAFE_NO_PAD.encode(root.mac("seal ring", b"")?.tag(&whole)))
    }

    pub(super) fn status(&self) -> RingStatus {
        let data_keys = self.keys.iter().filter(|key| key.role == Role::Data);
        RingStatus {
            sealing_key: self.root.clone(),
            next_sealing_key: self.next.clone(),
            newest: self.newest,
            data_keys: data_keys
                .map(|key| DataKeyStatus {
                    number: key.number,
                    made_at: key.made_at,
                })
                .collect(),
        }
    }
}

/// Needed, and not there.
const WITHOUT_KEYS: CryptoError =
    CryptoError::Refused("a sealing key that is kept elsewhere needs its data keys, `seal.ring`");

/// The sealing key as the only key.
pub(super) fn alone(root: &dyn RootKey) -> Result<SealingRoot, CryptoError> {
    let own = root.own().ok_or(WITHOUT_KEYS)?;
    Ok(SealingRoot::from_bytes(own.bytes()))
}
