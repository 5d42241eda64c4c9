//! Access tokens as proof: the strict gate, then the liveness rule, then the log.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_token::{Audience, Claims, Expectations, KeyId, KeySet, Rejection, UnverifiedToken};

use crate::clock::UnixMillis;
use crate::issue::identity::Book;
use crate::store::event::TokenDigest;

/// Which audience a token must be for.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// This one: the token is used at one of our own doors.
    Exactly(&'a Audience),
    /// Its own, whichever: the token is shown to the issuer to be exchanged, looked at or ended.
    Any,
}

/// A token that passed the strict gate. Whether it was issued here and lives, only the book knows:
/// whoever decides asks it in the same look as everything else.
#[derive(Clone, Debug)]
pub struct Proven {
    /// What it says.
    pub claims: Claims,
    /// Of what was signed.
    pub digest: TokenDigest,
    /// The key that signed it.
    pub key: KeyId,
    json: OnceLock<String>,
}

impl Proven {
    /// The claims as a JSON object; written once, however often the token is looked at.
    pub fn claims_json(&self) -> &str {
        // Claims that were read can be written.
        self.json
            .get_or_init(|| serde_json::to_string(&self.claims).unwrap_or_default())
    }

    /// Whether the token was issued here and lives.
    pub fn check_alive(&self, book: &Book, now: UnixMillis) -> Result<(), Rejection> {
        book.check_alive(&self.claims, self.digest, now)
    }

    /// Whether a token that passed the gate before passes it again: whatever can have changed since.
    pub fn passes_again(
        &self,
        keys: &KeySet,
        wanted: Wanted<'_>,
        now: UnixMillis,
    ) -> Result<(), Rejection> {
        let now = now.seconds();
        if keys.get_at(&self.key, now).is_none() {
            return Err(Rejection::UnknownKey);
        }
        if matches!(wanted, Wanted::Exactly(audience) if self.claims.aud != *audience) {
            return Err(Rejection::Audience);
        }
        // The clock may have been set back.
        if self.claims.iat > now || self.claims.nbf.is_some_and(|start| start > now) {
            return Err(Rejection::NotYetValid);
        }
        if self.claims.exp <= now {
            return Err(Rejection::Expired);
        }
        Ok(())
    }
}

/// Holds a token to the strict gate at `now`. Without the book's lock: checking a signature takes
/// longer than anybody should keep records waiting.
pub fn verify(
    text: &str,
    keys: &KeySet,
    issuer: &str,
    longest_lifetime: u64,
    wanted: Wanted<'_>,
    now: UnixMillis,
) -> Result<Proven, Rejection> {
    let unverified = UnverifiedToken::parse(text)?;
    let audience = match wanted {
        Wanted::Exactly(audience) => audience.clone(),
        Wanted::Any => claimed_audience(text).ok_or(Rejection::Audience)?,
    };
    let expected = Expectations::new(issuer, audience).with_max_lifetime(longest_lifetime);
    let verified = unverified.verify(keys, &expected, now.seconds())?;
    let digest = TokenDigest(verified.digest());
    let key = *verified.key_id();
    Ok(Proven {
        claims: verified.into_claims(),
        digest,
        key,
        json: OnceLock::new(),
    })
}

/// The audience an unverified token claims, so that the gate can hold it to that. Believed only after
/// the gate.
fn claimed_audience(text: &str) -> Option<Audience> {
    let payload = text.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    Claims::parse(&json).ok().map(|claims| claims.aud)
}
