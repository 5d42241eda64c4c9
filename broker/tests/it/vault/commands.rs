//! `lanyard rotation …` and `lanyard secret rotate` with real brokers and vendors on loopback.

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::planned::{World, overlaps};
use super::vendor::Vendor;
use crate::edge::harness::{json as run_json, lanyard, refused, run, words};

impl World {
    fn on(&self, arguments: &[&str]) -> Value {
        run_json(&[arguments, &["--json"], &self.at()].concat())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        run(&[arguments, &self.at()].concat())
    }

    fn refuses(&self, arguments: &[&str]) -> String {
        refused(&[arguments, &self.at()].concat(), 1)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_are_listed_shown_retried_and_undone_by_commands_and_one_that_is_over_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (vendor, world) = (Vendor::start().await, World::start(folder.path(), &[]));
    // Long enough for some commands; and once more when the two have changed places.
    world.plan("third/key", "dev", &vendor, 20).await;
    let begun = world.on(&["secret", "rotate", "third/key"]);
    let id = begun["rotations"][0]["id"].as_str().unwrap();
    world.until(id, overlaps).await;

    let list = words(&world.run(&["rotation", "list"]).stdout);
    for part in [id, "third/key", "asked", "overlapping"] {
        assert!(list.contains(part), "{part}: {list}");
    }
    let listed = world.on(&["rotation", "list"]);
    assert_eq!(listed["rotations"][0]["id"], *id, "{listed}");
    let shown = world.on(&["rotation", "show", id]);
    assert_eq!(
        (&shown["secret"], &shown["version"], &shown["outcome"]),
        (&json!("third/key"), &json!(2), &Value::Null)
    );
    assert_eq!(world.on(&["rotation", "retry", id])["id"], *id);
    for verb in ["show", "retry", "abort"] {
        let said = world.refuses(&["rotation", verb, "00000000000000ff"]);
        assert!(said.contains("there is no rotation"), "{verb}: {said}");
    }

    // It was published: the two change places.
    assert_eq!(world.on(&["rotation", "abort", id])["id"], *id);
    let over = world.until_over(id).await;
    assert_eq!(over["outcome"], "reverted", "{over}");
    for verb in ["retry", "abort"] {
        let said = world.refuses(&["rotation", verb, id]);
        assert!(
            said.contains("is over: the credential from before is in force"),
            "{verb}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_undone_before_anything_was_made_and_one_that_was_carried_out_say_which() {
    let folder = tempfile::tempdir().unwrap();
    let (vendor, world) = (Vendor::start().await, World::start(folder.path(), &[]));
    let nobody = Vendor {
        url: "http://127.0.0.1:1".to_owned(),
        books: vendor.books.clone(),
    };
    world.plan("nobody/key", "dev", &nobody, 1).await;
    world.plan("third/key", "dev", &vendor, 1).await;
    for (name, ends, says) in [
        ("nobody/key", "abandoned", "before anybody got the new"),
        ("third/key", "rotated", "the new credential is in force"),
    ] {
        let begun = world.on(&["secret", "rotate", name]);
        let id = begun["rotations"][0]["id"].as_str().unwrap();
        if ends == "abandoned" {
            world.on(&["rotation", "abort", id]);
        }
        let over = world.until_over(id).await;
        assert_eq!(over["outcome"], *ends, "{over}");
        for verb in ["retry", "abort"] {
            let said = world.refuses(&["rotation", verb, id]);
            assert!(
                said.contains("is over") && said.contains(says),
                "{verb}: {said}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_secrets_of_an_owner_that_is_not_there_are_not_all_exchanged() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), &[]);
    let said = world.refuses(&["secret", "rotate", "--all", "--owner", "nope"]);
    assert!(said.contains("there is no owner `nope`"), "{said}");
    let nothing = world.run(&["secret", "rotate", "--all", "--owner", "dev"]);
    assert!(nothing.status.success());
    let said = words(&nothing.stderr);
    assert!(said.contains("no secret of `dev` has a plan"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_exchanges_waits_on_while_the_broker_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), &[]);
    for owner in ["shop", "desk"] {
        world.post("/v1/owners", json!({"name": owner})).await;
    }
    let vendors = [Vendor::start().await, Vendor::start().await];
    for (vendor, name) in vendors.iter().zip(["shop/one", "shop/two"]) {
        world.plan(name, "shop", vendor, 3).await;
    }
    world.plan("desk/key", "desk", &vendors[0], 3).await;
    let line = ["secret", "rotate", "--all", "--owner", "shop", "--wait"];
    let waiting = lanyard(&[&line[..], &["--json"], &world.at()].concat())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = async || world.get("/v1/rotations").await["rotations"].clone();
    let began = Instant::now();
    while begun().await.as_array().unwrap().len() < 2 {
        assert!(began.elapsed() < Duration::from_secs(30), "none begins");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let World { dev, .. } = world;
    dev.running.signal("TERM");
    assert_eq!(dev.running.wait(), Some(0));
    // Nobody answers for longer than it takes to ask a few times.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let again = World::start(folder.path(), &[]);
    let ended = tokio::task::spawn_blocking(move || waiting.wait_with_output().unwrap());
    let ended = ended.await.unwrap();
    let said = words(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("it is asked again"), "{said}");
    let told: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let told = told["rotations"].as_array().unwrap().clone();
    let mut exchanged: Vec<_> = told
        .iter()
        .map(|rotation| (rotation["secret"].clone(), rotation["outcome"].clone()))
        .collect();
    exchanged.sort_by_key(|(secret, _)| secret.to_string());
    let rotated = |secret: &str| (json!(secret), json!("rotated"));
    assert_eq!(exchanged, [rotated("shop/one"), rotated("shop/two")]);
    let all = again.get("/v1/rotations").await;
    assert_eq!(all["rotations"].as_array().unwrap().len(), 2, "{all}");
}
