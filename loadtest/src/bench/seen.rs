//! A token that was seen before, everything included, beside `jsonwebtoken`'s decode of the same token.
//!
//! Ours: lookup, comparison of the whole token, liveness, expiry, route, scopes, task, drift, lease and its
//! settlement. The baseline: decode with its key parsed once, the same signature primitive (ring), issuer, audience
//! and expiry checked. The baseline checks less (no revocation, no scopes, no behaviour), so it is no straw man.

use std::error::Error;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use http::Method;
use lanyard_drift::Outcome;
use lanyard_sdk::{Clock, Decision, DriftMode, Gateway, Now, Request, Route, SystemClock};
use lanyard_token::testing::{TestIssuer, install_reference_provider};
use lanyard_token::{Algorithm, Delegation, KeyUse, RootKey, TrustedKeys};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::Ratio;

const ISSUER: &str = "https://broker.example";
const AUDIENCE: &str = "https://orders.example";
/// Long enough that a clock of 1 ns resolution does not matter, short enough to take turns often.
const OURS_PER_ROUND: u32 = 20_000;
const BASELINE_PER_ROUND: u32 = 200;

/// One ratio for each algorithm.
pub(super) fn measure(rounds: usize) -> Result<Vec<Ratio>, Box<dyn Error>> {
    install_reference_provider();
    let mut ratios = Vec::new();
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let now = SystemClock.now();
        let issuer = TestIssuer::new(algorithm, ISSUER, AUDIENCE, now.wall.seconds());
        let token = issuer.token();
        let gateway = gateway(&issuer)?;
        let reference = Reference::new(&issuer);
        // Both work before either is measured; this is also the first sight of the token.
        check(&gateway, &token, now)?;
        reference.decode(&token)?;
        let mut pairs = Vec::new();
        for _ in 0..rounds {
            let ours = nanoseconds_each(OURS_PER_ROUND, || {
                check(&gateway, black_box(&token), gateway.now())
            })?;
            let baseline =
                nanoseconds_each(BASELINE_PER_ROUND, || reference.decode(black_box(&token)))?;
            pairs.push((ours, baseline));
        }
        ratios.push(Ratio::of(
            format!("seen token, all checks, beside jsonwebtoken decode ({algorithm})"),
            &pairs,
        ));
    }
    Ok(ratios)
}

fn nanoseconds_each(
    count: u32,
    mut operation: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    for _ in 0..count {
        operation()?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(count))
}

fn check(gateway: &Gateway, token: &str, now: Now) -> Result<(), Box<dyn Error>> {
    let request = Request {
        method: &Method::GET,
        path: "/orders/4711",
        query: None,
        source: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
        user_agent: Some("orders-client/1.0"),
        min_rev: None,
    };
    match gateway.check(token, &request, now) {
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

fn gateway(issuer: &TestIssuer) -> Result<Gateway, Box<dyn Error>> {
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
        .drift(DriftMode::Observe)
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
