//! What a sealed version is bound to: exchanged, moved or given another number, it does not open.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_token::NodeId;
use zeroize::Zeroizing;

use super::value::SecretValue;
use crate::crypto::{CryptoError, DataKeyId, SealingRoot, parts, sealed_under};
use crate::store::event::Version;

/// What secrets are sealed for.
const PURPOSE: &str = "secret version";
/// Changes with the form of what is sealed.
const SCHEMA: &[u8] = b"lanyard secret 1";

/// Whose value, which secret, which version.
pub(super) struct Place {
    pub(super) trust_domain: String,
    pub(super) secret: NodeId,
    pub(super) name: String,
    pub(super) version: Version,
}

impl Place {
    /// Seals a value, as the log keeps it.
    pub(super) fn seal(&self, root: &SealingRoot, value: &str) -> Result<String, CryptoError> {
        let sealed = root.seal(PURPOSE, &self.bytes(root.newest()), value.as_bytes())?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a value as the log keeps it.
    pub(super) fn open(
        &self,
        root: &SealingRoot,
        sealed: &str,
    ) -> Result<SecretValue, CryptoError> {
        let refused = || CryptoError::Sealed { purpose: PURPOSE };
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| refused())?;
        let data_key = sealed_under(&sealed).ok_or_else(refused)?;
        let plain = root.open(PURPOSE, &self.bytes(data_key), &sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| refused())?;
        SecretValue::parse(Zeroizing::new(text.to_owned())).map_err(|_| refused())
    }

    /// Every part with its length ahead, so that no two places are the same bytes.
    fn bytes(&self, data_key: DataKeyId) -> Vec<u8> {
        parts(&[
            SCHEMA,
            self.trust_domain.as_bytes(),
            &self.secret.as_u64().to_be_bytes(),
            self.name.as_bytes(),
            &self.version.0.to_be_bytes(),
            &data_key.0.to_be_bytes(),
        ])
    }
}

/// The data key of a version as the log keeps it.
pub(super) fn data_key(sealed: &str) -> Option<DataKeyId> {
    sealed_under(&URL_SAFE_NO_PAD.decode(sealed).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(n: u64) -> Place {
        Place {
            trust_domain: "https://lanyard.example".to_owned(),
            secret: NodeId::from_u64(n / 4 + 1),
            name: format!("team/key-{}", n / 4),
            version: Version(u32::try_from(n % 4).unwrap() + 1),
        }
    }

    #[test]
    fn none_of_two_hundred_sealed_versions_opens_in_the_place_of_another() {
        let root = SealingRoot::from_bytes(&[1; 32]);
        let places: Vec<Place> = (0..200).map(place).collect();
        let rows: Vec<String> = places
            .iter()
            .enumerate()
            .map(|(n, place)| place.seal(&root, &format!("value {n}")).unwrap())
            .collect();
        let (mut opened, mut refused) = (0, 0);
        for (at, place) in places.iter().enumerate() {
            for (from, row) in rows.iter().enumerate() {
                match place.open(&root, row) {
                    Ok(value) => {
                        assert_eq!(at, from);
                        assert_eq!(value.expose(), format!("value {at}"));
                        opened += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        assert_eq!((opened, refused), (200, 39_800));
    }

    #[test]
    fn a_flipped_bit_and_a_cut_end_are_refused() {
        let root = SealingRoot::from_bytes(&[1; 32]);
        let row = place(1).seal(&root, "value").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&row).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let changed = URL_SAFE_NO_PAD.encode(changed);
                assert!(place(1).open(&root, &changed).is_err(), "{at}.{bit}");
            }
            let cut = URL_SAFE_NO_PAD.encode(&bytes[..at]);
            assert!(place(1).open(&root, &cut).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn another_trust_domain_or_data_key_is_another_place() {
        let root = SealingRoot::from_bytes(&[1; 32]);
        let row = place(1).seal(&root, "value").unwrap();
        let elsewhere = Place {
            trust_domain: "https://lanyard.example/".to_owned(),
            ..place(1)
        };
        assert!(elsewhere.open(&root, &row).is_err());
        assert!(
            place(1)
                .open(&SealingRoot::from_bytes(&[2; 32]), &row)
                .is_err()
        );
    }

    fn any_place() -> impl Strategy<Value = (String, u64, String, u32)> {
        let text = proptest::collection::vec(
            prop_oneof!["[ab/:\0]", any::<char>().prop_map(String::from)],
            0..6,
        );
        (text.clone(), 0_u64..3, text, 0_u32..3).prop_map(|(domain, secret, name, version)| {
            (domain.concat(), secret, name.concat(), version)
        })
    }

    proptest! {
        /// However the parts of two places are cut, they are the same bytes only if they are the same places.
        #[test]
        fn no_two_places_are_the_same_bytes(one in any_place(), other in any_place()) {
            let bytes = |(domain, secret, name, version): &(String, u64, String, u32)| Place {
                trust_domain: domain.clone(),
                secret: NodeId::from_u64(*secret),
                name: name.clone(),
                version: Version(*version),
            }.bytes(DataKeyId(0));
            prop_assert_eq!(bytes(&one) == bytes(&other), one == other);
        }
    }
}
