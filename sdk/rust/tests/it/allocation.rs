//! The path of a seen token allocates nothing.

use http::Method;
use lanyard_drift::Outcome;
use lanyard_sdk::Request;

use crate::support::{World, at_millis};

#[test]
fn a_seen_token_is_decided_and_settled_without_an_allocation() {
    let world = World::new();
    let token = world.token(9);
    let paths: Vec<String> = (0..20)
        .map(|n| format!("/orders/{}", n * 7_919 % 50))
        .collect();
    let outcome = Outcome {
        status: Some(200),
        request_bytes: Some(0),
        response_bytes: Some(512),
    };
    let call = |n: usize| {
        let request = Request {
            query: Some("page=1"),
            source: Some([192, 0, 2, 7].into()),
            user_agent: Some("orders-client/1.0"),
            ..Request::new(&Method::GET, &paths[n % paths.len()])
        };
        let now = at_millis(n as u64 * 997);
        world
            .check_at(&token, &request, now)
            .expect("allowed")
            .settle(&outcome, now);
    };
    // The first calls are news, and news goes to the reporter's list.
    (0..40).for_each(call);
    let allocations = allocation_counter::measure(|| (40..60).for_each(call));
    assert_eq!(allocations.count_total, 0);
}

/// What a kept token may cost beside its text. Most of it are its claims, which a lease hands out; a
/// tracker would be six times as much.
const MOST_BYTES: f64 = 1_024.0;

#[test]
fn a_token_that_is_kept_costs_its_claims_and_no_tables() {
    const TOKENS: u64 = 3_000;
    let world = World::new();
    let tokens: Vec<String> = (0..TOKENS).map(|n| world.token(1_000 + n)).collect();
    let request = Request::new(&Method::GET, "/orders");
    // Counted on this thread: what the observer keeps of active tokens is its own.
    let kept = allocation_counter::measure(|| {
        for token in &tokens {
            assert!(world.check_at(token, &request, at_millis(0)).is_ok());
        }
    });
    let text: usize = tokens.iter().map(String::len).sum();
    let each = (kept.bytes_current - text as i64) as f64 / TOKENS as f64;
    assert!(each > 0.0 && each <= MOST_BYTES, "{each} bytes each");
}
