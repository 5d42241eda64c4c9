//! What is called at third parties is watched like any call: a token that walks through a third party's objects ends here.

use std::sync::atomic::Ordering;

use crate::support::{HEADER, World, counting, http, party};

/// More than any bound of objects.
const OBJECTS: usize = 3_000;

#[tokio::test]
async fn a_token_that_walks_through_the_objects_of_a_third_party_is_ended_and_another_one_is_not() {
    let (upstream, called) = counting().await;
    let object = "class = \"normal\"\nobject = \"what\"";
    let written = party(upstream, HEADER, "").replace("class = \"normal\"", object);
    let world = World::new(&written).await;
    let (walking, other) = (world.token("party:use"), world.token("party:use"));
    let client = http();
    let status = async |id: usize, token: &str| {
        let url = world.url(&format!("/party/v1/{id}"));
        let sent = client.get(url).bearer_auth(token).send().await;
        sent.unwrap().status().as_u16()
    };
    let mut last = 200;
    for id in 1_000..1_000 + OBJECTS {
        last = status(id, &walking).await;
        if last != 200 {
            break;
        }
    }
    assert_eq!(last, 401);
    let before = called.load(Ordering::SeqCst);
    assert!(before < OBJECTS, "{before}");
    assert_eq!(status(7, &walking).await, 401);
    assert_eq!(called.load(Ordering::SeqCst), before);
    for _ in 0..10 {
        assert_eq!(status(7, &other).await, 200);
    }
}
