//! What is told in instructions: `lanyard-guard` counts them, which runs the broker's mint in its own process.

use std::error::Error;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::Findings;
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
pub(super) fn measure() -> Result<Findings, Box<dyn Error>> {
    let mut findings = Findings::default();
    let program = std::env::current_exe()?.with_file_name(COMMAND);
    if !program.exists() {
        let words = "P3 and P4: build `lanyard-guard` beside this program";
        findings.missing.push(words.to_owned());
        return Ok(findings);
    }
    let folder = tempfile::tempdir()?;
    let (file, baseline) = (folder.path().join("counts"), folder.path().join("agreed"));
    // Whether they grew is the guard's own question: here it agrees to whatever it finds.
    let ran = Command::new(program)
        .args([
            "--update".as_ref(),
            "--baseline".as_ref(),
            baseline.as_os_str(),
        ])
        .args(["--json".as_ref(), file.as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if !ran.success() {
        let words = "P3 and P4: `lanyard-guard` failed, is valgrind installed?";
        findings.missing.push(words.to_owned());
        return Ok(findings);
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
            command: COMMAND,
            goal: Goal::AtMost(goal),
        }));
    }
    Ok(findings)
}
