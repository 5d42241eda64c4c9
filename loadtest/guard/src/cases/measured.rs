//! The measured functions, by whose names callgrind tells the costs apart: none of them is inlined, and each does one
//! thing and is called for nothing else.

use std::error::Error;
use std::hint::black_box;

use lanyard::crypto::SigningKeyPair;
use lanyard_token::{Claims, ScopeSet};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

use super::stage::{Callers, Mint, Watched};

type Done = Result<(), Box<dyn Error>>;

#[inline(never)]
pub(super) fn seen_token(callers: &Callers, token: &str) -> Done {
    callers.call(black_box(token))
}

#[inline(never)]
pub(super) fn first_seen_es256(callers: &Callers, token: &str) -> Done {
    callers.call(black_box(token))?;
    black_box("of a key on P-256");
    Ok(())
}

#[inline(never)]
pub(super) fn first_seen_eddsa(callers: &Callers, token: &str) -> Done {
    callers.call(black_box(token))?;
    black_box("of an Ed25519 key");
    Ok(())
}

/// The bare operation: what the cipher's library takes for the same bytes.
#[inline(never)]
pub(super) fn verify_es256(key: &[u8], message: &str, signature: &[u8]) -> Done {
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key);
    let verified = key.verify(message.as_bytes(), signature);
    verified.map_err(|_| "the signature is not the key's".into())
}

#[inline(never)]
pub(super) fn verify_eddsa(key: &[u8], message: &str, signature: &[u8]) -> Done {
    let key = UnparsedPublicKey::new(&ED25519, key);
    let verified = key.verify(message.as_bytes(), signature);
    verified.map_err(|_| "the signature is not the key's".into())
}

#[inline(never)]
pub(super) fn mint_es256(mint: &Mint, claims: &Claims) -> Done {
    black_box(mint.sign(black_box(claims))?);
    black_box("with a key on P-256");
    Ok(())
}

#[inline(never)]
pub(super) fn mint_eddsa(mint: &Mint, claims: &Claims) -> Done {
    black_box(mint.sign(black_box(claims))?);
    black_box("with an Ed25519 key");
    Ok(())
}

#[inline(never)]
pub(super) fn sign_es256(pair: &SigningKeyPair, message: &str) -> Done {
    black_box(pair.sign(black_box(message).as_bytes())?);
    black_box("with a key on P-256");
    Ok(())
}

#[inline(never)]
pub(super) fn sign_eddsa(pair: &SigningKeyPair, message: &str) -> Done {
    black_box(pair.sign(black_box(message).as_bytes())?);
    black_box("with an Ed25519 key");
    Ok(())
}

#[inline(never)]
pub(super) fn drift_update(watched: &mut Watched, turn: usize) {
    watched.watch(black_box(turn));
}

#[inline(never)]
pub(super) fn accumulator(watched: &Watched, turn: usize) {
    watched.admit(black_box(turn));
}

#[inline(never)]
pub(super) fn scope_check(needed: &ScopeSet, had: &ScopeSet) -> bool {
    black_box(needed).is_subset_of(black_box(had))
}
