//! What a verdict is called: by its content.
//!
//! Whose it is, the window (token, times, gateways, every count in it) and the habits it was put
//! beside, hashed. So two brokers that judge the same window say the same verdict, and saying it twice
//! is saying it once; and whoever holds window and habits can check that a verdict is about them.
//! Sixty-four bits: among a million verdicts the chance of one collision is below one in ten million.

use lanyard_drift::{Baseline, TokenReport, Verdict};
use lanyard_token::{KeyId, NodeId};
use ring::digest::{Context, SHA256};
use serde::Serialize;

use crate::store::event::TokenDigest;

/// The number of a verdict on a token's window.
pub(super) fn of_window(
    (identity, token): (NodeId, NodeId),
    gateways: &[NodeId],
    window: &TokenReport,
    habits: Option<&Baseline>,
) -> NodeId {
    let mut gateways = gateways.to_vec();
    gateways.sort_unstable();
    named("window", &(identity, token, gateways, window, habits))
}

/// The number of a verdict on an identity as a whole: the verdict holds every number of it.
pub(super) fn of_identity(
    identity: NodeId,
    verdict: &Verdict,
    habits: Option<&Baseline>,
) -> NodeId {
    named("identity", &(identity, verdict, habits))
}

/// The number of the verdict that a token proves by itself that its key is stolen.
pub(super) fn of_proof(token: NodeId, digest: TokenDigest, key: KeyId) -> NodeId {
    named("stolen key", &(token, digest, key))
}

fn named(kind: &str, content: &impl Serialize) -> NodeId {
    let mut context = Context::new(&SHA256);
    context.update(kind.as_bytes());
    // All of these serialise; were one not to, the name would still be one of this kind.
    context.update(&serde_json::to_vec(content).unwrap_or_default());
    let hash = context.finish();
    let mut first = [0; 8];
    first.copy_from_slice(hash.as_ref().first_chunk::<8>().unwrap_or(&[0; 8]));
    NodeId::from_u64(u64::from_be_bytes(first))
}

#[cfg(test)]
mod tests {
    use lanyard_drift::{Bounds, Event, Millis, OperationId, Thresholds, Tracker};
    use proptest::prelude::*;

    use super::*;

    fn node(n: u64) -> NodeId {
        NodeId::from_u64(n)
    }

    fn window(calls: u64) -> TokenReport {
        let mut tracker = Tracker::new(Millis(0), Bounds::cold(&Thresholds::default()));
        for call in 0..calls {
            let _ = tracker.observe(&Event::of(OperationId::of("GET /a")), Millis(call));
        }
        tracker.report().unwrap_or_default()
    }

    proptest! {
        #[test]
        fn the_same_window_has_the_same_name_in_whatever_order_gateways_came(
            identity: u64,
            token: u64,
            mut gateways in proptest::collection::vec(any::<u64>().prop_map(node), 0..16),
            calls in 1_u64..50,
        ) {
            let whose = (node(identity), node(token));
            let first = of_window(whose, &gateways, &window(calls), None);
            gateways.reverse();
            prop_assert_eq!(of_window(whose, &gateways, &window(calls), None), first);
            prop_assert_ne!(of_window(whose, &gateways, &window(calls + 1), None), first);
            let empty = Baseline::empty();
            prop_assert_ne!(of_window(whose, &gateways, &window(calls), Some(&empty)), first);
            let other = (node(identity ^ 1), node(token));
            prop_assert_ne!(of_window(other, &gateways, &window(calls), None), first);
        }
    }

    #[test]
    fn a_forgery_is_named_by_the_token_and_not_by_who_saw_it() {
        let key: KeyId = "A".repeat(43).parse().unwrap();
        let name = of_proof(node(1), TokenDigest([1; 8]), key);
        assert_eq!(name, of_proof(node(1), TokenDigest([1; 8]), key));
        assert_ne!(name, of_proof(node(1), TokenDigest([2; 8]), key));
    }
}
