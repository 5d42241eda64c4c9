//! Tokens that are narrowed to their baseline.
//!
//! A narrowed token keeps the scopes that its identity uses anyway: those that the routes ask for
//! whose operations its habits know. A call that needs another is refused like one whose token lacks
//! the scope, and is observed all the same, so that whoever goes on probing is seen to.
//!
//! Scopes, and not operations: a new operation within the usual scopes is what a deployment looks
//! like, and nobody honest should lose a call over it. The set of known operations may take one in
//! some hundreds for known that is not; then its scope is left to the token, which had it before.
//!
//! While the habits have not arrived here nothing is narrowed: the broker narrows only identities
//! with a history, and that is fetched within a second of first sight.

use super::Inner;
use super::grant::Grant;
use super::route::{Entry, ScopeBits};

impl Inner {
    /// Whether a token may make this call although it is narrowed, if it is.
    pub(super) fn within_baseline(&self, grant: &Grant, route: &Entry) -> bool {
        if !grant.is_narrowed() {
            return true;
        }
        let bounds = self.grants.bounds_of(grant.identity());
        let Some(known) = bounds.filter(|bounds| bounds.is_established()) else {
            return true;
        };
        let usual = self.routes.entries();
        let usual = usual.filter(|route| known.knows(route.operation));
        union(usual).cover(&route.needs)
    }

    /// Looks up whether a token is narrowed, after the feed has moved.
    pub(super) fn note_narrowing(&self, grant: &Grant) {
        let view = &self.link.view;
        grant.set_narrowed(grant.nodes.are_narrowed(view, grant.rev()));
    }
}

/// All scopes that these routes ask for.
fn union<'a>(routes: impl Iterator<Item = &'a Entry>) -> ScopeBits {
    let mut all = ScopeBits::default();
    for route in routes {
        all.add(&route.needs);
    }
    all
}

#[cfg(test)]
mod tests {
    use http::Method;
    use lanyard_drift::{Absorption, Baseline, Bounds, Event, Millis, Thresholds, Tracker, judge};
    use lanyard_token::testing::TestIssuer;
    use lanyard_token::{
        Algorithm, Claims, Delegation, KeyUse, NodeId, Rejection, Rev, RootKey, TrustedKeys,
    };

    use crate::clock::{BootTime, Now, UnixMillis};
    use crate::gateway::{Decision, DriftMode, Gateway, Request, Route};

    const ISSUER: &str = "https://broker.example";
    const AUDIENCE: &str = "https://orders.example";
    const NOW: u64 = 1_800_000_000;

    fn trusted(issuer: &TestIssuer) -> TrustedKeys {
        let root = TestIssuer::new(Algorithm::EdDsa, ISSUER, AUDIENCE, NOW);
        let input =
            Delegation::signing_input(ISSUER, &issuer.key, KeyUse::Mint, NOW - 10, NOW + 86_400);
        let text = root.signed(input);
        let pinned = RootKey::from_raw(root.key.raw()).unwrap();
        let delegation = Delegation::verify(&text, &pinned, ISSUER, NOW).unwrap();
        std::iter::once(&delegation).collect()
    }

    fn gateway(issuer: &TestIssuer) -> Gateway {
        let route = |method, path: &str, scope: &str| {
            Route::new(method, path).scopes(scope.parse().unwrap())
        };
        Gateway::builder()
            .dangerous()
            .without_revocation(ISSUER, AUDIENCE.parse().unwrap(), trusted(issuer))
            .routes([
                route(Method::GET, "/orders", "orders:read"),
                route(Method::GET, "/orders/new", "orders:read"),
                route(Method::DELETE, "/orders", "orders:delete"),
                Route::new(Method::GET, "/health"),
            ])
            .unwrap()
            .drift(DriftMode::Enforce)
            .build()
    }

    /// An identity that has called one operation a thousand times.
    fn habits(gateway: &Gateway) -> Bounds {
        let thresholds = Thresholds::default();
        let (operation, _, _) = gateway.routes().named_operations().next().unwrap();
        let mut baseline = Baseline::empty();
        for window in 0..10 {
            let mut tracker = Tracker::new(Millis(0), Bounds::cold(&thresholds));
            for call in 0..100 {
                let now = Millis((window * 100 + call) * 1_000);
                let _ = tracker.observe(&Event::of(operation), now);
            }
            let report = tracker.report().unwrap();
            let verdict = judge(&report, &baseline, None, &thresholds, Millis(0));
            assert_eq!(
                baseline.absorb(&report, &verdict, &thresholds),
                Absorption::Learned
            );
        }
        baseline.bounds(&thresholds)
    }

    #[test]
    fn a_narrowed_token_keeps_the_scopes_its_identity_uses_and_loses_the_others() {
        let issuer = TestIssuer::new(Algorithm::EdDsa, ISSUER, AUDIENCE, NOW);
        let gateway = gateway(&issuer);
        let token = |rev: u64| {
            issuer.token_of(&Claims {
                scope: "orders:read orders:delete".parse().unwrap(),
                rev: Rev::new(0, rev).unwrap(),
                jti: NodeId::from_u64(rev),
                ..issuer.claims.clone()
            })
        };
        let now = Now {
            boot: BootTime(1_000),
            wall: UnixMillis(NOW * 1_000),
        };
        let call = |token: &str, method: &Method, path: &str| match gateway.check(
            token,
            &Request::new(method, path),
            now,
        ) {
            Decision::Allow(_) => Ok(()),
            Decision::Deny(denial) => Err((denial.outside().status, *denial.rejection())),
        };
        let (before, after) = (token(4), token(6));
        let identity = issuer.claims.lin.identity();
        assert_eq!(call(&before, &Method::DELETE, "/orders"), Ok(()));

        gateway.feed().narrow(identity, Rev::new(0, 5).unwrap());
        assert_eq!(
            call(&before, &Method::DELETE, "/orders"),
            Ok(()),
            "nothing is known of its habits here"
        );
        gateway.0.grants.set_bounds(identity, habits(&gateway));
        let refused = Err((403, Rejection::OutsideBaseline));
        assert_eq!(call(&before, &Method::DELETE, "/orders"), refused);
        for path in ["/orders", "/orders/new", "/health"] {
            assert_eq!(call(&before, &Method::GET, path), Ok(()), "{path}");
        }
        assert_eq!(
            call(&after, &Method::DELETE, "/orders"),
            Ok(()),
            "minted after it was narrowed"
        );
        // One that is first seen when it is narrowed already.
        let late = token(3);
        assert_eq!(call(&late, &Method::DELETE, "/orders"), refused);
    }
}
