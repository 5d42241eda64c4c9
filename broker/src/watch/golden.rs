//! The golden-token alarm: tokens with a good signature that this log never issued.
//!
//! A gateway reports the digest of every token it sees for the first time. One that the log does not
//! know may have been invented: so it is asked for the token itself, and the broker checks the signature
//! under its own keys. What it finds no gateway can fake, and only that ends anything: the token dies at
//! once, and two such tokens under one key within [`WITHIN`] end the key: one might be a log that lost its
//! last second in a way nobody has thought of, two are a thief with the key.
//!
//! **Misses** a forged token that no gateway reports, or that a gateway will not show, and a key that signs one
//! token only: that token has ended, and somebody is told. Whoever forges a token with the number of an identity,
//! or of anything that living tokens descend from, does not get it ended that way: only the key counts then. **Never counts**: a token the log may have forgotten (expired for
//! so long that its digest is gone), one of an earlier epoch of the log (a restore lost who issued it,
//! and it is dead anyway), one under a key that was removed or is no longer believed, the same token
//! twice. **Recovers** by a new key, which the issuing side makes as soon as the old one is gone.
//!
//! Why not count digests of two gateways: two gateways that were taken over could then end every key,
//! one after the other, and with it every token.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_drift::Level;
use lanyard_drift::ladder::Response;
use lanyard_token::{Claims, KeyId, NodeId, UnverifiedToken};

use super::judge::never_issued;
use super::naming;
use super::state::{LATE_REPORTS, Lookup, WatchState};
use super::{ShownToken, Watch};
use crate::clock::UnixMillis;
use crate::store::Event;
use crate::store::event::{By, Cause, Judgement, TokenDigest};

/// How near together two forged tokens of one key must be, in milliseconds: a thief who is in a hurry
/// and one who is not. The evidence does not grow old, the key does: it signs for a day.
pub(super) const WITHIN: u64 = 86_400_000;

/// How long the number of a forged token is blocked, in milliseconds: no token lives longer. A watermark alone
/// would not do, because the forger chooses the `rev` it is compared with.
const FORGED_FOR: u64 = 3_720_000;

/// Forged tokens that end their key.
pub(super) const ENOUGH: usize = 2;

/// A token that the broker's own key signed and its log never issued.
#[derive(Debug)]
struct Forgery {
    claims: Claims,
    digest: TokenDigest,
    key: KeyId,
}

impl Watch {
    /// Looks at tokens that a gateway shows because it was asked to.
    pub(super) fn examine(&self, gateway: NodeId, shown: &[ShownToken]) -> Vec<Vec<Event>> {
        let now = self.clock.now();
        let proven = shown
            .iter()
            .filter_map(|shown| Forgery::prove(shown.expose(), &self.state, now));
        proven
            .map(|forgery| self.answer(gateway, &forgery, now))
            .collect()
    }

    fn answer(&self, gateway: NodeId, forgery: &Forgery, now: UnixMillis) -> Vec<Event> {
        let Forgery {
            claims,
            digest,
            key,
        } = forgery;
        let id = naming::of_proof(claims.jti, *digest, *key);
        let known = self.state.forgeries(*key, now);
        let Some(forged) = self.proven.lock().add(*key, *digest, (known, now)) else {
            return Vec::new();
        };
        let identity = claims.lin.identity();
        self.counters.judged(Level::Malicious);
        self.counters.responded(Response::Alert, true);
        let judgement = Judgement {
            id,
            identity,
            token: claims.jti,
            gateways: vec![gateway],
            carried_by: None,
            whole: false,
            verdict: never_issued(now),
            names: Vec::new(),
            forged: Some(*digest),
            forged_by: Some(*key),
        };
        let mut events = vec![
            Event::Judged(Box::new(judgement)),
            Event::Responded {
                verdict: id,
                identity,
                node: None,
                response: Response::Alert,
                enforced: true,
                held_back: None,
                chosen: None,
            },
        ];
        if !self.state.stands_above_others(claims.jti) {
            self.counters.responded(Response::Revoke, true);
            events.extend(end((claims.jti, identity), id, now));
        }
        tracing::error!(
            name: "lanyard.token.forged",
            {
                lanyard.gateway = %gateway,
                lanyard.credential.id = %claims.jti,
                lanyard.key.id = %key,
                lanyard.forged = forged
            },
            "a token that this log never issued carries a good signature: the signing key is stolen"
        );
        if forged >= ENOUGH {
            self.counters.keys_ended.add(1);
            events.push(Event::SigningKeyRemoved {
                key: *key,
                reason: "two tokens that were never issued carry its signature".to_owned(),
                by: By::Verdict(id),
            });
        }
        events
    }
}

/// What ends the one number, whatever `rev` its forger wrote.
fn end((token, identity): (NodeId, NodeId), verdict: NodeId, now: UnixMillis) -> [Event; 3] {
    let by = By::Verdict(verdict);
    [
        Event::Responded {
            verdict,
            identity,
            node: Some(token),
            response: Response::Revoke,
            enforced: true,
            held_back: None,
            chosen: None,
        },
        Event::Revoked {
            node: token,
            cause: Cause::NeverIssued,
            by: by.clone(),
        },
        Event::Suspended {
            node: token,
            until: now.plus_millis(FORGED_FOR),
            cause: Cause::NeverIssued,
            by,
        },
    ]
}

/// Forgeries that were proven and may not be in the log yet: two that come together are two.
#[derive(Default)]
pub(super) struct Proven(VecDeque<(KeyId, TokenDigest, UnixMillis)>);

/// More than a key lives to see.
const PROVEN: usize = 64;

impl Proven {
    /// How many distinct ones of this key there are with this one; `None` when it is not new.
    fn add(
        &mut self,
        key: KeyId,
        digest: TokenDigest,
        (mut known, now): (Vec<TokenDigest>, UnixMillis),
    ) -> Option<usize> {
        let recent = |at: UnixMillis| now.millis_since(at) <= WITHIN;
        let here = self
            .0
            .iter()
            .filter(|(of, _, at)| *of == key && recent(*at));
        for (_, other, _) in here {
            if !known.contains(other) {
                known.push(*other);
            }
        }
        if known.contains(&digest) {
            return None;
        }
        if self.0.len() >= PROVEN {
            self.0.pop_front();
        }
        self.0.push_back((key, digest, now));
        Some(known.len() + 1)
    }
}

impl Forgery {
    /// Whether a token proves by itself that its key is stolen.
    fn prove(text: &str, state: &WatchState, now: UnixMillis) -> Option<Self> {
        let token = UnverifiedToken::parse(text).ok()?;
        let key = *token.key_id();
        let signed = state.signing_key(key, now)?;
        if !token.is_signed_by(&signed) {
            return None;
        }
        let digest = TokenDigest(token.digest());
        let payload = text.split('.').nth(1)?;
        let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claims = Claims::parse(&json).ok()?;
        let remembered = claims.exp.saturating_add(LATE_REPORTS) > now.seconds();
        let of_this_epoch = claims.rev.epoch() == state.epoch();
        let unknown = matches!(
            state.token(claims.jti, digest),
            Lookup::Unknown | Lookup::OtherDigest(_)
        );
        (remembered && of_this_epoch && unknown).then_some(Self {
            claims,
            digest,
            key,
        })
    }
}
