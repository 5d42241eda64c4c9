//! The trust root and what it delegates.
//!
//! Gateways pin one Ed25519 key, the root. It may lie in a safe: it only signs, about once a month,
//! that a certain key may sign tokens or feed messages for a while. So a broker that is broken into
//! cannot make new trust, only misuse keys whose end is known and which the feed can remove.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::strict::Object;
use crate::{Algorithm, HeaderFault, KeyId, PublicKey, base64url, header};

/// The `typ` of a delegation.
const TYPE: &str = "lanyard-delegation+jwt";

/// Longest text of a delegation that is read.
const MAX_TEXT_BYTES: usize = 4096;

/// The root of trust: an Ed25519 public key, as text the base64url of its 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKey(PublicKey);

/// The text is no root key. Take it from the enrolment file again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a root key is the base64url of an Ed25519 public key")]
pub struct InvalidRootKey;

impl RootKey {
    /// The root with these 32 bytes.
    pub fn from_raw(raw: &[u8]) -> Result<Self, InvalidRootKey> {
        PublicKey::from_raw(Algorithm::EdDsa, raw)
            .map(Self)
            .map_err(|_| InvalidRootKey)
    }

    /// The key itself.
    pub const fn key(&self) -> &PublicKey {
        &self.0
    }
}

impl FromStr for RootKey {
    type Err = InvalidRootKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_raw(&base64url::decode_exact::<32>(text).ok_or(InvalidRootKey)?)
    }
}

impl fmt::Display for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(self.0.raw()))
    }
}

impl Serialize for RootKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RootKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// What a delegated key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyUse {
    /// Access tokens.
    Mint,
    /// Messages of the feed.
    Feed,
}

/// A statement of the root that a key may sign tokens or feed messages for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    issuer: String,
    key: PublicKey,
    key_use: KeyUse,
    nbf: u64,
    exp: u64,
}

/// Why a delegation is not believed. The reader goes on without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DelegationFault {
    /// Not a signed compact JWT of canonical base64url.
    #[error("the delegation is not a signed compact JWT")]
    Malformed,
    /// The header is not exactly ours.
    #[error("the delegation's header is refused")]
    Header(#[source] HeaderFault),
    /// Not signed by this root.
    #[error("the delegation is not signed by the pinned root")]
    Signature,
    /// Not exactly the members of a delegation.
    #[error("the delegation does not say what a delegation says")]
    Shape,
    /// For another issuer.
    #[error("the delegation is for another issuer")]
    Issuer,
    /// Longer than [`Delegation::MAX_LIFETIME`], or it ends before it begins.
    #[error("the delegation does not last between 1 second and 31 days")]
    Lifetime,
    /// It has ended. Fetch the current ones.
    #[error("the delegation has expired")]
    Expired,
    /// It has not begun.
    #[error("the delegation is not valid yet")]
    NotYetValid,
}

impl Delegation {
    /// The longest delegation, in seconds: 31 days.
    pub const MAX_LIFETIME: u64 = 31 * 24 * 3600;
    /// How far ahead of ours the clock of the root may run, in seconds: a root signs by hand, so
    /// its clock is nobody's reference.
    pub const LEEWAY: u64 = 60;

    /// What the root signs so that `key` may be used from `nbf` until `exp` (Unix seconds).
    ///
    /// The delegation is this text, a full stop and the base64url of the Ed25519 signature.
    pub fn signing_input(
        issuer: &str,
        key: &PublicKey,
        key_use: KeyUse,
        nbf: u64,
        exp: u64,
    ) -> String {
        let wire = Wire {
            iss: issuer.to_owned(),
            kid: key.thumbprint(),
            jwk: key.clone(),
            key_use,
            nbf,
            exp,
        };
        // Every member is a string or a number: writing them to memory cannot fail.
        let claims = serde_json::to_vec(&wire).unwrap_or_default();
        let header = header::json_without_kid(Algorithm::EdDsa, TYPE);
        format!(
            "{}.{}",
            base64url::encode(header.as_bytes()),
            base64url::encode(&claims)
        )
    }

    /// Reads a delegation of `root` for `issuer` that holds at `now` (Unix seconds).
    pub fn verify(
        text: &str,
        root: &RootKey,
        issuer: &str,
        now: u64,
    ) -> Result<Self, DelegationFault> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(DelegationFault::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(DelegationFault::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(DelegationFault::Malformed)?;
        header::check_without_kid(header, Algorithm::EdDsa, TYPE)
            .map_err(DelegationFault::Header)?;
        let signature: [u8; 64] =
            base64url::decode_exact(signature).ok_or(DelegationFault::Malformed)?;
        if !root.key().verify(signed.as_bytes(), &signature) {
            return Err(DelegationFault::Signature);
        }
        let mut buffer = [0; MAX_TEXT_BYTES];
        let json =
            base64url::decode_into(payload, &mut buffer).ok_or(DelegationFault::Malformed)?;
        let Object(wire) =
            serde_json::from_slice::<Object<Wire>>(json).map_err(|_| DelegationFault::Shape)?;
        Self::check(wire, issuer, now)
    }

    fn check(wire: Wire, issuer: &str, now: u64) -> Result<Self, DelegationFault> {
        // Feed messages have no room for another algorithm than Ed25519.
        let key_fits = wire.key_use == KeyUse::Mint || wire.jwk.algorithm() == Algorithm::EdDsa;
        if wire.kid != wire.jwk.thumbprint() || !key_fits {
            return Err(DelegationFault::Shape);
        }
        if wire.iss != issuer {
            return Err(DelegationFault::Issuer);
        }
        if wire.exp <= wire.nbf || wire.exp - wire.nbf > Self::MAX_LIFETIME {
            return Err(DelegationFault::Lifetime);
        }
        if wire.nbf > now.saturating_add(Self::LEEWAY) {
            return Err(DelegationFault::NotYetValid);
        }
        if wire.exp <= now {
            return Err(DelegationFault::Expired);
        }
        Ok(Self {
            issuer: wire.iss,
            key: wire.jwk,
            key_use: wire.key_use,
            nbf: wire.nbf,
            exp: wire.exp,
        })
    }

    /// The issuer it is for.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The key that may sign.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// What it may sign.
    pub const fn key_use(&self) -> KeyUse {
        self.key_use
    }

    /// When it begins, in Unix seconds.
    pub const fn not_before(&self) -> u64 {
        self.nbf
    }

    /// When it ends, in Unix seconds.
    pub const fn expires_at(&self) -> u64 {
        self.exp
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    iss: String,
    kid: KeyId,
    jwk: PublicKey,
    #[serde(rename = "use")]
    key_use: KeyUse,
    nbf: u64,
    exp: u64,
}
