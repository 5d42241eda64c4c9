//! Many threads, one gateway.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use lanyard_token::{NodeId, Rev};

use crate::support::World;

#[test]
fn once_a_revocation_is_in_no_thread_lets_the_token_in_again() {
    let world = World::new();
    let tokens: Vec<String> = (0..32).map(|n| world.token(100 + n)).collect();
    let revoked: Vec<AtomicBool> = tokens.iter().map(|_| AtomicBool::new(false)).collect();
    let (allowed, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    for (token, revoked) in tokens.iter().zip(&revoked) {
                        let was_revoked = revoked.load(Ordering::SeqCst);
                        match world.get(token, "/orders") {
                            Ok(lease) => {
                                assert!(!was_revoked, "token {} came back to life", lease.token());
                                allowed.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(_) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                        }
                    }
                }
            });
        }
        for (n, revoked) in revoked.iter().enumerate().step_by(2) {
            thread::sleep(std::time::Duration::from_millis(2));
            world
                .gateway
                .feed()
                .end(NodeId::from_u64(100 + n as u64), Rev::new(0, 1).unwrap());
            revoked.store(true, Ordering::SeqCst);
        }
        done.store(true, Ordering::Release);
    });
    for (n, token) in tokens.iter().enumerate() {
        assert_eq!(world.get(token, "/orders").is_ok(), n % 2 == 1);
    }
    assert_eq!(world.gateway.tokens_kept(), tokens.len());
}
