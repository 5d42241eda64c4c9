//! Keys that only tell whether something is what it was: MACs, and the pepper of API keys.

use ring::hmac;

/// Authenticates lists of parts.
#[derive(Clone)]
pub struct Mac(pub(super) hmac::Key);

impl Mac {
    /// The first sixteen bytes of HMAC-SHA256 over the parts, each with its length ahead, so that no two
    /// lists of parts give the same tag.
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut tag = [0; 16];
        for (to, from) in tag.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        tag
    }
}

/// Under this, API keys are hashed, so that a copy of the store verifies nothing.
#[derive(Clone)]
pub struct Pepper(pub(super) hmac::Key);

impl Pepper {
    /// HMAC-SHA256 of a key. Not a password hash on purpose: a 178-bit key cannot be guessed, and a
    /// slow hash would be a lever for whoever wants the broker busy.
    pub fn hash(&self, key: &str) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(hmac::sign(&self.0, key.as_bytes()).as_ref());
        hash
    }
}
