//! The gate for another issuer's tokens: what it must be before anybody looks for a key.
//!
//! As strict as the gate for our own, but for what other issuers are free to do: members that we do not know may
//! stand among the claims, `jti` may be missing. Nothing may stand twice, the header may only say what we read
//! there, and nothing in it is followed: a token that brings its own key, or says where one lies, is refused.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use ring::digest::{Context, SHA256};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::clock::UnixMillis;
use crate::crypto::jwt_provider;
use crate::store::plain::is_plain_line;

/// The longest text: platforms' tokens have about 2 KiB.
const MAX_BYTES: usize = 8 * 1024;
/// The longest name: of a key, an issuer, a subject, a number.
const MAX_NAME_BYTES: usize = 512;
/// The longest life, in seconds: what lives longer is a key.
const LONGEST_SECONDS: u64 = 3_600;
/// How far clocks may differ, in seconds.
pub(super) const LEEWAY_SECONDS: u64 = 5;
/// What may stand in the header; the last two name a certificate, and are not looked at.
const HEADER_MEMBERS: [&str; 5] = ["alg", "kid", "typ", "x5t", "x5t#S256"];
/// What a platform's token may call itself (RFC 7519 section 5.1; RFC 7523bis). Access tokens, logout tokens
/// and the like are signed with the same keys, and are something else.
const TYPES: [&str; 2] = ["jwt", "client-authentication+jwt"];

/// What is wrong with it. For the operator: outsiders are told `invalid_client`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssertionFault {
    /// It is no compact JWS of plausible length, or something stands in it twice.
    #[error("it is not a token of another issuer")]
    Malformed,
    /// A header member that is not expected, or one that is missing.
    #[error("its header has a member too many, or one too few")]
    Header,
    /// Another kind of JWT.
    #[error("its header has another `typ`")]
    Type,
    /// Not one of RS256, PS256, ES256 and EdDSA.
    #[error("its header has an `alg` that is not used")]
    Algorithm,
    /// A claim that is missing, or is not what it should be.
    #[error("a claim is missing, or is not of its type")]
    Claims,
    /// The operator does not trust whoever says to have issued it.
    #[error("its issuer is not trusted")]
    Issuer,
    /// It is not for this broker alone.
    #[error("it is for another audience")]
    Audience,
    /// Get a new one.
    #[error("it has expired")]
    Expired,
    /// It is not good yet, or comes from the future.
    #[error("it is not good yet")]
    NotYet,
    /// It lives longer than a proof may.
    #[error("it lives longer than an hour")]
    Lifetime,
    /// Its issuer publishes no such key.
    #[error("its issuer publishes no such key")]
    UnknownKey,
    /// Somebody else signed it.
    #[error("its signature is bad")]
    Signature,
    /// Get a new one.
    #[error("it was shown before")]
    Shown,
    /// Get a new one: whether it was shown before, nobody remembers.
    #[error("it was signed before this broker started, or in its first seconds")]
    BeforeStart,
    /// Ask later: the issuer's keys cannot be had.
    #[error("the issuer's keys cannot be had")]
    NoKeys,
    /// Ask later: too many were shown to remember one more.
    #[error("too many are remembered")]
    NoRoom,
}

impl AssertionFault {
    /// As a fixed word.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "assertion_malformed",
            Self::Header => "assertion_header",
            Self::Type => "assertion_type",
            Self::Algorithm => "assertion_algorithm",
            Self::Claims => "assertion_claims",
            Self::Issuer => "assertion_issuer",
            Self::Audience => "assertion_audience",
            Self::Expired => "assertion_expired",
            Self::NotYet => "assertion_not_yet",
            Self::Lifetime => "assertion_lifetime",
            Self::UnknownKey => "assertion_unknown_key",
            Self::Signature => "assertion_signature",
            Self::Shown => "assertion_shown",
            Self::BeforeStart => "assertion_before_start",
            Self::NoKeys => "assertion_no_keys",
            Self::NoRoom => "assertion_no_room",
        }
    }

    /// Whether it is ours to put right, and asking later helps.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::NoKeys | Self::NoRoom)
    }
}

/// A token of the right form. Nothing in it is believed before its signature.
pub struct Assertion {
    signed: String,
    signature: Vec<u8>,
    algorithm: Algorithm,
    kid: String,
    claims: Claims,
}

struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    iat: u64,
    nbf: Option<u64>,
    jti: Option<String>,
}

impl Assertion {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, AssertionFault> {
        if text.len() > MAX_BYTES {
            return Err(AssertionFault::Malformed);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(AssertionFault::Malformed);
        };
        let (algorithm, kid) = header_of(&members(header)?)?;
        Ok(Self {
            claims: Claims::read(&members(payload)?)?,
            signed: format!("{header}.{payload}"),
            signature: decoded(signature)?,
            algorithm,
            kid,
        })
    }

    /// Whether it is good now, for this broker. Its signature is another question.
    pub fn check(&self, own_issuer: &str, now: UnixMillis) -> Result<(), AssertionFault> {
        let (claims, now) = (&self.claims, now.seconds());
        if claims.aud != own_issuer {
            return Err(AssertionFault::Audience);
        }
        if self.unusable_from() <= now {
            return Err(AssertionFault::Expired);
        }
        let begins = claims.nbf.unwrap_or(0).max(claims.iat);
        if begins > now.saturating_add(LEEWAY_SECONDS) {
            return Err(AssertionFault::NotYet);
        }
        // An `exp` before its `iat` has no life at all, however long ago the `iat` was.
        match claims.exp.checked_sub(claims.iat) {
            Some(1..=LONGEST_SECONDS) => Ok(()),
            _ => Err(AssertionFault::Lifetime),
        }
    }

    pub(super) fn check_signature(&self, key: &DecodingKey) -> Result<(), AssertionFault> {
        let (message, signature) = (self.signed.as_bytes(), self.signature.clone());
        if jwt_provider::is_signed(self.algorithm, key, message, signature) {
            Ok(())
        } else {
            Err(AssertionFault::Signature)
        }
    }

    /// Who says so: `iss`.
    pub fn issuer(&self) -> &str {
        &self.claims.iss
    }

    /// Of whom: `sub`.
    pub fn subject(&self) -> &str {
        &self.claims.sub
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) const fn issued_at(&self) -> u64 {
        self.claims.iat
    }

    /// From when on it is refused as expired, in Unix seconds.
    pub(super) const fn unusable_from(&self) -> u64 {
        self.claims.exp.saturating_add(LEEWAY_SECONDS)
    }

    /// What tells it from others of its issuer: its number, or else everything that was signed. Never the
    /// signature, of which there may be several.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let (kind, own) = match &self.claims.jti {
            Some(jti) => (b"jti", jti),
            None => (b"all", &self.signed),
        };
        let mut context = Context::new(&SHA256);
        context.update(kind);
        context.update(&self.claims.iss.len().to_be_bytes());
        context.update(self.claims.iss.as_bytes());
        context.update(own.as_bytes());
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.finish().as_ref());
        fingerprint
    }
}

fn header_of(header: &Members) -> Result<(Algorithm, String), AssertionFault> {
    let known = |name: &String| HEADER_MEMBERS.contains(&name.as_str());
    if !header.0.keys().all(known) {
        return Err(AssertionFault::Header);
    }
    if let Some(typ) = header.0.get("typ") {
        let typ = typ.as_str().ok_or(AssertionFault::Type)?.to_lowercase();
        if !TYPES.contains(&typ.strip_prefix("application/").unwrap_or(&typ)) {
            return Err(AssertionFault::Type);
        }
    }
    let algorithm = header.0.get("alg").and_then(Value::as_str);
    let algorithm = algorithm
        .and_then(algorithm_named)
        .ok_or(AssertionFault::Algorithm)?;
    let kid = header.0.get("kid").and_then(name);
    Ok((algorithm, kid.ok_or(AssertionFault::Header)?))
}

/// What is asymmetric, common, and has 128 bits.
pub(super) fn algorithm_named(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "PS256" => Algorithm::PS256,
        "ES256" => Algorithm::ES256,
        // RFC 9864 calls the same by the other name.
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        _ => return None,
    })
}

impl Claims {
    fn read(members: &Members) -> Result<Self, AssertionFault> {
        let text = |member: &str| members.0.get(member).and_then(name);
        let number = |member: &str| members.0.get(member).and_then(Value::as_u64);
        let wrong = AssertionFault::Claims;
        let optional = |member: &str, read: bool| !members.0.contains_key(member) || read;
        let (nbf, jti) = (number("nbf"), text("jti"));
        if !optional("nbf", nbf.is_some()) || !optional("jti", jti.is_some()) {
            return Err(wrong);
        }
        let aud = match members.0.get("aud") {
            Some(Value::Array(one)) => match one.as_slice() {
                [only] => name(only),
                // Whoever else it is for could show it here.
                _ => return Err(AssertionFault::Audience),
            },
            other => other.and_then(name),
        };
        Ok(Self {
            iss: text("iss").ok_or(wrong)?,
            sub: text("sub").ok_or(wrong)?,
            aud: aud.ok_or(AssertionFault::Audience)?,
            exp: number("exp").ok_or(wrong)?,
            iat: number("iat").ok_or(wrong)?,
            nbf,
            jti,
        })
    }
}

/// A name: one line, not empty, of bounded length.
fn name(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let good = !text.is_empty() && text.len() <= MAX_NAME_BYTES && is_plain_line(text);
    good.then(|| text.to_owned())
}

fn decoded(part: &str) -> Result<Vec<u8>, AssertionFault> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| AssertionFault::Malformed)
}

fn members(part: &str) -> Result<Members, AssertionFault> {
    serde_json::from_slice(&decoded(part)?).map_err(|_| AssertionFault::Malformed)
}

/// The members of an object, each once: of two, one reader takes the first and another the last.
struct Members(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EachOnce;
        impl<'de> Visitor<'de> for EachOnce {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member stands twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(EachOnce)
    }
}
