//! Public keys: one algorithm each, named by their thumbprint.

mod jwk;
mod set;

use std::fmt;

use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

use crate::{KeyId, base64url};

pub use set::KeySet;

/// A signature algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256; signatures are `r || s`, 64 bytes.
    Es256,
    /// Ed25519; signatures are 64 bytes. Written `EdDSA`; `Ed25519` is read too.
    EdDsa,
}

impl Algorithm {
    /// Its name in headers and keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name, in exactly this case.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Length of an uncompressed P-256 point: `04 || x || y` (SEC 1 section 2.3.3).
const P256_POINT: usize = 65;
/// Length of an Ed25519 public key (RFC 8032 section 5.1.5).
const ED25519_KEY: usize = 32;

/// A key that checks signatures, with the only algorithm it may be used for.
///
/// Whether a P-256 point lies on the curve ring decides at each check; it offers no parsed form to
/// keep. A key with a point elsewhere accepts nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    point: Point,
    kid: KeyId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Point {
    P256([u8; P256_POINT]),
    Ed25519([u8; ED25519_KEY]),
}

/// The bytes or the JWK are no public key we use. Do not trust it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// Not an uncompressed P-256 point or not a 32-byte Ed25519 key.
    #[error("the key has another length or form")]
    Form,
    /// An Ed25519 key of small order or with a non-canonical coordinate: one signature would fit
    /// many messages, or many texts one key.
    #[error("the key is not a canonical point of large order")]
    WeakPoint,
    /// Not a JWK with exactly the public members of a signature key of ours.
    #[error("the JWK is not a public signature key of ours")]
    Jwk,
    /// Its `kid` is not its thumbprint.
    #[error("the key has another thumbprint than its `kid`")]
    KeyId,
    /// Two keys of a set are the same.
    #[error("the key set has a key twice")]
    Repeated,
}

impl PublicKey {
    /// A key from its raw form: an uncompressed P-256 point (65 bytes) or an Ed25519 key (32).
    pub fn from_raw(algorithm: Algorithm, raw: &[u8]) -> Result<Self, InvalidKey> {
        let point = match algorithm {
            Algorithm::Es256 => {
                let point: [u8; P256_POINT] = raw.try_into().map_err(|_| InvalidKey::Form)?;
                if point.first() != Some(&4) {
                    return Err(InvalidKey::Form);
                }
                Point::P256(point)
            }
            Algorithm::EdDsa => {
                let point: [u8; ED25519_KEY] = raw.try_into().map_err(|_| InvalidKey::Form)?;
                if is_weak(&point) {
                    return Err(InvalidKey::WeakPoint);
                }
                Point::Ed25519(point)
            }
        };
        let canonical = jwk::thumbprint_json(&point);
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, canonical.as_bytes()).as_ref());
        Ok(Self {
            kid: KeyId::of_digest(&hash),
            point,
        })
    }

    /// The only algorithm it may be used for.
    pub const fn algorithm(&self) -> Algorithm {
        match self.point {
            Point::P256(_) => Algorithm::Es256,
            Point::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Its raw form, as [`from_raw`](Self::from_raw) takes it.
    pub fn raw(&self) -> &[u8] {
        match &self.point {
            Point::P256(point) => point,
            Point::Ed25519(point) => point,
        }
    }

    /// Its RFC 7638 thumbprint, which is its `kid`.
    pub const fn thumbprint(&self) -> KeyId {
        self.kid
    }

    /// Whether `signature` (64 bytes) over `message` was made with this key.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.point {
            Point::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Point::Ed25519(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
        }
        .is_ok()
    }
}

/// Whether an Ed25519 key is non-canonical (`y >= p`) or of small order.
///
/// ring accepts such keys, as RFC 8032 does; a root or a feed under one would accept signatures
/// nobody made.
fn is_weak(key: &[u8; ED25519_KEY]) -> bool {
    let mut y = *key;
    if let Some(last) = y.last_mut() {
        *last &= 0x7f;
    }
    // p = 2^255 - 19 in little-endian is `ed ff … ff 7f`.
    let non_canonical = match y {
        [low, middle @ .., 0x7f] => low >= 0xed && middle.iter().all(|byte| *byte == 0xff),
        _ => false,
    };
    non_canonical || SMALL_ORDER.contains(&y)
}

/// The y coordinates of the eight points of small order, in the canonical little-endian form of
/// RFC 8032 without the sign bit: orders 4, 1, 2, 8 and 8.
const SMALL_ORDER: [[u8; ED25519_KEY]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

/// The text of a raw coordinate.
fn coordinate(bytes: &[u8]) -> String {
    base64url::encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_form_is_refused() {
        for length in [0, 31, 33, 64, 65, 66] {
            assert_eq!(
                PublicKey::from_raw(Algorithm::EdDsa, &vec![9; length]),
                Err(InvalidKey::Form),
                "{length}"
            );
        }
        for raw in [vec![4; 64], vec![2; 65], vec![4; 66], vec![3; 33]] {
            assert_eq!(
                PublicKey::from_raw(Algorithm::Es256, &raw),
                Err(InvalidKey::Form)
            );
        }
    }

    #[test]
    fn points_of_small_order_and_non_canonical_ones_are_refused_with_either_sign() {
        let mut p_plus_one = [0xff; 32];
        p_plus_one[0] = 0xee;
        p_plus_one[31] = 0x7f;
        for y in SMALL_ORDER.into_iter().chain([p_plus_one]) {
            for sign in [0, 0x80] {
                let mut key = y;
                key[31] |= sign;
                assert_eq!(
                    PublicKey::from_raw(Algorithm::EdDsa, &key),
                    Err(InvalidKey::WeakPoint)
                );
            }
        }
    }

    #[test]
    fn names_of_algorithms_are_exact() {
        assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
        for name in ["es256", "eddsa", "none", "HS256", "", "ES256 ", "Ed448"] {
            assert_eq!(Algorithm::from_name(name), None, "{name}");
        }
    }
}
