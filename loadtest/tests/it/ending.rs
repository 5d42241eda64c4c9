//! What a run leaves behind that is ended from outside, and what it refuses before it begins.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::run::lanyard;

/// A debug build on a busy machine takes its time to start.
const PATIENCE: Duration = Duration::from_secs(60);

fn loadtest() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lanyard-loadtest"))
}

/// The processes that one has started, by its own main thread or another.
fn children(of: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{of}/task")).unwrap().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect()
}

/// A run whose temporary files are in this folder, once it has its two servers; and their ids.
fn begun(lanyard: &Path, folder: &Path) -> (Child, Vec<String>) {
    let run = loadtest()
        .args(["run", "steady", "--seconds", "120", "--lanyard"])
        .arg(lanyard)
        .env("TMPDIR", folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let mut servers = children(run.id());
    while servers.len() < 2 && began.elapsed() < PATIENCE {
        sleep(Duration::from_millis(50));
        servers = children(run.id());
    }
    (run, servers)
}

#[test]
fn a_run_that_is_ended_takes_its_servers_and_their_folders_along() {
    let Some(lanyard) = lanyard() else {
        return;
    };
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let folder = tempfile::tempdir().unwrap();
        let (mut run, servers) = begun(&lanyard, folder.path());
        let there = fs::read_dir(folder.path()).unwrap().count();
        let id = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(code));
        assert!(there > 0 && servers.len() == 2, "{servers:?}");
        for server in servers {
            assert!(!Path::new("/proc").join(&server).exists(), "{server} lives");
        }
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// What it says when it refuses, and how it ends then.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let ran = loadtest().args(arguments).output().unwrap();
    let words = String::from_utf8_lossy(&ran.stderr).into_owned();
    (ran.status.code(), words)
}

#[test]
fn numbers_of_nothing_and_half_a_broker_are_usage_errors() {
    for option in ["--nodes", "--rounds", "--connections", "--tokens"] {
        let (code, words) = refused(&["bench", "revocation", option, "0"]);
        assert_eq!(code, Some(2), "{words}");
        assert!(words.contains(option), "{words}");
    }
    let url = ["--admin-url", "http://127.0.0.1:1"];
    let issuer = ["--issuer", "http://127.0.0.1:1"];
    let (code, words) = refused(&[&["run", "steady"][..], &url, &issuer].concat());
    assert_eq!(code, Some(2), "{words}");
    assert!(words.contains("--admin-token-file"), "{words}");
}

#[test]
fn a_file_that_cannot_be_written_is_said_before_anything_is_measured() {
    for command in [["bench", "micro"], ["run", "steady"]] {
        let file = "/nonexistent/figures.json";
        let (code, words) = refused(&[&command[..], &["--json", file]].concat());
        assert_eq!(code, Some(1), "{words}");
        assert!(words.contains(file), "{words}");
    }
}
