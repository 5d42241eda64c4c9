//! Whoever hangs up while a change is being written does not stop it half way.

use std::fs::File;
use std::io;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use lanyard::store::Event;
use serde_json::json;

use super::*;

/// A disk whose syncs can be held back, as one does that is busy or far away.
#[derive(Default)]
struct Slow {
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Default)]
struct Held {
    holding: bool,
    waiting: bool,
}

impl Slow {
    fn hold(&self, holding: bool) {
        self.held.lock().unwrap().holding = holding;
        self.changed.notify_all();
    }

    async fn until_somebody_waits(&self) {
        while !self.held.lock().unwrap().waiting {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Disk for Slow {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        SystemDisk.write_at(file, bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let mut held = self.held.lock().unwrap();
        while held.holding {
            held.waiting = true;
            held = self.changed.wait(held).unwrap();
        }
        held.waiting = false;
        drop(held);
        SystemDisk.sync(file)
    }
}

impl World {
    fn change(&self, token: &str, path: &str, body: &Value) -> Request<Body> {
        Request::post(path)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(body.to_string()))
            .unwrap()
    }

    fn versions_found(&self) -> Vec<u32> {
        let events = self.broker.events().unwrap();
        let found = events.iter().filter_map(|event| match event {
            Event::SecretLeaked { version, .. } => Some(version.0),
            _ => None,
        });
        found.collect()
    }

    fn administered(&self, route: &str) -> Vec<u16> {
        let events = self.broker.events().unwrap();
        let administered = events.into_iter().filter_map(|event| match event {
            Event::Administered { action, status, .. } if action == route => Some(status),
            _ => None,
        });
        administered.collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_whose_putter_hung_up_and_the_next_one_are_two_versions() {
    let disk = Arc::new(Slow::default());
    let world = World::on(disk.clone()).await;
    let owner = NewOwner {
        name: "payments".into(),
        contact: None,
    };
    let issue = world.broker.issue();
    issue.create_owner(owner, By::Broker).await.unwrap();
    let token = issue.local_admin_token(By::Broker).await.unwrap();
    let token = token.token.expose().to_owned();
    let put = |value: &str| {
        let body = json!({"name": "stripe/key", "owner": "payments", "value": value});
        let asked = world.change(&token, "/v1/secrets", &body);
        tokio::spawn(world.admin.clone().oneshot(asked))
    };
    assert_eq!(put("value-one").await.unwrap().unwrap().status(), 201);

    disk.hold(true);
    let hung_up = put("value-two");
    disk.until_somebody_waits().await;
    hung_up.abort();
    assert!(hung_up.await.unwrap_err().is_cancelled());
    let next = put("value-three");
    // Long enough for it to be numbered, if nothing held it back.
    tokio::time::sleep(Duration::from_millis(200)).await;
    disk.hold(false);
    let answer = next.await.unwrap().unwrap();
    assert_eq!(answer.status(), 201);
    let shown = answer.into_body().collect().await.unwrap().to_bytes();
    let shown: Value = serde_json::from_slice(&shown).unwrap();
    let states = shown["versions"].as_array().unwrap().iter();
    let states = states.map(|version| (version["version"].clone(), version["state"].clone()));
    assert_eq!(
        states.collect::<Vec<_>>(),
        [(1, "draining"), (2, "draining"), (3, "active")]
            .map(|(version, state)| (json!(version), json!(state)))
    );

    // Each version is its own value.
    for (value, version) in [("value-two", 2), ("value-three", 3)] {
        let body = json!({"token": value});
        let asked = world.change(&token, "/v1/leaks", &body);
        let answer = world.admin.clone().oneshot(asked).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(world.versions_found().last(), Some(&version));
    }
    // And whoever hung up administered, too.
    assert_eq!(world.administered("POST /v1/secrets"), [201, 201, 201]);
}
