//! A token that was seen before, everything included, beside `jsonwebtoken`'s decode of the same token.
//!
//! Ours: lookup, comparison of the whole token, liveness, expiry, route, scopes, task, drift, lease and its
//! settlement. The baseline: decode with its key parsed once, the same signature primitive (ring), issuer, audience
//! and expiry checked. The baseline checks less (no revocation, no scopes, no behaviour), so it is no straw man.

use std::error::Error;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use http::Method;
use lanyard_drift::Outcome;
use lanyard_sdk::gateway::{Capacity, GatewayLayer};
use lanyard_sdk::{Clock, Decision, DriftMode, Gateway, Now, Request, Route, SystemClock};
use lanyard_token::testing::{TestIssuer, install_reference_provider};
use lanyard_token::{Algorithm, Claims, Delegation, KeyUse, NodeId, Rev, RootKey, TrustedKeys};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::{Ratio, processor_time};
use crate::progress::Progress;

const ISSUER: &str = "https://broker.example";
const AUDIENCE: &str = "https://orders.example";
/// What is called, as the drift engine names it.
pub(super) const OPERATION: &str = "https://orders.example GET /orders/{id}";
/// Long enough that a clock of 1 ns resolution does not matter, short enough to take turns often.
const OURS_PER_ROUND: u32 = 20_000;
const BASELINE_PER_ROUND: u32 = 200;
/// Each call is two notes, and a ring of the journal holds four thousand.
const CALLS_A_PORTION: u32 = 1_000;

/// What is called.
const PLACE: &str = "/orders/4711";
/// The first token's number.
const FIRST_NUMBER: u64 = 1_000;

/// How many tokens take turns, and with which algorithm they are signed. What many tokens cost is the way to
/// memory, and that is the same for both algorithms.
pub(super) const CASES: [(Algorithm, usize); 4] = [
    (Algorithm::Es256, 1),
    (Algorithm::EdDsa, 1),
    (Algorithm::EdDsa, 10_000),
    (Algorithm::EdDsa, 100_000),
];

/// One ratio for each case.
pub(super) fn measure(rounds: usize, bar: &Progress) -> Result<Vec<Ratio>, Box<dyn Error>> {
    install_reference_provider();
    let mut ratios = Vec::new();
    for (algorithm, count) in CASES {
        bar.begin(format!("{count} seen tokens, {algorithm}"));
        let subject = Subject::new(algorithm, count)?;
        let reference = Reference::new(&subject.issuer);
        // It works before it is measured.
        reference.decode(subject.tokens.first().ok_or("no token")?)?;
        let mut turns = scattered(count);
        let mut pairs = Vec::new();
        for _ in 0..rounds {
            let ours = subject.nanoseconds_each(OURS_PER_ROUND, &mut turns)?;
            let baseline = nanoseconds_each(BASELINE_PER_ROUND, &mut turns, |turn| {
                reference.decode(black_box(subject.token(turn)))
            })?;
            pairs.push((ours, baseline));
        }
        if subject.dropped() > 0 {
            return Err("the journal lost notes: the figures would flatter".into());
        }
        let tokens = if count == 1 {
            String::new()
        } else {
            format!(" of {count}")
        };
        ratios.push(Ratio::of(
            format!("seen token{tokens}, all checks, beside jsonwebtoken ({algorithm})"),
            &pairs,
        ));
        bar.done();
    }
    Ok(ratios)
}

/// A gateway and the tokens it has seen.
pub(super) struct Subject {
    issuer: TestIssuer,
    gateway: Gateway,
    tokens: Vec<String>,
}

impl Subject {
    pub(super) fn new(algorithm: Algorithm, count: usize) -> Result<Self, Box<dyn Error>> {
        Self::with(algorithm, count, DriftMode::Observe)
    }

    pub(super) fn with(
        algorithm: Algorithm,
        count: usize,
        mode: DriftMode,
    ) -> Result<Self, Box<dyn Error>> {
        let now = SystemClock.now();
        let mut subject = Self::empty(algorithm, count, mode)?;
        subject.tokens = (0..count)
            .map(|number| subject.token_numbered(number))
            .collect();
        for portion in subject.tokens.chunks(CALLS_A_PORTION as usize) {
            for token in portion {
                check(&subject.gateway, token, now)?;
            }
            subject.gateway.observe_now();
        }
        Ok(subject)
    }

    /// A gateway with room for so many tokens, which has seen none yet.
    pub(super) fn empty(
        algorithm: Algorithm,
        count: usize,
        mode: DriftMode,
    ) -> Result<Self, Box<dyn Error>> {
        let now = SystemClock.now();
        let issuer = TestIssuer::new(algorithm, ISSUER, AUDIENCE, now.wall.seconds());
        Ok(Self {
            gateway: gateway(&issuer, count, mode)?,
            issuer,
            tokens: Vec::new(),
        })
    }

    /// The token with this number.
    pub(super) fn token_numbered(&self, number: usize) -> String {
        self.issuer.token_of(&Claims {
            jti: NodeId::from_u64(FIRST_NUMBER + number as u64),
            ..self.issuer.claims.clone()
        })
    }

    /// Sees a token for the first time, and keeps nothing of it here; its length.
    pub(super) fn see(&self, number: usize) -> Result<usize, Box<dyn Error>> {
        let token = self.token_numbered(number);
        check(&self.gateway, &token, self.gateway.now())?;
        Ok(token.len())
    }

    /// Asks for an object.
    pub(super) fn walk(&self, token: &str, object: u64) -> Result<(), Box<dyn Error>> {
        let path = format!("/orders/{object}");
        check_at(&self.gateway, token, &path, self.gateway.now())
    }

    /// How many tokens the gateway has in mind.
    pub(super) fn kept(&self) -> usize {
        self.gateway.tokens_kept()
    }

    fn token(&self, turn: usize) -> &str {
        self.tokens.get(turn).map_or("", String::as_str)
    }

    /// The first of the tokens.
    pub(super) fn text(&self) -> &str {
        self.token(0)
    }

    /// Checks and settles one call.
    pub(super) fn call(&self, turn: usize) -> Result<(), Box<dyn Error>> {
        check(&self.gateway, self.token(turn), self.gateway.now())
    }

    /// Looks at what was noted.
    pub(super) fn look(&self) {
        self.gateway.observe_now();
    }

    /// Whether a text is taken for a good token.
    pub(super) fn allows(&self, token: &str) -> bool {
        let decision = decide(&self.gateway, token, PLACE, self.gateway.now());
        matches!(decision, Decision::Allow(_))
    }

    /// What stands before a service.
    pub(super) fn layer(&self) -> GatewayLayer {
        self.gateway.layer()
    }

    /// Checks and settles so many calls. In portions that the gateway's journal holds, and between them, while the
    /// clock stands, it looks at what was noted: nothing that belongs to a call on the path is left out because a
    /// journal was full.
    pub(super) fn nanoseconds_each(
        &self,
        count: u32,
        turns: &mut impl Iterator<Item = usize>,
    ) -> Result<f64, Box<dyn Error>> {
        let mut sum = 0.0;
        let portions = count.div_ceil(CALLS_A_PORTION);
        for _ in 0..portions {
            sum += nanoseconds_each(CALLS_A_PORTION, turns, |turn| {
                check(
                    &self.gateway,
                    black_box(self.token(turn)),
                    self.gateway.now(),
                )
            })?;
            self.gateway.observe_now();
        }
        Ok(sum / f64::from(portions.max(1)))
    }

    /// Ends a token as the feed would, and asks with it once more: it is to be refused.
    pub(super) fn end_and_be_refused(&self, turn: usize) -> Result<(), Box<dyn Error>> {
        let node = NodeId::from_u64(FIRST_NUMBER + turn as u64);
        self.gateway
            .feed()
            .end(node, Rev::from_u64(1).unwrap_or(Rev::ZERO));
        match check(&self.gateway, self.token(turn), self.gateway.now()) {
            Ok(()) => Err("a token outlived its end".into()),
            Err(_) => Ok(()),
        }
    }

    /// Notes that were lost: figures with any would flatter.
    pub(super) fn dropped(&self) -> u64 {
        self.gateway.observations_dropped()
    }
}

/// Whose turn it is: a fixed sequence without order (the multiplier is Knuth's for 64 bits), so that no cache can
/// guess what comes next.
pub(super) fn scattered(count: usize) -> impl Iterator<Item = usize> {
    let count = count.clamp(1, u32::MAX as usize) as u64;
    let mut state = 1_u64;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        // The upper half as a fraction of the count: a division would be a tenth of what is measured.
        usize::try_from(((state >> 32) * count) >> 32).unwrap_or(0)
    })
}

fn nanoseconds_each(
    count: u32,
    turns: &mut impl Iterator<Item = usize>,
    mut operation: impl FnMut(usize) -> Result<(), Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    let start = processor_time();
    for turn in turns.take(count as usize) {
        operation(turn)?;
    }
    Ok((processor_time() - start) / f64::from(count))
}

fn decide(gateway: &Gateway, token: &str, path: &str, now: Now) -> Decision {
    let request = Request {
        method: &Method::GET,
        path,
        query: None,
        source: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
        user_agent: Some("orders-client/1.0"),
        min_rev: None,
    };
    gateway.check(token, &request, now)
}

fn check(gateway: &Gateway, token: &str, now: Now) -> Result<(), Box<dyn Error>> {
    check_at(gateway, token, PLACE, now)
}

fn check_at(gateway: &Gateway, token: &str, path: &str, now: Now) -> Result<(), Box<dyn Error>> {
    match decide(gateway, token, path, now) {
        Decision::Allow(lease) => {
            let outcome = Outcome {
                status: Some(200),
                request_bytes: None,
                response_bytes: Some(512),
            };
            lease.settle(&outcome, now);
            Ok(())
        }
        Decision::Deny(denial) => {
            Err(format!("the gateway refused its own token: {denial:?}").into())
        }
    }
}

fn gateway(issuer: &TestIssuer, tokens: usize, mode: DriftMode) -> Result<Gateway, Box<dyn Error>> {
    let unusable = |_| "ring gave no key";
    let random = SystemRandom::new();
    let root = Ed25519KeyPair::generate_pkcs8(&random).map_err(unusable)?;
    let root = Ed25519KeyPair::from_pkcs8(root.as_ref()).map_err(|_| "ring gave no key")?;
    let (from, until) = (
        issuer.now.saturating_sub(60),
        issuer.now.saturating_add(86_400),
    );
    let signed = Delegation::signing_input(ISSUER, &issuer.key, KeyUse::Mint, from, until);
    let signature = base64_url(root.sign(signed.as_bytes()).as_ref());
    let root = RootKey::from_raw(root.public_key().as_ref())?;
    let delegation =
        Delegation::verify(&format!("{signed}.{signature}"), &root, ISSUER, issuer.now)?;
    let keys: TrustedKeys = [&delegation].into_iter().collect();
    let route = Route::new(Method::GET, "/orders/{id}")
        .scopes("orders:read".parse()?)
        .object("id");
    Ok(Gateway::builder()
        .dangerous()
        .without_revocation(ISSUER, AUDIENCE.parse()?, keys)
        .routes([route])?
        .drift(mode)
        // Shards fill unevenly; nobody is pushed out here.
        .capacity(Capacity::tokens(tokens + tokens / 2 + 1_000))
        .build())
}

fn base64_url(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

struct Reference {
    key: jsonwebtoken::DecodingKey,
    validation: jsonwebtoken::Validation,
}

impl Reference {
    fn new(issuer: &TestIssuer) -> Self {
        use jsonwebtoken::{Algorithm as Name, DecodingKey, Validation};
        let (name, key) = match issuer.key.algorithm() {
            Algorithm::Es256 => (Name::ES256, DecodingKey::from_ec_der(issuer.key.raw())),
            Algorithm::EdDsa => (Name::EdDSA, DecodingKey::from_ed_der(issuer.key.raw())),
        };
        let mut validation = Validation::new(name);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        Self { key, validation }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "it is the baseline here, not the policy"
    )]
    fn decode(&self, token: &str) -> Result<(), Box<dyn Error>> {
        /// What a service reads of a token, borrowed where serde can.
        #[derive(serde::Deserialize)]
        struct Claims {
            sub: String,
            scope: String,
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)?;
        black_box((decoded.claims.sub, decoded.claims.scope));
        Ok(())
    }
}
