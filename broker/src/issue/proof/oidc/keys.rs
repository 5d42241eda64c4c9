//! The keys of one issuer, as it publishes them (RFC 7517).
//!
//! Kept, and asked for again when they are old or when a token names one that is not among them, one request at a
//! time and never more often than [`COOL_DOWN_MILLIS`]: whoever invents names of keys cannot make this broker
//! hammer somebody. While the issuer cannot be reached its last keys count on, so that pipelines outlive its
//! outage; but not for ever, since a key that it took back would count on as well.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use super::TrustedIssuer;
use super::assertion::{AssertionFault, algorithm_named};
use super::fetch::Fetcher;
use crate::clock::UnixMillis;

/// How old keys may become before they are asked for again: as long as our own are kept elsewhere. A key that is
/// taken back is believed that much longer.
const FRESH_MILLIS: u64 = 10 * 60 * 1_000;
/// How long keys count while the issuer cannot be reached: an outage lasts hours, not days.
const MOST_MILLIS: u64 = 24 * 3_600 * 1_000;
/// The least time between two requests: a new key is known that much later at worst.
const COOL_DOWN_MILLIS: u64 = 30 * 1_000;
/// The most keys of a set: issuers have two to ten.
const MOST_KEYS: usize = 64;

/// A set of keys, each for one algorithm.
pub(super) struct KeySet(Vec<Key>);

struct Key {
    kid: String,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// It is no key set, or one that cannot be understood in one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a set of keys, each of another name")]
pub(super) struct BadKeySet;

impl KeySet {
    /// Takes those that sign with an algorithm of ours; others are not for us.
    pub(super) fn parse(document: &Value) -> Result<Self, BadKeySet> {
        let listed = document.get("keys").and_then(Value::as_array);
        let listed = listed.ok_or(BadKeySet)?;
        if listed.len() > MOST_KEYS {
            return Err(BadKeySet);
        }
        let mut keys: Vec<Key> = Vec::new();
        for key in listed.iter().filter_map(Key::read) {
            let same = |known: &Key| known.kid == key.kid && known.algorithm == key.algorithm;
            if keys.iter().any(same) {
                return Err(BadKeySet);
            }
            keys.push(key);
        }
        Ok(Self(keys))
    }

    fn find(&self, kid: &str, algorithm: Algorithm) -> Option<DecodingKey> {
        let wanted = |key: &&Key| key.kid == kid && key.algorithm == algorithm;
        self.0.iter().find(wanted).map(|key| key.key.clone())
    }
}

impl Key {
    fn read(value: &Value) -> Option<Self> {
        let text = |member: &str| value.get(member).and_then(Value::as_str);
        let named = text("alg");
        let algorithm = match (text("kty")?, text("crv")) {
            // Without a word about it, RSA is what it nearly always is.
            ("RSA", None) => match named {
                Some("PS256") => Some(Algorithm::PS256),
                _ => Some(Algorithm::RS256),
            },
            ("EC", Some("P-256")) => Some(Algorithm::ES256),
            ("OKP", Some("Ed25519")) => Some(Algorithm::EdDSA),
            _ => None,
        }?;
        let fits = named.is_none_or(|named| algorithm_named(named) == Some(algorithm));
        let signs = text("use").is_none_or(|purpose| purpose == "sig");
        let operations = value.get("key_ops").and_then(Value::as_array);
        let verifies =
            operations.is_none_or(|all| all.iter().any(|one| one.as_str() == Some("verify")));
        if !(fits && signs && verifies) {
            return None;
        }
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        Some(Self {
            kid: text("kid")?.to_owned(),
            algorithm,
            key: DecodingKey::from_jwk(&jwk).ok()?,
        })
    }
}

/// An issuer's keys, kept.
pub(super) struct IssuerKeys {
    trusted: TrustedIssuer,
    fetcher: Arc<Fetcher>,
    kept: Mutex<Kept>,
    /// One request at a time.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Kept {
    set: Option<(Arc<KeySet>, UnixMillis)>,
    tried: Option<UnixMillis>,
}

impl Kept {
    /// The set, if it is not older than this.
    fn within(&self, millis: u64, now: UnixMillis) -> Option<&KeySet> {
        let (set, at) = self.set.as_ref()?;
        (now.millis_since(*at) < millis).then_some(set)
    }

    /// Whether it may be asked for again; also when the clock was set back behind the last time.
    fn is_due(&self, now: UnixMillis) -> bool {
        self.tried
            .is_none_or(|tried| now < tried || now.millis_since(tried) >= COOL_DOWN_MILLIS)
    }
}

impl IssuerKeys {
    pub(super) fn new(trusted: TrustedIssuer, fetcher: Arc<Fetcher>) -> Self {
        Self {
            trusted,
            fetcher,
            kept: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// The key of this name for this algorithm.
    pub(super) async fn find(
        self: &Arc<Self>,
        kid: &str,
        algorithm: Algorithm,
        now: UnixMillis,
    ) -> Result<DecodingKey, AssertionFault> {
        let kept = self.kept().clone();
        let fresh = kept.within(FRESH_MILLIS, now);
        if let Some(key) = fresh.and_then(|set| set.find(kid, algorithm)) {
            return Ok(key);
        }
        let this = Arc::clone(self);
        // Of its own, so that a caller who goes away does not leave everybody without keys until the next time.
        let asked = tokio::spawn(async move { this.fetch(now).await });
        if asked.await.is_err() {
            tracing::error!("a task that asked for keys ended early");
        }
        let kept = self.kept().clone();
        let set = kept
            .within(MOST_MILLIS, now)
            .ok_or(AssertionFault::NoKeys)?;
        set.find(kid, algorithm).ok_or(AssertionFault::UnknownKey)
    }

    async fn fetch(&self, now: UnixMillis) {
        let _one_at_a_time = self.fetching.lock().await;
        if !self.kept().is_due(now) {
            return;
        }
        self.kept().tried = Some(now);
        match self.fetcher.keys(&self.trusted).await {
            Ok(set) => self.kept().set = Some((Arc::new(set), now)),
            Err(error) => tracing::warn!(
                issuer = self.trusted.issuer,
                error = &error as &dyn std::error::Error,
                "an issuer's keys cannot be had: the last ones count on for a day"
            ),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rsa(more: Value) -> Value {
        let mut key = json!({"kty": "RSA", "kid": "k", "n": "AQAB", "e": "AQAB"});
        let members = more.as_object().unwrap().clone();
        key.as_object_mut().unwrap().extend(members);
        key
    }

    fn algorithms(keys: &[Value]) -> Vec<Algorithm> {
        let set = KeySet::parse(&json!({ "keys": keys })).unwrap();
        set.0.iter().map(|key| key.algorithm).collect()
    }

    #[test]
    fn a_key_is_for_one_algorithm_and_only_for_signatures() {
        assert_eq!(algorithms(&[rsa(json!({}))]), [Algorithm::RS256]);
        assert_eq!(
            algorithms(&[rsa(json!({"alg": "PS256", "use": "sig"}))]),
            [Algorithm::PS256]
        );
        for other in [
            rsa(json!({"alg": "RS512"})),
            rsa(json!({"alg": "ES256"})),
            rsa(json!({"alg": "none"})),
            rsa(json!({"use": "enc"})),
            rsa(json!({"key_ops": ["encrypt"]})),
            rsa(json!({"kid": 7})),
            json!({"kty": "oct", "kid": "k", "alg": "HS256", "k": "AQAB"}),
            json!({"kty": "EC", "kid": "k", "crv": "P-384", "x": "AQAB", "y": "AQAB"}),
            json!({"kty": "OKP", "kid": "k", "crv": "X25519", "x": "AQAB"}),
            json!("a key"),
        ] {
            assert_eq!(algorithms(std::slice::from_ref(&other)), [], "{other}");
        }
    }

    #[test]
    fn a_set_that_can_be_read_in_two_ways_is_refused() {
        for bad in [
            json!({}),
            json!([]),
            json!({"keys": {}}),
            json!({"keys": [rsa(json!({})), rsa(json!({"n": "AQAC"}))]}),
            json!({"keys": vec![rsa(json!({})); MOST_KEYS + 1]}),
        ] {
            assert!(KeySet::parse(&bad).is_err(), "{bad}");
        }
        let two = [rsa(json!({})), rsa(json!({"alg": "PS256"}))];
        assert_eq!(algorithms(&two).len(), 2);
    }

    #[test]
    fn keys_are_asked_for_no_more_than_every_half_minute_and_count_for_a_day() {
        let at = |seconds: u64| UnixMillis::from_seconds(1_000_000 + seconds);
        let set = Arc::new(KeySet(Vec::new()));
        let kept = Kept {
            set: Some((set, at(0))),
            tried: Some(at(0)),
        };
        assert!(!kept.is_due(at(29)));
        assert!(kept.is_due(at(30)));
        assert!(kept.is_due(UnixMillis(1)), "a clock that was set back");
        assert!(kept.within(FRESH_MILLIS, at(599)).is_some());
        assert!(kept.within(FRESH_MILLIS, at(600)).is_none());
        assert!(kept.within(MOST_MILLIS, at(86_399)).is_some());
        assert!(kept.within(MOST_MILLIS, at(86_400)).is_none());
        assert!(Kept::default().is_due(at(0)));
    }
}
