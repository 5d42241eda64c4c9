//! Words about the keys that sign.

use lanyard_token::{Algorithm, KeyId, KeyUse};
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;

/// A signing key, with its private half sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// RFC 7638 thumbprint.
    pub key: KeyId,
    /// What it signs.
    #[serde(rename = "use")]
    pub key_use: KeyUse,
    /// How.
    #[serde(with = "algorithm_name")]
    pub algorithm: Algorithm,
    /// PKCS#8, sealed under the root sealing key, base64url.
    pub sealed: String,
    /// The root's word for it: a compact JWS.
    pub delegation: String,
    /// Published from the record on, signs from here on.
    pub signs_from: UnixMillis,
    /// Signs no longer from here on.
    pub signs_until: UnixMillis,
    /// Believed until here.
    pub verifies_until: UnixMillis,
}

mod algorithm_name {
    use lanyard_token::Algorithm;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        algorithm: &Algorithm,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(algorithm.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Algorithm, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Algorithm::from_name(&name).ok_or_else(|| D::Error::custom("expected `ES256` or `EdDSA`"))
    }
}
