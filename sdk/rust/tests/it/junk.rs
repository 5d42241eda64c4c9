//! What did not pass the gate leaves no trace.

use http::Method;
use lanyard_sdk::Request;

use crate::support::{World, at_millis};

/// Malformed ones are cheap, forged ones cost a signature check each.
const MALFORMED: u64 = 90_000;
const FORGED: u64 = 10_000;
const GOOD: u64 = 100;

#[test]
fn a_hundred_thousand_junk_tokens_push_no_good_one_out() {
    let world = World::new();
    let good: Vec<String> = (0..GOOD).map(|n| world.token(1_000 + n)).collect();
    for token in &good {
        assert!(world.get(token, "/orders").is_ok());
    }
    let (signed, signature) = good[0].rsplit_once('.').unwrap();
    for n in 0..MALFORMED {
        assert!(world.get(&format!("{signed}.{n:x}"), "/orders").is_err());
    }
    for n in 0..FORGED {
        let forged = format!("{signed}.{n:08x}{}", &signature[8..]);
        assert!(world.get(&forged, "/orders").is_err());
    }
    assert_eq!(world.gateway.tokens_kept(), usize::try_from(GOOD).unwrap());
    // A token that is found again costs no allocation; one that went through the gate again does.
    let request = Request::new(&Method::GET, "/orders");
    let allocations = allocation_counter::measure(|| {
        for token in &good {
            assert!(world.check_at(token, &request, at_millis(0)).is_ok());
        }
    });
    assert_eq!(
        allocations.count_total, 0,
        "every good token is still known"
    );
}

#[test]
fn more_tokens_than_there_is_room_for_are_checked_anew_and_never_let_memory_grow() {
    let world = {
        use lanyard_sdk::gateway::{Capacity, Gateway};
        let issuer = World::new().issuer;
        let gateway = Gateway::builder()
            .dangerous()
            .without_revocation(
                crate::support::ISSUER,
                crate::support::AUDIENCE.parse().unwrap(),
                crate::support::trusted(&issuer.key),
            )
            .routes(crate::support::routes())
            .unwrap()
            .drift(lanyard_sdk::DriftMode::Enforce)
            .capacity(Capacity::tokens(64))
            .build();
        World { issuer, gateway }
    };
    let tokens: Vec<String> = (0..500).map(|n| world.token(n)).collect();
    for token in tokens.iter().chain(&tokens) {
        assert!(world.get(token, "/orders").is_ok());
    }
    assert!(world.gateway.tokens_kept() <= 64);
}
