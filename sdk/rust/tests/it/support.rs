//! An issuer, a gateway that trusts it, and a clock that follows tokio's.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use http::Method;
use lanyard_sdk::gateway::{Class, Gateway};
use lanyard_sdk::{
    BootTime, Clock, Decision, Denial, DriftMode, Lease, Now, Request, Route, UnixMillis,
};
use lanyard_token::testing::TestIssuer;
use lanyard_token::{
    Algorithm, Claims, Delegation, KeyUse, NodeId, PublicKey, RootKey, TrustedKeys,
};

pub(crate) const ISSUER: &str = "https://broker.example";
pub(crate) const AUDIENCE: &str = "https://orders.example";
/// The time of all tests, in seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

/// Follows tokio's clock, so that paused time moves it.
pub(crate) struct TokioClock(tokio::time::Instant);

impl TokioClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(tokio::time::Instant::now()))
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Now {
        at_millis(u64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

/// So long after the beginning of a test.
pub(crate) fn at_millis(millis: u64) -> Now {
    Now {
        boot: BootTime(1_000_000 + millis),
        wall: UnixMillis(NOW * 1_000 + millis),
    }
}

/// An issuer and a gateway that trusts it.
pub(crate) struct World {
    pub(crate) issuer: TestIssuer,
    pub(crate) gateway: Gateway,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Algorithm::Es256, DriftMode::Enforce)
    }

    pub(crate) fn with(algorithm: Algorithm, mode: DriftMode) -> Self {
        let issuer = TestIssuer::new(algorithm, ISSUER, AUDIENCE, NOW);
        let gateway = Gateway::builder()
            .dangerous()
            .without_revocation(ISSUER, AUDIENCE.parse().unwrap(), trusted(&issuer.key))
            .routes(routes())
            .unwrap()
            .drift(mode)
            .clock(TokioClock::new())
            .build();
        Self { issuer, gateway }
    }

    /// The claims of an identity's own token number `jti`.
    pub(crate) fn claims(&self, jti: u64) -> Claims {
        Claims {
            jti: NodeId::from_u64(jti),
            ..self.issuer.claims.clone()
        }
    }

    pub(crate) fn token(&self, jti: u64) -> String {
        self.issuer.token_of(&self.claims(jti))
    }

    pub(crate) fn check(&self, token: &str, method: &Method, path: &str) -> Result<Lease, Denial> {
        self.check_at(token, &Request::new(method, path), at_millis(0))
    }

    pub(crate) fn check_at(
        &self,
        token: &str,
        request: &Request<'_>,
        now: Now,
    ) -> Result<Lease, Denial> {
        match self.gateway.check(token, request, now) {
            Decision::Allow(lease) => Ok(lease),
            Decision::Deny(denial) => Err(denial),
        }
    }

    pub(crate) fn get(&self, token: &str, path: &str) -> Result<Lease, Denial> {
        self.check(token, &Method::GET, path)
    }
}

pub(crate) fn routes() -> Vec<Route> {
    let read = || "orders:read".parse().unwrap();
    vec![
        Route::new(Method::GET, "/orders").scopes(read()),
        Route::new(Method::GET, "/orders/{id}")
            .scopes(read())
            .object("id"),
        Route::new(Method::POST, "/orders").scopes("orders:write".parse().unwrap()),
        Route::new(Method::GET, "/stream").scopes(read()),
        Route::new(Method::POST, "/upload").scopes(read()),
        Route::new(Method::GET, "/echo").scopes(read()),
        Route::new(Method::GET, "/admin").scopes(read()),
        Route::new(Method::POST, "/payments")
            .scopes(read())
            .class(Class::Strict),
        Route::new(Method::POST, "/mail")
            .scopes(read())
            .destination("to"),
    ]
}

/// The keys a gateway would trust after a root delegated this one.
pub(crate) fn trusted(key: &PublicKey) -> TrustedKeys {
    let root = TestIssuer::new(Algorithm::EdDsa, ISSUER, AUDIENCE, NOW);
    let input = Delegation::signing_input(ISSUER, key, KeyUse::Mint, NOW - 10, NOW + 30 * 86_400);
    let text = root.signed(input);
    let pinned = RootKey::from_raw(root.key.raw()).unwrap();
    let delegation = Delegation::verify(&text, &pinned, ISSUER, NOW).unwrap();
    std::iter::once(&delegation).collect()
}

/// The other valid signature over the same message: `(r, n - s)`.
pub(crate) fn twin(token: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
        0x25, 0x51,
    ];
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0_i16;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER).rev() {
        let difference = i16::from(order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Serves on a free port of this machine for as long as the runtime lives.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    address
}

/// An HTTP client as any program has one.
pub(crate) fn http() -> reqwest::Client {
    lanyard_sdk::Client::builder("http://127.0.0.1:1")
        .client_credentials("none", lanyard_sdk::Secret::new("none"))
        .build()
        .unwrap()
        .http()
        .clone()
}
