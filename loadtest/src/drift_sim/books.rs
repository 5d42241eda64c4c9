//! Tokens and credentials of a simulated world: who holds what, what of it is alive, and in which order it came.

use std::collections::HashMap;

use lanyard_drift::Millis;
use lanyard_drift::ladder::{Place, SubjectId};

use crate::world::{Audience, World};

/// How long a token lives, in milliseconds.
const TOKEN_LIFE: u64 = 300_000;
/// How long a token that is gone is remembered, in milliseconds: late reports name it.
const REMEMBERED: u64 = 3_600_000;
/// The one owner of everybody.
const OWNER: SubjectId = SubjectId(1);
/// Sets the numbers of one sort apart from another's.
const IDENTITIES: u64 = 1 << 40;
const CREDENTIALS: u64 = 2 << 40;
const TOKENS: u64 = 3 << 40;

/// A token by its number.
pub(super) type TokenId = u64;

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoToken {
    /// The credential is paused.
    Suspended,
    /// The credential is ended.
    Revoked,
}

/// A token as it was issued.
pub(super) struct Issued {
    pub(super) identity: usize,
    pub(super) place: Place,
    pub(super) audience: Audience,
    expires: Millis,
    /// By the control plane.
    ended: bool,
    /// By a gateway, at a hard rule.
    ended_at_gateway: bool,
}

#[derive(Clone, Copy, Default)]
struct Credential {
    revoked: bool,
    suspended_until: Millis,
}

/// All tokens and credentials.
pub(super) struct Books {
    tokens: HashMap<TokenId, Issued>,
    credentials: Vec<Credential>,
    audiences: Vec<Audience>,
    place: u64,
    minted: u64,
    swept: Millis,
}

impl Books {
    /// One credential for everybody in a world.
    pub(super) fn new(world: &World) -> Self {
        let known = world.identities();
        Self {
            tokens: HashMap::new(),
            credentials: vec![Credential::default(); known.len()],
            audiences: known.iter().map(|known| Audience::of(known.kind)).collect(),
            place: 0,
            minted: 0,
            swept: Millis(0),
        }
    }

    /// A new token for whoever holds the credential of this identity.
    pub(super) fn mint(&mut self, identity: usize, now: Millis) -> Result<TokenId, NoToken> {
        let credential = self.credentials.get(identity).copied().unwrap_or_default();
        if credential.revoked {
            return Err(NoToken::Revoked);
        }
        if credential.suspended_until > now {
            return Err(NoToken::Suspended);
        }
        self.forget(now);
        let place = self.advance();
        self.minted += 1;
        let token = TOKENS + self.minted;
        let audience = self.audiences.get(identity).copied();
        let issued = Issued {
            identity,
            place,
            audience: audience.unwrap_or(Audience::Shop),
            expires: now.plus(TOKEN_LIFE),
            ended: false,
            ended_at_gateway: false,
        };
        self.tokens.insert(token, issued);
        Ok(token)
    }

    /// The token with this number; `None` for one that was never issued here.
    pub(super) fn token(&self, token: TokenId) -> Option<&Issued> {
        self.tokens.get(&token)
    }

    /// Whether gateways let this token through.
    pub(super) fn is_alive(&self, token: TokenId, now: Millis) -> bool {
        let Some(issued) = self.tokens.get(&token) else {
            return false;
        };
        let credential = self.credentials.get(issued.identity).copied();
        let credential = credential.unwrap_or_default();
        let ended = issued.ended || issued.ended_at_gateway;
        !ended && now < issued.expires && !credential.revoked && credential.suspended_until <= now
    }

    /// Whether the control plane has ended or paused this token, alone or with its credential: what it does since
    /// proves nothing.
    pub(super) fn is_ended(&self, token: TokenId, now: Millis) -> bool {
        self.tokens.get(&token).is_some_and(|issued| {
            let credential = self.credentials.get(issued.identity).copied();
            let credential = credential.unwrap_or_default();
            issued.ended || credential.revoked || credential.suspended_until > now
        })
    }

    /// The control plane ends a token.
    pub(super) fn end(&mut self, token: SubjectId) {
        if let Some(issued) = self.tokens.get_mut(&token.0) {
            issued.ended = true;
        }
    }

    /// A gateway ends a token by itself.
    pub(super) fn end_at_gateway(&mut self, token: TokenId) {
        if let Some(issued) = self.tokens.get_mut(&token) {
            issued.ended_at_gateway = true;
        }
    }

    /// Pauses the credential of an identity.
    pub(super) fn suspend(&mut self, identity: usize, until: Millis) {
        if let Some(credential) = self.credentials.get_mut(identity) {
            credential.suspended_until = credential.suspended_until.max(until);
        }
    }

    /// Ends the credential of an identity.
    pub(super) fn revoke(&mut self, identity: usize) {
        if let Some(credential) = self.credentials.get_mut(identity) {
            credential.revoked = true;
        }
    }

    /// The next place in the order of everything that happens.
    pub(super) const fn advance(&mut self) -> Place {
        self.place += 1;
        Place(self.place)
    }

    fn forget(&mut self, now: Millis) {
        if now.since(self.swept) >= REMEMBERED {
            self.swept = now;
            self.tokens
                .retain(|_, issued| now.since(issued.expires) < REMEMBERED);
        }
    }
}

/// An identity, as the engine compares it.
pub(super) const fn subject(identity: usize) -> SubjectId {
    SubjectId(IDENTITIES + identity as u64)
}

/// An identity again.
pub(super) const fn identity(subject: SubjectId) -> usize {
    subject.0.saturating_sub(IDENTITIES) as usize
}

/// The nodes above the tokens of an identity: owner, identity, credential.
pub(super) const fn path(identity: usize) -> [SubjectId; 3] {
    let credential = SubjectId(CREDENTIALS + identity as u64);
    [OWNER, subject(identity), credential]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Fleet;

    const NOW: Millis = Millis(1_000_000);

    fn books() -> Books {
        Books::new(&World::new(1, &Fleet::SMALL, 1))
    }

    #[test]
    fn a_token_lives_five_minutes_and_its_owner_mints_another() {
        let mut books = books();
        let token = books.mint(0, NOW).unwrap();
        assert!(books.is_alive(token, NOW.plus(299_999)));
        assert!(!books.is_alive(token, NOW.plus(300_000)));
        let next = books.mint(0, NOW).unwrap();
        assert!(books.token(next).unwrap().place > books.token(token).unwrap().place);
    }

    #[test]
    fn an_ended_token_ends_alone_and_a_revoked_credential_ends_all() {
        let mut books = books();
        let (first, second) = (books.mint(0, NOW).unwrap(), books.mint(0, NOW).unwrap());
        books.end(SubjectId(first));
        assert!(!books.is_alive(first, NOW));
        assert!(books.is_alive(second, NOW));
        assert!(books.is_ended(first, NOW) && !books.is_ended(second, NOW));
        books.revoke(0);
        assert!(!books.is_alive(second, NOW));
        assert!(books.is_ended(second, NOW));
        assert_eq!(books.mint(0, NOW), Err(NoToken::Revoked));
        assert!(books.mint(1, NOW).is_ok());
    }

    #[test]
    fn a_suspension_passes_by_itself() {
        let mut books = books();
        let token = books.mint(0, NOW).unwrap();
        books.suspend(0, NOW.plus(1_000));
        assert!(!books.is_alive(token, NOW));
        assert_eq!(books.mint(0, NOW), Err(NoToken::Suspended));
        assert!(books.is_alive(token, NOW.plus(1_000)));
    }

    #[test]
    fn what_was_never_issued_is_not_in_the_books() {
        let books = books();
        assert!(books.token(7).is_none());
        assert!(!books.is_alive(7, NOW));
    }
}
