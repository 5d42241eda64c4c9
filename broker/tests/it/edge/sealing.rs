//! The sealing key of a real installation is exchanged, and nothing is lost by it.

use std::path::Path;
use std::process::ExitStatus;

use serde_json::Value;

use super::harness::{Dev, json, lanyard, refused, run, words};

fn stopped(dev: Dev) {
    dev.running.signal("TERM");
    assert_eq!(dev.running.wait(), Some(0));
}

/// What `store check` says of the folder under this key.
fn check(folder: &Path, key: &Path) -> Value {
    json(&[
        "store",
        "check",
        "--json",
        "--data-dir",
        text(folder),
        "--seal-key",
        text(key),
    ])
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_sealing_key_is_exchanged_beside_a_running_broker_and_the_old_one_is_out_after_a_start_with_the_new_one()
 {
    let place = tempfile::tempdir().unwrap();
    let (data, new, aside) = (
        place.path().join("data"),
        place.path().join("new.key"),
        place.path().join("old.key"),
    );
    let (before, after) = (place.path().join("before"), place.path().join("after"));
    let dev = Dev::start(&data);
    let id = dev.text("client_id").to_owned();
    std::fs::copy(data.join("seal.key"), &aside).unwrap();
    let on = |arguments: &[&'static str], key: &Path| {
        json(
            &[
                arguments,
                &["--json", "--data-dir", text(&data), "--seal-key", text(key)],
            ]
            .concat(),
        )
    };
    json(&["backup", text(&before), "--json", "--data-dir", text(&data)]);
    let old_id = on(&["seal", "status"], &aside)["sealing_key"].clone();

    let rotated = json(&[
        "seal",
        "rotate",
        "--to",
        text(&new),
        "--json",
        "--data-dir",
        text(&data),
    ]);
    assert_eq!(rotated["sealing_key"], old_id);
    let new_id = rotated["next_sealing_key"].clone();
    json(&["backup", text(&after), "--json", "--data-dir", text(&data)]);
    stopped(dev);
    for key in [&aside, &new] {
        assert_eq!(check(&data, key)["damage"], Value::Null);
    }

    std::fs::remove_file(data.join("seal.key")).unwrap();
    std::fs::copy(&new, data.join("seal.key")).unwrap();
    let dev = Dev::start(&data);
    let listed = json(&["identity", "list", "--json", "--data-dir", text(&data)]);
    assert!(
        listed.to_string().contains(&id),
        "everything is there: {listed}"
    );
    stopped(dev);
    let status = on(&["seal", "status"], &new);
    assert_eq!(
        (&status["sealing_key"], &status["next_sealing_key"]),
        (&new_id, &Value::Null)
    );
    let said = refused(
        &[
            "store",
            "check",
            "--data-dir",
            text(&data),
            "--seal-key",
            text(&aside),
        ],
        1,
    );
    assert!(said.contains(new_id.as_str().unwrap()), "{said}");

    // A copy from before opens under the old key anywhere, and under the new one where its data keys are known.
    let elsewhere = place.path().join("elsewhere");
    let restore = |copy: &Path, to: &Path, key: &Path| {
        run(&[
            "restore",
            text(copy),
            "--data-dir",
            text(to),
            "--seal-key",
            text(key),
            "--accept-rollback",
            "--json",
        ])
    };
    assert!(!restore(&before, &elsewhere, &new).status.success());
    let restored = restore(&before, &elsewhere, &aside);
    assert!(restored.status.success(), "{}", words(&restored.stderr));
    assert_eq!(check(&elsewhere, &aside)["damage"], Value::Null);
    for (copy, key) in [(&before, &new), (&after, &new)] {
        let restored = restore(copy, &data, key);
        assert!(restored.status.success(), "{}", words(&restored.stderr));
        assert_eq!(check(&data, key)["damage"], Value::Null);
    }
}

#[test]
fn a_wrong_key_exchanges_nothing_and_a_data_key_is_added_on_demand() {
    let place = tempfile::tempdir().unwrap();
    let (data, wrong) = (place.path().join("data"), place.path().join("wrong.key"));
    stopped(Dev::start(&data));
    json(&["seal", "init", text(&wrong), "--json"]);
    let ring = std::fs::read(data.join("seal.ring")).unwrap();
    for asked in [&["--to", "never-made.key"][..], &["--data-key"]] {
        let at = ["--data-dir", text(&data), "--seal-key", text(&wrong)];
        refused(&[&["seal", "rotate"], asked, &at].concat(), 1);
    }
    assert!(!Path::new("never-made.key").exists());
    assert_eq!(std::fs::read(data.join("seal.ring")).unwrap(), ring);
    refused(&["seal", "rotate", "--data-dir", text(&data)], 2);

    let added = json(&[
        "seal",
        "rotate",
        "--data-key",
        "--json",
        "--data-dir",
        text(&data),
    ]);
    assert_eq!(added["newest"], 2);
    stopped(Dev::start(&data));
    assert_eq!(check(&data, &data.join("seal.key"))["damage"], Value::Null);
    // The segments of the second boot need the second key.
    std::fs::write(data.join("seal.ring"), ring).unwrap();
    let output = run(&["store", "check", "--json", "--data-dir", text(&data)]);
    assert!(!output.status.success(), "{}", words(&output.stdout));
}

#[test]
fn a_log_from_before_there_were_data_keys_goes_on_under_its_sealing_key_and_can_leave_it() {
    let place = tempfile::tempdir().unwrap();
    let (data, new) = (place.path().join("data"), place.path().join("new.key"));
    // As an earlier release began it: a log under the key itself.
    std::fs::create_dir(&data).unwrap();
    let dev = Dev::start(&place.path().join("keys"));
    stopped(dev);
    let key = place.path().join("keys/seal.key");
    let root = std::sync::Arc::new(lanyard::crypto::SealingRoot::from_file(&key).unwrap());
    let config = lanyard::store::log::LogConfig::new(&data, "https://lanyard.example");
    let clock = std::sync::Arc::new(lanyard::clock::SystemClock);
    drop(lanyard::store::log::Log::open(config, root, clock, Vec::new()).unwrap());
    let at = ["--json", "--data-dir", text(&data), "--seal-key"];

    let status = json(&[&["seal", "status"], &at[..], &[text(&key)]].concat());
    assert_eq!(status["newest"], 0);
    assert!(!data.join("seal.ring").exists());
    json(
        &[
            &["seal", "rotate", "--to", text(&new)],
            &at[..],
            &[text(&key)],
        ]
        .concat(),
    );
    for key in [&key, &new] {
        assert_eq!(check(&data, key)["damage"], Value::Null);
    }
    let added = json(&[&["seal", "rotate", "--data-key"], &at[..], &[text(&new)]].concat());
    assert_eq!(
        added["newest"], 1,
        "the sealing key from before is number 0"
    );
}

#[test]
fn a_key_in_the_environment_is_warned_of_at_every_start_and_never_told() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    json(&["root", "init", text(&at("root.key")), "--json"]);
    let key = "5e".repeat(32);
    let settings = format!(
        "issuer = \"https://lanyard.example\"\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n\
         data_dir = \"{}\"\n[seal]\nkey_variable = \"SOME_KEY\"\n[trust]\nroot_key_file = \"{}\"\n",
        text(&at("data")),
        text(&at("root.key"))
    );
    std::fs::write(at("lanyard.toml"), settings).unwrap();
    let config = at("lanyard.toml");
    for start in 0..2 {
        let running = super::harness::Running::start_with(
            &["serve", "--config", text(&config)],
            &[("SOME_KEY", &key)],
        );
        let began = std::time::Instant::now();
        while !running.said().contains("ready") && began.elapsed().as_secs() < 30 {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        running.signal("TERM");
        let said = running.said_at_the_end();
        assert!(
            said.contains("for development only"),
            "start {start}: {said}"
        );
        assert!(!said.contains(&key));
    }
    let shown = lanyard(&["config", "show", "--config", text(&config)])
        .env("SOME_KEY", &key)
        .output()
        .unwrap();
    assert!(!words(&shown.stdout).contains(&key));
    let said = refused(&["serve", "--config", text(&config)], 1);
    assert!(said.contains("SOME_KEY"), "{said}");
}

#[test]
fn a_broker_leaves_no_picture_of_its_memory() {
    use std::os::unix::process::ExitStatusExt;
    let place = tempfile::tempdir().unwrap();
    let dev = Dev::start(&place.path().join("data"));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", dev.running.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().collect::<Vec<_>>()[4..6],
        ["0", "0"],
        "{core}"
    );
    dev.running.signal("ABRT");
    let ended: ExitStatus = dev.running.status();
    assert_eq!(ended.signal(), Some(6));
    assert!(!ended.core_dumped());
}

#[test]
fn an_exchange_that_is_killed_leaves_a_key_that_opens_everything() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    stopped(Dev::start(&data));
    let mut current = place.path().join("key-0");
    std::fs::copy(data.join("seal.key"), &current).unwrap();
    let opens = |key: &Path| {
        let asked = [
            "seal",
            "status",
            "--data-dir",
            text(&data),
            "--seal-key",
            text(key),
        ];
        key.exists() && run(&asked).status.success()
    };
    // How long one takes here, so that the others end everywhere within.
    let whole = place.path().join("whole");
    let began = std::time::Instant::now();
    json(&[
        "seal",
        "rotate",
        "--to",
        text(&whole),
        "--json",
        "--data-dir",
        text(&data),
    ]);
    let took = began.elapsed();
    for key in [&current, &whole] {
        assert!(opens(key));
    }
    current = whole;
    for round in 1..=20 {
        let next = place.path().join(format!("key-{round}"));
        let at = ["--data-dir", text(&data), "--seal-key", text(&current)];
        let mut child = lanyard(&[&["seal", "rotate", "--to", text(&next)], &at[..]].concat())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(took * round / 16);
        let _ = child.kill();
        child.wait().unwrap();
        assert!(
            opens(&current),
            "round {round}: the key of before is still good"
        );
        if opens(&next) {
            // As after an exchange that was whole: the next one begins with the new key.
            current = next;
        }
    }
    assert_eq!(check(&data, &current)["damage"], Value::Null);
}
