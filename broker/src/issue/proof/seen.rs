//! Tokens that passed the strict gate before: their signature is not checked again.
//!
//! A token is shown again and again: to be looked at by every service that asks the issuer, to be exchanged by an
//! agent for each of its steps. Checking its signature and reading its claims is most of what that costs.
//!
//! *Why it is safe:* the name of an entry is SHA-256 of the whole token, signature included, so only who shows the
//! very same text finds it; what is kept is of no use to whoever reads the memory. Only tokens that passed are kept,
//! so junk takes no place. What can change for a token that passed is asked each time: whether its key is still
//! believed, its audience, its times; and whether it was revoked the book is asked as for any other.
//! *What it misses:* the first time costs what it always did. A token is not entered when it is minted, although it
//! is known then: most are never shown to their issuer again, and the memory is for those that are.

use std::sync::Arc;

use lanyard_token::{KeySet, MAX_TOKEN_BYTES, Rejection};
use quick_cache::sync::Cache;
use ring::digest::{SHA256, digest};

use super::access_token::{Proven, Wanted};
use crate::clock::UnixMillis;

/// So many tokens are remembered: about a kibibyte each.
const REMEMBERED: usize = 8_192;

/// What the tokens said that passed.
pub struct SeenTokens(Cache<[u8; 32], Arc<Proven>>);

impl Default for SeenTokens {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl SeenTokens {
    /// What a token says, if it passes the gate at `now`; the whole of it is `check`.
    pub fn or_check(
        &self,
        text: &str,
        keys: &KeySet,
        wanted: Wanted<'_>,
        now: UnixMillis,
        check: impl FnOnce() -> Result<Proven, Rejection>,
    ) -> Result<Arc<Proven>, Rejection> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Rejection::TooLong);
        }
        let mut name = [0; 32];
        name.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        if let Some(proven) = self.0.get(&name) {
            proven.passes_again(keys, wanted, now)?;
            return Ok(proven);
        }
        let proven = Arc::new(check()?);
        self.0.insert(name, Arc::clone(&proven));
        Ok(proven)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use lanyard_token::Algorithm;
    use lanyard_token::testing::TestIssuer;

    use super::*;
    use crate::issue::proof::access_token;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const ISSUER: &str = "https://broker.example";

    struct Gate {
        seen: SeenTokens,
        keys: KeySet,
        checked: Cell<u32>,
    }

    impl Gate {
        fn of(issuer: &TestIssuer) -> Self {
            Self {
                seen: SeenTokens::default(),
                keys: issuer.keys(),
                checked: Cell::new(0),
            }
        }

        fn show(
            &self,
            text: &str,
            wanted: Wanted<'_>,
            now: UnixMillis,
        ) -> Result<Arc<Proven>, Rejection> {
            self.seen.or_check(text, &self.keys, wanted, now, || {
                self.checked.set(self.checked.get() + 1);
                access_token::verify(text, &self.keys, ISSUER, 3_600, wanted, now)
            })
        }
    }

    fn issuer() -> TestIssuer {
        let audience = "https://api.example";
        TestIssuer::new(Algorithm::Es256, ISSUER, audience, NOW.seconds())
    }

    #[test]
    fn the_same_text_is_checked_once_and_any_other_by_itself() {
        let issuer = issuer();
        let gate = Gate::of(&issuer);
        let (token, twin) = (issuer.token(), issuer.token());
        assert_ne!(token, twin, "every ES256 signature is another one");
        for text in [&token, &token, &twin, &token] {
            assert!(gate.show(text, Wanted::Any, NOW).is_ok());
        }
        assert_eq!(gate.checked.get(), 2);
        let (rest, signature) = token.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { "B" } else { "A" };
        let forged = format!("{rest}.{first}{}", &signature[1..]);
        assert_eq!(
            gate.show(&forged, Wanted::Any, NOW).unwrap_err(),
            Rejection::Signature
        );
    }

    #[test]
    fn what_was_refused_is_not_remembered_as_passed() {
        let issuer = issuer();
        let gate = Gate::of(&issuer);
        let token = issuer.token();
        let early = UnixMillis(NOW.0 - 60_000);
        assert_eq!(
            gate.show(&token, Wanted::Any, early).unwrap_err(),
            Rejection::NotYetValid
        );
        assert!(gate.show(&token, Wanted::Any, NOW).is_ok());
        assert_eq!(gate.checked.get(), 2);
        let long = "x".repeat(MAX_TOKEN_BYTES + 1);
        assert_eq!(
            gate.show(&long, Wanted::Any, NOW).unwrap_err(),
            Rejection::TooLong
        );
        assert_eq!(gate.checked.get(), 2);
    }

    #[test]
    fn a_token_that_passed_passes_no_more_when_time_key_or_door_are_others() {
        let issuer = issuer();
        let mut gate = Gate::of(&issuer);
        let token = issuer.token();
        let end = gate.show(&token, Wanted::Any, NOW).unwrap().claims.exp;
        let other: lanyard_token::Audience = "https://other.example".parse().unwrap();
        let refused = |gate: &Gate, wanted: Wanted<'_>, now| {
            let refused = gate.show(&token, wanted, now).unwrap_err();
            assert_eq!(gate.checked.get(), 1, "{refused}");
            refused
        };
        let at = |seconds: u64| UnixMillis(seconds * 1_000);
        assert_eq!(refused(&gate, Wanted::Any, at(end)), Rejection::Expired);
        assert_eq!(
            refused(&gate, Wanted::Any, UnixMillis(NOW.0 - 60_000)),
            Rejection::NotYetValid
        );
        assert_eq!(
            refused(&gate, Wanted::Exactly(&other), NOW),
            Rejection::Audience
        );
        gate.keys = KeySet::default();
        assert_eq!(refused(&gate, Wanted::Any, NOW), Rejection::UnknownKey);
    }
}
