//! Keys as JWK (RFC 7517, RFC 7518 section 6.2, RFC 8037 section 2) and their thumbprints (RFC 7638).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{InvalidKey, Point, PublicKey, coordinate};
use crate::strict::{self, Object};
use crate::{Algorithm, base64url};

/// Longest text of one JWK that is read.
const MAX_TEXT_BYTES: usize = 4096;

impl PublicKey {
    /// The key as a JWK with `use`, `alg` and `kid`.
    pub fn to_jwk(&self) -> serde_json::Value {
        // Every member is a string: this cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Reads a JWK: exactly the public members of a P-256 or Ed25519 signature key.
    ///
    /// `use`, `key_ops` and `alg` may be absent but not say anything else; private members,
    /// certificates and unknown members are refused; a `kid` must be the thumbprint.
    pub fn from_jwk(json: &str) -> Result<Self, InvalidKey> {
        if json.len() > MAX_TEXT_BYTES {
            return Err(InvalidKey::Jwk);
        }
        let Object(wire) =
            serde_json::from_str::<Object<Wire>>(json).map_err(|_| InvalidKey::Jwk)?;
        wire.try_into()
    }
}

/// The members of RFC 7638 section 3.2 in their order; RFC 8037 section 2 for Ed25519.
pub(super) fn thumbprint_json(point: &Point) -> String {
    match point {
        Point::P256(raw) => {
            let (x, y) = coordinates(raw);
            format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
        }
        Point::Ed25519(raw) => {
            format!(
                r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
                coordinate(raw)
            )
        }
    }
}

fn coordinates(raw: &[u8; super::P256_POINT]) -> (String, String) {
    let [_, point @ ..] = raw;
    let (x, y) = point.split_at(point.len() / 2);
    (coordinate(x), coordinate(y))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    kty: String,
    crv: String,
    x: String,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "strict::present"
    )]
    y: Option<String>,
    #[serde(
        default,
        rename = "use",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "strict::present"
    )]
    usage: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "strict::present"
    )]
    key_ops: Option<Vec<String>>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "strict::present"
    )]
    alg: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "strict::present"
    )]
    kid: Option<String>,
}

impl TryFrom<Wire> for PublicKey {
    type Error = InvalidKey;

    fn try_from(wire: Wire) -> Result<Self, InvalidKey> {
        let for_signatures = wire.usage.as_deref().is_none_or(|usage| usage == "sig")
            && wire.key_ops.as_deref().is_none_or(|ops| ops == ["verify"]);
        if !for_signatures {
            return Err(InvalidKey::Jwk);
        }
        let half = |text: &str| base64url::decode_exact::<32>(text).ok_or(InvalidKey::Jwk);
        let key = match (wire.kty.as_str(), wire.crv.as_str(), wire.y.as_deref()) {
            ("EC", "P-256", Some(y)) => {
                let raw = [&[4][..], &half(&wire.x)?, &half(y)?].concat();
                Self::from_raw(Algorithm::Es256, &raw)?
            }
            ("OKP", "Ed25519", None) => Self::from_raw(Algorithm::EdDsa, &half(&wire.x)?)?,
            _ => return Err(InvalidKey::Jwk),
        };
        if let Some(name) = &wire.alg
            && Algorithm::from_name(name) != Some(key.algorithm())
        {
            return Err(InvalidKey::Jwk);
        }
        if wire.kid.is_some_and(|kid| kid != key.thumbprint().as_str()) {
            return Err(InvalidKey::KeyId);
        }
        Ok(key)
    }
}

impl Serialize for PublicKey {
    /// A JWK with `use`, `alg` and `kid`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (kty, crv, x, y) = match &self.point {
            Point::P256(raw) => {
                let (x, y) = coordinates(raw);
                ("EC", "P-256", x, Some(y))
            }
            Point::Ed25519(raw) => ("OKP", "Ed25519", coordinate(raw), None),
        };
        let wire = Wire {
            kty: kty.to_owned(),
            crv: crv.to_owned(),
            x,
            y,
            usage: Some("sig".to_owned()),
            key_ops: None,
            alg: Some(self.algorithm().name().to_owned()),
            kid: Some(self.thumbprint().to_string()),
        };
        wire.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    /// As strict as [`PublicKey::from_jwk`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire: Wire = strict::object(deserializer)?;
        wire.try_into().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 8037 appendix A.2, whose thumbprint stands in its appendix A.3.
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    #[test]
    fn the_thumbprint_is_the_one_of_rfc_8037() {
        let key =
            PublicKey::from_jwk(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}"}}"#)).unwrap();
        assert_eq!(key.thumbprint().as_str(), THUMBPRINT);
        assert_eq!(PublicKey::from_jwk(&key.to_jwk().to_string()), Ok(key));
    }

    #[test]
    fn other_uses_private_members_and_foreign_names_are_refused() {
        for (extra, fault) in [
            (r#""use":"enc""#, InvalidKey::Jwk),
            (r#""use":null"#, InvalidKey::Jwk),
            (r#""key_ops":["sign","verify"]"#, InvalidKey::Jwk),
            (r#""key_ops":["encrypt"]"#, InvalidKey::Jwk),
            (r#""alg":"ES256""#, InvalidKey::Jwk),
            (r#""d":"AA""#, InvalidKey::Jwk),
            (r#""k":"AA""#, InvalidKey::Jwk),
            (r#""x5c":[]"#, InvalidKey::Jwk),
            (r#""y":"AA""#, InvalidKey::Jwk),
            (r#""kty":"OKP""#, InvalidKey::Jwk),
            (r#""kid":"other""#, InvalidKey::KeyId),
        ] {
            let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}",{extra}}}"#);
            assert_eq!(PublicKey::from_jwk(&jwk), Err(fault), "{extra}");
        }
    }
}
