//! A mint with a key, and a gateway that trusts it: the same at every run, but for what P-256 draws by lot.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use lanyard::clock::UnixMillis;
use lanyard::crypto::{self, SealingRoot, SigningKeyPair};
use lanyard::issue::keys::MintKey;
use lanyard::issue::mint::{self, Signed};
use lanyard::store::event::SigningKey;
use lanyard_drift::{
    Accumulator, Admission, Bounds, Event, Millis, Object, OperationId, Outcome, Thresholds,
    Tracker,
};
use lanyard_sdk::gateway::Capacity;
use lanyard_sdk::{
    BootTime, Clock, Decision, DriftMode, Gateway, Now, Request, Route, UnixMillis as Wall,
};
use lanyard_token::{
    Algorithm, Claims, Delegation, KeyUse, Lineage, NodeId, PublicKey, Rev, RootKey, ScopeSet,
    TrustedKeys,
};
use ring::signature::{Ed25519KeyPair, KeyPair};

const ISSUER: &str = "https://broker.example";
const AUDIENCE: &str = "https://orders.example";
/// The second in which everything happens.
const NOW: u64 = 1_800_000_000;
/// Keys for nothing: whoever reads them can open what this program measures.
const ROOT_SEED: [u8; 32] = [1; 32];
const MINT_SEED: [u8; 32] = [2; 32];
const SEALING_KEY: [u8; 32] = [3; 32];

/// The broker's own mint, without its log.
pub(super) struct Mint {
    public: PublicKey,
    pair: SigningKeyPair,
    key: MintKey,
}

impl Mint {
    pub(super) fn new(algorithm: Algorithm) -> Result<Self, Box<dyn Error>> {
        let pkcs8 = match algorithm {
            // No library here makes a P-256 key of a given number. Its operations take the same time for every key.
            Algorithm::Es256 => SigningKeyPair::generate(algorithm)?.to_vec(),
            Algorithm::EdDsa => ed25519_document(&MINT_SEED)?,
        };
        let pair = SigningKeyPair::from_pkcs8(algorithm, &pkcs8)?;
        let public = pair.public()?;
        let seal = SealingRoot::from_bytes(&SEALING_KEY);
        let kid = public.thumbprint();
        let key = SigningKey {
            key: kid,
            key_use: KeyUse::Mint,
            algorithm,
            sealed: crypto::seal_signing_key(&seal, kid, &pkcs8)?,
            delegation: String::new(),
            signs_from: UnixMillis(0),
            signs_until: UnixMillis(u64::MAX),
            verifies_until: UnixMillis(u64::MAX),
        };
        Ok(Self {
            public,
            pair,
            key: MintKey::open(&seal, &key)?,
        })
    }

    pub(super) const fn pair(&self) -> &SigningKeyPair {
        &self.pair
    }

    pub(super) fn public(&self) -> &[u8] {
        self.public.raw()
    }

    pub(super) fn sign(&self, claims: &Claims) -> Result<Signed, Box<dyn Error>> {
        Ok(mint::sign(claims, &self.key)?)
    }

    pub(super) fn token(&self, number: u64) -> Result<String, Box<dyn Error>> {
        let signed = self.sign(&self.claims(number))?;
        Ok(signed.token.expose().to_owned())
    }

    pub(super) fn claims(&self, number: u64) -> Claims {
        let node = NodeId::from_u64;
        Claims {
            iss: ISSUER.to_owned(),
            sub: node(2).to_string(),
            client_id: node(2).to_string(),
            aud: audience(),
            exp: NOW + 300,
            iat: NOW,
            nbf: None,
            jti: node(1_000 + number),
            scope: scopes().map(|(_, had)| had).unwrap_or_default(),
            rev: Rev::ZERO,
            lin: Lineage::of_credential(node(1), node(2), node(3)),
            act: None,
            cnf: None,
            authorization_details: None,
            bsl: None,
        }
    }
}

#[expect(clippy::expect_used, reason = "it is a constant")]
fn audience() -> lanyard_token::Audience {
    AUDIENCE.parse().expect("an audience")
}

/// PKCS#8 of an Ed25519 key with its public half (RFC 8410 and RFC 5958): fixed bytes around the two.
fn ed25519_document(seed: &[u8; 32]) -> Result<Vec<u8>, Box<dyn Error>> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| "ring refuses the seed")?;
    let before_seed = [
        0x30, 0x51, 0x02, 0x01, 0x01, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let before_public = [0x81, 0x21, 0x00];
    let public = pair.public_key();
    Ok([&before_seed, &seed[..], &before_public, public.as_ref()].concat())
}

/// What was signed, and the signature.
pub(super) fn parts(token: &str) -> Result<(&str, Vec<u8>), Box<dyn Error>> {
    let (message, signature) = token.rsplit_once('.').ok_or("no token")?;
    Ok((message, URL_SAFE_NO_PAD.decode(signature)?))
}

/// Two scopes that a route needs, and eight that a token has.
pub(super) fn scopes() -> Result<(ScopeSet, ScopeSet), Box<dyn Error>> {
    let needed = "orders:read orders:write".parse()?;
    let had = "customers:read invoices:read items:read orders:cancel orders:read orders:write \
               payments:read stock:read";
    Ok((needed, had.parse()?))
}

/// A gateway, and calls at it.
pub(super) struct Callers {
    gateway: Gateway,
}

impl Callers {
    pub(super) fn new(mint: &Mint) -> Result<Self, Box<dyn Error>> {
        let root =
            Ed25519KeyPair::from_seed_unchecked(&ROOT_SEED).map_err(|_| "ring refuses the seed")?;
        let signed = Delegation::signing_input(
            ISSUER,
            &mint.public,
            KeyUse::Mint,
            NOW - 60,
            NOW + 24 * 3_600,
        );
        let signature = URL_SAFE_NO_PAD.encode(root.sign(signed.as_bytes()).as_ref());
        let root = RootKey::from_raw(root.public_key().as_ref())?;
        let delegation = Delegation::verify(&format!("{signed}.{signature}"), &root, ISSUER, NOW)?;
        let keys: TrustedKeys = [&delegation].into_iter().collect();
        let (needed, _) = scopes()?;
        let route = Route::new(Method::GET, "/orders/{id}")
            .scopes(needed)
            .object("id");
        let gateway = Gateway::builder()
            .dangerous()
            .without_revocation(ISSUER, audience(), keys)
            .routes([route])?
            .drift(DriftMode::Observe)
            .clock(Arc::new(Stopped))
            .capacity(Capacity::tokens(4_096))
            .build();
        Ok(Self { gateway })
    }

    /// Everything that happens to a call: checked, allowed, settled.
    pub(super) fn call(&self, token: &str) -> Result<(), Box<dyn Error>> {
        let request = Request {
            method: &Method::GET,
            path: "/orders/4711",
            query: None,
            source: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
            user_agent: Some("orders-client/1.0"),
            min_rev: None,
        };
        let now = Stopped.now();
        match self.gateway.check(token, &request, now) {
            Decision::Allow(lease) => {
                let outcome = Outcome {
                    status: Some(200),
                    request_bytes: None,
                    response_bytes: Some(512),
                };
                lease.settle(&outcome, now);
                Ok(())
            }
            Decision::Deny(denial) => Err(format!("refused its own token: {denial:?}").into()),
        }
    }

    pub(super) fn look_at_notes(&self) {
        self.gateway.observe_now();
    }
}

/// A clock that stands.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Now {
        Now {
            boot: BootTime(1_000_000),
            wall: Wall(NOW * 1_000),
        }
    }
}

/// A token that is watched, calling five operations in turn.
pub(super) struct Watched {
    tracker: Tracker,
    accumulator: Accumulator,
    operations: Vec<OperationId>,
}

impl Watched {
    pub(super) fn new() -> Self {
        Self {
            tracker: Tracker::new(Millis(0), Bounds::cold(&Thresholds::default())),
            accumulator: Accumulator::default(),
            operations: (0..5)
                .map(|number| OperationId::of(&format!("{AUDIENCE} GET /{number}")))
                .collect(),
        }
    }

    /// One call and its outcome, a hundred milliseconds after the one before.
    pub(super) fn watch(&mut self, turn: usize) {
        let (event, now) = (self.event(turn), Self::time(turn));
        self.tracker.observe(&event, now);
        let outcome = Outcome {
            status: Some(200),
            request_bytes: None,
            response_bytes: Some(512),
        };
        self.tracker.settle(&outcome, now);
    }

    pub(super) fn admit(&self, turn: usize) -> Admission {
        self.accumulator.admit(&self.event(turn), Self::time(turn))
    }

    fn event(&self, turn: usize) -> Event {
        let operation = self
            .operations
            .get(turn % self.operations.len().max(1))
            .copied()
            .unwrap_or_default();
        Event {
            object: Some(Object {
                hash: turn as u64 % 8,
                number: Some(turn as u64 % 8),
            }),
            source: Some(7),
            client: Some(7),
            ..Event::of(operation)
        }
    }

    const fn time(turn: usize) -> Millis {
        Millis(turn as u64 * 100)
    }
}
