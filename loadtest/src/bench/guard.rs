//! What is told in instructions: `lanyard-guard` counts them, which runs the broker's mint in its own process.

use std::error::Error;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::process::{Child, Command};

use super::Findings;
use super::absent::Absent;
use super::target::{Goal, Target};

const COMMAND: &str = "lanyard-guard";

/// The part of its report that is read here.
#[derive(Deserialize)]
struct Counted {
    targets: Vec<Figure>,
}

#[derive(Deserialize)]
struct Figure {
    id: String,
    measured: f64,
    minimum: f64,
    maximum: f64,
}

/// Runs it, when it is built beside this program.
pub(super) async fn measure(findings: &mut Findings) -> Result<(), Box<dyn Error>> {
    let program = std::env::current_exe()?.with_file_name(COMMAND);
    if !program.exists() {
        let words = "P3 and P4: build `lanyard-guard` beside this program";
        findings.missing.push(Absent::of(words, &["P3", "P4"]));
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let (file, baseline) = (folder.path().join("counts"), folder.path().join("agreed"));
    // Whether they grew is the guard's own question: here it agrees to whatever it finds.
    let counting = Command::new(program)
        .args([
            "--update".as_ref(),
            "--baseline".as_ref(),
            baseline.as_os_str(),
        ])
        .args(["--json".as_ref(), file.as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()?;
    let ran = Counting(counting).0.wait().await?;
    if !ran.success() {
        let words = "P3 and P4: `lanyard-guard` failed, is valgrind installed?";
        findings.missing.push(Absent::of(words, &["P3", "P4"]));
        return Ok(());
    }
    let counted: Counted = serde_json::from_slice(&std::fs::read(file)?)?;
    for (id, goal) in [("P3", 103.0), ("P4", 108.0)] {
        let figure = counted.targets.iter().find(|figure| figure.id == id);
        findings.add(figure.map(|figure| Target {
            id,
            measured: figure.measured,
            unit: "%",
            minimum: figure.minimum,
            maximum: figure.maximum,
            command: COMMAND.into(),
            goal: Goal::AtMost(goal),
        }));
    }
    Ok(())
}

/// The program and valgrind, which it starts: ended together when they are let go of.
struct Counting(Child);

impl Drop for Counting {
    fn drop(&mut self) {
        // No id any more once it has ended.
        let group = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = group.and_then(Pid::from_raw) {
            // It fails where all of it has just ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
