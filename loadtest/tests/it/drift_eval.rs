//! The measurement as a user runs it, on the recordings.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Identities of the masquerade data that a test has time for: three in each half.
const PEOPLE: usize = 6;

fn recordings() -> Option<PathBuf> {
    let folder = std::env::var_os("LANYARD_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/drift"),
        PathBuf::from,
    );
    Some(folder).filter(|folder| folder.join("dev").exists())
}

/// Says aloud that something is missing; in CI that is a failure.
fn missing() {
    let what = "the recordings are missing; LANYARD_DATA names their folder";
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!ci, "{what}");
    println!("\n*** {what}: the measurement was not tested ***\n");
}

/// A folder with the first people and all else.
fn subset(recordings: &Path) -> io::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let dev = recordings.join("dev");
    for file in fs::read_dir(&dev)? {
        let file = file?;
        // Written below, with fewer people.
        if file.file_name() != "schonlau.csv.zst" {
            fs::copy(file.path(), folder.path().join(file.file_name()))?;
        }
    }
    let all = zstd::Decoder::new(File::open(dev.join("schonlau.csv.zst"))?)?;
    let some = File::create(folder.path().join("schonlau.csv.zst"))?;
    let mut some = zstd::Encoder::new(some, 1)?;
    let mut people = Vec::new();
    for (number, line) in BufReader::new(all).lines().enumerate() {
        let line = line?;
        let identity = line.split(',').next().unwrap_or_default().to_owned();
        if number > 0 && !people.contains(&identity) {
            people.push(identity);
        }
        if people.len() > PEOPLE {
            break;
        }
        writeln!(some, "{line}")?;
    }
    some.finish()?;
    Ok(folder)
}

fn drift_eval(folder: &Path, recordings: Option<&Path>, more: &[&str]) -> io::Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanyard-loadtest"));
    command
        .args(["drift-eval", "--identities", "100"])
        .args(more);
    command.arg("--population").arg(folder);
    command.arg("--data").arg(folder);
    if let Some(recordings) = recordings {
        command.env("LANYARD_DATA", recordings);
    }
    command.output()
}

fn measured(folder: &Path, recordings: &Path) -> Result<Value, Box<dyn Error>> {
    let run = drift_eval(folder, Some(recordings), &["--json", "-"])?;
    let words = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{words}");
    Ok(serde_json::from_slice(&run.stdout)?)
}

#[test]
fn two_runs_tell_the_same_and_every_share_is_one() {
    let Some(recordings) = recordings() else {
        return missing();
    };
    let folder = subset(&recordings).unwrap();
    let report = measured(folder.path(), &recordings).unwrap();
    let again = measured(folder.path(), &recordings).unwrap();
    // The state holds times, which no two runs share.
    for part in ["schonlau", "agentdojo", "cloudtrail", "web"] {
        assert_eq!(report[part], again[part], "{part}");
    }

    let masquerades = &report["schonlau"];
    let both = &masquerades["directions"];
    for figures in [masquerades, &both["a_to_b"], &both["b_to_a"]] {
        let number = |value: &Value| value.as_f64().unwrap();
        assert!((0.0..=1.0).contains(&number(&figures["auc"])));
        let hits: Vec<f64> = ["1.0", "1.3", "1.7", "2.5", "4.6", "6.7"]
            .iter()
            .map(|rate| number(&figures["hits_at"][rate]))
            .collect();
        assert!(hits.is_sorted() && hits.iter().all(|hits| (0.0..=1.0).contains(hits)));
        let cost = |which: &str| number(&figures[which]["cost"]);
        assert!(cost("best") <= cost("fixed") + 1e-9);
        assert_eq!(
            figures["cold_start"]["5000"], figures["hits_at"]["2.5"],
            "all that is known is known"
        );
        assert_eq!(
            figures["poisoning"]["ordinary_hits"],
            figures["hits_at"]["2.5"]
        );
    }
    for way in ["task_scope", "role_only"] {
        let shares = &report["agentdojo"][way];
        let share = |name: &str| shares[name].as_f64().unwrap();
        assert!(
            share("at_or_before_malicious_call") <= share("hits"),
            "{shares}"
        );
        assert!((0.0..=1.0).contains(&share("hits")));
        assert!((0.0..=1.0).contains(&share("false_alarms")));
    }
}

#[test]
fn a_folder_without_recordings_is_said_to_be_without_them() {
    let folder = tempfile::tempdir().unwrap();
    let run = drift_eval(folder.path(), None, &["--json", "-"]).unwrap();
    assert!(run.status.success());
    let words = String::from_utf8_lossy(&run.stderr).into_owned();
    for file in [
        "schonlau.csv.zst",
        "agentdojo.csv.zst",
        "cloudtrail-invictus.csv.zst",
        "cloudtrail-stratus.csv.zst",
        "weblog-secrepo.csv.zst",
        "webscan.csv.zst",
    ] {
        assert!(words.contains(file), "{words}");
    }
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert!(report.get("schonlau").is_none() && report.get("agentdojo").is_none());
}

#[test]
fn a_folder_that_is_not_there_is_an_error_in_words() {
    let run = drift_eval(Path::new("nowhere-at-all"), None, &[]).unwrap();
    assert_eq!(run.status.code(), Some(1));
    let words = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(words.contains("nowhere-at-all"), "{words}");
}
