//! The only place that signs access tokens.
//!
//! A token is durable before anybody holds it: build, sign, append, wait, answer. A broker that dies
//! in between has a token in its log that nobody knows, which harms nobody; the other way round a
//! token would exist that no revocation of its credential was ever going to find.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_token::{Claims, ClaimsFault, MAX_TOKEN_BYTES, token_digest};
use zeroize::Zeroizing;

use super::keys::{KeyError, MintKey};
use crate::store::event::{Decided, Grant, IssuedToken, TokenDigest};
use crate::store::{Event, Store, StoreError};

/// A signed access token: a secret, shown to its holder and to nobody else.
pub struct AccessToken(Zeroizing<String>);

impl AccessToken {
    /// The token itself: for the one answer that carries it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A token that nobody holds yet.
pub struct Signed {
    /// The token.
    pub token: AccessToken,
    /// How much of it was signed.
    signed: usize,
}

impl Signed {
    /// By which gateways report it when they first see it: for the log.
    pub fn digest(&self) -> TokenDigest {
        let signed = self.token.expose().get(..self.signed);
        TokenDigest(token_digest(signed.unwrap_or_default()))
    }
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// Its task, scopes and actors do not fit into a token: ask for fewer.
    #[error("the token would be longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// Claims nobody would believe: configuration is wrong, such as an issuer with control
    /// characters.
    #[error("the claims are refused")]
    Claims(#[source] ClaimsFault),
    /// No key, or one that cannot be used.
    #[error("no token can be signed")]
    Key(#[from] KeyError),
    /// It was not written, so it was not issued.
    #[error("the token could not be written")]
    Store(#[from] StoreError),
}

/// Serialises the claims once and signs them.
pub fn sign(claims: &Claims, key: &MintKey) -> Result<Signed, MintError> {
    claims.check().map_err(MintError::Claims)?;
    let mut text = Zeroizing::new(key.header.signing_input(claims));
    let signed = text.len();
    let signature = key.pair.sign(text.as_bytes()).map_err(KeyError::from)?;
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    if text.len() > MAX_TOKEN_BYTES {
        return Err(MintError::TooLong);
    }
    Ok(Signed {
        token: AccessToken(text),
        signed,
    })
}

/// Signs, and makes the token durable before it hands it out.
pub async fn mint(
    store: &dyn Store,
    key: &MintKey,
    claims: Claims,
    grant: Grant,
    decided: Decided,
) -> Result<AccessToken, MintError> {
    let signed = sign(&claims, key)?;
    let issued = IssuedToken {
        claims,
        key: key.kid,
        digest: signed.digest(),
        grant,
        decided: Some(Box::new(decided)),
    };
    store
        .append(vec![Event::TokenIssued(Box::new(issued))])
        .await?;
    Ok(signed.token)
}
