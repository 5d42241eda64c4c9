//! The strict gate: from a text to a token that may be believed.
//!
//! A JWT library is not a policy: measured, jsonwebtoken with its strictest settings lets through
//! unknown `crit`, another `typ`, repeated claims, `exp` at the end of time and a mebibyte of
//! header. So the gate has its own order, cheapest first: length, form, header, name of the key;
//! only then the signature, only then the claims. Until the signature has been checked nothing is
//! allocated and nothing the text says is looked up anywhere but in the given key set.

use ring::digest::{SHA256, digest};

use crate::header::Header;
use crate::{Audience, Claims, KeyId, KeySet, PublicKey, Rejection, base64url};

/// The longest token, in bytes. Refused before anything is decoded.
pub const MAX_TOKEN_BYTES: usize = 4096;

/// Length of both kinds of signature, and of their base64url.
const SIGNATURE_BYTES: usize = 64;
const SIGNATURE_TEXT_BYTES: usize = 86;
/// No payload of a token of legal length is longer than this.
const MAX_PAYLOAD_BYTES: usize = MAX_TOKEN_BYTES / 4 * 3;

/// What a verifier demands beyond a good signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectations {
    issuer: String,
    audience: Audience,
    max_lifetime: u64,
    leeway: u64,
    start_leeway: u64,
}

/// A leeway longer than [`Expectations::MAX_LEEWAY`] was asked for. Repair the clock instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a leeway is at most {} seconds", Expectations::MAX_LEEWAY)]
pub struct InvalidLeeway;

impl Expectations {
    /// The longest leeway, in seconds: more would only hide a broken clock.
    pub const MAX_LEEWAY: u64 = 5;
    /// The longest lifetime of a token unless told otherwise, in seconds.
    pub const DEFAULT_MAX_LIFETIME: u64 = 3600;

    /// Exactly this issuer and audience, tokens of at most an hour, no leeway.
    pub fn new(issuer: impl Into<String>, audience: Audience) -> Self {
        Self {
            issuer: issuer.into(),
            audience,
            max_lifetime: Self::DEFAULT_MAX_LIFETIME,
            leeway: 0,
            start_leeway: 0,
        }
    }

    /// Tokens of at most `seconds` from `iat` to `exp`.
    #[must_use]
    pub fn with_max_lifetime(mut self, seconds: u64) -> Self {
        self.max_lifetime = seconds;
        self
    }

    /// `seconds` of tolerance for `exp`, `iat` and `nbf`, at most [`MAX_LEEWAY`](Self::MAX_LEEWAY).
    pub fn with_leeway(mut self, seconds: u64) -> Result<Self, InvalidLeeway> {
        if seconds > Self::MAX_LEEWAY {
            return Err(InvalidLeeway);
        }
        self.leeway = seconds;
        Ok(self)
    }

    /// The clock trails the issuer's, by at most [`MAX_LEEWAY`](Self::MAX_LEEWAY): a token may seem
    /// to begin a little later than now. Its end stays exact.
    ///
    /// For a clock that is set by the issuer's own messages: it is behind by their time on the way,
    /// so without this a token used within that time would be refused as not yet valid.
    #[must_use]
    pub const fn with_trailing_clock(mut self) -> Self {
        self.start_leeway = Self::MAX_LEEWAY;
        self
    }

    /// The issuer expected.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The audience expected.
    pub const fn audience(&self) -> &Audience {
        &self.audience
    }

    /// The longest lifetime accepted, in seconds.
    pub const fn max_lifetime(&self) -> u64 {
        self.max_lifetime
    }

    /// The tolerance for clocks, in seconds.
    pub const fn leeway(&self) -> u64 {
        self.leeway
    }

    fn check(&self, claims: &Claims, now: u64) -> Result<(), Rejection> {
        if claims.iss != self.issuer {
            return Err(Rejection::Issuer);
        }
        if claims.aud != self.audience {
            return Err(Rejection::Audience);
        }
        if claims.exp.saturating_sub(claims.iat) > self.max_lifetime {
            return Err(Rejection::LifetimeTooLong);
        }
        let latest_start = now.saturating_add(self.leeway.max(self.start_leeway));
        if claims.iat > latest_start || claims.nbf.is_some_and(|start| start > latest_start) {
            return Err(Rejection::NotYetValid);
        }
        if claims.exp.saturating_add(self.leeway) <= now {
            return Err(Rejection::Expired);
        }
        Ok(())
    }
}

/// A text in the form of a token of ours, of which nothing may be believed yet.
#[derive(Clone, Debug)]
pub struct UnverifiedToken<'a> {
    text: &'a str,
    signing_input: &'a str,
    payload: &'a str,
    signature: [u8; SIGNATURE_BYTES],
    header: Header,
}

impl<'a> UnverifiedToken<'a> {
    /// Takes a token apart: three parts of canonical base64url, exactly our header members, a
    /// 64-byte signature. Allocates nothing, and looks at the cheapest first: what is no token at all fails
    /// at its length or at a full stop that is not where one must be.
    pub fn parse(text: &'a str) -> Result<Self, Rejection> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Rejection::TooLong);
        }
        let place = text.len().wrapping_sub(SIGNATURE_TEXT_BYTES + 1);
        let parts = text.split_at_checked(place).ok_or(Rejection::Malformed)?;
        let (signing_input, signature) = parts;
        let signature = signature.strip_prefix('.').ok_or(Rejection::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Rejection::Malformed)?;
        // What does not even begin like a header of ours mostly fails there. Of all else the alphabet is looked at
        // first, many symbols at a time: that takes less than to decode the header. A payload with another full stop
        // in it is a token of four parts or more.
        if !Header::begins_as_written(header) {
            Header::parse(header).map_err(Rejection::Header)?;
        }
        let are_symbols = base64url::are_symbols(signature) && base64url::are_symbols(payload);
        if payload.is_empty() || !are_symbols {
            return Err(Rejection::Malformed);
        }
        let header = Header::parse(header).map_err(Rejection::Header)?;
        let signature = base64url::decode_exact(signature).ok_or(Rejection::Malformed)?;
        Ok(Self {
            text,
            signing_input,
            payload,
            signature,
            header,
        })
    }

    /// The key it claims to be signed with.
    pub const fn key_id(&self) -> &KeyId {
        &self.header.kid
    }

    /// Whether this key signed it. That alone is no reason to believe what it says: it is evidence
    /// about the key.
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.algorithm() == self.header.algorithm
            && key.verify(self.signing_input.as_bytes(), &self.signature)
    }

    /// Its [`token_digest`].
    pub fn digest(&self) -> [u8; 8] {
        token_digest(self.signing_input)
    }

    /// Checks signature and claims at `now` (Unix seconds).
    pub fn verify(
        self,
        keys: &KeySet,
        expectations: &Expectations,
        now: u64,
    ) -> Result<VerifiedToken<'a>, Rejection> {
        let key = keys
            .get_at(&self.header.kid, now)
            .ok_or(Rejection::UnknownKey)?;
        if key.algorithm() != self.header.algorithm {
            return Err(Rejection::Header(crate::HeaderFault::Algorithm));
        }
        if !key.verify(self.signing_input.as_bytes(), &self.signature) {
            return Err(Rejection::Signature);
        }
        let claims = read(self.payload)?;
        expectations.check(&claims, now)?;
        Ok(VerifiedToken {
            claims,
            key_id: self.header.kid,
            text: self.text,
            signing_input: self.signing_input,
        })
    }
}

/// What a payload says.
pub(crate) fn read(payload: &str) -> Result<Claims, Rejection> {
    /// Enough for nearly every token. To clear room for the longest takes as long as to decode such a payload.
    const MOST: usize = 768;
    if payload.len() <= MOST / 3 * 4 {
        read_within::<MOST>(payload)
    } else {
        read_within::<MAX_PAYLOAD_BYTES>(payload)
    }
}

fn read_within<const ROOM: usize>(payload: &str) -> Result<Claims, Rejection> {
    let mut buffer = [0; ROOM];
    let json = base64url::decode_into(payload, &mut buffer).ok_or(Rejection::Malformed)?;
    Claims::parse(json).map_err(Rejection::Claims)
}

/// A token that was signed by a trusted key and says what was expected. Whether it has been revoked
/// since, [`Liveness`](crate::Liveness) knows.
#[derive(Clone, Debug)]
pub struct VerifiedToken<'a> {
    claims: Claims,
    key_id: KeyId,
    text: &'a str,
    signing_input: &'a str,
}

impl<'a> VerifiedToken<'a> {
    /// What it says.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// What it says, taken out.
    pub fn into_claims(self) -> Claims {
        self.claims
    }

    /// The key that signed it.
    pub const fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// The whole token.
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// What is signed: header and claims.
    pub const fn signing_input(&self) -> &'a str {
        self.signing_input
    }

    /// Its [`token_digest`], made when it is asked for: a gateway that sees a token first reports it later, and
    /// should not pay for a second hash before it answers.
    pub fn digest(&self) -> [u8; 8] {
        token_digest(self.signing_input)
    }
}

/// The digest by which seen tokens are reported: the first 8 bytes of the SHA-256 of what is
/// signed.
///
/// Of what is signed and not of the whole token: an ECDSA signature has a twin that is as good.
pub fn token_digest(signing_input: &str) -> [u8; 8] {
    let hash = digest(&SHA256, signing_input.as_bytes());
    let mut short = [0; 8];
    for (place, byte) in short.iter_mut().zip(hash.as_ref()) {
        *place = *byte;
    }
    short
}
